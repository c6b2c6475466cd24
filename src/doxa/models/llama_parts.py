"""Whether a network is built as Llama is, and its parts.

Nothing is known by the name of an architecture: a block has the modules of Llama's (Qwen 2 and 3, Mistral and OLMo have
them too), and a few tokens are run both ways before the parts are believed (`decoding.short_way`).
"""

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from doxa.models.handle import Model
from doxa.models.llama_like import Block, LlamaLike, Module, Product
from doxa.models.packed import Linear, affordable, copies, fused
from doxa.models.substitute import ALONE

_known: WeakKeyDictionary[PreTrainedModel, tuple[Mapping[nn.Linear, Linear], LlamaLike | None]] = WeakKeyDictionary()


def llama_like(model: Model) -> LlamaLike | None:
    """The parts of a model's network; None where it is built otherwise, or somebody has hooks or a `forward` in it.

    That the parts compute what the network computes is not known yet: `doxa.models.decoding` tries it.
    """
    with ALONE:
        network = model.network
        packed = copies(network)
        if not packed or any(_is_touched(module) for module in network.modules()):
            return None
        known = _known.get(network)
        if known is None or known[0] is not packed:
            try:
                parts = _parts(model, packed)
            except (KeyError, AttributeError):
                parts = None
            known = _known[network] = (packed, parts)
        return known[1]


def _is_touched(module: nn.Module) -> bool:
    return "forward" in vars(module) or bool(module._forward_hooks) or bool(module._forward_pre_hooks)


_BLOCK = {"self_attn", "mlp", "input_layernorm", "post_attention_layernorm"}
_ATTENTION = ({"q_proj", "k_proj", "v_proj", "o_proj"}, {"q_proj", "k_proj", "v_proj", "o_proj", "q_norm", "k_norm"})
_MLP = {"gate_proj", "up_proj", "down_proj", "act_fn"}


def _parts(model: Model, packed: Mapping[nn.Linear, Linear]) -> LlamaLike | None:
    """The parts, by the names that Llama has them under.

    Raises:
        KeyError: When a part is missing or a layer cannot be packed.
        AttributeError: Likewise.
    """
    network: Any = model.network
    config = network.config.to_dict()
    windows = set(config.get("layer_types") or ["full_attention"]) | {config.get("sliding_window") and "sliding_window"}
    decoder, head = network.get_decoder(), network.get_output_embeddings()
    outer = {name for name, _ in decoder.named_children()}
    if windows - {"full_attention", None} or outer != {"embed_tokens", "layers", "norm", "rotary_emb"}:
        return None
    own = [_attention_and_mlp(block) for block in model.blocks]
    joined = [layer for of_block in own for layers in of_block for layer in layers]
    # A layer of another class (an adapter around it, say) has a weight too, and computes more than its product.
    if not all(layer in packed for layer in joined) or not affordable([*packed, *joined]):
        return None
    name_of = {module: name for name, module in network.named_modules()}

    def product(linear: Linear, *layers: nn.Linear) -> Product:
        return Product(linear, tuple((name_of[layer], layer.out_features) for layer in layers))

    blocks = []
    for block, (attention, gate_up) in zip(model.blocks, own, strict=True):
        part: Any = block
        query_key_value, both = fused(attention), fused(gate_up)
        if query_key_value is None or both is None:
            return None
        norms = dict(part.self_attn.named_children())
        blocks.append(
            Block(
                before_attention=_norm(part.input_layernorm),
                query_key_value=product(query_key_value, *attention),
                query_norm=norms.get("q_norm"),
                key_norm=norms.get("k_norm"),
                scale=float(part.self_attn.scaling),
                output=product(packed[part.self_attn.o_proj], part.self_attn.o_proj),
                before_mlp=_norm(part.post_attention_layernorm),
                gate_up=product(both, *gate_up),
                activation=part.mlp.act_fn,
                down=product(packed[part.mlp.down_proj], part.mlp.down_proj),
            )
        )
    first: Any = model.blocks[0]
    width = int(first.self_attn.head_dim)
    return LlamaLike(
        embedding=decoder.embed_tokens,
        rotary=decoder.rotary_emb,
        blocks=tuple(blocks),
        norm=_norm(decoder.norm),
        head=packed[head],
        heads=own[0][0][0].out_features // width,
        key_heads=own[0][0][1].out_features // width,
    )


def _attention_and_mlp(block: Any) -> tuple[tuple[nn.Linear, ...], tuple[nn.Linear, ...]]:
    """The layers of a block that are joined: queries, keys and values; gate and up.

    Raises:
        AttributeError: When the block has other modules than a block of Llama's.
    """
    children = {name for name, _ in block.named_children()}
    attention = {name for name, _ in block.self_attn.named_children()}
    if children != _BLOCK or attention not in _ATTENTION or {name for name, _ in block.mlp.named_children()} != _MLP:
        raise AttributeError(f"{type(block).__name__} is another kind of block")
    return (
        (block.self_attn.q_proj, block.self_attn.k_proj, block.self_attn.v_proj),
        (block.mlp.gate_proj, block.mlp.up_proj),
    )


def _norm(module: nn.Module) -> Module:
    """A norm in one operation where the module computes what torch's `rms_norm` does; else the module."""
    weight, epsilon = dict(module.named_parameters()).get("weight"), vars(module).get("variance_epsilon")
    if weight is None or not isinstance(epsilon, float) or weight.ndim != 1:
        return module

    def norm(inputs: Tensor) -> Tensor:
        return torch.rms_norm(inputs, weight.shape, weight, epsilon)

    with torch.no_grad():
        inputs = torch.linspace(-1, 2, 2 * len(weight), dtype=weight.dtype).view(2, -1)
        expected, found = module(inputs), norm(inputs)
    tolerance = 4 * torch.finfo(weight.dtype).eps
    return norm if torch.allclose(found, expected, rtol=tolerance, atol=tolerance) else module
