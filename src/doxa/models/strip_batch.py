"""Strips of many rows laid out for one forward pass: padded on the right, each with its positions and what it sees."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from doxa.models.branching import Parents, attention, depths, is_chain, sight
from doxa.models.handle import Model
from doxa.models.low_rank import LowRank
from doxa.models.passes import Attention
from doxa.models.steering import SteeringPlan


@dataclass(frozen=True, eq=False)
class Strip:
    """A row of a forward pass.

    Attributes:
        plans: What is added to the row.
        tokens: Its tokens.
        applied: Which of them each plan touches.
        parents: For each token the place of the one before it, where the row is a tree (`trees`); None: one after the
            other.
        low_rank: The adapter of the row.
    """

    plans: tuple[SteeringPlan, ...]
    tokens: tuple[int, ...]
    applied: Bool[Tensor, "plans time"]
    parents: Parents | None = None
    low_rank: LowRank | None = None


@dataclass(frozen=True, eq=False)
class StripBatch:
    """Rows of a forward pass.

    Attributes:
        tokens: Padded on the right.
        mask: False where a token is padding; or which tokens each token sees, where a row is a tree.
        positions: Position ids.
    """

    tokens: Int[Tensor, "rows time"]
    mask: Bool[Tensor, "rows time"] | Bool[Tensor, "rows time time"]
    positions: Int[Tensor, "rows time"]

    def rows(self, chosen: Sequence[int]) -> "StripBatch":
        """Some of the rows."""
        index = list(chosen)
        return StripBatch(self.tokens[index], self.mask[index], self.positions[index])

    def attention(self, model: Model) -> Tensor | Attention:
        """What a network takes as its attention mask."""
        return self.mask if self.mask.ndim == 2 else attention(model, self.mask, self.positions)

    def sight(self) -> Bool[Tensor, "rows time time"] | None:
        """Which tokens each token sees; None: all before it. Padding stands behind, so no token sees it but padding."""
        return self.mask if self.mask.ndim == 3 else None


def padded(model: Model, strips: Sequence[Strip]) -> StripBatch:
    """Lay strips out as rows of a batch on the model's device."""
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
    return StripBatch(tokens.to(device), mask.to(device), positions.to(device))


def applied(strips: Sequence[Strip], batch: StripBatch) -> Bool[Tensor, "pairs time"]:
    """Which positions each plan of each row touches: the mask for `Steering.move`."""
    width = batch.tokens.shape[1]
    return torch.cat([nn.functional.pad(one.applied, (0, width - one.applied.shape[1])) for one in strips])
