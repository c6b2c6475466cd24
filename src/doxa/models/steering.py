"""Adding to the residual stream by row and position, and reading it back: the only file with hooks.

Hooks live inside a context and select what they touch: rows and positions that no plan touches are bit-identical to a
run without hooks. (Multiplying an addition by zero would not do: 0 * inf is NaN, x + 0.0 loses the sign of -0.0, and a
float32 addition would promote a bfloat16 residual.) Hooks belong to the network, so one thread at a time runs it; the
others wait.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from doxa.models.blocks import Output, residual_of, with_residual
from doxa.models.chat import Role
from doxa.models.handle import Model
from doxa.models.substitute import ALONE
from doxa.words.errors import VectorError
from doxa.words.interventions import Where


@dataclass(frozen=True, eq=False)
class SteeringPlan:
    """What is added to the residual stream of a row, and at which of its tokens.

    Attributes:
        layers: Indices of the decoder blocks at whose output something is added, ascending.
        additions: What is added at each of them: float32, on the CPU, already scaled.
        at: The tokens that are touched; a token that any of these names covers is touched.

    Raises:
        VectorError: When an addition is not finite.
    """

    layers: tuple[int, ...]
    additions: Float[Tensor, "steered d_model"]
    at: frozenset[Where]

    @cached_property
    def content(self) -> object:
        """Equal for plans that add the same to the same tokens."""
        return self.layers, self.additions.numpy().tobytes(), self.at

    def __post_init__(self) -> None:
        assert self.additions.ndim == 2, "additions must be [steered, d_model]"
        assert len(self.additions) == len(self.layers), "one addition per layer"
        assert self.additions.dtype == torch.float32, "additions must be float32"
        assert self.additions.device.type == "cpu", "additions must be on the CPU"
        assert list(self.layers) == sorted(set(self.layers)), "layers must ascend"
        for layer, addition in zip(self.layers, self.additions, strict=True):
            if not bool(torch.isfinite(addition).all()):
                raise VectorError(
                    f"the addition at layer {layer} holds NaN or infinity",
                    expected="finite numbers",
                    way_out="Lower the strength, or make the vector again",
                )


def touched(plan: SteeringPlan, role: Role, generated: bool) -> bool:
    """Whether a plan touches a token.

    Args:
        plan: The plan.
        role: Whose token it is. `thinking` is not part of `assistant`; tokens of the `template` belong to nobody and
            are touched by `all`, `prompt` and `generated` only.
        generated: Whether the model wrote it in this generation (otherwise it stood in the prompt).

    Returns:
        True when any of `plan.at` covers the token.
    """
    return "all" in plan.at or ("generated" if generated else "prompt") in plan.at or role in plan.at


@dataclass(frozen=True, eq=False)
class _Cells:
    """The cells (row, position) of one forward pass that a group of layers touches.

    Attributes:
        cells: Their indices in [batch * time], ascending; None when every cell is touched.
        plans: For each cell the numbers of the plans whose additions are summed there; padded with the number of none.
    """

    cells: Int[Tensor, " cells"] | None
    plans: Int[Tensor, "depth cells"]


class _Group:
    """Layers that the same (row, plan) pairs touch; they share the work of finding cells."""

    def __init__(self, members: Sequence[int], rows: Sequence[int], numbers: Sequence[int]) -> None:
        self.members = torch.tensor(members)
        self.rows = torch.tensor([rows[member] for member in members])
        self.numbers = torch.tensor([numbers[member] for member in members])

    def cells(self, mask: Bool[Tensor, "pairs time"], batch: int, none: int, device: torch.device) -> _Cells | None:
        """The cells that the group touches under a mask over all pairs; None when there are none."""
        time = mask.shape[1]
        member, position = mask[self.members].nonzero(as_tuple=True)
        if len(member) == 0:
            return None
        cell, order = (self.rows[member] * time + position).sort(stable=True)
        number = self.numbers[member][order]
        first = torch.ones(len(cell), dtype=torch.bool)
        first[1:] = cell[1:] != cell[:-1]
        column = first.cumsum(0) - 1
        depth = torch.arange(len(cell)) - first.nonzero()[:, 0][column]
        cell = cell[first]
        plans = torch.full((int(depth.max()) + 1, len(cell)), none)
        plans[depth, column] = number
        whole = len(cell) == batch * time
        return _Cells(None if whole else cell.to(device), plans.to(device))


class Steering:
    """The state of the hooks for one batch of rows.

    Call `move` before every forward pass, with as many rows and positions as that pass has; `keep` when rows leave.

    Attributes:
        plans: The plans of each row; () where a row is untouched.
        pairs: The (row, plan) pairs, in the order of the rows of `move`'s mask.
    """

    plans: tuple[tuple[SteeringPlan, ...], ...]
    pairs: tuple[tuple[int, SteeringPlan], ...]

    def __init__(self, plans: Sequence[tuple[SteeringPlan, ...]], device: torch.device) -> None:
        self._device = device
        distinct = list(dict.fromkeys(plan for own in plans for plan in own))
        self._number = {plan: number for number, plan in enumerate(distinct)}
        # An addition of zero is no addition: strength 0 equals no hook, bit for bit.
        self._layers = {
            plan: tuple(layer for layer, some in zip(plan.layers, plan.additions.any(1).tolist(), strict=True) if some)
            for plan in distinct
        }
        self._banks = {layer: self._bank(layer) for layer in {layer for own in self._layers.values() for layer in own}}
        self._assign(plans)

    def _bank(self, layer: int) -> Float[Tensor, "plans_and_none d_model"]:
        """Every plan's addition at a layer, and zero in the end."""
        width = next(iter(self._number)).additions.shape[1]
        bank = torch.zeros(len(self._number) + 1, width)
        for plan, number in self._number.items():
            if layer in self._layers[plan]:
                bank[number] = plan.additions[plan.layers.index(layer)]
        return bank.to(self._device)

    def _assign(self, plans: Sequence[tuple[SteeringPlan, ...]]) -> None:
        self.plans = tuple(plans)
        self.pairs = tuple((row, plan) for row, own in enumerate(plans) for plan in own)
        rows = [row for row, _ in self.pairs]
        numbers = [self._number[plan] for _, plan in self.pairs]
        members: dict[int, list[int]] = {}
        for index, (_, plan) in enumerate(self.pairs):
            for layer in self._layers[plan]:
                members.setdefault(layer, []).append(index)
        groups = {own: _Group(own, rows, numbers) for own in {tuple(own) for own in members.values()}}
        self._group_of = {layer: groups[tuple(own)] for layer, own in members.items()}
        self._mask: Tensor | None = None
        self._cells: dict[_Group, _Cells | None] = {}
        self._due: dict[int, Tensor] = {}
        self._waiting: set[int] = set()

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers at which anything may be added, ascending: those that have a hook."""
        return tuple(sorted(self._banks))

    def move(self, mask: Bool[Tensor, "pairs time"]) -> None:
        """Say which positions of the next forward pass each (row, plan) pair touches.

        Args:
            mask: On the CPU; `mask[p, t]` is whether the plan of `pairs[p]` is added at position t of its row. One
                column for each position of the next forward pass (1 while decoding with a cache).
        """
        assert mask.dtype == torch.bool, f"the mask is {mask.dtype}, not boolean"
        assert mask.device.type == "cpu", "the mask must be on the CPU"
        assert mask.ndim == 2, "the mask must be [pairs, time]"
        assert len(mask) == len(self.pairs), f"the mask has {len(mask)} rows for {len(self.pairs)} pairs"
        self._waiting = set(self._banks)
        if self._mask is not None and torch.equal(self._mask, mask):
            return  # while decoding the mask rarely changes
        self._mask = mask.clone()
        self._due = {}
        none = len(self._number)
        self._cells = {
            group: group.cells(mask, len(self.plans), none, self._device) for group in set(self._group_of.values())
        }

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with some rows only, in this order.

        Args:
            rows: Indices of the rows that stay, in terms of the present batch; an index may stand twice.
        """
        self._assign([self.plans[row] for row in rows])

    def add(self, layer: int, residual: Float[Tensor, "batch time d_model"]) -> Tensor | None:
        """A new residual stream with what is due at a layer in this forward pass; None when nothing is.

        Additions of several plans are summed in float32, rounded to the residual's dtype and added once.
        """
        assert layer in self._waiting, "Steering.move must be called before each forward pass"
        self._waiting.remove(layer)
        assert self._mask is not None
        due = (len(self.plans), self._mask.shape[1])
        assert residual.shape[:2] == due, (
            f"steering was moved to [batch, time] = {due}, not {tuple(residual.shape[:2])}"
        )
        at = self._cells[self._group_of[layer]] if layer in self._group_of else None
        if at is None:
            return None
        addition = self._due.get(layer)
        if addition is None or addition.dtype != residual.dtype:
            addition = self._sum(layer, at).to(residual.dtype)
            if self._mask.shape[1] == 1:  # while decoding the same is added again and again
                self._due[layer] = addition
        flat = residual.reshape(-1, residual.shape[-1])
        if at.cells is None:
            return (flat + addition).view(residual.shape)
        return flat.index_copy(0, at.cells, flat[at.cells] + addition).view(residual.shape)

    def _sum(self, layer: int, at: _Cells) -> Float[Tensor, "cells d_model"]:
        bank = self._banks[layer]
        addition = bank[at.plans[0]]
        for further in at.plans[1:]:
            addition = addition + bank[further]
        return addition


@contextmanager
def steering(model: Model, plans: Sequence[tuple[SteeringPlan, ...]]) -> Iterator[Steering]:
    """Steer a batch of rows while the context is open; the network is as it was afterwards, also after an exception.

    Args:
        model: The model.
        plans: For each row of the batch its plans; () leaves the row untouched.

    Yields:
        The state of the hooks: call its `move` before each forward pass.

    Raises:
        VectorError: When a plan has another width or a layer that the model does not have.
    """
    check_fits(plans, model)
    state = Steering(plans, model.device)

    def hook(layer: int) -> Callable[[nn.Module, tuple[Any, ...], Output], Output | None]:
        def add(module: nn.Module, args: tuple[Any, ...], output: Output) -> Output | None:
            new = state.add(layer, residual_of(output))
            return None if new is None else with_residual(output, new)

        return add

    with ALONE, ExitStack() as stack:
        for layer in state.layers:
            stack.callback(model.blocks[layer].register_forward_hook(hook(layer)).remove)
        yield state


@contextmanager
def reading(model: Model, layers: Sequence[int]) -> Iterator[Mapping[int, Tensor]]:
    """Read the residual stream at the output of decoder blocks; entered inside `steering`, after its additions.

    Args:
        model: The model.
        layers: Which decoder blocks.

    Yields:
        After each forward pass, by layer: the residual stream [batch, time, d_model] in the model's dtype and on its
        device, a copy.

    Raises:
        VectorError: When the model does not have a layer.
    """
    check_layers(layers, model)
    residuals: dict[int, Tensor] = {}

    def hook(layer: int) -> Callable[[nn.Module, tuple[Any, ...], Output], None]:
        def read(module: nn.Module, args: tuple[Any, ...], output: Output) -> None:
            residuals[layer] = residual_of(output).detach().clone()

        return read

    with ALONE, ExitStack() as stack:
        for layer in layers:
            stack.callback(model.blocks[layer].register_forward_hook(hook(layer)).remove)
        yield residuals


def check_layers(layers: Sequence[int], model: Model) -> None:
    """Check that a model has some layers.

    Raises:
        VectorError: When it does not.
    """
    for layer in layers:
        if not 0 <= layer < model.n_layers:
            raise VectorError(
                f"layer {layer} of {model.name}, which has {model.n_layers} layers",
                expected=f"a layer from 0 to {model.n_layers - 1}",
                way_out="Choose a layer that the model has",
            )


def check_fits(plans: Sequence[tuple[SteeringPlan, ...]], model: Model) -> None:
    """Check that the plans of some rows can be carried out on a model.

    Raises:
        VectorError: When one has another width or a layer that the model does not have.
    """
    for plan in {plan for own in plans for plan in own}:
        check_layers(plan.layers, model)
        width = plan.additions.shape[1]
        if width != model.d_model:
            raise VectorError(
                f"a vector of width {width} for {model.name}, whose residual stream has width {model.d_model}",
                way_out="Use a vector taken from this model, or from one that it was tuned from",
            )
