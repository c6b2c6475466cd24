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
        norms: For each of them the L2 norm of what was added there: of the sum, where several plans met at a token, and
            the largest, where tokens were given different things.
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
        self._met: set[tuple[bool, ...]] = set()  # which plans acted together at some token
        self._touched = 0

    def note(self, applied: Bool[Tensor, "plans time"]) -> None:
        """Note the row's part of the mask of a forward pass."""
        real = applied & self._adds[:, None]
        touched = real.any(0)
        count = int(touched.sum())
        if count:
            self._touched += count
            self._met.update(map(tuple, real[:, touched].T.tolist()))

    def receipt(self) -> Receipt:
        """What was added until now."""
        return Receipt(*_norms(self._plans, frozenset(self._met)), self._touched)


@lru_cache(maxsize=64)  # the many rows of an arm have the same plans
def _norms(
    plans: tuple[SteeringPlan, ...], met: frozenset[tuple[bool, ...]]
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Layers at which plans add something, and the largest L2 norm of what those that met there add together."""
    largest: dict[int, float] = {}
    for acted in met:
        sums: dict[int, Tensor] = {}
        for plan in (plan for plan, own in zip(plans, acted, strict=True) if own):
            for layer, addition in zip(plan.layers, plan.additions, strict=True):
                if bool(addition.any()):
                    sums[layer] = sums.get(layer, 0) + addition.double()
        for layer, total in sums.items():
            largest[layer] = max(largest.get(layer, 0.0), float(total.norm()))
    layers = tuple(sorted(largest))
    return layers, tuple(largest[layer] for layer in layers)
