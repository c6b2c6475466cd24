"""Running prompts before rows are written: what rows begin with in common is run once.

Rows have the same beginning when their prompts are the same and the same is added to them, so arms that steer generated
tokens only share their prompts with each other and with the baseline. An adapter acts from the first block on, so that
nothing is shared between rows of different ones. Where a network is built as Llama is, arms that
steer a prompt share it too, up to the first block at which they add different things. A cache that something was added
to is never another row's: rows are told apart by the content of what is added.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import DynamicCache

from doxa.models.adapting import adapted, adapting_of
from doxa.models.chat import Rendered
from doxa.models.decoding import short_way
from doxa.models.handle import Model
from doxa.models.key_values import KeyValues
from doxa.models.llama_like import LlamaLike, Read
from doxa.models.low_rank import LowRank
from doxa.models.passes import new_cache, reader_of, selected
from doxa.models.receipt import prompt_mask
from doxa.models.steering import Steering, SteeringPlan, steering

PART_TOKENS = 4096
"""Tokens of one forward pass, padding included, where prompts are run in parts; larger ones are not faster."""


@dataclass(frozen=True, eq=False)
class Prefix:
    """What a row begins with: its prompt, and what is added to it.

    Attributes:
        tokens: Of the prompt.
        touches: Which of them each plan of the row touches.
        acting: The plans that add something to the prompt.
        applied: Which of its tokens each of these touches.
        low_rank: The adapter of the row.
        key: Equal for prefixes that compute the same.
    """

    tokens: tuple[int, ...]
    touches: Bool[Tensor, "plans time"]
    acting: tuple[SteeringPlan, ...]
    applied: Bool[Tensor, "acting time"]
    low_rank: LowRank | None
    key: object


def prefix_of(prompt: Rendered, plans: tuple[SteeringPlan, ...], low_rank: LowRank | None = None) -> Prefix:
    """What a row with some prompt, plans and adapter begins with."""
    touches = prompt_mask(plans, prompt.roles)
    adds = [bool(own.any()) and bool(plan.additions.any()) for plan, own in zip(plans, touches, strict=True)]
    acting = tuple(plan for plan, some in zip(plans, adds, strict=True) if some)
    applied = touches[torch.tensor(adds, dtype=torch.bool)]
    key = prompt.tokens, tuple(plan.content for plan in acting), applied.numpy().tobytes(), low_rank
    return Prefix(prompt.tokens, touches, acting, applied, low_rank, key)


@dataclass(frozen=True, eq=False)
class Prompted:
    """Rows whose prompts were run.

    Attributes:
        logits: Of the first token of each.
        mask: False where a prompt is padding, on the left.
        cache: Keys and values of the prompts.
        shared: For each row how many tokens of its prompt were not run for it: another row had them run.
    """

    logits: Float[Tensor, "rows vocab"]
    mask: Bool[Tensor, "rows time"]
    cache: DynamicCache | KeyValues
    shared: tuple[int, ...]


def prefill(model: Model, prefixes: Sequence[Prefix]) -> Prompted:
    """Run the prompts of some rows, each distinct beginning once.

    Args:
        model: The model; the plans fit it.
        prefixes: What each row begins with. Those that have prompts in common should stand side by side.
    """
    places: dict[object, int] = {}
    of = [places.setdefault(one.key, len(places)) for one in prefixes]
    distinct = [prefixes[of.index(index)] for index in range(len(places))]
    shared = tuple(0 if distinct[index] is one else len(one.tokens) for one, index in zip(prefixes, of, strict=True))
    width = max(len(one.tokens) for one in distinct)
    tokens = torch.zeros(len(distinct), width, dtype=torch.long)
    mask = torch.zeros(len(distinct), width, dtype=torch.bool)
    for index, one in enumerate(distinct):
        tokens[index, width - len(one.tokens) :] = torch.tensor(one.tokens)
        mask[index, width - len(one.tokens) :] = True
    tokens, mask = tokens.to(model.device), mask.to(model.device)
    parts = short_way(model)
    if parts is None:
        logits, cache = _whole(model, distinct, tokens, mask)
        if len(distinct) < len(prefixes):
            logits, cache = logits[of], selected(cache, of)
        return Prompted(logits, mask[of], cache, shared)
    logits, store = _short(parts, distinct, tokens, mask, of)
    return Prompted(logits, mask[of], store, shared)


def _whole(
    model: Model, prefixes: Sequence[Prefix], tokens: Int[Tensor, "rows time"], mask: Bool[Tensor, "rows time"]
) -> tuple[Float[Tensor, "rows vocab"], DynamicCache]:
    """By the network's own forward pass."""
    reader, cache = reader_of(model), new_cache(model)
    low_ranks = [one.low_rank for one in prefixes]
    with adapted(model, low_ranks), steering(model, [one.acting for one in prefixes]) as state:
        state.move(_padded([one.applied for one in prefixes], tokens.shape[1]))
        features = reader.features(tokens, mask, (mask.cumsum(1) - 1).clamp(min=0), cache, last=True)
    return reader.logits(features[:, -1]), cache


def _short(
    parts: LlamaLike,
    prefixes: Sequence[Prefix],
    tokens: Int[Tensor, "rows time"],
    mask: Bool[Tensor, "rows time"],
    of: Sequence[int],
) -> tuple[Float[Tensor, "rows vocab"], KeyValues]:
    """By a forward pass of our own, a part of the prefixes at a time; logits and keys of the rows `of` them."""
    width = tokens.shape[1]
    size = max(1, PART_TOKENS // width)
    found: list[Read] = []
    row_of: list[int] = []  # each prefix
    for start in range(0, len(prefixes), size):
        own = prefixes[start : start + size]
        roots: dict[object, int] = {}
        root = [roots.setdefault((one.tokens, one.low_rank), len(roots)) for one in own]
        first = [root.index(index) for index in range(len(roots))]
        rows = start + torch.tensor(first)
        branches = _Branches(own, root, width)
        row_of += [sum(len(one.logits) for one in found) + row for row in branches.rows]
        adapting = adapting_of([own[index].low_rank for index in first])
        found.append(parts.read(tokens[rows], mask[rows], branches, adapting))
    rows = torch.tensor(row_of)[torch.tensor(of)]
    keys = [torch.cat(layers)[rows] for layers in zip(*(one.keys for one in found), strict=True)]
    values = [torch.cat(layers)[rows] for layers in zip(*(one.values for one in found), strict=True)]
    return torch.cat([one.logits for one in found])[rows], KeyValues(keys, values)


class _Branches:
    """Rows that begin as one for each prompt and adapter, and become several where different things are added.

    Attributes:
        rows: For each prefix its row in the end.
    """

    def __init__(self, prefixes: Sequence[Prefix], root: Sequence[int], width: int) -> None:
        self.rows = list(root)
        self._parents: dict[int, Int[Tensor, " rows"]] = {}
        self._due: dict[int, Steering] = {}
        for layer in sorted({layer for one in prefixes for plan in one.acting for layer in plan.layers}):
            added = [_added(one, layer) for one in prefixes]
            number: dict[object, int] = {}
            now = [
                number.setdefault((row, own.content), len(number)) for row, own in zip(self.rows, added, strict=True)
            ]
            first = [now.index(row) for row in range(len(number))]
            if len(number) > len(set(self.rows)):
                self._parents[layer] = torch.tensor([self.rows[index] for index in first])
            self.rows = now  # rows are numbered as they first appear, so they keep their numbers where none is divided
            if any(own.plans for own in added):
                self._due[layer] = Steering([added[index].plans for index in first], torch.device("cpu"))
                self._due[layer].move(_padded([added[index].applied for index in first], width))

    def parents(self, layer: int) -> Int[Tensor, " rows"] | None:
        """For each row after a block, which row it was before; None when rows stay as they are."""
        return self._parents.get(layer)

    def add(self, layer: int, residual: Float[Tensor, "rows time d_model"]) -> Tensor | None:
        """A new residual stream; None when nothing is due there."""
        return self._due[layer].add(layer, residual) if layer in self._due else None


@dataclass(frozen=True, eq=False)
class _Added:
    """What is added to a prompt at one layer; `content` is equal where that is the same."""

    plans: tuple[SteeringPlan, ...]
    applied: Bool[Tensor, "plans time"]
    content: object


def _added(one: Prefix, layer: int) -> _Added:
    chosen = [index for index, plan in enumerate(one.acting) if layer in plan.layers]
    plans = []
    for plan in (one.acting[index] for index in chosen):
        place = plan.layers.index(layer)
        plans.append(SteeringPlan((layer,), plan.additions[place : place + 1], plan.at))
    applied = one.applied[chosen]
    content = tuple(plan.additions.numpy().tobytes() for plan in plans), applied.numpy().tobytes()
    return _Added(tuple(plans), applied, content)


def _padded(applied: Sequence[Bool[Tensor, "plans time"]], width: int) -> Bool[Tensor, "pairs width"]:
    """The mask for `Steering.move`, of prompts that are padded on the left."""
    return torch.cat([nn.functional.pad(own, (width - own.shape[1], 0)) for own in applied])
