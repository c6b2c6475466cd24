"""Rows that are written together: one step runs one more token of each.

Two ways compute the same up to rounding. Any network takes a step of its own forward pass, with hooks for what is
added. A network that is built as Llama is takes a shorter one (`llama_like`), after that was tried on a few tokens.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import DynamicCache

from doxa.models.adapting import Adapting, adapted, adapting_of, check_adapters
from doxa.models.handle import Model
from doxa.models.key_values import KeyValues
from doxa.models.llama_like import LlamaLike
from doxa.models.llama_parts import llama_like
from doxa.models.low_rank import LowRank
from doxa.models.passes import Reader, new_cache, reader_of, selected
from doxa.models.steering import Steering, SteeringPlan, check_fits, reading, steering


class Decoding(Protocol):
    """Rows that are written together.

    Attributes:
        steering: What is added: to be moved before each step.
    """

    steering: Steering

    def step(self, tokens: Int[Tensor, " rows"]) -> Float[Tensor, "rows vocab"]:
        """Run the token that was drawn for every row; return the logits of the next one."""

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with some rows only, in this order."""


@contextmanager
def decoding(
    model: Model,
    plans: Sequence[tuple[SteeringPlan, ...]],
    mask: Bool[Tensor, "rows time"],
    cache: DynamicCache | KeyValues,
    low_ranks: Sequence[LowRank | None] | None = None,
) -> Iterator[Decoding]:
    """Write rows together while the context is open.

    Args:
        model: The model.
        plans: For each row its plans.
        mask: False where the prompt of a row is padding.
        cache: Keys and values of the prompts. It is used up.
        low_ranks: For each row its adapter; None where no row has one.

    Yields:
        The rows.

    Raises:
        VectorError: When a plan does not fit the model.
        TrainingError: When an adapter is another model's.
    """
    own = [None] * len(plans) if low_ranks is None else low_ranks
    parts = short_way(model)
    if parts is not None and isinstance(cache, KeyValues):
        check_fits(plans, model)
        check_adapters(own, model)
        yield _Short(parts, Steering(plans, model.device), mask, cache, adapting_of(own))
        return
    assert isinstance(cache, DynamicCache), "keys and values in a store are read by the short way only"
    reader = reader_of(model)
    with adapted(model, own) as adapting, steering(model, plans) as state:
        yield _Whole(reader, state, mask, cache, adapting)


def short_way(model: Model) -> LlamaLike | None:
    """The parts of a network that is built as Llama is, if they were found to compute the same; else None."""
    parts = llama_like(model)
    return parts if parts is not None and _computes_the_same(model, parts) else None


class _Whole:
    """By the network's own forward pass."""

    def __init__(
        self,
        reader: Reader,
        state: Steering,
        mask: Bool[Tensor, "rows time"],
        cache: DynamicCache,
        adapting: Adapting | None = None,
    ) -> None:
        self.steering = state
        self._reader, self._mask, self._cache, self._adapting = reader, mask, cache, adapting

    def step(self, tokens: Int[Tensor, " rows"]) -> Float[Tensor, "rows vocab"]:
        self._mask = _longer(self._mask)
        features = self._reader.features(
            tokens[:, None], self._mask, self._mask.sum(1, keepdim=True) - 1, self._cache, last=True
        )
        return self._reader.logits(features[:, -1])

    def keep(self, rows: Sequence[int]) -> None:
        self._cache, self._mask = selected(self._cache, rows), self._mask[list(rows)]
        self.steering.keep(rows)
        if self._adapting is not None:
            self._adapting.keep(rows)


class _Short:
    """By a forward pass of our own."""

    def __init__(
        self,
        parts: LlamaLike,
        state: Steering,
        mask: Bool[Tensor, "rows time"],
        store: KeyValues,
        adapting: Adapting | None,
    ) -> None:
        self.steering = state
        self._parts, self._mask, self._store, self._adapting = parts, mask, store, adapting

    def step(self, tokens: Int[Tensor, " rows"]) -> Float[Tensor, "rows vocab"]:
        self._mask = _longer(self._mask)
        positions = self._mask.sum(1) - 1
        return self._parts.step(tokens, positions, self._mask, self._store, self.steering, self._adapting)

    def keep(self, rows: Sequence[int]) -> None:
        self._store.keep(rows)
        self._mask = self._mask[list(rows)]
        self.steering.keep(rows)
        if self._adapting is not None:
            self._adapting.keep(rows)


def _longer(mask: Bool[Tensor, "rows time"]) -> Bool[Tensor, "rows time_and_one"]:
    return torch.cat([mask, torch.ones_like(mask[:, :1])], 1)


_tried: WeakKeyDictionary[LlamaLike, bool] = WeakKeyDictionary()
_EXACT = {torch.float32: (1e-3, 1e-6), torch.bfloat16: (5e-2, 2**-7)}
"""How far a block may be from the network's: as a part of what the block adds, and of what it adds it to."""


def _computes_the_same(model: Model, parts: LlamaLike) -> bool:
    """Write a few tokens both ways, once: rows of unequal length, of which one leaves and the other stands twice.

    Every block begins with what the network's own block before it returned, so that it is seen by itself: errors of
    rounding grow from block to block, in bfloat16 to more than a wrong block would be off.
    """
    if parts not in _tried:
        try:
            _tried[parts] = _tried_on_some_tokens(model, parts)
        except (TypeError, ValueError, RuntimeError, IndexError, KeyError, AttributeError, AssertionError):
            _tried[parts] = False
    return _tried[parts]


@torch.no_grad()
def _tried_on_some_tokens(model: Model, parts: LlamaLike) -> bool:
    tokens = torch.tensor([[1, 2, 3, 4, 5, 6], [1, 1, 5, 4, 3, 7]])
    mask = torch.tensor([[True] * 6, [False] * 2 + [True] * 4])
    reader, cache = reader_of(model), new_cache(model)
    if reader.head is None:
        return False  # what is read of texts would have no head
    with reading(model, range(model.n_layers)) as streams:
        features = reader.features(tokens, mask, (mask.cumsum(1) - 1).clamp(min=0), cache, last=True)
    compared = _Compared(streams, mask, model.dtype)
    prompts = parts.read(tokens, mask, compared)
    if not compared.agrees(prompts.logits, reader.logits(features[:, -1])):
        return False
    whole = _Whole(reader, Steering([(), ()], model.device), mask, cache)
    store = KeyValues(prompts.keys, prompts.values)
    for step in range(4):
        if step == 1:
            whole.keep([1, 1])
            store.keep([1, 1])
            mask = mask[[1, 1]]
        drawn, mask = torch.tensor([8 - step, 9 - step]), _longer(mask)
        with reading(model, range(model.n_layers)) as streams:
            expected = whole.step(drawn)
        compared = _Compared(streams, mask[:, -1:], model.dtype)
        if not compared.agrees(parts.step(drawn, mask.sum(1) - 1, mask, store, compared), expected):
            return False
    return True


class _Compared:
    """Holds what every block returns against what the network's own does, and goes on from that."""

    def __init__(self, expected: Mapping[int, Tensor], real: Bool[Tensor, "rows time"], dtype: torch.dtype) -> None:
        self._close = True
        self._expected, self._real = dict(expected), real
        self._share, self._rounding = _EXACT[dtype]

    @property
    def layers(self) -> tuple[int, ...]:
        return tuple(self._expected)

    def parents(self, layer: int) -> None:
        """Rows stay as they are."""

    def add(self, layer: int, residual: Float[Tensor, "rows time d_model"]) -> Tensor:
        expected = self._expected[layer]
        before = self._expected.get(layer - 1, torch.zeros_like(expected))
        compared = (residual - expected, expected - before, expected)
        off, added, whole = (one.float().norm(dim=-1)[self._real] for one in compared)
        self._close &= bool((off <= self._share * added + self._rounding * whole).all())
        return torch.where(self._real[..., None], expected, residual)

    def agrees(self, logits: Float[Tensor, "rows vocab"], expected: Float[Tensor, "rows vocab"]) -> bool:
        """Whether the blocks and the logits do."""
        return self._close and bool((logits - expected).abs().max() <= self._share * expected.abs().max())
