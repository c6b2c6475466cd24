"""Linear layers that compute with packed weights: the same numbers up to rounding, in about half the time on a CPU.

A matrix kernel wants weights in blocks of its own shape. torch multiplies float32 matrices on a CPU by a library that
does not use the widest instructions of every processor; oneDNN, which is in torch too, does, once it has laid the
weights out anew (`benchmarks/packed_weights.py` measures both). The copies live beside the network, which stays as it
is: while a `packed` context is open, the linear layers compute with them.

Whether weights are packed depends on the machine and the model alone, never on what is free at the moment: the last
bits of results depend on it, and a run that goes on must compute as it did before.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel

from doxa.models.substitute import ALONE, substituted

SHARE = 0.25
"""Of the machine's memory: the most that packed copies may take."""

Linear = Callable[[Float[Tensor, "*batch into"]], Float[Tensor, "*batch out"]]
_State = tuple[tuple[int, int, int, int], ...]

_known: WeakKeyDictionary[PreTrainedModel, tuple[_State, Mapping[nn.Linear, Linear]]] = WeakKeyDictionary()


@contextmanager
def packed(network: PreTrainedModel) -> Iterator[None]:
    """Let a network's linear layers compute with packed weights, where that can be done, while the context is open.

    Layers that somebody has given a `forward` of their own, and numbers made in inference mode, are left as they are.
    """
    with ALONE:
        own = {module: linear for module, linear in copies(network).items() if "forward" not in vars(module)}
        with substituted(list(own), list(own.values())):
            yield


def copies(network: PreTrainedModel) -> Mapping[nn.Linear, Linear]:
    """The packed copies of a network's linear layers: the same object until a weight or a bias changes.

    Layers that cannot be packed are not among them; nothing is where copies would take too much memory.
    """
    modules = [module for module in network.modules() if type(module) is nn.Linear and _is_tracked(module)]
    if network.device.type != "cpu" or not affordable(modules):
        return {}
    state = tuple(_state(module) for module in modules)
    known = _known.get(network)
    if known is None or known[0] != state:  # a network that was adopted may be trained further
        made = {module: linear_of(module) for module in modules}
        known = _known[network] = (state, {module: own for module, own in made.items() if own is not None})
    return known[1]


def affordable(modules: Iterable[nn.Linear]) -> bool:
    """Whether packed copies of some layers take a part of the machine's memory that is theirs to take."""
    return sum(module.weight.nbytes for module in modules) <= SHARE * _memory()


def fused(modules: Sequence[nn.Linear]) -> Linear | None:
    """Several layers on the same input as one, with packed weights; None where that cannot be done."""
    biases = [module.bias for module in modules]
    if not all(_is_tracked(module) for module in modules) or len({bias is None for bias in biases}) > 1:
        return None
    weight = torch.cat([module.weight.detach() for module in modules])
    whole = nn.Linear(weight.shape[1], weight.shape[0], bias=biases[0] is not None, device="meta")
    whole.weight = nn.Parameter(weight, requires_grad=False)
    if biases[0] is not None:
        whole.bias = nn.Parameter(torch.cat([bias.detach() for bias in biases]), requires_grad=False)
    return linear_of(whole)


def _is_tracked(module: nn.Linear) -> bool:
    """Whether torch counts the changes of its numbers: it does not of those made in inference mode."""
    return not module.weight.is_inference() and (module.bias is None or not module.bias.is_inference())


def _state(module: nn.Linear) -> tuple[int, int, int, int]:
    weight, bias = module.weight, module.bias
    return weight._version, weight.data_ptr(), *((0, 0) if bias is None else (bias._version, bias.data_ptr()))


def _memory() -> int:
    """Bytes of memory that the machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def linear_of(module: nn.Linear) -> Linear | None:
    """A linear layer with packed weights; None where this torch, this processor or this layer cannot do that.

    The two operators are torch's own and not part of its public interface, so they are tried and compared with torch's
    usual product: without them everything is computed as usual.
    """
    operators: Any = torch.ops.mkldnn
    weight, bias = module.weight.detach(), None if module.bias is None else module.bias.detach()
    try:
        blocks = operators._reorder_linear_weight(weight.contiguous(), None)

        def linear(inputs: Tensor) -> Tensor:
            output: Tensor = operators._linear_pointwise(inputs, blocks, bias, "none", [], "")
            return output

        with torch.no_grad():
            inputs = torch.linspace(-1, 1, 2 * weight.shape[1], dtype=weight.dtype).reshape(1, 2, -1)
            expected, found = nn.functional.linear(inputs, weight, bias), linear(inputs)
        tolerance = 1e-4 if weight.dtype == torch.float32 else 2e-2
        close = torch.allclose(found, expected, rtol=tolerance, atol=tolerance * float(expected.abs().max()))
    except (AttributeError, RuntimeError, TypeError, NotImplementedError):
        return None
    return linear if found.shape == expected.shape and close else None
