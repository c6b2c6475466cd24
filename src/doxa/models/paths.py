"""Texts to be run under plans, laid out as rows of forward passes: those of an arm as trees."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Bool
from torch import Tensor

from doxa.models.chat import Rendered
from doxa.models.handle import Model
from doxa.models.low_rank import LowRank
from doxa.models.steering import SteeringPlan, touched
from doxa.models.strips import Strip, branches
from doxa.models.tokens import Role
from doxa.models.trees import Tree, trees, widest

Plans: TypeAlias = tuple[SteeringPlan, ...]
Cell: TypeAlias = tuple[int, Role, bool]
"""A token, whose it is, and whether the model wrote it: all that decides what it does, given what stands before."""


@dataclass(frozen=True, eq=False)
class Path:
    """A text that is run under plans, and perhaps an adapter."""

    plans: Plans
    cells: tuple[Cell, ...]
    low_rank: LowRank | None = None


@dataclass(frozen=True, eq=False)
class Batch:
    """Rows of a forward pass, and where to find texts in it.

    Attributes:
        strips: The rows.
        paths: For each text that is in them its index, its row, and the places of its cells in that row.
    """

    strips: tuple[Strip, ...]
    paths: tuple[tuple[int, int, tuple[int, ...]], ...]


def cells_of(rendered: Rendered, generated: int | None = None) -> tuple[Cell, ...]:
    """The cells of a rendered text; from position `generated` on the model wrote them (None: nowhere)."""
    first = len(rendered.tokens) if generated is None else generated
    return tuple(
        (token, role, at >= first) for at, (token, role) in enumerate(zip(rendered.tokens, rendered.roles, strict=True))
    )


def applied(plans: Plans, cells: Sequence[Cell]) -> Bool[Tensor, "plans cells"]:
    """Which cells each plan touches."""
    kinds = dict.fromkeys(cell[1:] for cell in cells)
    rows = []
    for plan in plans:
        which = {kind: touched(plan, *kind) for kind in kinds}
        rows.append([which[cell[1:]] for cell in cells])
    return torch.tensor(rows, dtype=torch.bool).view(len(plans), len(cells))


def batches(model: Model, paths: Sequence[Path], batch_tokens: int) -> Iterator[Batch]:
    """Lay texts out; every one stands in exactly one batch.

    Args:
        model: The model that will run them: trees are for those that read trees.
        paths: The texts.
        batch_tokens: Tokens of one forward pass at most, padding included (one row may be longer).
    """
    rows: list[_Row] = []
    for row in _rows(model, paths):
        if rows and (len(rows) + 1) * max(len(one.tree.cells) for one in [*rows, row]) > batch_tokens:
            yield _batch(rows)
            rows = []
        rows.append(row)
    if rows:
        yield _batch(rows)


@dataclass(frozen=True, eq=False)
class _Row:
    plans: Plans
    low_rank: LowRank | None
    tree: Tree
    own: Sequence[int]  # for each text of the tree its index among all


def _rows(model: Model, paths: Sequence[Path]) -> Iterator[_Row]:
    arms: dict[tuple[Plans, LowRank | None], list[int]] = {}
    for index, path in enumerate(paths):
        arms.setdefault((path.plans, path.low_rank), []).append(index)
    adapters = list(dict.fromkeys(path.low_rank for path in paths))
    longest = max((len(path.cells) for path in paths), default=0)
    branching = branches(model, widest(longest))
    # Arms that are steered from about the same block on share what is below it.

    def first(arm: tuple[Plans, LowRank | None]) -> tuple[int, int]:
        plans, low_rank = arm
        return min((plan.layers[0] for plan in plans if plan.layers), default=0), adapters.index(low_rank)

    for (plans, low_rank), own in sorted(arms.items(), key=lambda arm: first(arm[0])):
        grown = trees(tuple(paths[index].cells for index in own), branching=branching)
        yield from (_Row(plans, low_rank, tree, own) for tree in sorted(grown, key=lambda tree: -len(tree.cells)))


def _batch(rows: Sequence[_Row]) -> Batch:
    strips = []
    for row in rows:
        cells: tuple[Cell, ...] = row.tree.cells
        tokens = tuple(token for token, _, _ in cells)
        strips.append(Strip(row.plans, tokens, applied(row.plans, cells), row.tree.parents, row.low_rank))
    paths = [(row.own[number], at, places) for at, row in enumerate(rows) for number, places in row.tree.paths.items()]
    return Batch(tuple(strips), tuple(paths))
