"""Rendering messages by the model's own chat template, and whose every token is.

Whose a character is follows from rendering the conversation a second time with a mark in the place of every content:
what stands between the marks is the template's, wherever the same words occur.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from jinja2.exceptions import TemplateError

from doxa.models.handle import Model
from doxa.models.thinking import CLOSE, OPEN, is_open, pieces, split_thinking
from doxa.models.tokens import Role, Span, encode, ids_of
from doxa.words.errors import ModelError

__all__ = ["Message", "Rendered", "Role", "continuation", "render", "render_text", "split_thinking", "thinks_on"]

Speaker: TypeAlias = Literal["system", "user", "assistant"]


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: Speaker
    content: str


@dataclass(frozen=True)
class Rendered:
    """A conversation as the model reads it.

    Attributes:
        text: The rendered text.
        tokens: Its token ids.
        roles: For each token whose it is. `system` includes a default system prompt that the template adds;
            `thinking` is a thinking block of the assistant with its tags; `template` is the markup between.
    """

    text: str
    tokens: tuple[int, ...]
    roles: tuple[Role, ...]


def render(model: Model, messages: Sequence[Message], *, generation_prompt: bool = True) -> Rendered:
    """Render a conversation for the model to continue.

    A model without a chat template gets `User: ...` and `Assistant:` paragraphs, the system prompt before them. Special
    tokens that stand inside a message are read as plain text, never as control tokens.

    Args:
        model: The model whose chat template is used.
        messages: The conversation. A trailing assistant message is a prefill: its turn is left open, its text is kept
            to the letter. One that starts with `<think>` opens a thinking block.
        generation_prompt: Open a turn of the assistant at the end. With False every turn is closed, also that of a
            trailing assistant message.

    Returns:
        Text, tokens and roles.

    Raises:
        ModelError: When there is no message, or the chat template refuses the conversation.
    """
    if not messages:
        raise ModelError("a conversation without messages", way_out="Give it at least one message")
    if model.tokenizer.chat_template is None:
        text, spans = _plainly(messages, generation_prompt)
    else:
        text, spans = _by_template(model, messages, generation_prompt)
    return Rendered(text, *encode(model, text, spans, add_special_tokens=model.tokenizer.chat_template is None))


def render_text(model: Model, text: str) -> Rendered:
    """Plain text as the model reads it, outside of any conversation; its tokens belong to nobody (`template`).

    Raises:
        ModelError: When the text has no tokens.
    """
    rendered = Rendered(text, *encode(model, text, [], add_special_tokens=True))
    if not rendered.tokens:
        raise ModelError("a text without tokens", way_out="Give it at least one word")
    return rendered


def continuation(model: Model, prompt: Rendered, text: str) -> tuple[int, ...]:
    """The tokens of a text that continues a prompt.

    Prompt and text are tokenised together. Where that merges characters across the boundary, so that the prompt's own
    tokens are no longer a prefix, the text is tokenised on its own: the model reads the prompt's tokens as they are
    when it generates, too. Special tokens in the text are control tokens (`<|im_end|>` scores the end of the turn).

    Raises:
        ModelError: When the text is empty.
    """
    if not text:
        raise ModelError("an empty continuation", way_out="Give it at least one character")
    whole = ids_of(model, prompt.text + text, add_special_tokens=model.tokenizer.chat_template is None)
    n = len(prompt.tokens)
    if len(whole) > n and whole[:n] == prompt.tokens:
        return whole[n:]
    return ids_of(model, text, add_special_tokens=False)


def thinks_on(prompt: Rendered) -> bool:
    """Whether a prompt ends inside a thinking block of the assistant."""
    return bool(prompt.roles) and prompt.roles[-1] == "thinking" and is_open(prompt.text)


def _plainly(messages: Sequence[Message], generation_prompt: bool) -> tuple[str, list[Span]]:
    text, spans = "", []
    for message in messages:
        text += {"system": "", "user": "User: ", "assistant": "Assistant: "}[message.role]
        spans += _spans_of(message, message.content, len(text))
        text += message.content + "\n\n"
    if generation_prompt and messages[-1].role == "assistant":
        text = text.removesuffix("\n\n")
    elif generation_prompt:
        text += "Assistant:"
    return text, spans


def _by_template(model: Model, messages: Sequence[Message], generation_prompt: bool) -> tuple[str, list[Span]]:
    *before, last = messages
    if not generation_prompt or last.role != "assistant":
        text = _apply(model, messages, generation_prompt)
        contents = [message.content for message in messages]
        found = _places(text, _markup(model, messages, generation_prompt), contents)
        return text, _all_spans(model, messages, text, found)
    if not last.content.lstrip().startswith(OPEN):
        mark = _mark(len(messages))
        text = _apply(model, [*before, Message("assistant", last.content + mark)], False)
        if mark in text:
            text = text[: text.rindex(mark)]
            markup = _markup(model, messages, False)
            markup[-1:] = [""] if markup else []
            found = _places(text, markup, [message.content for message in messages])
            if found[-1] is not None:
                return text, _all_spans(model, messages, text, found)
    # The template would close the block, or rewrites the message: open the turn as for generation and write on.
    if not before:
        raise ModelError(
            "a conversation that consists of a prefill only", way_out="Put a message of the user before the assistant's"
        )
    text, spans = _by_template(model, before, True)
    if last.content.lstrip().startswith(OPEN) and text.rstrip().endswith(OPEN):
        text = text.rstrip().removesuffix(OPEN)
        spans = [Span(span.start, min(span.end, len(text)), span.role) for span in spans if span.start < len(text)]
    return text + last.content, spans + _spans_of(last, last.content, len(text))


def _all_spans(
    model: Model, messages: Sequence[Message], text: str, found: Sequence[tuple[int, int] | None]
) -> list[Span]:
    spans = _default_system(model, messages, text)
    for message, place in zip(messages, found, strict=True):
        if place is not None:
            spans += _spans_of(message, text[slice(*place)], place[0])
    end = max((span.end for span in spans), default=0)
    if messages[-1].role != "assistant" and is_open(text[end:]):
        spans.append(Span(text.rindex(OPEN), len(text), "thinking"))
    return spans


def _spans_of(message: Message, content: str, start: int) -> list[Span]:
    if message.role != "assistant":
        return [Span(start, start + len(content), message.role)]
    return [
        Span(start + piece.start, start + piece.end, "thinking" if piece.kind == "thinking" else "assistant")
        for piece in pieces(content)
    ]


def _apply(model: Model, messages: Sequence[Message], generation_prompt: bool) -> str:
    conversation = [{"role": message.role, "content": message.content} for message in messages]
    try:
        text = model.tokenizer.apply_chat_template(
            conversation, tokenize=False, add_generation_prompt=generation_prompt
        )
    except (TypeError, ValueError, ArithmeticError, AttributeError, LookupError, RecursionError) as error:
        raise ModelError(
            f"the chat template of {model.name} fails ({type(error).__name__}: {error})",
            way_out="Mend the template beside its tokenizer",
        ) from error
    except TemplateError as error:
        roles = ", ".join(message.role for message in messages)
        raise ModelError(
            f"the chat template of {model.name} refuses a conversation of {roles} ({error})",
            way_out="Let user and assistant take turns, and put a system text into the first user message if need be",
        ) from error
    assert isinstance(text, str)
    if not text.strip():
        raise ModelError(
            f"the chat template of {model.name} renders nothing", way_out="Mend the template beside its tokenizer"
        )
    return text


def _mark(index: int) -> str:
    return f"\ue000{index}\ue001"  # private-use characters: no template trims, splits or escapes them


def _markup(model: Model, messages: Sequence[Message], generation_prompt: bool) -> list[str]:
    """What the template writes before, between and behind the contents; [] when it does not keep them all in order."""
    marks = [_mark(index) for index in range(len(messages))]
    marked = [Message(message.role, mark) for message, mark in zip(messages, marks, strict=True)]
    text, markup = _apply(model, marked, generation_prompt), []
    for mark in marks:
        before, found, text = text.partition(mark)
        if not found or "\ue000" in before:
            return []
        markup.append(before)
    return [*markup, text]


def _places(text: str, markup: Sequence[str], contents: Sequence[str]) -> list[tuple[int, int] | None]:
    """Where each content stands in the rendered text; None where the template left it out."""
    if markup and text.startswith(markup[0]):
        places: list[tuple[int, int] | None] = []
        position = len(markup[0])
        for content, after in zip(contents, markup[1:], strict=True):
            thoughtless = content.rpartition(CLOSE)[2]  # of earlier turns, by some templates
            forms = (content, content.strip(), content.lstrip(), content.rstrip(), thoughtless, thoughtless.strip())
            fits = [f for f in forms if text.startswith(f, position) and text.startswith(after, position + len(f))]
            if not fits:
                break
            places.append((position, position + len(fits[0])))
            position += len(fits[0]) + len(after)
        if len(places) == len(contents) and position == len(text):
            return places
    return _searched(text, contents)


def _searched(text: str, contents: Sequence[str]) -> list[tuple[int, int] | None]:
    # For templates that rewrite contents, such as those that drop the thinking of earlier turns.
    places: list[tuple[int, int] | None] = []
    position = 0
    for content in contents:
        forms = (content, content.strip(), content.rpartition(CLOSE)[2].strip())
        starts = [(text.find(form, position), form) for form in forms if form]
        start, form = next(((at, form) for at, form in starts if at >= 0), (-1, ""))
        places.append((start, start + len(form)) if start >= 0 else None)
        position = max(position, start + len(form))
    return places


def _default_system(model: Model, messages: Sequence[Message], text: str) -> list[Span]:
    """The system prompt that the template adds on its own: what stands where a given one would stand."""
    if messages[0].role == "system":
        return []
    try:
        given = _markup(model, [Message("system", ""), *messages[:1]], False)
        added = _markup(model, messages[:1], False)
    except ModelError:
        return []  # a template without system prompts adds none
    if not given or not added or not text.startswith(added[0]):
        return []
    start, end = len(given[0]), len(added[0]) - len(given[1])
    between = added[0].startswith(given[0]) and added[0].endswith(given[1])
    return [Span(start, end, "system")] if between and start < end else []
