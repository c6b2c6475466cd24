"""Linear layers whose weights are not trained: their product, and the gradient of what went into it.

A gradient of the weights is never computed. In float32 on a CPU both products use weights that oneDNN has laid out once
(`doxa.models.packed`), which about doubles them here; in bfloat16 torch uses oneDNN by itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from doxa.models.packed import Linear, linear_of


@dataclass(frozen=True, eq=False)
class Frozen:
    """A linear layer, or several on the same input as one.

    Attributes:
        product: From what goes in to what comes out.
        back: From the gradient of what came out to the gradient of what went in.
        out: Width of each layer's part of what comes out, in their order.
    """

    product: Linear
    back: Linear
    out: tuple[int, ...]


def frozen(layers: Sequence[nn.Linear], *, pack: bool) -> Frozen:
    """The frozen products of some layers that read the same input.

    Args:
        layers: In the order of their outputs.
        pack: Whether packed copies of the weights, one for each product, may be made.
    """
    weight, bias = _joined(layers)
    out = tuple(layer.out_features for layer in layers)
    if pack and weight.dtype == torch.float32 and weight.device.type == "cpu":
        product, back = _packed(weight, bias), _packed(weight.t(), None)
        if product is not None and back is not None:
            return Frozen(product, back, out)
    return Frozen(lambda inputs: nn.functional.linear(inputs, weight, bias), lambda gradient: gradient @ weight, out)


def _joined(layers: Sequence[nn.Linear]) -> tuple[Float[Tensor, "out into"], Float[Tensor, " out"] | None]:
    if len(layers) == 1:
        bias = layers[0].bias
        return layers[0].weight.detach(), None if bias is None else bias.detach()
    weight = torch.cat([layer.weight.detach() for layer in layers])
    if all(layer.bias is None for layer in layers):
        return weight, None
    parts = [weight.new_zeros(layer.out_features) if layer.bias is None else layer.bias for layer in layers]
    return weight, torch.cat([part.detach() for part in parts])


def _packed(weight: Float[Tensor, "out into"], bias: Float[Tensor, " out"] | None) -> Linear | None:
    whole = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    whole.weight = nn.Parameter(weight, requires_grad=False)
    if bias is not None:
        whole.bias = nn.Parameter(bias, requires_grad=False)
    return linear_of(whole)


def product(inputs: Float[Tensor, "rows into"], weight: Float[Tensor, "out into"]) -> Float[Tensor, "rows out"]:
    """`inputs @ weight.T` of a weight that changes with every step; by oneDNN where that is faster."""
    return _small()(inputs, weight)


def _usual(inputs: Tensor, weight: Tensor) -> Tensor:
    return inputs @ weight.t()


def _by_onednn(inputs: Tensor, weight: Tensor) -> Tensor:
    if inputs.dtype != torch.float32 or inputs.device.type != "cpu" or not inputs.numel():
        return inputs @ weight.t()
    operators: Any = torch.ops.mkldnn
    found: Tensor = operators._linear_pointwise(inputs, weight.contiguous().to_mkldnn(), None, "none", [], "")
    return found


_way: list[Callable[[Tensor, Tensor], Tensor]] = []


def _small() -> Callable[[Tensor, Tensor], Tensor]:
    """Which way small products take: torch's operators for oneDNN are not its public interface, so they are tried."""
    if not _way:
        with torch.no_grad():
            inputs, weight = torch.linspace(-1, 1, 12).view(3, 4), torch.linspace(-1, 2, 8).view(2, 4)
            try:
                same = torch.allclose(_by_onednn(inputs, weight), _usual(inputs, weight), rtol=1e-5, atol=1e-5)
            except (AttributeError, RuntimeError, TypeError, NotImplementedError):
                same = False
        _way.append(_by_onednn if same else _usual)
    return _way[0]
