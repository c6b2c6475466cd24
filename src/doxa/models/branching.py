"""Attention in trees: a token sees itself and what stands before it on its own path, whatever stands beside it."""

from functools import lru_cache
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from doxa.models.handle import Model
from doxa.models.passes import Attention, new_cache

Parents: TypeAlias = tuple[int, ...]


@lru_cache(maxsize=256)  # every arm of a study reads the same trees
def sight(parents: Parents) -> Bool[Tensor, "time time"]:
    """Which tokens (columns) each token (rows) sees.

    Args:
        parents: For each token the place of the one before it; -1 for a first one. Parents stand before children.
    """
    seen = torch.eye(len(parents), dtype=torch.bool)
    for place, parent in enumerate(parents):
        if parent >= 0:
            seen[place] |= seen[parent]
    return seen


@lru_cache(maxsize=256)
def depths(parents: Parents) -> tuple[int, ...]:
    """The position of each token on its path, from 0."""
    found: list[int] = []
    for parent in parents:
        found.append(found[parent] + 1 if parent >= 0 else 0)
    return tuple(found)


def is_chain(parents: Parents) -> bool:
    """Whether every token follows the one beside it."""
    return parents == tuple(range(-1, len(parents) - 1))


def attention(model: Model, seen: Bool[Tensor, "rows time time"], positions: Int[Tensor, "rows time"]) -> Attention:
    """What a network takes as its attention mask, in which some may look back no further than their window.

    Args:
        model: The model.
        seen: Which tokens each token sees.
        positions: Position of each token on its path.
    """
    windows = _windows(model)
    masks = {window: _additive(model, _within(seen, positions, window)) for window in set(windows)}
    if len(masks) == 1:
        return masks[windows[0]]
    return {"full_attention" if window is None else "sliding_attention": mask for window, mask in masks.items()}


def attends_by_position(model: Model) -> bool:
    """Whether all that a token knows of others comes through attention (recurrent states cannot branch)."""
    return all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in new_cache(model).layers)


def _windows(model: Model) -> list[int | None]:
    """For each layer how far it looks back; None: without end. A cache without layers yet has none with windows."""
    layers = new_cache(model).layers
    return [one.sliding_window if isinstance(one, DynamicSlidingWindowLayer) else None for one in layers] or [None]


def _within(
    seen: Bool[Tensor, "rows time time"], positions: Int[Tensor, "rows time"], window: int | None
) -> Bool[Tensor, "rows time time"]:
    if window is None:
        return seen
    return seen & (positions[:, :, None] - positions[:, None, :] < window)


def _additive(model: Model, seen: Bool[Tensor, "rows time time"]) -> Float[Tensor, "rows 1 time time"]:
    mask = torch.zeros(seen.shape, dtype=model.dtype).masked_fill(~seen, torch.finfo(model.dtype).min)
    return mask[:, None].to(model.device)
