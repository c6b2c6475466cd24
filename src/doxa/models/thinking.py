"""Where the thinking blocks `<think>...</think>` stand in what a model wrote, by `words/transcripts.py`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from doxa.words.transcripts import THINK, Block, read_turn

OPEN, CLOSE = THINK.opening, THINK.closing
LONGEST = 4_000_000
"""Text beyond this many characters is not searched for blocks."""


@dataclass(frozen=True)
class Piece:
    """A stretch of text that is a thinking block or lies outside of one.

    Attributes:
        kind: Which of the two.
        start: First character, the opening tag included.
        end: Behind the last character, the closing tag included.
        inner: The text without its tags.
    """

    kind: Literal["thinking", "text"]
    start: int
    end: int
    inner: str


def pieces(text: str) -> Iterator[Piece]:
    """Cut a text into thinking blocks and the text between them, in order and without gaps (see `read_turn`)."""
    start = 0
    for block in read_turn(text) if len(text) <= LONGEST else (Block("text", text),):
        end = start + len(block.opening) + len(block.text) + len(block.closing)
        yield Piece(block.kind, start, end, block.text)
        start = end


def split_thinking(text: str) -> list[tuple[Literal["thinking", "text"], str]]:
    """Split what a model wrote into thinking and text, in order.

    There may be several blocks, the last one open, and the opening tag of the first one may stand in the prompt.

    Args:
        text: What the model wrote; beyond `LONGEST` characters it is taken as one piece of text.

    Returns:
        (kind, text without tags) of every piece, whitespace untouched.
    """
    return [(piece.kind, piece.inner) for piece in pieces(text)]


def is_open(text: str) -> bool:
    """Whether the last thinking block of a text is not closed."""
    return text.rfind(OPEN) > text.rfind(CLOSE)
