"""Reference conversations: what residual norms and doses are measured on."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
from jaxtyping import Bool, Float

from doxa.models.chat import Message, render
from doxa.models.handle import Model
from doxa.models.low_rank import LowRank
from doxa.vectors.states import Row, residuals
from doxa.words.errors import ProseError
from doxa.words.prose import Prose, read_prose
from doxa.words.store import content_hash

SINK = 10.0
"""A token is an attention sink where its norm exceeds this many times the layer's median norm."""

RULE = (
    "median of L2 norms over all tokens of the reference conversations, default system prompt and template included; "
    "left out are the first token of each conversation, and each token whose norm exceeds 10 times the layer's median "
    "at any layer"
)
_SPEAKERS = ("user", "assistant")


def norms_rule() -> str:
    """How residual norms are measured, in words, with the hash of the conversations: for the manifest of a vector."""
    return f"{RULE} (reference conversations {_prose().hash[:12]})"


def reference_hash() -> str:
    """Hash of the reference conversations and the rule."""
    return content_hash([_prose().hash, RULE])


def conversations() -> tuple[tuple[Message, ...], ...]:
    """The shipped reference conversations; each ends with the assistant."""
    found = [_messages(paragraph.split("\n")) for paragraph in _prose().body.split("\n\n")]
    return tuple(messages for messages in found if messages)


def reference_rows(model: Model, limit: int | None = None) -> list[Row]:
    """The reference conversations as a model reads them; the last answer of each counts as generated.

    Args:
        model: The model.
        limit: Only so many, spread over the file.
    """
    chosen = conversations()
    if limit is not None:
        chosen = chosen[:: -(-len(chosen) // limit)]
    rows = []
    for messages in chosen:
        prompt = render(model, messages[:-1])
        rows.append(Row(render(model, messages), generated=len(prompt.tokens)))
    return rows


def kept(norms: Sequence[Float[np.ndarray, "layers time"]]) -> list[Bool[np.ndarray, " time"]]:
    """Which tokens are no attention sinks (`RULE`).

    Args:
        norms: For each conversation the L2 norm of the residual stream by layer and token.
    """
    every = np.concatenate([row[:, 1:] for row in norms], axis=1)
    limit = SINK * np.median(every, axis=1, keepdims=True)
    found = []
    for row in norms:
        keep = (row <= limit).all(axis=0)
        keep[0] = False
        found.append(keep)
    return found


def residual_norms(
    model: Model, progress: Callable[[int], None] | None = None, *, low_rank: LowRank | None = None
) -> Float[np.ndarray, " layers"]:
    """The typical L2 norm of the residual stream at the output of each decoder block (`RULE`).

    Measured once per model, adapter and process.

    Args:
        model: The model.
        progress: Called with 1 after each conversation.
        low_rank: The adapter that the model is read with; None: the model as it is.

    Returns:
        The norms, float32.
    """
    measured = _MEASURED.setdefault(model, {})
    if low_rank not in measured:
        rows = [replace(row, low_rank=low_rank) for row in reference_rows(model)]
        norms: list[Float[np.ndarray, "layers time"]] = [np.empty((0, 0))] * len(rows)
        for index, states in residuals(model, rows):
            norms[index] = states.double().norm(dim=-1).numpy()
            if progress:
                progress(1)
        tokens = np.concatenate([row[:, keep] for row, keep in zip(norms, kept(norms), strict=True)], axis=1)
        found = np.median(tokens, axis=1).astype(np.float32)
        found.setflags(write=False)
        measured[low_rank] = found
    return measured[low_rank]


_MEASURED: WeakKeyDictionary[Model, dict[LowRank | None, Float[np.ndarray, " layers"]]] = WeakKeyDictionary()


def _prose() -> Prose:
    path = Path(str(resources.files("doxa.data"))) / "reference.md"
    return read_prose(path, allowed=("name", "version", "license"), required=("name", "version"))


def _messages(lines: Sequence[str]) -> tuple[Message, ...]:
    messages: list[Message] = []
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        speaker, colon, text = line.partition(":")
        if not colon or speaker not in _SPEAKERS:
            raise ProseError(
                f"reference.md has the line {line!r}", expected="`user: ...` or `assistant: ...`", way_out="Correct it"
            )
        text = text.removeprefix(" ")
        if messages and messages[-1].role == speaker:
            messages[-1] = Message(messages[-1].role, f"{messages[-1].content}\n{text}")
        else:
            messages.append(Message("user" if speaker == "user" else "assistant", text))
    return tuple(messages)
