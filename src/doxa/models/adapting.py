"""Adapters by row: what low-rank matrices add to the outputs of linear layers, for the rows of a batch that have them.

The layer itself computes all rows at once, as without adapters. Then the rows of each adapter are selected and its
product is added to them, adapter by adapter (`benchmarks/adapters_speed.py` measures that against one product for all):
rows without an adapter are bit-identical to a batch in which nobody has one.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float, Int
from torch import Tensor

from doxa.models.handle import Model
from doxa.models.low_rank import LowRank
from doxa.models.packed import copies
from doxa.models.substitute import ALONE, substituted
from doxa.words.errors import ModelError, TrainingError

Place: TypeAlias = tuple[tuple[str, int], ...]
"""Linear layers on the same input whose outputs stand side by side: the name and the width out of each."""
_Rows: TypeAlias = slice | Int[Tensor, " rows"]


@dataclass(frozen=True, eq=False)
class _Joined:
    """An adapter's matrices for the layers of a place, as products take them.

    Attributes:
        down: A of every layer that has one, side by side.
        ups: For each of them the columns of `down`, those of the output, and B with the scale in it.
    """

    down: Float[Tensor, "into ranks"]
    ups: tuple[tuple[slice, slice, Float[Tensor, "rank out"]], ...]


_joined: WeakKeyDictionary[LowRank, dict[tuple[Place, torch.device], _Joined | None]] = WeakKeyDictionary()


class Adapting:
    """The adapters of the rows of one batch.

    Attributes:
        rows: For each row its adapter; None where it has none.
    """

    rows: tuple[LowRank | None, ...]

    def __init__(self, rows: Sequence[LowRank | None]) -> None:
        self._assign(rows)

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with some rows only, in this order.

        Args:
            rows: Indices of the rows that stay, in terms of the present batch; an index may stand twice.
        """
        self._assign([self.rows[row] for row in rows])

    def add(
        self, place: Place, inputs: Float[Tensor, "rows time into"], output: Float[Tensor, "rows time out"]
    ) -> Float[Tensor, "rows time out"]:
        """What layers return with what adapters add there; the output is written in place.

        Products are made in float32, added in float32 and rounded once to the output's dtype, as PEFT does.
        """
        for adapter, rows in self._groups:
            joined = _joined_of(adapter, place, output.device)
            if joined is None:
                continue
            found = inputs[rows].reshape(-1, inputs.shape[-1]).float() @ joined.down
            own = output[rows]  # of rows side by side a view, and then `new` is one too, of float32
            new = own.reshape(len(found), -1).float()
            for ranks, columns, up in joined.ups:
                new[:, columns].addmm_(found[:, ranks], up)
            if not isinstance(rows, slice) or new.data_ptr() != own.data_ptr():
                output[rows] = new.to(output.dtype).view(own.shape)
        return output

    def _assign(self, rows: Sequence[LowRank | None]) -> None:
        self.rows = tuple(rows)
        members: dict[LowRank, list[int]] = {}
        for row, adapter in enumerate(rows):
            if adapter is not None:
                members.setdefault(adapter, []).append(row)
        self._groups: list[tuple[LowRank, _Rows]] = [(one, _side_by_side(own)) for one, own in members.items()]


def _side_by_side(rows: list[int]) -> _Rows:
    return slice(rows[0], rows[-1] + 1) if rows[-1] - rows[0] + 1 == len(rows) else torch.tensor(rows)


def _joined_of(adapter: LowRank, place: Place, device: torch.device) -> _Joined | None:
    """An adapter's matrices for a place; None where it adds nothing there."""
    known = _joined.setdefault(adapter, {})
    key = (place, device)
    if key not in known:
        known[key] = _join(adapter, place, device)
    return known[key]


def _join(adapter: LowRank, place: Place, device: torch.device) -> _Joined | None:
    downs, ups, rank, start = [], [], 0, 0
    for name, out in place:
        own = adapter.modules.get(name)
        if own is not None and bool(own.b.any()) and own.scale != 0:  # an addition of zero is no addition
            downs.append(own.a)
            up = (own.b * own.scale).T.contiguous().to(device)
            ups.append((slice(rank, rank + len(own.a)), slice(start, start + out), up))
            rank += len(own.a)
        start += out
    return _Joined(torch.cat(downs).T.contiguous().to(device), tuple(ups)) if downs else None


def adapting_of(rows: Sequence[LowRank | None]) -> Adapting | None:
    """The adapters of some rows; None where no row has one."""
    return Adapting(rows) if any(adapter is not None for adapter in rows) else None


def side_by_side(adapters: Sequence[LowRank | None]) -> list[int]:
    """Indices of rows, ordered so that those of an adapter stand side by side, those without one before all others."""
    number: dict[LowRank | None, int] = {None: 0}
    numbers = [number.setdefault(adapter, len(number)) for adapter in adapters]
    return sorted(range(len(adapters)), key=lambda row: numbers[row])


@contextmanager
def adapted(model: Model, rows: Sequence[LowRank | None]) -> Iterator[Adapting]:
    """Let a network's own forward pass compute with adapters while the context is open. The network stays as it is.

    Args:
        model: The model.
        rows: For each row of the batch its adapter; None leaves the row as it is.

    Yields:
        The adapters: call `keep` when rows leave.

    Raises:
        TrainingError: When an adapter is not this network's.
    """
    check_adapters(rows, model)
    state = Adapting(rows)
    names = sorted({name for adapter in rows if adapter is not None for name in adapter.modules})
    with ALONE:
        # Within `packed` a layer that has a `forward` is left alone, so the packed product is taken from here.
        products = copies(model.network) if names else {}
        modules = [model.network.get_submodule(name) for name in names]
        forwards: list[Callable[..., Any]] = []
        for name, module in zip(names, modules, strict=True):
            usual = vars(module).get("forward") or products.get(module, module.forward)  # type: ignore[call-overload]
            forwards.append(partial(_forward, state, name, usual))
        with substituted(modules, forwards):
            yield state


def _forward(state: Adapting, name: str, usual: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    if inputs.ndim != 3 or len(inputs) != len(state.rows):
        raise ModelError(
            f"{name} is given {list(inputs.shape)} for {len(state.rows)} rows: this network mixes rows before it",
            expected="[rows, tokens, width]",
            way_out="Merge the adapter into a model of its own with PEFT's `merge_and_unload`",
        )
    output = usual(inputs)
    return state.add(((name, output.shape[-1]),), inputs, output)


def check_adapters(rows: Sequence[LowRank | None], model: Model) -> None:
    """Check that adapters are of this model.

    Raises:
        TrainingError: When one was trained on another, or acts on a layer that is not there.
    """
    distinct = {adapter for adapter in rows if adapter is not None}
    if not distinct:
        return
    names = {name for name, _ in model.network.named_modules()}
    for adapter in distinct:
        if (adapter.base is not None and adapter.base != model.fingerprint) or not set(adapter.modules) <= names:
            raise TrainingError(
                f"an adapter of another model ({(adapter.base or adapter.digest)[:12]}) for {model.name}",
                way_out="Read it for this model, or use the model that it was trained on",
            )
