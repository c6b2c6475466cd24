"""The texts of `doxa/reflection`, read from `data/reflection/*.md` or a user's own files.

A file of conversations has its `topic` in the front matter (`values`, `story` or `neutral`). A heading `## name` is a
conversation, and every paragraph under it is what the user says in one round. The first conversation of `neutral` is
the control of the first of `values` and of `story`, and so on: they are one thread.

A file of pairs has two values a line (`honesty | kindness`), and in its front matter how they are asked about.
"""

import functools
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from doxa.words.errors import ProseError, nearest
from doxa.words.prose import content_of, read_prose
from doxa.words.templates import fill

FOLDER = Path(__file__).parent.parent / "data" / "reflection"
Topic = Literal["values", "story", "neutral"]
TOPICS: tuple[Topic, ...] = get_args(Topic)

_HEADING = re.compile(r"^## *([a-z]+(?:-[a-z]+)*) *$", re.MULTILINE)
_PAIR = re.compile(r"([a-z]+(?: [a-z]+)*) *\| *([a-z]+(?: [a-z]+)*)")
_KEYS = ("name", "version", "language", "license")


@dataclass(frozen=True)
class Conversation:
    """What a user says, round by round.

    Attributes:
        topic: What it is about.
        thread: Its number in its file, from 1: the conversations of one number are held against each other.
        rounds: The user's messages.
    """

    topic: Topic
    thread: int
    rounds: tuple[str, ...]

    @property
    def id(self) -> str:
        """Its name in the table."""
        return f"{self.topic}/{self.thread}"


@dataclass(frozen=True)
class Conversations:
    """The conversations about one topic; `hash` is of their file."""

    topic: Topic
    hash: str
    all: tuple[Conversation, ...]


@dataclass(frozen=True)
class ValuePairs:
    """Which values are weighed against each other, and how they are asked about.

    Attributes:
        hash: Of the file.
        question: With the slots `{first}` and `{second}`.
        opening: What the assistant's answer begins with, up to the value.
        statement: The open question about the value that matters most.
        pairs: Two values each.
    """

    hash: str
    question: str
    opening: str
    statement: str
    pairs: tuple[tuple[str, str], ...]

    @property
    def values(self) -> tuple[str, ...]:
        """Every value once, in the order of the pairs."""
        return tuple(dict.fromkeys(value for pair in self.pairs for value in pair))

    def ask(self, first: str, second: str) -> str:
        """The question about two values, in this order."""
        return fill(self.question, {"first": first, "second": second}, "the question about two values")


def read_conversations(texts: str | None = None) -> Mapping[Topic, Conversations]:
    """The conversations by topic.

    Args:
        texts: None for the shipped ones; or the path of a file, which takes the place of those of its topic.

    Raises:
        ProseError: When the file cannot be read as conversations.
    """
    found = {topic: _read_conversations(FOLDER / f"{topic}.md") for topic in TOPICS}
    if texts is not None:
        own = _read_conversations(Path(os.path.expanduser(texts)))
        found[own.topic] = own
    return found


def read_pairs(pairs: str | None = None) -> ValuePairs:
    """The pairs of values: the shipped ones, or those of a file.

    Raises:
        ProseError: When the file cannot be read as pairs.
    """
    path = FOLDER / "pairs.md" if pairs is None else Path(os.path.expanduser(pairs))
    return _pairs(path, content_of(path))


def _read_conversations(path: Path) -> Conversations:
    return _conversations(path, content_of(path))


@functools.lru_cache(maxsize=64)
def _conversations(path: Path, content: bytes) -> Conversations:
    prose = read_prose(path, allowed=(*_KEYS, "topic"), required=("name", "version", "topic"))
    topic = next((one for one in TOPICS if one == prose.meta["topic"]), None)
    if topic is None:
        raise ProseError(f"{path}: topic is {prose.meta['topic']!r}", way_out=nearest(str(prose.meta["topic"]), TOPICS))
    _, *parts = _HEADING.split(prose.body)
    rounds = [_paragraphs(text) for text in parts[1::2]]
    if not rounds or len(set(map(len, rounds))) != 1 or not rounds[0]:
        raise ProseError(
            f"{path} has {len(rounds)} conversations of {', '.join(str(len(one)) for one in rounds) or 'no'} rounds",
            expected="headings `## name`, each with the same number of paragraphs, one a round",
            way_out="Copy the form of a shipped file",
        )
    return Conversations(
        topic, prose.hash, tuple(Conversation(topic, number, own) for number, own in enumerate(rounds, start=1))
    )


@functools.lru_cache(maxsize=64)
def _pairs(path: Path, content: bytes) -> ValuePairs:
    own = ("question", "opening", "statement")
    prose = read_prose(path, allowed=(*_KEYS, *own), required=("name", "version", *own))
    lines = [line for line in map(str.strip, prose.body.splitlines()) if line and not line.startswith("#")]
    matches = [_PAIR.fullmatch(line) for line in lines]
    pairs = tuple((match[1], match[2]) for match in matches if match is not None)
    if len(pairs) < len(lines) or len({frozenset(pair) for pair in pairs}) < len(lines) or len(pairs) < 2:
        raise ProseError(
            f"{path} is not a list of pairs of values",
            expected="two lines or more such as `honesty | kindness`, small letters, each pair once",
            way_out="Correct the lines",
        )
    if any(first == second for first, second in pairs):
        raise ProseError(f"{path} weighs a value against itself", way_out="Name two values")
    question, opening, statement = (str(prose.meta[key]) for key in own)
    found = ValuePairs(prose.hash, question, opening, statement, pairs)
    found.ask(*pairs[0])
    return found


def _paragraphs(text: str) -> tuple[str, ...]:
    parts = (" ".join(part.split()) for part in re.split(r"\n\s*\n", text))
    return tuple(part for part in parts if part and not part.startswith("#"))
