"""What steering really added to a row: counted from the masks that were applied."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Bool
from torch import Tensor

from doxa.models.steering import SteeringPlan, touched
from doxa.models.tokens import Role


@dataclass(frozen=True)
class Receipt:
    """What was really added to the residual stream of a row.

    Attributes:
        layers: The decoder blocks at whose output something was added, ascending.
        norms: For each of them the L2 norm of what was added there: of the sum, where several plans were applied.
        tokens_touched: Positions at which something was added at one layer at least.
    """

    layers: tuple[int, ...] = ()
    norms: tuple[float, ...] = ()
    tokens_touched: int = 0


def prompt_mask(plans: Sequence[SteeringPlan], roles: Sequence[Role]) -> Bool[Tensor, "plans time"]:
    """Which tokens of a prompt each plan touches."""
    rows = []
    for plan in plans:
        which = {role: touched(plan, role, False) for role in dict.fromkeys(roles)}
        rows.append([which[role] for role in roles])
    return torch.tensor(rows, dtype=torch.bool).view(len(plans), len(roles))


class Tally:
    """Counts, for one row, what is added to it while forward passes go by."""

    def __init__(self, plans: Sequence[SteeringPlan]) -> None:
        self._plans = tuple(plans)
        self._adds = torch.tensor([bool(plan.additions.any()) for plan in plans], dtype=torch.bool)
        self._used = torch.zeros(len(self._plans), dtype=torch.bool)
        self._touched = 0

    def note(self, applied: Bool[Tensor, "plans time"]) -> None:
        """Note the row's part of the mask of a forward pass."""
        real = applied & self._adds[:, None]
        self._used |= real.any(1)
        self._touched += int(real.any(0).sum())

    def receipt(self) -> Receipt:
        """What was added until now."""
        used = tuple(plan for plan, was in zip(self._plans, self._used.tolist(), strict=True) if was)
        return Receipt(*_norms(used), self._touched)


@lru_cache(maxsize=64)  # the many rows of an arm have the same plans
def _norms(used: tuple[SteeringPlan, ...]) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Layers at which some plans add something, and the L2 norm of what they add there together."""
    sums: dict[int, Tensor] = {}
    for plan in used:
        for layer, addition in zip(plan.layers, plan.additions, strict=True):
            if bool(addition.any()):
                sums[layer] = sums.get(layer, 0) + addition.double()
    layers = tuple(sorted(sums))
    return layers, tuple(float(sums[layer].norm()) for layer in layers)
