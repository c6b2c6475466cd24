"""A linear layer with a low-rank addition that is trained: y = W x + (alpha / rank) B A x.

Hu et al. 2021, with the numbers of PEFT: A is drawn as Kaiming's uniform distribution with a = sqrt(5), B begins as 0,
and both are float32 whatever the dtype of W. Layers that read the same input (queries, keys, values) are one product.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from doxa.training.frozen import Frozen, product
from doxa.words.store import stream_seed


class LowRankPair(nn.Module):
    """The trained matrices of one linear layer.

    Attributes:
        down: A, float32.
        up: B, float32.
    """

    down: Float[Tensor, "rank into"]
    up: Float[Tensor, "out rank"]

    def __init__(self, into: int, out: int, rank: int, device: torch.device) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.zeros(rank, into, device=device))
        self.up = nn.Parameter(torch.zeros(out, rank, device=device))


def initialise(pair: LowRankPair, seed: int, name: str) -> None:
    """Draw A as PEFT does and set B to 0.

    Args:
        pair: Is changed.
        seed: Of the training run.
        name: Of the layer: every layer has a stream of its own.
    """
    generator = torch.Generator().manual_seed(stream_seed("lora_A", seed, name))
    drawn = torch.empty(pair.down.shape)
    nn.init.kaiming_uniform_(drawn, a=math.sqrt(5), generator=generator)
    with torch.no_grad():
        pair.down.copy_(drawn)
        pair.up.zero_()


class TunedLinear(nn.Module):
    """Layers on the same input with their low-rank additions; their outputs stand side by side.

    Args:
        products: Of the frozen layers.
        pairs: One for each layer.
        scale: alpha / rank.
    """

    def __init__(self, products: Frozen, pairs: Sequence[LowRankPair], scale: float) -> None:
        super().__init__()
        self.pairs = nn.ModuleList(pairs)
        self._products, self._scale = products, scale

    def forward(self, inputs: Float[Tensor, "*batch into"]) -> Float[Tensor, "*batch out"]:
        """The product."""
        matrices = [matrix for pair in self.pairs for matrix in (pair.down, pair.up)]
        found: Tensor = _Product.apply(inputs, self._products, self._scale, *matrices)  # type: ignore[no-untyped-call]
        return found


class _Product(torch.autograd.Function):
    """y = W x + scale * B A x for layers that read the same x, with gradients of x, A and B alone."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, products: Frozen, scale: float, *matrices: Tensor) -> Tensor:
        downs, ups = matrices[::2], matrices[1::2]
        flat = inputs.reshape(-1, inputs.shape[-1])
        down = downs[0] if len(downs) == 1 else torch.cat(downs)
        inner = product(flat.float(), down)
        output = products.product(flat)
        parts = torch.split(output, list(products.out), 1)
        inners = torch.split(inner, [len(one) for one in downs], 1)
        for part, own, up in zip(parts, inners, ups, strict=True):
            part.add_(product(own, up), alpha=scale)
        ctx.save_for_backward(flat, inner, *matrices)
        ctx.products, ctx.scale, ctx.shape = products, scale, inputs.shape
        return output.view(*inputs.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        flat, inner, *matrices = ctx.saved_tensors
        downs, ups = matrices[::2], matrices[1::2]
        gradient = gradient.reshape(len(flat), -1)
        parts = [part.float() for part in torch.split(gradient, list(ctx.products.out), 1)]
        ranks = [len(one) for one in downs]
        through = torch.cat([product(part, up.t()) for part, up in zip(parts, ups, strict=True)], 1).mul_(ctx.scale)
        of_downs = torch.split(through.t() @ flat.float(), ranks)
        of_ups = [part.t() @ own for part, own in zip(parts, torch.split(inner, ranks, 1), strict=True)]
        of_inputs = None
        if ctx.needs_input_grad[0]:
            of_inputs = ctx.products.back(gradient)
            of_inputs = of_inputs.add_(product(through, torch.cat(downs).t())).view(ctx.shape)
        interleaved = [each for down, up in zip(of_downs, of_ups, strict=True) for each in (down, up.mul_(ctx.scale))]
        return of_inputs, None, None, *interleaved
