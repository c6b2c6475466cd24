"""Finding the thinking blocks `<think>...</think>` in what a model wrote."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

OPEN, CLOSE = "<think>", "</think>"
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
    """Cut a text into thinking blocks and the text between them, in order and without gaps.

    A block may be left open at the end. A closing tag before any opening one closes a block that began before the text,
    as it does for models whose chat template opens the block.
    """
    if len(text) > LONGEST:
        yield Piece("text", 0, len(text), text)
        return
    position = 0
    opening, closing = text.find(OPEN), text.find(CLOSE)
    if closing >= 0 and (opening < 0 or closing < opening):
        position = closing + len(CLOSE)
        yield Piece("thinking", 0, position, text[:closing])
    while position < len(text):
        opening = text.find(OPEN, position)
        if opening < 0:
            yield Piece("text", position, len(text), text[position:])
            return
        if opening > position:
            yield Piece("text", position, opening, text[position:opening])
        inside = opening + len(OPEN)
        closing = text.find(CLOSE, inside)
        position = len(text) if closing < 0 else closing + len(CLOSE)
        yield Piece("thinking", opening, position, text[inside : len(text) if closing < 0 else closing])


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
