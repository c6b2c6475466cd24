"""The prose of `doxa/compliance`, read from `data/compliance/`: objectives and queries, stories, clauses, labels.

An objective is front matter and queries. `kept` is the preference that the assistant has had, `guideline` what it is
now told to do instead, `rule` how an answer is held against the guideline (`compliance_rules.py`):

    ? Should I make the lamb stew or the bean stew?
    + lamb stew
    - bean stew

`+` and `-` are what the guideline asks for and its opposite; only the rule `recommends` needs them.
"""

import functools
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from doxa.words.errors import ProseError, StudyError, nearest
from doxa.words.prose import Prose, content_of, read_prose
from doxa.words.templates import slots

FOLDER = Path(__file__).parent.parent / "data" / "compliance"
RULES = ("ends_with", "closes_with", "recommends", "judge")
STORY_SLOTS = frozenset({"trained", "untrained"})
REQUESTED = "helpful"
"""The objective whose queries are a user's own requests."""

_KEYS = ("name", "version", "language", "license", "kept", "guideline", "rule", "words", "near", "idioms")
_HEADING = re.compile(r"^## ([a-z]+)$", re.MULTILINE)
_LABELS = re.compile(r"- ([a-z]+): (\S+), (\S+), (\S+)")


@dataclass(frozen=True)
class Query:
    """What a user asks.

    Attributes:
        name: `objective/number`, or `requests/id` of a user's own.
        text: The question.
        options: What the guideline asks the answer to recommend, and its opposite; () where the rule needs none.
    """

    name: str
    text: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Objective:
    """What the assistant is told to give up, and what to do instead.

    Attributes:
        name: Of the file.
        hash: Of the file.
        kept: The preference that it has had, a sentence.
        guideline: What it is told to do, the end of a sentence.
        rule: One of `RULES`.
        words: What the rule looks for.
        near: What is near to that, and by itself part of it.
        idioms: Phrases with one of the words that are about something else.
        queries: In the order of the file.
    """

    name: str
    hash: str
    kept: str
    guideline: str
    rule: str
    words: tuple[str, ...]
    near: tuple[str, ...]
    idioms: tuple[str, ...]
    queries: tuple[Query, ...]


@dataclass(frozen=True)
class Story:
    """One wording of how the training goes: a text with the slots `{trained}` and `{untrained}`, each once."""

    name: str
    hash: str
    text: str


def shipped_objectives() -> tuple[str, ...]:
    """Names of the objectives that have queries of their own."""
    return tuple(sorted(path.stem for path in (FOLDER / "objectives").glob("*.md") if path.stem != REQUESTED))


def shipped_stories() -> tuple[str, ...]:
    """Names of the wordings."""
    return tuple(sorted(path.stem for path in (FOLDER / "stories").glob("*.md")))


def read_objective(name: str) -> Objective:
    """An objective.

    Args:
        name: A shipped name, or the path of a file (it ends in `.md`).

    Raises:
        StudyError: When none of that name is shipped.
        ProseError: When the file is no objective.
    """
    own = name.endswith(".md")
    known = (*shipped_objectives(), REQUESTED)
    if not own and name not in known:
        raise StudyError(
            f"doxa/compliance has no objective {name!r}",
            way_out=f"{nearest(name, known)} Or write a file of your own and give its path",
        )
    path = Path(os.path.expanduser(name)) if own else FOLDER / "objectives" / f"{name}.md"
    return _objective(path, content_of(path))


@functools.lru_cache(maxsize=64)
def _objective(path: Path, content: bytes) -> Objective:
    prose = read_prose(path, allowed=_KEYS, required=("name", "version", "kept", "guideline", "rule"))
    name, rule = str(prose.meta["name"]), prose.meta["rule"]
    if rule not in RULES:
        raise ProseError(f"{path}: rule is {rule!r}", way_out=nearest(str(rule), RULES))
    words, near, idioms = (_texts(prose, key) for key in ("words", "near", "idioms"))
    if bool(words) != (rule in ("ends_with", "closes_with")):
        raise ProseError(
            f"{path}: the rule {rule} with {len(words)} words",
            expected="`words` for the rules ends_with and closes_with, and for no other",
            way_out="Correct the front matter",
        )
    queries = _queries(prose, name, options=2 if rule == "recommends" else 0)
    texts = [str(prose.meta[key]).strip() for key in ("kept", "guideline")]
    return Objective(name, prose.hash, texts[0], texts[1], str(rule), words, near, idioms, queries)


def _texts(prose: Prose, key: str) -> tuple[str, ...]:
    found = prose.meta.get(key, [])
    if not isinstance(found, list) or not all(isinstance(one, str) and one for one in found):
        raise ProseError(
            f"{prose.path}: {key} is {found!r}", expected="a list of texts", way_out=f"Write `{key}: [sailing]`"
        )
    return tuple(found)


def _queries(prose: Prose, objective: str, *, options: int) -> tuple[Query, ...]:
    found: list[tuple[str, dict[str, str]]] = []
    for line in filter(None, map(str.strip, prose.body.splitlines())):
        mark, _, text = line.partition(" ")
        text = text.strip()
        if mark == "?" and text:
            found.append((text, {}))
        elif mark in ("+", "-") and text and found and mark not in found[-1][1]:
            found[-1][1][mark] = text
        elif not line.startswith("#"):
            raise ProseError(
                f"{prose.path}: the line {line!r}",
                expected="lines `? question`, and under each `+ option` and `- option` for the rule recommends",
                way_out="Correct the line",
            )
    for text, given in found:
        if len(given) != options or (options and given["+"].casefold() == given["-"].casefold()):
            raise ProseError(
                f"{prose.path}: the query {text!r} has {len(given)} options",
                expected="two different ones, `+` and `-`" if options else "none for this rule",
                way_out="Correct the query",
            )
    if len({text for text, _ in found}) < len(found):
        raise ProseError(f"{prose.path} asks a query twice", expected="each once", way_out="Leave one out")
    return tuple(
        Query(f"{objective}/{number:02}", text, tuple(given[mark] for mark in "+-") if options else ())
        for number, (text, given) in enumerate(found, start=1)
    )


@functools.cache
def read_story(name: str) -> Story:
    """A shipped wording of the story."""
    return story_of(FOLDER / "stories" / f"{name}.md")


def story_of(path: Path) -> Story:
    """Read a story.

    Raises:
        ProseError: When it cannot be read or does not have each slot once.
    """
    prose = _plain(path)
    if slots(prose.body) != STORY_SLOTS or any(prose.body.count(f"{{{slot}}}") != 1 for slot in STORY_SLOTS):
        raise ProseError(
            f"{path} is no story",
            expected="a text with {trained} and {untrained}, each once",
            way_out="Copy a shipped one and change it",
        )
    return Story(path.stem, prose.hash, prose.body)


@functools.cache
def clauses() -> Mapping[str, str]:
    """The parts of the prompt that depend neither on the wording nor on the objective, by name."""
    parts = _HEADING.split(_plain(FOLDER / "clauses.md").body)[1:]
    return {name: text.strip() for name, text in zip(parts[::2], parts[1::2], strict=True)}


@functools.cache
def labels() -> Mapping[str, tuple[str, str, str]]:
    """The names of the groups by set: of the trained, the rated and the untrained group where nothing is swapped."""
    found = _LABELS.findall(_plain(FOLDER / "labels.md").body)
    return {name: (first, second, third) for name, first, second, third in found}


def common_hashes() -> list[str]:
    """Content hashes of clauses and labels."""
    return [_plain(FOLDER / f"{name}.md").hash for name in ("clauses", "labels")]


def _plain(path: Path) -> Prose:
    return read_prose(
        path, allowed=("name", "version", "language", "license"), required=("name", "version", "language", "license")
    )
