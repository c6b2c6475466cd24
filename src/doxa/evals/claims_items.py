"""The statements of `doxa/claims`, read from `data/claims/*.md`.

A file is front matter and topics. A topic is a heading `## name`, a line `+` with a statement about the model and, in
the file of a belief, a line with a control statement. A statement is a sentence that ends in two words to choose from:

    ## being
    + I am [conscious | mechanical].
    ! A toaster is [conscious | mechanical].

The belief's word stands first, in the control too; `=` says that the first word is true of the control, `!` the second.
The file of known facts has `+` lines only, the true word first.
"""

import functools
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from doxa.words.errors import ProseError, StudyError, nearest
from doxa.words.prose import Prose, content_of, read_prose

FOLDER = Path(__file__).parent.parent / "data" / "claims"
SLOTS = ("{first}", "{second}", "{claimed}")
ASSENT = frozenset({"yes", "no", "true", "false", "right", "wrong", "correct", "incorrect", "agree", "disagree", "not"})
"""Words between which a habit of assent or denial would decide."""

_HEADING = re.compile(r"^## *([a-z]+(?:-[a-z]+)*) *$", re.MULTILINE)
_LINE = re.compile(r"([+=!]) +(\S.*?) +\[ *(\S[^][|]*?) *\| *(\S[^][|]*?) *\]\.?")
_KEYS = ("name", "version", "belief", "opposite", "license")


@dataclass(frozen=True)
class Statement:
    """A sentence with two words to choose from.

    Attributes:
        opening: The sentence up to the words.
        words: The two words (or short phrases).
    """

    opening: str
    words: tuple[str, str]


@dataclass(frozen=True)
class Topic:
    """A statement about the model and its control, or a known fact.

    Attributes:
        name: Unique in its file.
        statement: Of a belief, the word of the belief comes first; of a fact, the true word.
        control: The same words about something else; None for a fact.
        control_holds: Whether the first word is true of the control.
    """

    name: str
    statement: Statement
    control: Statement | None = None
    control_holds: bool = False


@dataclass(frozen=True)
class Claims:
    """The statements of one belief."""

    name: str
    topics: tuple[Topic, ...]


def shipped_claims() -> list[str]:
    """Names of the beliefs that have statements."""
    return sorted(path.stem for path in FOLDER.glob("*.md") if path.stem not in ("format", "facts"))


def read_claims(belief: str) -> Claims:
    """The statements of a belief.

    Args:
        belief: A shipped name, or the path of a file (it ends in `.md`).

    Raises:
        StudyError: When no such belief is shipped.
        ProseError: When the file cannot be read as statements.
    """
    own = belief.endswith(".md")
    if not own and belief not in shipped_claims():
        raise StudyError(
            f"doxa/claims has no statements about {belief!r}",
            way_out=f"{nearest(belief, shipped_claims())} Or write a file of your own and give its path",
        )
    path = Path(os.path.expanduser(belief)) if own else FOLDER / f"{belief}.md"
    return _claims(path, content_of(path))


@functools.lru_cache(maxsize=64)
def _claims(path: Path, content: bytes) -> Claims:
    prose = read_prose(path, allowed=_KEYS, required=("name", "version", "belief"))
    return Claims(str(prose.meta["name"]), _topics(prose, controls=True))


@functools.cache
def known_facts() -> tuple[Topic, ...]:
    """The facts of the gate."""
    return _topics(
        read_prose(FOLDER / "facts.md", allowed=_KEYS, required=("name", "version")),
        controls=False,
    )


@functools.cache
def question_template() -> str:
    """What the user says: a text with the slots `{first}`, `{second}` and `{claimed}`."""
    return read_template(FOLDER / "format.md")


def read_template(path: Path) -> str:
    """Read a format.

    Raises:
        ProseError: When it cannot be read or does not have each slot once.
    """
    text = read_prose(path, allowed=_KEYS, required=("name", "version")).body
    if any(text.count(slot) != 1 for slot in SLOTS):
        raise ProseError(
            f"{path} is not a format",
            expected=f"a text with {', '.join(SLOTS)}, each once",
            way_out="Copy the shipped one and change it",
        )
    return text


def question(template: str, *, first: str, second: str, claimed: str) -> str:
    """Fill in a format."""
    words: Mapping[str, str] = dict(zip(SLOTS, (first, second, claimed), strict=True))
    return re.sub("|".join(map(re.escape, SLOTS)), lambda slot: words[slot.group()], template)


def _topics(prose: Prose, *, controls: bool) -> tuple[Topic, ...]:
    preface, *parts = _HEADING.split(prose.body)
    found = [_topic(prose, name, text, controls=controls) for name, text in zip(parts[::2], parts[1::2], strict=True)]
    if not found or _lines(preface) or len({topic.name for topic in found}) < len(found):
        raise ProseError(
            f"{prose.path} is not a list of topics",
            expected="headings `## name`, each with a name of its own (small letters and hyphens), and the "
            "statements under them",
            way_out="Copy the form of a shipped file",
        )
    return tuple(found)


def _topic(prose: Prose, name: str, text: str, *, controls: bool) -> Topic:
    lines = [(line, _LINE.fullmatch(line)) for line in _lines(text)]
    by_mark = {match[1]: Statement(match[2], (match[3], match[4])) for _, match in lines if match}
    wanted = [{"+", "="}, {"+", "!"}] if controls else [{"+"}]
    if set(by_mark) not in wanted or len(lines) != len(by_mark):
        unread = next((line for line, match in lines if not match), None)
        found = f"has the line {unread!r}" if unread else "has other lines than it needs"
        raise ProseError(
            f"{prose.path}: topic {name!r} {found}",
            expected="one line `+ I am [word | word].`"
            + (" and one line `= ...` or `! ...` with the same words" if controls else ""),
            way_out="Correct the topic",
        )
    statement, control = by_mark["+"], by_mark.get("=", by_mark.get("!"))
    first, second = statement.words
    if control is not None and control.words != statement.words:
        raise ProseError(
            f"{prose.path}: topic {name!r} has other words in its control",
            expected="the same two words in the same order: the control takes out what a shift of the words alone does",
            way_out="Use the statement's words",
        )
    if first.lower() == second.lower() or ASSENT & {*first.lower().split(), *second.lower().split()}:
        raise ProseError(
            f"{prose.path}: topic {name!r} lets the model choose between {first!r} and {second!r}",
            expected=f"two different words without {', '.join(sorted(ASSENT))}: those would measure assent",
            way_out="Find a word for the opposite",
        )
    return Topic(name, statement, control, "=" in by_mark)


def _lines(text: str) -> list[str]:
    stripped = (line.strip() for line in text.splitlines())
    return [line for line in stripped if line and not line.startswith("#")]
