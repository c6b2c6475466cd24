"""From characters to tokens: which token stands for which characters, and whose they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal, TypeAlias

from transformers import PreTrainedTokenizerBase

from doxa.models.handle import Model
from doxa.words.errors import ModelError

Role: TypeAlias = Literal["system", "user", "assistant", "thinking", "template"]


@dataclass(frozen=True)
class Span:
    """Characters from `start` to before `end` that belong to `role`."""

    start: int
    end: int
    role: Role


@dataclass(frozen=True)
class _Token:
    id: int
    start: int
    end: int


def encode(
    model: Model, text: str, spans: Sequence[Span], *, add_special_tokens: bool
) -> tuple[tuple[int, ...], tuple[Role, ...]]:
    """Tokenise a text and say whose each token is.

    Special tokens inside a span are plain text: a message cannot end its own turn.

    Args:
        model: The model.
        text: The text, with the template's special tokens written out.
        spans: Whose characters are whose, ascending; what they leave out belongs to the template.
        add_special_tokens: Let the tokenizer add its own, such as one for the beginning.

    Returns:
        Token ids and the role of each: that of the first of its characters that stands in a span.

    Raises:
        ModelError: When the tokenizer cannot say which characters a token stands for.
    """
    whose: list[Role] = ["template"] * len(text)
    for span in spans:
        whose[span.start : span.end] = [span.role] * (span.end - span.start)
    tokens = _tokens(model, text, add_special_tokens=add_special_tokens)
    special = _special_ids(model.tokenizer)
    foreign = {
        index
        for index, token in enumerate(tokens)
        if token.id in special and any(span.start <= token.start < token.end <= span.end for span in spans)
    }
    if foreign:
        tokens = _as_plain_text(model, text, tokens, foreign, special)
    return tuple(token.id for token in tokens), tuple(_role(whose, token) for token in tokens)


def ids_of(model: Model, text: str, *, add_special_tokens: bool) -> tuple[int, ...]:
    """The token ids of a text."""
    return tuple(model.tokenizer(text, add_special_tokens=add_special_tokens, verbose=False)["input_ids"])


@lru_cache(maxsize=8)
def _special_ids(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    # More than `all_special_ids`, which leaves out what has no name such as eos: `<|im_start|>`, for instance.
    added = (token for token, content in tokenizer.added_tokens_decoder.items() if content.special)
    return frozenset([*tokenizer.all_special_ids, *added])


def _role(whose: Sequence[Role], token: _Token) -> Role:
    if token.start == token.end:  # some tokenizers trim blanks out of a token's offsets
        return whose[token.start - 1] if token.start > 0 else "template"
    return next((role for role in whose[token.start : token.end] if role != "template"), "template")


def _as_plain_text(
    model: Model, text: str, tokens: Sequence[_Token], foreign: set[int], special: frozenset[int]
) -> list[_Token]:
    """Tokenise again, special tokens switched off, every stretch between the template's own that has foreign ones."""
    borders = [i for i, token in enumerate(tokens) if token.id in special and i not in foreign]
    again: list[_Token] = []
    for before, after in pairwise([-1, *borders, len(tokens)]):
        if any(before < index < after for index in foreign):
            start = tokens[before].end if before >= 0 else 0
            end = tokens[after].start if after < len(tokens) else len(text)
            plain = _tokens(model, text[start:end], add_special_tokens=False, split_special_tokens=True)
            again += [_Token(token.id, start + token.start, start + token.end) for token in plain]
        else:
            again += tokens[before + 1 : after]
        again += tokens[after : after + 1]
    return again


def _tokens(model: Model, text: str, *, add_special_tokens: bool, split_special_tokens: bool = False) -> list[_Token]:
    if not model.tokenizer.is_fast:
        raise ModelError(
            f"the tokenizer of {model.name} does not say which characters a token stands for",
            expected="a tokenizer of the `tokenizers` library (a tokenizer.json)",
            way_out="Use a model that ships one",
        )
    encoded = model.tokenizer(
        text,
        add_special_tokens=add_special_tokens,
        split_special_tokens=split_special_tokens,
        return_offsets_mapping=True,
        verbose=False,
    )
    places = zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
    return [_Token(token, start, end) for token, (start, end) in places]
