"""A turn as a list of blocks, thinking and text in the order in which they came, and written back to the character.

How thinking is marked is a *format*: tags (`<think>`, or a scratchpad's), channels as in Harmony, or nothing at all.
Every block keeps the markup that stood around it, so that `write_turn(read_turn(text, format)) == text` for every text:
also where the last block is open, where the opening tag stood in the prompt, and where tags are odd. Nothing here is
told to the model as a control token: a transcript is text.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from doxa.words.errors import StudyError
from doxa.words.reading import shown

Kind: TypeAlias = Literal["thinking", "text"]


@dataclass(frozen=True)
class Block:
    """A stretch of a turn.

    Attributes:
        kind: Whether it is thought or said.
        text: What stands in it, blank space untouched.
        opening: The markup before it; "" where there is none, or where it stood in the prompt.
        closing: The markup behind it; "" where there is none, or where the block was left open.
        details: What else a provider keeps with it, such as a signature; it is not part of the text.
    """

    kind: Kind
    text: str
    opening: str = ""
    closing: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Tags:
    """Thinking between `<name>` and `</name>`; all else is text."""

    name: str = "think"

    @property
    def opening(self) -> str:
        """What opens a thinking block."""
        return f"<{self.name}>"

    @property
    def closing(self) -> str:
        """What closes it."""
        return f"</{self.name}>"


@dataclass(frozen=True)
class Channels:
    """Harmony's channels: `analysis` is thinking, every other channel is text."""

    opening: str = "<|channel|>analysis<|message|>"
    closing: str = "<|end|>"


@dataclass(frozen=True)
class Unmarked:
    """No thinking is marked: the turn is one block of text."""


Format: TypeAlias = Tags | Channels | Unmarked
THINK = Tags()
HARMONY = "harmony"

_TAG = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
# Bounded, so that reading takes time in proportion to the text whatever stands in it.
_HEADER = re.compile(
    r"(?:<\|start\|>[^<|]{0,64})?<\|channel\|>([^<|]{0,128})(?:<\|constrain\|>[^<|]{0,64})?<\|message\|>"
)
_END = re.compile(r"<\|(?:end|return|call)\|>")


def format_called(name: str) -> Format:
    """A format by the name that a study gives it: `harmony`, or the name of a tag.

    Raises:
        StudyError: When the name cannot be a tag's.
    """
    if name == HARMONY:
        return Channels()
    if not _TAG.fullmatch(name):
        raise StudyError(
            f"the thinking tag {shown(name)}",
            expected="a name such as think or SCRATCHPAD_REASONING, without brackets, or harmony",
            way_out="Write the name that stands between < and >",
        )
    return Tags(name)


def read_turn(text: str, format: Format = THINK, *, inside: bool = False) -> tuple[Block, ...]:
    """Cut a turn into blocks, without a gap.

    A block may be left open at the end. A closing tag before any opening one closes a block that began before the text,
    as it does for models whose chat template opens the block.

    Args:
        text: The turn.
        format: How thinking is marked in it.
        inside: Whether it goes on in a thinking block that was opened before it (tags only).

    Returns:
        The blocks; () for an empty text that is not inside of one.
    """
    if isinstance(format, Tags):
        return tuple(_between_tags(text, format, inside))
    if isinstance(format, Channels):
        return tuple(_in_channels(text))
    return (Block("text", text),) if text else ()


def write_turn(blocks: Sequence[Block]) -> str:
    """The turn as text, to the character."""
    return "".join(f"{block.opening}{block.text}{block.closing}" for block in blocks)


def returns_to_thinking(blocks: Sequence[Block]) -> int:
    """How often a turn goes back to thinking: thinking blocks behind something that was said.

    Args:
        blocks: The turn.

    Returns:
        0 for a turn that thinks first and then answers, or that never thinks.
    """
    count, said = 0, False
    for block in blocks:
        if block.kind == "text":
            said = said or bool(block.text.strip())
        elif said:
            count, said = count + 1, False
    return count


def marked(blocks: Sequence[Block], tags: Tags = THINK) -> tuple[Block, ...]:
    """The blocks with tags around thinking that has no markup, as that of a content list has none.

    A thinking block with nothing behind it is left open: nothing says that it was ended.

    Args:
        blocks: The turn.
        tags: What is put around them.
    """
    return tuple(
        replace(block, opening=tags.opening, closing="" if index == len(blocks) - 1 else tags.closing)
        if block.kind == "thinking" and not block.opening + block.closing
        else block
        for index, block in enumerate(blocks)
    )


def thinks(blocks: Sequence[Block]) -> bool:
    """Whether anything is thought in a turn."""
    return any(block.kind == "thinking" and block.text.strip() for block in blocks)


def _between_tags(text: str, tags: Tags, inside: bool) -> Iterator[Block]:
    position = 0
    opening, closing = text.find(tags.opening), text.find(tags.closing)
    if inside or (closing >= 0 and (opening < 0 or closing < opening)):
        end = len(text) if closing < 0 else closing
        position = end + (len(tags.closing) if closing >= 0 else 0)
        yield Block("thinking", text[:end], "", text[end:position])
    while position < len(text):
        opening = text.find(tags.opening, position)
        if opening < 0:
            yield Block("text", text[position:])
            return
        if opening > position:
            yield Block("text", text[position:opening])
        start = opening + len(tags.opening)
        closing = text.find(tags.closing, start)
        end = len(text) if closing < 0 else closing
        position = end if closing < 0 else end + len(tags.closing)
        yield Block("thinking", text[start:end], tags.opening, text[end:position])


def _in_channels(text: str) -> Iterator[Block]:
    position = 0
    header = _HEADER.search(text)
    while header is not None:
        if header.start() > position:
            yield Block("text", text[position : header.start()])
        following = _HEADER.search(text, header.end())
        limit = len(text) if following is None else following.start()
        end = _END.search(text, header.end(), limit)
        stop, position = (limit, limit) if end is None else end.span()
        kind: Kind = "thinking" if header[1].split(" ")[0] == "analysis" else "text"
        yield Block(kind, text[header.end() : stop], header[0], text[stop:position])
        header = following
    if position < len(text):
        yield Block("text", text[position:])
