"""Inspect's messages as the model reads them, and the model's text as Inspect's content."""

from collections.abc import Sequence

from inspect_ai.model import ChatMessage, ChatMessageAssistant, Content, ContentReasoning, ContentText

from doxa.bridge.arms import under
from doxa.models.chat import Message
from doxa.models.thinking import CLOSE, OPEN, split_thinking
from doxa.words.errors import NotYetError
from doxa.words.transcripts import THINK, Block, Format, Unmarked, read_turn


def messages_of(conversation: Sequence[ChatMessage], system_prompt: str | None = None) -> list[Message]:
    """Inspect's messages as the chat template takes them (`under`).

    A last message of the assistant's is a prefill; when it ends in reasoning, the reasoning is left open.

    Args:
        conversation: The messages.
        system_prompt: Stands before the conversation's own system prompt, in the same message.

    Raises:
        NotYetError: When there are tool calls, images, or anything else that is not text.
    """
    found: list[Message] = []
    for index, message in enumerate(conversation):
        if message.role == "tool" or (isinstance(message, ChatMessageAssistant) and message.tool_calls):
            raise no_tools()
        text = _text(message.content, left_open=index == len(conversation) - 1 and message.role == "assistant")
        found.append(Message(message.role, text))
    return under(system_prompt, found)


def content_of(text: str, *, inside: bool = False) -> str | list[Content]:
    """What the model wrote, thinking and answering told apart in the order in which they came.

    Args:
        text: The generated text.
        inside: Whether it continues a thought that was left open.

    Returns:
        The text itself when it holds no thinking; otherwise `ContentReasoning` and `ContentText` in turn.
    """
    segments = split_thinking(f"{OPEN}{text}" if inside else text)
    if all(kind == "text" for kind, _ in segments):
        return text
    return [
        ContentReasoning(reasoning=part) if kind == "thinking" else ContentText(text=part) for kind, part in segments
    ]


def blocks_of(content: str | Sequence[Content], format: Format = THINK) -> tuple[Block, ...]:
    """A turn as blocks: reasoning is thinking, and so is what the format marks in text.

    Args:
        content: Of a message of the assistant's.
        format: How thinking is marked in text; `Unmarked` leaves each part as it is, which `content_of_blocks` undoes.

    Raises:
        NotYetError: When there is anything else than text and reasoning.
    """
    if isinstance(content, str):
        return read_turn(content, format)
    found: list[Block] = []
    for part in content:
        if isinstance(part, ContentText):
            details = part.model_dump(exclude={"type", "text"}, exclude_defaults=True)
            if isinstance(format, Unmarked) or details:
                found.append(Block("text", part.text, details=details))
            else:
                found += read_turn(part.text, format)
        elif isinstance(part, ContentReasoning):
            details = part.model_dump(exclude={"type"}, exclude_defaults=True)
            shown = (part.summary or "") if part.redacted else part.reasoning
            found.append(Block("thinking", shown, details=details))
        else:
            raise _only_text(part)
    return tuple(found)


def content_of_blocks(blocks: Sequence[Block]) -> list[Content]:
    """The content list of blocks, each with what its provider keeps with it (what `blocks_of` read, part by part)."""
    return [
        ContentReasoning.model_validate({"reasoning": block.text, **block.details})
        if block.kind == "thinking"
        else ContentText.model_validate({"text": block.text, **block.details})
        for block in blocks
    ]


def no_tools() -> NotYetError:
    """The error of an eval that gives the model tools."""
    return NotYetError(
        "this eval gives the model tools",
        expected="messages without tools",
        way_out="doxa/ models cannot call tools yet; use an eval without tools, or another provider as the model",
    )


def _only_text(part: Content) -> NotYetError:
    return NotYetError(
        f"a message holds {part.type}", expected="text", way_out="doxa/ models read text only; leave it out"
    )


def _text(content: str | list[Content], *, left_open: bool) -> str:
    if isinstance(content, str):
        return content
    parts = []
    for part in content:
        if isinstance(part, ContentText):
            parts.append(part.text)
        elif isinstance(part, ContentReasoning):
            thought = (part.summary or "") if part.redacted else part.reasoning
            parts.append(f"{OPEN}{thought}{CLOSE}")
        else:
            raise _only_text(part)
    text = "".join(parts)
    ends_in_thought = left_open and bool(content) and isinstance(content[-1], ContentReasoning)
    return text.removesuffix(CLOSE) if ends_in_thought else text
