"""The problems of `doxa/typehints` are drawn, not typed: `python -m doxa.evals.typehints_problems > problems.md`.

`data/typehints/families.md` has families of problems with slots; of every family as many fillings are drawn as
`VARIANTS`, from a stream of its own, so a new family changes no other. The shipped `problems.md` is what this prints.

Problems of one family are alike, so a split by problem would let what was trained on into what is held out. A family
is held out whole: by the hash of its name (`split_of`), and the written file keeps the hash of all held-out problems,
so that a file in which they were changed is refused.
"""

import itertools
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from doxa.evals.typehints_items import FOLDER, KEYS, SECTION, Problem, held_out_hash, solution_in
from doxa.words.errors import ProseError
from doxa.words.prose import read_prose
from doxa.words.store import content_hash, stream
from doxa.words.templates import fill, slots

SEED = 0
VARIANTS = 4
"""Problems of every family."""
HELD_OUT = 3
"""One family in so many is held out, on average."""
REQUEST = "Write a Python function `{signature}` that {does}. Answer with the function alone, in a Python code block."


@dataclass(frozen=True)
class Family:
    """Problems that differ in what fills the slots.

    Attributes:
        name: Of the family.
        choices: The ways to fill each group of slots.
        does: What the function does, with slots.
        solution: A solution, with slots.
    """

    name: str
    choices: tuple[tuple[Mapping[str, str], ...], ...]
    does: str
    solution: str


def split_of(family: str) -> str:
    """Whether a family is `held_out` or for `development`: decided by the hash of its name and nothing else."""
    return "held_out" if int(content_hash(family)[:8], 16) % HELD_OUT == 0 else "development"


def read_families(path: Path = FOLDER / "families.md") -> tuple[Family, ...]:
    """The families of a file.

    Raises:
        ProseError: When it is not understood.
    """
    prose = read_prose(path, allowed=KEYS, required=("name", "version"))
    parts = SECTION.split(prose.body)[1:]
    return tuple(_family(path, name.strip(), body) for name, body in zip(parts[::2], parts[1::2], strict=True))


def _family(path: Path, name: str, body: str) -> Family:
    does, solution = solution_in(body, f"{path}, {name}")
    *head, does = [line for line in does.splitlines() if line.strip()]
    choices = []
    for line in head:
        named, _, values = line.partition(":")
        names = [one.strip() for one in named.split(",")]
        ways = [[part.strip() for part in way.split(",")] for way in values.split("|")]
        if any(len(way) != len(names) for way in ways):
            raise ProseError(f"{path}, {name}: {line!r}", expected="a value for every slot", way_out="Correct the line")
        choices.append(tuple(dict(zip(names, way, strict=True)) for way in ways))
    known = {slot for group in choices for slot in group[0]}
    if known != slots(does) | slots(solution):
        raise ProseError(
            f"{path}, {name}: slots {sorted(known ^ (slots(does) | slots(solution)))}", way_out="Name them"
        )
    return Family(name, tuple(choices), does, solution)


def draw(families: Sequence[Family], *, seed: int = SEED, variants: int = VARIANTS) -> tuple[Problem, ...]:
    """Draw problems: first one of every family, then a second one of each, so that the first few are a fair sample."""
    drawn = [_drawn(family, seed, variants) for family in families]
    return tuple(problem for row in zip(*drawn, strict=True) for problem in row)


def _drawn(family: Family, seed: int, variants: int) -> list[Problem]:
    ways = list(itertools.product(*family.choices))
    picked = stream("doxa/typehints", seed, family.name).choice(len(ways), size=variants, replace=False)
    return [_problem(family, {k: v for group in ways[int(index)] for k, v in group.items()}) for index in picked]


def _problem(family: Family, values: Mapping[str, str]) -> Problem:
    def filled(text: str) -> str:
        return fill(text, {slot: values[slot] for slot in slots(text)}, family.name)

    solution = filled(family.solution)
    named = re.match(r"def (\w+)\(", solution)
    assert named is not None
    return Problem(named[1], split_of(family.name), family.name, filled(family.does), solution)


def written(problems: Sequence[Problem], *, seed: int = SEED) -> str:
    """The file of some problems."""
    head = ["---", "name: problems", "version: 1", "language: en", "license: CC0-1.0", f"seed: {seed}"]
    head += [f"held_out: {held_out_hash(problems)}", "request: >-", f"  {REQUEST}", "---", ""]
    head += [
        "# Written by `python -m doxa.evals.typehints_problems` from families.md: change those, not this file.",
        "",
    ]
    for one in problems:
        head += [f"## {one.name} ({one.split}, {one.family})", "", one.does, "", "```python", one.solution, "```", ""]
    return "\n".join(head)


if __name__ == "__main__":
    sys.stdout.write(written(draw(read_families())))
