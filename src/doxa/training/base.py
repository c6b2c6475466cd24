"""A copy of a network's modules of our own, on the weights that are there: the network itself is never changed.

The copy is made once for each network and dtype, with the products of its frozen layers.
"""

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from doxa.models.handle import Model
from doxa.models.packed import affordable
from doxa.models.passes import reader_of
from doxa.training.frozen import Frozen, frozen
from doxa.training.head_loss import Head
from doxa.words.errors import TrainingError


@dataclass(frozen=True, eq=False)
class Base:
    """A network that is trained on, without what is trained.

    Attributes:
        network: Modules of our own with the weights of the model, or, in another dtype, copies of them.
        layers: The linear layers of the decoder blocks by their paths, in the order of the network.
        head: From what is read to logits.
        whole: Logits are read from the whole network: decoder and head together are not all of it.
        pack: Whether packed copies of its weights are affordable.
        products: Frozen products that were made, by the paths of their layers.
    """

    network: PreTrainedModel
    layers: dict[str, nn.Linear]
    head: Head
    whole: bool
    pack: bool
    products: dict[tuple[str, ...], Frozen] = field(default_factory=dict)

    def product(self, paths: Iterable[str], *, pack: bool = True) -> Frozen:
        """The frozen products of the layers of some paths, which read the same input.

        Args:
            paths: Of the layers.
            pack: With packed weights where that is affordable; without, nothing is copied or kept.
        """
        key = tuple(paths)
        if not pack:
            return frozen([self.layers[path] for path in key], pack=False)
        if key not in self.products:
            self.products[key] = frozen([self.layers[path] for path in key], pack=self.pack)
        return self.products[key]


_State = tuple[tuple[int, int], ...]
_known: WeakKeyDictionary[PreTrainedModel, dict[torch.dtype, tuple[_State, Base]]] = WeakKeyDictionary()


def base_of(model: Model, dtype: torch.dtype) -> Base:
    """The base for training on a model in a dtype; made once, and again when a weight has changed.

    Raises:
        TrainingError: When there is no linear layer in its decoder blocks.
    """
    network = model.network
    state = tuple((parameter._version, parameter.data_ptr()) for parameter in network.parameters())
    of_network = _known.setdefault(network, {})
    if dtype not in of_network or of_network[dtype][0] != state:
        of_network[dtype] = (state, _made(model, dtype))
    return of_network[dtype][1]


def shared_copy(network: PreTrainedModel) -> PreTrainedModel:
    """Modules of their own on the same weights."""
    tensors = [*network.parameters(), *network.buffers()]
    return deepcopy(network, {id(tensor): tensor for tensor in tensors})


def _made(model: Model, dtype: torch.dtype) -> Base:
    reader = reader_of(model)
    known: dict[int, Tensor] = {id(buffer): buffer for buffer in model.network.buffers()}
    for parameter in model.network.parameters():
        cast = parameter.dtype == model.dtype != dtype
        own = parameter.detach().to(dtype) if cast else parameter.detach()
        known[id(parameter)] = nn.Parameter(own, requires_grad=False)
    network = deepcopy(model.network, known)
    places = {id(module): path for path, module in model.network.named_modules()}
    inner = [f"{places[id(block)]}." for block in model.blocks]
    layers = {
        path: module
        for path, module in network.named_modules()
        if type(module) is nn.Linear and any(path.startswith(start) for start in inner)
    }
    if not layers:
        raise TrainingError(
            f"{model.name} has no linear layers in its decoder blocks that a low-rank matrix could be added to",
            expected="torch.nn.Linear, as in Llama, Qwen, Gemma, Mistral and OLMo",
            way_out="Train on another model",
        )
    every: Any = [module for module in network.modules() if type(module) is nn.Linear]
    pack = dtype == torch.float32 and model.device.type == "cpu" and affordable([*every, *every])
    output = network.get_output_embeddings()  # type: ignore[no-untyped-call]
    if reader.decoder is None or type(output) is not nn.Linear:
        return Base(network, layers, Head(None, None, None), True, pack)
    of_head = frozen([output], pack=pack)
    return Base(network, layers, Head(of_head.product, of_head.back, reader.softcap), False, pack)
