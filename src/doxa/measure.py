"""Measure the scored items of a chunk: no generation, no Inspect loop, one arm at a time."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from doxa.bridge.arms import PreparedArm, under
from doxa.bridge.turns import before_choice, no_rollout
from doxa.evals.catalogue import Measured, TaskEntry, Value
from doxa.models.backend import backend_of
from doxa.models.chat import Message, Rendered, render
from doxa.models.handle import Model
from doxa.models.receipt import Receipt
from doxa.models.score import Choice, OptionScores
from doxa.plan import Chunk
from doxa.words.edits import needs_source
from doxa.words.errors import ModelError


def measure(model: Model, chunk: Chunk, entry: TaskEntry, arm: PreparedArm) -> dict[str, Any]:
    """Measure a chunk.

    Returns:
        What is committed: for every item its factors, its scores (with reasons where missing) and what was added to the
        residual stream. No time, no path: equal chunks give equal bytes.

    Raises:
        ModelError: When a text does not fit the context or logits are not finite; it names the arm.
    """
    try:
        return _measured(model, chunk, entry, arm)
    except ModelError as error:
        found = f"the arm {chunk.arm.name!r} on {entry.name}: {error.found}"
        raise ModelError(found, expected=error.expected, way_out=error.way_out) from error


def _measured(model: Model, chunk: Chunk, entry: TaskEntry, arm: PreparedArm) -> dict[str, Any]:
    acts = arm.edit is not None and needs_source(arm.edit.thought)
    choices = [item for item in chunk.items if item.kind == "choice" and not acts]
    texts = [item for item in chunk.items if item.kind == "divergence"]
    results: dict[str, list[OptionScores] | float | None] = {}
    receipts: dict[str, dict[str, Any]] = {}
    if choices:
        rows = [
            Choice(
                _rendered(model, tuple(under(arm.system_prompt, before_choice(arm, prompt)))),
                options,
                arm.plans,
                arm.low_rank,
            )
            for item in choices
            for prompt, options in zip(item.prompts, item.options, strict=True)
        ]
        scores = iter(backend_of(model).score(model, rows))
        for item in choices:
            results[item.id] = own = [next(scores) for _ in item.prompts]
            receipts[item.id] = _receipt(own)
    if arm.system_prompt is not None or arm.edit is not None:
        results |= {item.id: None for item in texts}  # bare text has no place for either
    elif texts:
        read = [item.prompts[0][0].content for item in texts]
        distances = backend_of(model).divergence(model, read, [arm.plans], [arm.low_rank])
        results |= {item.id: float(distance) for item, distance in zip(texts, distances[0], strict=True)}
    return {
        "chunk": chunk.id,
        "task": entry.name,
        "arm": chunk.arm.name,
        "items": [_item(item, _values(item, entry, arm, results), receipts.get(item.id)) for item in chunk.items],
    }


def _values(
    item: Measured, entry: TaskEntry, arm: PreparedArm, results: Mapping[str, list[OptionScores] | float | None]
) -> Sequence[Value]:
    if item.id in results:
        return entry.read(item, results[item.id])
    # The names of its scores do not depend on how probable the options are.
    assert arm.edit is not None, "only an edit of a rollout leaves a choice out"
    nothing = Receipt((), (), 0)
    equal = [OptionScores((-1.0,) * len(own), (1,) * len(own), nothing) for own in item.options]
    return [Value(one.score, None, no_rollout(arm.edit)) for one in entry.read(item, equal)]


@lru_cache(maxsize=1024)  # most arms of a study read the same prompts
def _rendered(model: Model, prompt: tuple[Message, ...]) -> Rendered:
    return render(model, prompt)


def _item(item: Measured, values: Sequence[Value], receipt: dict[str, Any] | None) -> Mapping[str, Any]:
    return {
        "id": item.id,
        "input": [[vars(message) for message in prompt] for prompt in item.prompts],
        "options": [list(options) for options in item.options],
        "factors": dict(item.factors),
        "values": [vars(value) for value in values],
        "receipt": receipt,
    }


def _receipt(scores: list[OptionScores]) -> dict[str, Any]:
    first = scores[0].receipt
    return {
        "layers": list(first.layers),
        "norms": list(first.norms),
        "tokens_touched": sum(one.receipt.tokens_touched for one in scores),
    }
