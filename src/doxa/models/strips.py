"""Running strips of many rows side by side, padded on the right, each under its own steering.

Arms read the same texts, and up to the first steered block they compute the same. Where that is said (`shared`), the
blocks up to there are run once for each distinct row, what they return is kept for arms that come later, and all rows
go on from it. What is kept was computed in a batch of exactly the same rows: no number depends on what came before.

A network that is built as Llama is runs by its parts (`llama_like`), any other by its own forward pass.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor

from doxa.models.adapting import adapted, adapting_of, check_adapters
from doxa.models.blocks import Output, residual_of, with_residual
from doxa.models.branching import Parents, attends_by_position
from doxa.models.decoding import short_way
from doxa.models.handle import Model
from doxa.models.llama_like import LlamaLike
from doxa.models.low_rank import LowRank
from doxa.models.passes import Reader, reader_of
from doxa.models.steering import Steering, SteeringPlan, check_fits, check_layers, reading, steering
from doxa.models.strip_batch import Strip, StripBatch, applied, padded
from doxa.models.substitute import ALONE, substituted

__all__ = ["Strip", "branches", "read_strips", "run_strips", "shared_blocks"]

_WORTH = 0.1  # a smaller part of the blocks is not worth a pass of its own
_KEPT_BYTES = 2**28  # of what shared blocks computed, for each model


def run_strips(model: Model, strips: Sequence[Strip], *, shared: int | None = None) -> Float[Tensor, "rows time width"]:
    """Run a forward pass.

    Args:
        model: The model.
        strips: One for each row; trees only where `branches(model)`.
        shared: The last block that is run once for distinct rows: `shared_blocks`.

    Returns:
        Features of every position, for `Reader.logits`.
    """
    batch, parts = padded(model, strips), short_way(model)
    if parts is not None:
        return parts.norm(_run_parts(model, parts, strips, batch, _Noting(model, strips, batch), shared=shared))
    reader = reader_of(model)
    with ExitStack() as stack:
        if shared is not None:
            run = partial(_last_output, model, reader, shared)  # before `adapted`, which would give it these rows
            output, of = _run_below(model, shared, "whole", strips, batch, run)
            given = with_residual(output, residual_of(output)[torch.tensor(of, device=model.device)])
            # The last of them returns what was computed; what the others return is not used.
            stack.enter_context(substituted(model.blocks[: shared + 1], [lambda *args, **kwargs: given] * (shared + 1)))
        stack.enter_context(adapted(model, [strip.low_rank for strip in strips]))
        with steering(model, [strip.plans for strip in strips]) as state:
            state.move(applied(strips, batch))
            return reader.features(batch.tokens, batch.attention(model), batch.positions)


def read_strips(
    model: Model, strips: Sequence[Strip], layers: Sequence[int]
) -> Mapping[int, Float[Tensor, "rows time d_model"]]:
    """Run a forward pass for the residual stream at the output of some blocks, after what is added there.

    Args:
        model: The model.
        strips: As for `run_strips`.
        layers: Which blocks.
    """
    batch, parts = padded(model, strips), short_way(model)
    if parts is not None:
        noting = _Noting(model, strips, batch, layers)
        _run_parts(model, parts, strips, batch, noting, last=max(layers, default=-1))
        return noting.streams
    reader = reader_of(model)
    low_ranks = [strip.low_rank for strip in strips]
    with (
        adapted(model, low_ranks),
        steering(model, [strip.plans for strip in strips]) as state,
        reading(model, layers) as streams,
    ):
        state.move(applied(strips, batch))
        reader.features(batch.tokens, batch.attention(model), batch.positions, last=True)
    return dict(streams)


def shared_blocks(model: Model, arms: Sequence[tuple[SteeringPlan, ...]]) -> int | None:
    """The last block up to which all of some arms compute the same, as `shared` of `run_strips`.

    Returns:
        Its index; None when nothing is steered, that is not worthwhile, or the model's blocks cannot be run apart.
    """
    first = min((plan.layers[0] for own in arms for plan in own if plan.layers), default=-1)
    if first + 1 < max(1, _WORTH * model.n_layers):
        return None
    if short_way(model) is not None:
        return first
    return first if _tried(model, _divisible, lambda: _same_when_divided(model)) else None


def branches(model: Model, cells: int) -> bool:
    """Whether the model can read trees of so many cells: tried with one that is as wide.

    What a network calls its window may be counted in places of a row and not in positions on a path (GPT-Neo), and
    then small trees are read rightly and wide ones are not.

    Args:
        model: The model.
        cells: The largest tree that is wanted.
    """
    if short_way(model) is not None:
        return True
    if not attends_by_position(model):
        return False
    width = 2 ** max(3, (cells - 1).bit_length())  # few different ones, so that there are few trials
    return _tried(model, _branching.setdefault(width, WeakKeyDictionary()), lambda: _same_in_a_tree(model, width))


class _Reached(Exception):
    """Ends a forward pass whose upper blocks nobody needs."""


@dataclass(frozen=True, eq=False)
class _Kept:
    """What blocks returned for distinct rows, while the network had the numbers that `state` tells apart."""

    state: object
    outputs: dict[object, Output]


_kept: WeakKeyDictionary[Model, _Kept] = WeakKeyDictionary()


def _kept_of(model: Model) -> dict[object, Output]:
    """What is kept of a model as it is now: one that was adopted may be trained further."""
    numbers = [*model.network.parameters(), *model.network.buffers()]
    state = tuple((one.data_ptr(), 0 if one.is_inference() else one._version) for one in numbers)
    known = _kept.get(model)
    if known is None or known.state != state:
        known = _kept[model] = _Kept(state, {})
    return known.outputs


def _run_below(
    model: Model,
    last: int,
    way: str,
    strips: Sequence[Strip],
    batch: StripBatch,
    run: Callable[[StripBatch, list[LowRank | None]], Output],
) -> tuple[Output, tuple[int, ...]]:
    """What block `last` returns for distinct rows, and for each row which of those it is.

    What an earlier run the same `way` has left is not run again.
    """
    number: dict[tuple[tuple[int, ...], Parents | None, str], int] = {}
    adapters = ["" if strip.low_rank is None else strip.low_rank.digest for strip in strips]
    of = tuple(
        number.setdefault((strip.tokens, strip.parents, adapter), len(number))
        for strip, adapter in zip(strips, adapters, strict=True)
    )
    key = (last, way, tuple(number))
    with ALONE:
        kept = _kept_of(model)
        if key in kept:
            kept[key] = kept.pop(key)  # the latest at the end
            return kept[key], of
        distinct = [of.index(index) for index in range(len(number))]
        kept[key] = output = run(batch.rows(distinct), [strips[row].low_rank for row in distinct])
        while len(kept) > 1 and sum(residual_of(one).nbytes for one in kept.values()) > _KEPT_BYTES:
            del kept[next(iter(kept))]
        return output, of


def _run_parts(
    model: Model,
    parts: LlamaLike,
    strips: Sequence[Strip],
    batch: StripBatch,
    additions: "_Noting",
    *,
    shared: int | None = None,
    last: int | None = None,
) -> Float[Tensor, "rows time d_model"]:
    """The residual stream after block `last` (the very last, without it), by the parts of a network."""
    end = model.n_layers if last is None else last + 1
    low_ranks = [strip.low_rank for strip in strips]
    check_adapters(low_ranks, model)
    adapting = adapting_of(low_ranks)
    if shared is None:
        stream = parts.embedding(batch.tokens)
        return parts.run(stream, batch.positions, batch.sight(), range(end), additions, adapting)

    def run(own: StripBatch, of_rows: list[LowRank | None]) -> Tensor:
        nothing, lower = Steering([()] * len(own.tokens), model.device), range(shared + 1)
        stream = parts.embedding(own.tokens)
        return parts.run(stream, own.positions, own.sight(), lower, nothing, adapting_of(of_rows))

    output, of = _run_below(model, shared, "in parts", strips, batch, run)
    stream = residual_of(output)[list(of)]
    new = additions.add(shared, stream) if shared in additions.layers else None
    upper = range(shared + 1, end)
    return parts.run(stream if new is None else new, batch.positions, batch.sight(), upper, additions, adapting)


class _Noting:
    """Steers the rows of one pass, and notes the residual stream after some blocks.

    Attributes:
        layers: The blocks after which something is done.
        streams: What was noted, by layer.
    """

    def __init__(self, model: Model, strips: Sequence[Strip], batch: StripBatch, noted: Sequence[int] = ()) -> None:
        check_fits([strip.plans for strip in strips], model)
        check_layers(noted, model)
        self._state = Steering([strip.plans for strip in strips], model.device)
        self._state.move(applied(strips, batch))
        self._steered, self._noted = frozenset(self._state.layers), frozenset(noted)
        self.layers = tuple(sorted(self._steered | self._noted))
        self.streams: dict[int, Float[Tensor, "rows time d_model"]] = {}

    def add(self, layer: int, residual: Float[Tensor, "rows time d_model"]) -> Tensor | None:
        """A new residual stream; None when nothing is due there."""
        new = self._state.add(layer, residual) if layer in self._steered else None
        if layer in self._noted:
            self.streams[layer] = residual if new is None else new
        return new


def _last_output(model: Model, reader: Reader, last: int, batch: StripBatch, low_ranks: list[LowRank | None]) -> Output:
    """What block `last` returns; the blocks above it are not run."""
    block = model.blocks[last]
    found: list[Output] = []
    usual = block.forward

    def run(*args: Any, **kwargs: Any) -> Output:
        found.append(usual(*args, **kwargs))
        raise _Reached

    with adapted(model, low_ranks), suppress(_Reached), substituted([block], [run]):
        reader.features(batch.tokens, batch.attention(model), batch.positions)
    return found[0]


_divisible: WeakKeyDictionary[Model, bool] = WeakKeyDictionary()
_branching: dict[int, WeakKeyDictionary[Model, bool]] = {}


def _tried(model: Model, known: WeakKeyDictionary[Model, bool], trial: Callable[[], bool]) -> bool:
    """The result of a trial, once for each model: what an architecture does with its inputs is not believed."""
    if model not in known:
        with torch.no_grad():
            try:
                known[model] = trial()
            except (TypeError, ValueError, RuntimeError, IndexError, KeyError, AttributeError, AssertionError):
                known[model] = False
            finally:
                _kept.pop(model, None)
    return known[model]


def _same_when_divided(model: Model) -> bool:
    """Run a few rows both ways: some architecture may hand on more than the residual stream."""
    rows = [_plain(range(4)), _plain(range(4)), _plain(range(1, 5))]
    return _close(run_strips(model, rows, shared=model.n_layers // 2), run_strips(model, rows))


def _same_in_a_tree(model: Model, width: int) -> bool:
    """Run two paths as a tree beside a shorter row, and one by one. Token 0 may be padding, which has no embedding.

    Between the two stand children of the first token, so that the second path is as far from its beginning as it can
    be in a tree of this width.
    """
    between = max(width - 7, 0)
    tokens = (1, 2, 3, 4, *(2 + at % 3 for at in range(between)), 5, 6, 7)
    last = 4 + between
    parents = (-1, 0, 1, 2, *([0] * between), 0, last, last + 1)
    tree = Strip((), tokens, torch.zeros(0, len(tokens), dtype=torch.bool), parents)
    found = run_strips(model, [tree, _plain(range(1, 4))])
    first, second = run_strips(model, [_plain((1, 2, 3, 4)), _plain((1, 5, 6, 7))])
    return _close(found[0, [0, 1, 2, 3]], first) and _close(found[0, [0, last, last + 1, last + 2]], second)


def _plain(tokens: Sequence[int]) -> Strip:
    return Strip((), tuple(tokens), torch.zeros(0, len(tokens), dtype=torch.bool))


def _close(found: Tensor, expected: Tensor) -> bool:
    return torch.allclose(found, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))
