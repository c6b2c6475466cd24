"""Running strips of many rows side by side, padded on the right, each under its own steering.

Arms read the same texts, and up to the first steered block they compute the same. Where that is said (`shared`), the
blocks up to there are run once for each distinct row, what they return is kept for arms that come later, and all rows
go on from it. What is kept was computed in a batch of exactly the same rows: no number depends on what came before.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from doxa.models.blocks import Output, residual_of, with_residual
from doxa.models.branching import Parents, attends_by_position, attention, depths, is_chain, sight
from doxa.models.handle import Model
from doxa.models.passes import Attention, Reader, reader_of
from doxa.models.steering import SteeringPlan, reading, steering
from doxa.models.substitute import substituted

_WORTH = 0.1  # a smaller part of the blocks is not worth a pass of its own
_KEPT_BYTES = 2**28  # of what shared blocks computed, for each model


@dataclass(frozen=True, eq=False)
class Strip:
    """A row of a forward pass.

    Attributes:
        plans: What is added to the row.
        tokens: Its tokens.
        applied: Which of them each plan touches.
        parents: For each token the place of the one before it, where the row is a tree (`trees`); None: one after the
            other.
    """

    plans: tuple[SteeringPlan, ...]
    tokens: tuple[int, ...]
    applied: Bool[Tensor, "plans time"]
    parents: Parents | None = None


def run_strips(model: Model, strips: Sequence[Strip], *, shared: int | None = None) -> Float[Tensor, "rows time width"]:
    """Run a forward pass.

    Args:
        model: The model.
        strips: One for each row; trees only where `branches(model)`.
        shared: The last block that is run once for distinct rows: `shared_blocks`.

    Returns:
        Features of every position, for `Reader.logits`.
    """
    reader = reader_of(model)
    batch = _padded(model, strips)
    with ExitStack() as stack:
        if shared is not None:
            output, of = _run_below(model, reader, shared, strips, batch)
            given = with_residual(output, residual_of(output)[torch.tensor(of, device=model.device)])
            # The last of them returns what was computed; what the others return is not used.
            stack.enter_context(substituted(model.blocks[: shared + 1], [lambda *args, **kwargs: given] * (shared + 1)))
        with steering(model, [strip.plans for strip in strips]) as state:
            state.move(torch.cat([_pad(strip.applied, batch.tokens.shape[1]) for strip in strips]))
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
    reader = reader_of(model)
    batch = _padded(model, strips)
    with steering(model, [strip.plans for strip in strips]) as state, reading(model, layers) as streams:
        state.move(torch.cat([_pad(strip.applied, batch.tokens.shape[1]) for strip in strips]))
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
    return first if _tried(model, _divisible, lambda: _same_when_divided(model)) else None


def branches(model: Model, cells: int) -> bool:
    """Whether the model can read trees of so many cells: tried with one that is as wide.

    What a network calls its window may be counted in places of a row and not in positions on a path (GPT-Neo), and
    then small trees are read rightly and wide ones are not.

    Args:
        model: The model.
        cells: The largest tree that is wanted.
    """
    if not attends_by_position(model):
        return False
    width = 2 ** max(3, (cells - 1).bit_length())  # few different ones, so that there are few trials
    return _tried(model, _branching.setdefault(width, WeakKeyDictionary()), lambda: _same_in_a_tree(model, width))


@dataclass(frozen=True, eq=False)
class _Batch:
    tokens: Int[Tensor, "rows time"]
    mask: Bool[Tensor, "rows time"] | Bool[Tensor, "rows time time"]
    positions: Int[Tensor, "rows time"]

    def rows(self, chosen: Sequence[int]) -> "_Batch":
        index = list(chosen)
        return _Batch(self.tokens[index], self.mask[index], self.positions[index])

    def attention(self, model: Model) -> Tensor | Attention:
        return self.mask if self.mask.ndim == 2 else attention(model, self.mask, self.positions)


def _padded(model: Model, strips: Sequence[Strip]) -> _Batch:
    width = max(len(strip.tokens) for strip in strips)
    tokens = torch.zeros(len(strips), width, dtype=torch.long)
    positions = torch.zeros(len(strips), width, dtype=torch.long)
    of_rows: list[Parents] = []
    for row, strip in enumerate(strips):
        n = len(strip.tokens)
        parents = tuple(range(-1, n - 1)) if strip.parents is None else strip.parents
        tokens[row, :n] = torch.tensor(strip.tokens)
        positions[row, :n] = torch.tensor(depths(parents))
        of_rows.append(parents)
    if all(is_chain(parents) for parents in of_rows):
        mask = torch.arange(width) < torch.tensor([len(parents) for parents in of_rows])[:, None]
    else:
        mask = torch.eye(width, dtype=torch.bool).repeat(len(strips), 1, 1)  # padding sees itself: no row is empty
        for row, parents in enumerate(of_rows):
            mask[row, : len(parents), : len(parents)] = sight(parents)
    device = model.device
    return _Batch(tokens.to(device), mask.to(device), positions.to(device))


def _pad(applied: Bool[Tensor, "plans time"], width: int) -> Bool[Tensor, "plans width"]:
    return nn.functional.pad(applied, (0, width - applied.shape[1]))


class _Reached(Exception):
    """Ends a forward pass whose upper blocks nobody needs."""


_kept: WeakKeyDictionary[Model, dict[object, Output]] = WeakKeyDictionary()


def _run_below(
    model: Model, reader: Reader, last: int, strips: Sequence[Strip], batch: _Batch
) -> tuple[Output, tuple[int, ...]]:
    """What block `last` returns for distinct rows, run or kept; and for each row which of those it is."""
    number: dict[tuple[tuple[int, ...], Parents | None], int] = {}
    of = tuple(number.setdefault((strip.tokens, strip.parents), len(number)) for strip in strips)
    key = (last, tuple(number))
    kept = _kept.setdefault(model, {})
    if key in kept:
        kept[key] = kept.pop(key)  # the latest at the end
        return kept[key], of
    own = batch.rows([of.index(index) for index in range(len(number))])
    kept[key] = output = _last_output(model, reader, last, own)
    while len(kept) > 1 and sum(residual_of(one).nbytes for one in kept.values()) > _KEPT_BYTES:
        del kept[next(iter(kept))]
    return output, of


def _last_output(model: Model, reader: Reader, last: int, batch: _Batch) -> Output:
    """What block `last` returns; the blocks above it are not run."""
    block = model.blocks[last]
    found: list[Output] = []
    usual = block.forward

    def run(*args: Any, **kwargs: Any) -> Output:
        found.append(usual(*args, **kwargs))
        raise _Reached

    with suppress(_Reached), substituted([block], [run]):
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
