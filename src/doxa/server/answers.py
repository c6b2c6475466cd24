"""What the engine wrote, as OpenAI writes it: whole, or chunk by chunk."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from doxa.models.engine import Generation, Stop, TokenLogprob

LEAST = -9999.0
"""Stands for the logarithm of 0, which JSON cannot write."""
REASONS: Mapping[Stop, str] = {"stop": "stop", "max_tokens": "length", "model_length": "length", "unwanted": "length"}
DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class Heading:
    """What stands at the head of an answer and of every chunk of it.

    Attributes:
        id: Of the answer.
        created: Seconds since 1970.
        model: As the client named it.
        fingerprint: Of the model and the arm.
        own: What doxa adds: arm, digest, seed.
    """

    id: str
    created: int
    model: str
    fingerprint: str
    own: Mapping[str, Any]

    def body(self, kind: str) -> dict[str, Any]:
        """The fields."""
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
            "doxa": dict(self.own),
        }


def completion(heading: Heading, choices: Sequence[Generation], top: int | None) -> dict[str, Any]:
    """A whole answer.

    Args:
        heading: Its head.
        choices: What was written.
        top: Alternatives reported for each token; None reports no log-probabilities.
    """
    return {
        **heading.body("chat.completion"),
        "choices": [
            {
                "index": index,
                "message": {"role": "assistant", "content": one.text, "refusal": None},
                "logprobs": None if top is None else logprobs(one.logprobs, top),
                "finish_reason": REASONS[one.stop],
            }
            for index, one in enumerate(choices)
        ],
        "usage": usage(choices),
    }


def usage(choices: Sequence[Generation]) -> dict[str, int]:
    """The tokens of an answer."""
    read, written = choices[0].prompt_tokens, sum(len(one.tokens) for one in choices)
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def chunk(
    heading: Heading,
    index: int,
    delta: Mapping[str, str],
    *,
    found: Sequence[TokenLogprob] = (),
    top: int | None = None,
    stop: Stop | None = None,
) -> bytes:
    """A part of a choice as an event.

    Args:
        heading: The head of the answer.
        index: Of the choice.
        delta: The new part of the message.
        found: Log-probabilities of the new tokens.
        top: As for `completion`.
        stop: Why the choice ended.
    """
    choice = {
        "index": index,
        "delta": dict(delta),
        "logprobs": None if top is None else logprobs(found, top),
        "finish_reason": None if stop is None else REASONS[stop],
    }
    return event({**heading.body("chat.completion.chunk"), "choices": [choice]})


def usage_chunk(heading: Heading, choices: Sequence[Generation]) -> bytes:
    """The usage of a streamed answer as an event."""
    return event({**heading.body("chat.completion.chunk"), "choices": [], "usage": usage(choices)})


def event(body: Mapping[str, Any]) -> bytes:
    """A server-sent event."""
    return f"data: {json.dumps(body, ensure_ascii=True, allow_nan=False)}\n\n".encode()


def logprobs(found: Sequence[TokenLogprob], top: int) -> dict[str, Any]:
    """Log-probabilities of tokens."""
    content = [{**_entry(one), "top_logprobs": [_entry(other) for other in one.top[:top]]} for one in found]
    return {"content": content, "refusal": None}


def _entry(one: TokenLogprob) -> dict[str, Any]:
    whole = "\N{REPLACEMENT CHARACTER}" not in one.text  # otherwise its bytes are a part of a character
    return {
        "token": one.text,
        "logprob": max(one.logprob, LEAST),
        "bytes": list(one.text.encode()) if whole else None,
    }
