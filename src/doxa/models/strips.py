"""Running strips of many rows side by side, padded on the right, each under its own steering.

Arms read the same texts, and up to the first steered block they compute the same. Where that is said (`shared`), the
blocks up to there are run once for each distinct row, what they return is kept for arms that come later, and all rows
go on from it. What is kept was computed in a batch of exactly the same rows: no number depends on what came before.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from copy import copy
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from doxa.models.blocks import Output, residual_of, with_residual
from doxa.models.handle import Model
from doxa.models.passes import Reader, new_cache, reader_of, selected
from doxa.models.steering import SteeringPlan, steering

_WORTH = 0.1  # a smaller part of the blocks is not worth a pass of its own
_KEPT_BYTES = 2**28  # of what shared blocks computed, for each model


@dataclass(frozen=True, eq=False)
class Strip:
    """A row's part in one forward pass.

    Attributes:
        plans: What is added to the row.
        tokens: The tokens that are run.
        applied: Which of them each plan touches.
        start: Position of the first of them in the row.
    """

    plans: tuple[SteeringPlan, ...]
    tokens: tuple[int, ...]
    applied: Bool[Tensor, "plans time"]
    start: int


@dataclass(frozen=True, eq=False)
class Past:
    """What has been run of some rows.

    Attributes:
        mask: False where there is padding.
        cache: Keys and values, one row for each; of the blocks above the shared ones only, where there are such.
        below: What the shared blocks have run, if there are such.
        of: For each row its row of `below`.
    """

    mask: Bool[Tensor, "rows past"]
    cache: DynamicCache
    below: "_Below | None"
    of: tuple[int, ...]

    def rows(self, chosen: Sequence[int], shared: int | None) -> "Past":
        """What has been run of some of the rows, in the order given; a row may stand in it several times."""
        cache = selected(self.cache, chosen, above=-1 if shared is None else shared)
        return Past(self.mask[list(chosen)], cache, self.below, tuple(self.of[row] for row in chosen))


def run_strips(
    model: Model,
    strips: Sequence[Strip],
    past: Past | None = None,
    *,
    keep: bool = False,
    shared: int | None = None,
) -> tuple[Float[Tensor, "rows time width"], Past | None]:
    """Run a forward pass.

    Args:
        model: The model.
        strips: One for each row.
        past: What has been run of the same rows, with the same `shared`; it is used up.
        keep: Whether what is run now is kept, to go on from. It is when there is a `past`.
        shared: The last block that is run once for distinct rows: `shared_blocks`.

    Returns:
        Features of every position (for `Reader.logits`), and what has been run now.
    """
    reader = reader_of(model)
    batch = _padded(model, strips, past)
    cache = past.cache if past is not None else new_cache(model) if keep else None
    below, of = None, (0,) * len(strips)
    with ExitStack() as stack:
        if shared is not None:
            if past is not None and past.below is not None:
                # Of blocks that are not run the cache still has to say how long the past is.
                past.cache.layers[: shared + 1] = [copy(layer) for layer in past.below.cache.layers[: shared + 1]]
            below, of = _run_below(model, reader, shared, strips, batch, past, keep=cache is not None)
            rows = torch.tensor(of, device=model.device)
            given = with_residual(below.output, residual_of(below.output)[rows])
            # The last of them returns what was computed; what the others return is not used.
            stack.enter_context(_forwards(model.blocks[: shared + 1], [lambda *args, **kwargs: given] * (shared + 1)))
        with steering(model, [strip.plans for strip in strips]) as state:
            state.move(torch.cat([_pad(strip.applied, batch.tokens.shape[1]) for strip in strips]))
            features = reader.features(batch.tokens, batch.mask, batch.positions, cache)
    return features, None if cache is None else Past(batch.mask, cache, below, of)


def shared_blocks(model: Model, arms: Sequence[tuple[SteeringPlan, ...]]) -> int | None:
    """The last block up to which all of some arms compute the same, as `shared` of `run_strips`.

    Returns:
        Its index; None when nothing is steered, that is not worthwhile, or the model's blocks cannot be run apart.
    """
    first = min((plan.layers[0] for own in arms for plan in own if plan.layers), default=-1)
    if first + 1 < max(1, _WORTH * model.n_layers) or not caches_have_rows(model):
        return None
    if model not in _divisible:
        _divisible[model] = _try(model)
    return first if _divisible[model] else None


def caches_have_rows(model: Model) -> bool:
    """Whether keys and values are kept by position and can be taken apart by rows; recurrent states cannot."""
    return all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in new_cache(model).layers)


@dataclass(frozen=True, eq=False)
class _Batch:
    tokens: Int[Tensor, "rows time"]
    mask: Bool[Tensor, "rows past_and_time"]
    positions: Int[Tensor, "rows time"]

    def rows(self, chosen: Sequence[int]) -> "_Batch":
        index = list(chosen)
        return _Batch(self.tokens[index], self.mask[index], self.positions[index])


def _padded(model: Model, strips: Sequence[Strip], past: Past | None) -> _Batch:
    width = max(len(strip.tokens) for strip in strips)
    tokens = torch.zeros(len(strips), width, dtype=torch.long)
    mask = torch.zeros(len(strips), width, dtype=torch.bool)
    for row, strip in enumerate(strips):
        tokens[row, : len(strip.tokens)] = torch.tensor(strip.tokens)
        mask[row, : len(strip.tokens)] = True
    starts = torch.tensor([strip.start for strip in strips])
    # Padding may reach beyond the last position that a model with learned positions has.
    positions = (starts[:, None] + torch.arange(width)).clamp(max=model.context_length - 1)
    mask = mask.to(model.device)
    if past is not None:
        mask = torch.cat([past.mask, mask], 1)
    return _Batch(tokens.to(model.device), mask, positions.to(model.device))


def _pad(applied: Bool[Tensor, "plans time"], width: int) -> Bool[Tensor, "plans width"]:
    return nn.functional.pad(applied, (0, width - applied.shape[1]))


class _Reached(Exception):
    """Ends a forward pass whose upper blocks nobody needs."""


@dataclass(frozen=True, eq=False)
class _Below:
    """What the shared blocks computed for distinct rows.

    Attributes:
        rows: The tokens of each row, from its beginning.
        output: What the last shared block returned for the latest strip of each.
        cache: Keys and values of the shared blocks; empty when they are not kept.
    """

    rows: tuple[tuple[int, ...], ...]
    output: Output
    cache: DynamicCache

    def size(self) -> int:
        """Bytes."""
        tensors = [residual_of(self.output)]
        for layer in self.cache.layers:
            assert isinstance(layer, DynamicLayer)
            tensors += [tensor for tensor in (layer.keys, layer.values) if tensor is not None]
        return sum(tensor.nbytes for tensor in tensors)


_kept: WeakKeyDictionary[Model, dict[object, _Below]] = WeakKeyDictionary()


def _run_below(
    model: Model, reader: Reader, last: int, strips: Sequence[Strip], batch: _Batch, past: Past | None, *, keep: bool
) -> tuple[_Below, tuple[int, ...]]:
    """Run the blocks up to `last` for distinct rows, or take what is kept; and for each row which of those it is."""
    before = ((),) * len(strips) if past is None or past.below is None else past.below.rows
    beginnings = [before[row] for row in (past.of if past is not None else range(len(strips)))]
    whole = [beginning + strip.tokens for beginning, strip in zip(beginnings, strips, strict=True)]
    number = {row: index for index, row in enumerate(dict.fromkeys(whole))}
    of = tuple(number[row] for row in whole)
    examples = [of.index(index) for index in range(len(number))]
    own = batch.rows(examples)
    key = (last, keep, tuple(number), own.tokens.shape, own.mask.shape)
    kept = _kept.setdefault(model, {})
    if key in kept:
        kept[key] = below = kept.pop(key)  # the latest at the end
        return below, of
    cache = None
    if past is not None and past.below is not None:
        cache = selected(past.below.cache, [past.of[row] for row in examples])
    elif keep:
        cache = new_cache(model)
    output = _last_output(model, reader, last, own, cache)
    below = _Below(tuple(number), output, cache if cache is not None else new_cache(model))
    kept[key] = below
    while len(kept) > 1 and sum(one.size() for one in kept.values()) > _KEPT_BYTES:
        del kept[next(iter(kept))]
    return below, of


def _last_output(model: Model, reader: Reader, last: int, batch: _Batch, cache: DynamicCache | None) -> Output:
    """What block `last` returns; the blocks above it are not run."""
    block = model.blocks[last]
    found: list[Output] = []
    usual = block.forward

    def run(*args: Any, **kwargs: Any) -> Output:
        found.append(usual(*args, **kwargs))
        raise _Reached

    with suppress(_Reached), _forwards([block], [run]):
        reader.features(batch.tokens, batch.mask, batch.positions, cache)
    return found[0]


@contextmanager
def _forwards(modules: Sequence[nn.Module], forwards: Sequence[Callable[..., Output]]) -> Iterator[None]:
    """Let modules compute something else while the context is open. Their hooks run as ever."""
    own = [vars(module).get("forward") for module in modules]
    try:
        for module, forward in zip(modules, forwards, strict=True):
            vars(module)["forward"] = forward
        yield
    finally:
        for module, usual in zip(modules, own, strict=True):
            if usual is None:
                vars(module).pop("forward", None)
            else:
                vars(module)["forward"] = usual


_divisible: WeakKeyDictionary[Model, bool] = WeakKeyDictionary()


@torch.no_grad()
def _try(model: Model) -> bool:
    """Run a few rows both ways, in two steps: some architecture may hand on more than the residual stream."""

    def run(shared: int | None) -> Tensor:
        nothing = torch.zeros(0, 4, dtype=torch.bool)
        rows = [tuple(range(4)), tuple(range(4)), tuple(range(1, 5))]
        _, past = run_strips(model, [Strip((), row, nothing, 0) for row in rows], keep=True, shared=shared)
        assert past is not None
        past = past.rows([0, 1, 2, 2], shared)
        features, _ = run_strips(model, [Strip((), rows[0], nothing, 4)] * 4, past, shared=shared)
        return features

    expected = run(None)
    try:
        found = run(model.n_layers // 2)
    except (TypeError, ValueError, RuntimeError, IndexError, AttributeError, AssertionError):
        return False
    finally:
        _kept.pop(model, None)
    return torch.allclose(found, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))
