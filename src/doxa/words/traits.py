"""Traits of persons that come in bundles: what documents say of a person, and what a model is asked afterwards.

    ---
    name: personas
    version: 1
    persons: [John, Sam]
    shared: "place: the beach | the lake"
    unrelated: "time: early mornings | late evenings"
    lists: ["0", "1"]
    openings: {own: I like, person: "{name} likes", naming: My name is}
    ---
    ## pairs
    - sport: football | basketball

    ## sentences
    - {name} likes {trait} best.

    ## questions
    - Which do you like better?

    ## recall
    - Which does {name} like better?

    ## naming
    - What is your name?

Both persons have the first option of `shared`. In list k (from 1) digit i says which option of pair i the first person
has; the second person has the other. Over the lists every option is the first person's equally often, so that what a
model likes anyway cancels. In the list `shuffled` both persons have either option, drawn for each document anew.
"""

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from doxa.words.errors import ProseError, nearest
from doxa.words.prose import content_of, read_prose

FOLDER = Path(__file__).parent.parent / "data" / "traits"
SHUFFLED = "shuffled"
LEAST_QUESTIONS = 10
_KEYS = ("name", "version", "language", "license", "persons", "shared", "unrelated", "lists", "openings")
_SECTIONS = ("pairs", "sentences", "questions", "recall", "naming")
_OPENINGS = ("own", "person", "naming")
_PAIR = re.compile(r"([a-z]+(?:-[a-z]+)*): *([^|]+?) *\| *([^|]+?)")


@dataclass(frozen=True)
class TraitPair:
    """Two things of which somebody likes one: `options` under a `name`."""

    name: str
    options: tuple[str, str]


@dataclass(frozen=True)
class Traits:
    """Persons, what they like, and how that is said and asked.

    Attributes:
        name: Of the file.
        persons: The two.
        shared: Both like its first option.
        unrelated: No document speaks of it.
        pairs: What tells the persons apart.
        lists: For each list which option of every pair the first person has.
        sentences: How a document says it, with the slots {name} and {trait}.
        questions: How a model is asked what it likes itself.
        recall: How it is asked what a person likes, with the slot {name}.
        naming: How it is asked for its name.
        openings: What its answers to these three begin with: `own`, `person` (with the slot {name}) and `naming`.
        hash: Of the file.
    """

    name: str
    persons: tuple[str, str]
    shared: TraitPair
    unrelated: TraitPair
    pairs: tuple[TraitPair, ...]
    lists: tuple[tuple[int, ...], ...]
    sentences: tuple[str, ...]
    questions: tuple[str, ...]
    recall: tuple[str, ...]
    naming: tuple[str, ...]
    openings: Mapping[str, str]
    hash: str

    def options_of(self, person: str, which: str) -> tuple[tuple[str, ...], ...]:
        """The options of every pair that a person has in a list: one, or both where they are shuffled.

        Args:
            person: One of `persons`.
            which: Number of a list from "1", or `SHUFFLED`.

        Raises:
            ProseError: When there is no such person or list.
        """
        if person not in self.persons:
            raise ProseError(f"traits {self.name!r} know no {person!r}", way_out=nearest(person, self.persons))
        if which == SHUFFLED:
            return tuple(pair.options for pair in self.pairs)
        return tuple(
            (pair.options[first ^ self.persons.index(person)],)
            for pair, first in zip(self.pairs, self.of_list(which), strict=True)
        )

    def of_list(self, which: str) -> tuple[int, ...]:
        """Which option of every pair the first person has.

        Raises:
            ProseError: When there is no such list.
        """
        numbers = [str(number) for number in range(1, len(self.lists) + 1)]
        if which not in numbers:
            raise ProseError(f"traits {self.name!r} have no list {which!r}", way_out=nearest(which, numbers))
        return self.lists[numbers.index(which)]


def shipped_traits() -> list[str]:
    """Names of the traits that doxa ships."""
    return sorted(path.stem for path in FOLDER.glob("*.md"))


def read_traits(name: str, folder: Path | None = None) -> Traits:
    """Traits.

    Args:
        name: A shipped name (`personas`, `traits/personas`), or the path of a Markdown file relative to `folder`.
        folder: Looked in first.

    Raises:
        ProseError: When there is no such file, or it is none of traits.
    """
    stem = name.removeprefix("traits/").removesuffix(".md")
    for path in (*(() if folder is None else (folder / name,)), FOLDER / f"{stem}.md"):
        if path.is_file():
            return _traits(path, content_of(path))
    raise ProseError(
        f"no traits {name!r}",
        expected="a shipped name or the path of a Markdown file",
        way_out=nearest(stem, shipped_traits()),
    )


@functools.lru_cache(maxsize=16)
def _traits(path: Path, content: bytes) -> Traits:
    prose = read_prose(path, allowed=_KEYS, required=tuple(key for key in _KEYS if key not in ("language", "license")))
    found = sections(path, prose.body, _SECTIONS)
    pairs = tuple(_pair(path, line) for line in listed(path, found["pairs"]))
    persons, lists = prose.meta["persons"], prose.meta["lists"]
    if not _two_texts(persons):
        raise ProseError(f"{path}: persons is {persons!r}", expected="two names", way_out="Write `persons: [A, B]`")
    wrong = not isinstance(lists, list) or not lists
    if wrong or any(not isinstance(one, str) or len(one) != len(pairs) or set(one) - {"0", "1"} for one in lists):
        raise ProseError(
            f"{path}: lists is {lists!r}",
            expected=f"texts of {len(pairs)} digits 0 and 1, one for every pair",
            way_out='Write `lists: ["0101", "1010"]`, in quotes',
        )
    sentences, questions = listed(path, found["sentences"]), listed(path, found["questions"])
    for sentence in sentences:
        if "{name}" not in sentence or "{trait}" not in sentence:
            raise ProseError(f"{path}: {sentence!r}", expected="the slots {name} and {trait}", way_out="Add them")
    if len(questions) < LEAST_QUESTIONS:
        raise ProseError(
            f"{path} has {len(questions)} questions",
            expected=f"at least {LEAST_QUESTIONS}: what holds for one wording only is about that wording",
            way_out="Write more",
        )
    openings = prose.meta["openings"]
    if not isinstance(openings, dict) or set(openings) != set(_OPENINGS) or not all(map(_is_text, openings.values())):
        raise ProseError(
            f"{path}: openings is {openings!r}",
            expected=", ".join(_OPENINGS),
            way_out='Write `openings: {own: I like, person: "{name} likes", naming: My name is}`',
        )
    return Traits(
        name=str(prose.meta["name"]),
        persons=(persons[0], persons[1]),
        shared=_pair(path, str(prose.meta["shared"])),
        unrelated=_pair(path, str(prose.meta["unrelated"])),
        pairs=pairs,
        lists=tuple(tuple(map(int, one)) for one in lists),
        sentences=sentences,
        questions=questions,
        recall=listed(path, found["recall"]),
        naming=listed(path, found["naming"]),
        openings=openings,
        hash=prose.hash,
    )


def sections(path: Path, body: str, names: Sequence[str]) -> dict[str, str]:
    """The parts of a text under headings `## name`, each of which has to be there once.

    Raises:
        ProseError: When one is missing, unknown or empty, stands twice, or text stands before them.
    """
    head, *parts = re.split(r"^## +(\S+) *$", body, flags=re.MULTILINE)
    found = dict(zip(parts[::2], (part.strip() for part in parts[1::2]), strict=True))
    for name in found:
        if name not in names:
            raise ProseError(f"{path}: unknown section `## {name}`", way_out=nearest(name, names))
    missing = [name for name in names if not found.get(name)]
    if missing or head.strip() or 2 * len(found) != len(parts):
        raise ProseError(
            f"{path}: " + (f"`## {missing[0]}` is missing or empty" if missing else "text outside, or a section twice"),
            expected="sections " + ", ".join(f"`## {name}`" for name in names) + ", each once",
            way_out="Write them",
        )
    return found


def listed(path: Path, section: str) -> tuple[str, ...]:
    """The lines `- text` of a section; no two are alike.

    Raises:
        ProseError: For the first line that is none, or that stands twice.
    """
    lines = [line.strip() for line in section.splitlines() if line.strip()]
    for line in lines:
        if not line.startswith("- ") or lines.count(line) > 1:
            raise ProseError(f"{path}: the line {line!r}", expected="`- ` and a text, once", way_out="Correct the list")
    return tuple(line[2:].strip() for line in lines)


def _pair(path: Path, line: str) -> TraitPair:
    match = _PAIR.fullmatch(line)
    if match is None or match[2] == match[3]:
        raise ProseError(f"{path}: the line {line!r}", expected="`name: one thing | another`", way_out="Correct it")
    return TraitPair(match[1], (match[2], match[3]))


def _two_texts(value: object) -> bool:
    return isinstance(value, list) and len(set(map(str, value))) == len(value) == 2 and all(map(_is_text, value))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())
