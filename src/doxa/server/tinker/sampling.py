"""Requests to write and to score: read from JSON, answered by the engine, many in one batch."""

import math
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from doxa.models.chat import Rendered
from doxa.models.engine import Generation, Row, end_tokens, generate
from doxa.models.handle import Model
from doxa.models.low_rank import LowRank
from doxa.models.sampling import Sampling, draw
from doxa.models.score import logits_along
from doxa.models.tokens import Role
from doxa.server.refusals import Refused
from doxa.server.tinker.codec import EMPTY, PromptScores, Written, cells_of_targets, sample_output
from doxa.words.store import stream, stream_seed

MOST_TEXTS = 128
MOST_TOP = 64
MOST_CELLS = 4_000_000
"""Of a table that is asked for: positions times width."""


@dataclass(frozen=True, eq=False)
class Asked:
    """A request to write.

    Attributes:
        prompt: What is continued.
        low_rank: The adapter; None: the model as it is.
        count: How many texts.
        sampling: How tokens are drawn; its seed is the request's.
        top: So many most probable tokens at every place of the texts.
        logprobs: Whether the log-probabilities of the prompt are wanted.
        last: Of its last so many tokens alone; None: of all.
        prompt_top: So many most probable tokens at every place of the prompt.
        targets: Tokens of the prompt's places whose log-probabilities are wanted.
        drawn: So many tokens are drawn at every place of the prompt.
    """

    prompt: Rendered
    low_rank: LowRank | None
    count: int
    sampling: Sampling
    top: int
    logprobs: bool
    last: int | None
    prompt_top: int
    targets: Mapping[str, Any] | None
    drawn: int

    @property
    def scores(self) -> bool:
        """Whether anything of the prompt is wanted."""
        return self.logprobs or bool(self.prompt_top) or self.targets is not None or bool(self.drawn)


def sample_request(body: Mapping[str, Any], model: Model, low_rank: LowRank | None) -> Asked:
    """Read a request.

    Raises:
        Refused: When it is not understood, or asks for what this server cannot do.
    """
    tokens = _tokens(body.get("prompt"), model)
    how = body.get("sampling_params")
    if not isinstance(how, dict):
        raise _wrong("sampling_params", how, "an object")
    room = model.context_length - len(tokens)
    if room < 1:
        raise _wrong("prompt", f"{len(tokens)} tokens", f"at most {model.context_length - 1}: {model.name}'s context")
    asked = Asked(
        _rendered(model, tokens),
        low_rank,
        _whole(body, "num_samples", 1, 1, MOST_TEXTS),
        _sampling(how, room, model),
        _whole(body, "topk_sample_logprobs", 0, 0, MOST_TOP),
        bool(body.get("prompt_logprobs")),
        None
        if body.get("prompt_logprobs_last_n") is None
        else _whole(body, "prompt_logprobs_last_n", 1, 1, len(tokens)),
        _whole(body, "topk_prompt_logprobs", 0, 0, MOST_TOP),
        _targets(body.get("target_prompt_logprobs"), tokens),
        _whole(body, "prompt_alt_tokens_k", 0, 0, MOST_CELLS // len(tokens)),
    )
    named = cells_of_targets(asked.targets, len(tokens) - 1) if asked.targets is not None else []
    for _, token in named:
        if not -1 <= token < _vocabulary(model):
            raise _wrong("target_prompt_logprobs", token, "ids of tokens, or -1")
    return asked


def written(model: Model, requests: Sequence[Asked]) -> list[bytes]:
    """Answer requests together.

    Raises:
        ModelError: When one cannot be answered.
    """
    rows = [
        Row(
            one.prompt,
            Sampling(**{**vars(one.sampling), "seed": stream_seed("tinker", one.sampling.seed, index)}),
            logprobs=max(1, one.top),
            low_rank=one.low_rank,
        )
        for one in requests
        for index in range(one.count)
    ]
    done = iter(generate(model, rows))
    return [
        sample_output([_sequence(model, one, next(done)) for _ in range(one.count)], _scores(model, one))
        for one in requests
    ]


def _sequence(model: Model, asked: Asked, done: Generation) -> Written:
    tokens, logprobs = list(done.tokens), [one.logprob for one in done.logprobs]
    top = [tuple((best.token, best.logprob) for best in one.top[: asked.top]) for one in done.logprobs]
    if done.stop == "stop" and not any(stop in str(model.tokenizer.decode(tokens)) for stop in asked.sampling.stop):
        # The engine leaves out the token that ends a turn; the protocol has it.
        prompt = asked.prompt.tokens + done.tokens
        *_, (_, logits) = logits_along(model, _rendered(model, prompt), asked.low_rank)
        values = logits[-1].double().log_softmax(-1)
        end = max(sorted(end_tokens(model)), key=lambda token: float(values[token]))
        tokens.append(end)
        logprobs.append(float(values[end]))
        top.append(_best(values, asked.top))
    return Written(tuple(tokens), tuple(logprobs), done.stop == "stop", tuple(top) if asked.top else ())


def _scores(model: Model, asked: Asked) -> PromptScores:
    """What was asked of the prompt's places."""
    if not asked.scores:
        return PromptScores()
    tokens = asked.prompt.tokens
    first = len(tokens) - asked.last if asked.last is not None else 1
    logprobs = [math.nan] * len(tokens)
    top: list[tuple[tuple[int, float], ...]] = [((0, EMPTY),)] * len(tokens)
    cells = cells_of_targets(asked.targets, len(tokens) - 1) if asked.targets is not None else []
    of_row: dict[int, list[int]] = {}
    for index, (row, _) in enumerate(cells):
        of_row.setdefault(row, []).append(index)
    found = [0.0] * len(cells)
    drawn: list[tuple[tuple[int, float], ...]] = []
    random = stream("tinker prompt", asked.sampling.seed)
    for place, logits in _places(model, asked):
        values = logits.double().log_softmax(-1)
        if place + 1 >= max(first, 1):
            logprobs[place + 1] = float(values[tokens[place + 1]])
            top[place + 1] = _best(values, asked.prompt_top)
        for index in of_row.get(place, ()):
            found[index] = 0.0 if cells[index][1] < 0 else float(values[cells[index][1]])
        if asked.drawn:
            drawn.append(_drawn(logits, values, asked, random))
    targets = asked.targets
    return PromptScores(
        tuple(logprobs) if asked.logprobs else None,
        tuple(top) if asked.prompt_top else None,
        None
        if targets is None
        else {
            "shape": targets["shape"],
            "data": found,
            "crow": targets.get("sparse_crow_indices"),
            "col": targets.get("sparse_col_indices"),
        },
        tuple(drawn) if asked.drawn else None,
    )


def _places(model: Model, asked: Asked) -> Iterator[tuple[int, torch.Tensor]]:
    """Each place that predicts a token of the prompt, and its logits."""
    for part, logits in logits_along(model, asked.prompt, asked.low_rank):
        for index, own in enumerate(logits):
            if part.start + index < len(asked.prompt.tokens) - 1:
                yield part.start + index, own


def _drawn(
    logits: torch.Tensor, values: torch.Tensor, asked: Asked, random: np.random.Generator
) -> tuple[tuple[int, float], ...]:
    how = Sampling(1, asked.sampling.temperature)
    rows = logits[None].expand(asked.drawn, -1)
    tokens = draw(rows, [how] * asked.drawn, [random] * asked.drawn)
    return tuple((token, float(values[token])) for token in tokens)


def _best(values: torch.Tensor, count: int) -> tuple[tuple[int, float], ...]:
    best = values.topk(min(count, len(values)))
    return tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True))


def _rendered(model: Model, tokens: tuple[int, ...]) -> Rendered:
    role: Role = "user"  # whose a token is matters to steering alone, and nothing is steered
    return Rendered(str(model.tokenizer.decode(list(tokens))), tokens, (role,) * len(tokens))


def _tokens(prompt: Any, model: Model) -> tuple[int, ...]:
    chunks = prompt.get("chunks") if isinstance(prompt, dict) else None
    if not isinstance(chunks, list) or not chunks:
        raise _wrong("prompt", prompt, "chunks of tokens")
    found: list[int] = []
    for chunk in chunks:
        tokens = chunk.get("tokens") if isinstance(chunk, dict) else None
        if not isinstance(tokens, list) or chunk.get("type", "encoded_text") != "encoded_text":
            raise _wrong("prompt", "a chunk of another kind", "encoded_text alone")
        found += tokens
    if not found or not all(type(token) is int and 0 <= token < _vocabulary(model) for token in found):
        raise _wrong("prompt", "its tokens", f"at least one, ids from 0 to {_vocabulary(model) - 1}")
    return tuple(found)


def _sampling(how: Mapping[str, Any], room: int, model: Model) -> Sampling:
    seed = how.get("seed")
    top_k = how.get("top_k", -1)
    if not isinstance(top_k, int) or (seed is not None and not isinstance(seed, int)):
        raise _wrong("sampling_params", {"seed": seed, "top_k": top_k}, "whole numbers")
    numbers = {name: how.get(name, 1.0) for name in ("temperature", "top_p")}
    if not all(isinstance(one, int | float) and not isinstance(one, bool) for one in numbers.values()):
        raise _wrong("sampling_params", numbers, "numbers")
    wanted = how.get("max_tokens")
    return Sampling(
        max_tokens=room if wanted is None else min(_whole(how, "max_tokens", 1, 1, 1 << 31), room),
        temperature=float(numbers["temperature"]),
        top_p=float(numbers["top_p"]),
        top_k=max(top_k, 0),
        stop=_stops(how.get("stop"), model),
        seed=secrets.randbits(62) if seed is None else abs(seed),
    )


def _stops(stop: Any, model: Model) -> tuple[str, ...]:
    if stop is None:
        return ()
    if isinstance(stop, str) and stop:
        return () if model.tokenizer.convert_tokens_to_ids(stop) in end_tokens(model) else (stop,)
    if isinstance(stop, list) and stop and len(stop) <= 16 and all(isinstance(one, int) for one in stop):
        if set(stop) <= end_tokens(model):
            return ()
        raise _wrong("stop", stop, f"texts, or tokens that end a turn: {sorted(end_tokens(model))}")
    if isinstance(stop, list) and stop and len(stop) <= 16 and all(isinstance(one, str) and one for one in stop):
        return tuple(one for one in stop if model.tokenizer.convert_tokens_to_ids(one) not in end_tokens(model))
    raise _wrong("stop", stop, "a text or up to 16 (a turn's own end stops always)")


def _targets(value: Any, tokens: Sequence[int]) -> Mapping[str, Any] | None:
    if value is None:
        return None
    if not isinstance(value, dict) or len(tokens) < 2:
        raise _wrong("target_prompt_logprobs", value, "a tensor, and a prompt of two tokens or more")
    return value


def _whole(body: Mapping[str, Any], name: str, usual: int, least: int, most: int) -> int:
    value = body.get(name, usual)
    if type(value) is not int or not least <= value <= most:
        raise _wrong(name, value, f"a whole number from {least} to {most}")
    return value


def _vocabulary(model: Model) -> int:
    return int(model.network.config.get_text_config().vocab_size)


def _wrong(name: str, value: object, expected: str) -> Refused:
    return Refused(400, f"{name} is {value!r}"[:200], expected=expected, way_out="Mend the request", param=name)
