"""One more token for every row, by a forward pass of our own, where a network is built as Llama is.

While texts are written a forward pass is a token a row, and much of its time goes into a thousand small operations and
small products. Here queries, keys and values are one product, gate and up are one, keys and values stand in a store
that is written in place, and the heads that share keys are asked together, so that keys are never copied.

Nothing is known by the name of an architecture: a block has the modules of Llama's (Qwen 2 and 3, Mistral and OLMo have
them too), and a few tokens are written both ways before this way is believed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedModel

from doxa.models.handle import Model
from doxa.models.packed import Linear, affordable, copies, fused
from doxa.models.substitute import ALONE

_GROWTH = 64  # positions by which a store is enlarged

Module = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class _Block:
    """The parts of a decoder block. `query_norm` and `key_norm` are Qwen 3's, on each head."""

    before_attention: Module
    query_key_value: Linear
    query_norm: Module | None
    key_norm: Module | None
    scale: float
    output: Linear
    before_mlp: Module
    gate_up: Linear
    activation: Module
    down: Linear


class Additions(Protocol):
    """What is added to the residual stream: `doxa.models.steering.Steering`, moved to this step."""

    @property
    def layers(self) -> tuple[int, ...]:
        """The blocks after which anything may be added."""

    def add(self, layer: int, residual: Float[Tensor, "batch time d_model"]) -> Tensor | None:
        """A new residual stream; None when nothing is due there."""


class Store:
    """Keys and values of the tokens so far, for every block: what a step reads and writes.

    Attributes:
        keys: For every block, [rows, key heads, room, width of a head].
        values: Likewise.
        length: Positions that are taken.
    """

    def __init__(self, cache: DynamicCache) -> None:
        """Begin with what the prompts have left in a cache."""
        self.length = int(cache.get_seq_length())
        layers: Sequence[Any] = cache.layers
        self.keys = [_with_room(layer.keys) for layer in layers]
        self.values = [_with_room(layer.values) for layer in layers]

    def grow(self) -> None:
        """Make room for one more position, and take it."""
        if self.length == self.keys[0].shape[2]:
            self.keys = [_with_room(one) for one in self.keys]
            self.values = [_with_room(one) for one in self.values]
        self.length += 1

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with some rows only, in this order."""
        chosen = torch.tensor(rows)
        self.keys = [one.index_select(0, chosen) for one in self.keys]
        self.values = [one.index_select(0, chosen) for one in self.values]


def _with_room(taken: Float[Tensor, "rows heads length width"]) -> Float[Tensor, "rows heads room width"]:
    rows, heads, length, width = taken.shape
    whole = taken.new_zeros(rows, heads, length + _GROWTH, width)
    whole[:, :, :length] = taken
    return whole


@dataclass(frozen=True, eq=False)
class LlamaLike:
    """A network that is built as Llama is, in parts.

    Attributes:
        embedding: From token ids to the residual stream.
        rotary: From the residual stream (for its dtype) and position ids to cosines and sines.
        blocks: The decoder blocks.
        norm: Before the head.
        head: From residual stream to logits.
        heads: Query heads.
        key_heads: Heads of keys and values; each is shared by `heads / key_heads` query heads.
    """

    embedding: Module
    rotary: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    blocks: tuple[_Block, ...]
    norm: Module
    head: Linear
    heads: int
    key_heads: int

    def step(
        self,
        tokens: Int[Tensor, " rows"],
        positions: Int[Tensor, " rows"],
        mask: Bool[Tensor, "rows past_and_one"],
        store: Store,
        additions: Additions,
    ) -> Float[Tensor, "rows vocab"]:
        """Run one token of every row.

        Args:
            tokens: Token ids.
            positions: Their position ids.
            mask: False where a position of the store is padding.
            store: Grows by one position.
            additions: What is added after blocks.

        Returns:
            Logits of the next token (float32).
        """
        store.grow()
        rows, past = len(tokens), store.length - 1
        stream = self.embedding(tokens)
        cosine, sine = (one[:, 0, None] for one in self.rotary(stream[:, None], positions[:, None]))
        half = cosine.shape[-1] // 2
        sine = torch.cat([-sine[..., :half], sine[..., half:]], -1)  # of a head rolled by half of its width
        sight = mask[:, None, None]
        steered = frozenset(additions.layers)
        for layer, block in enumerate(self.blocks):
            heads = block.query_key_value(block.before_attention(stream)).view(rows, -1, cosine.shape[-1])
            turned, value = heads[:, : self.heads + self.key_heads], heads[:, self.heads + self.key_heads :]
            if block.query_norm is not None and block.key_norm is not None:
                query, key = turned[:, : self.heads], turned[:, self.heads :]
                turned = torch.cat([block.query_norm(query), block.key_norm(key)], 1)
            turned = torch.addcmul(turned * cosine, turned.roll(half, -1), sine)
            keys, values = store.keys[layer], store.values[layer]
            keys[:, :, past], values[:, :, past] = turned[:, self.heads :], value
            found = nn.functional.scaled_dot_product_attention(
                turned[:, : self.heads].reshape(rows, self.key_heads, -1, cosine.shape[-1]),
                keys[:, :, : store.length],
                values[:, :, : store.length],
                attn_mask=sight,
                scale=block.scale,
            )
            stream = stream + block.output(found.reshape(rows, -1))
            gate, up = block.gate_up(block.before_mlp(stream)).chunk(2, -1)
            stream = stream + block.down(block.activation(gate) * up)
            if layer in steered:
                new = additions.add(layer, stream[:, None])
                stream = stream if new is None else new[:, 0]
        return self.head(self.norm(stream)).float()


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
    blocks = []
    for block, (attention, gate_up) in zip(model.blocks, own, strict=True):
        part: Any = block
        query_key_value, both = fused(attention), fused(gate_up)
        if query_key_value is None or both is None:
            return None
        norms = dict(part.self_attn.named_children())
        blocks.append(
            _Block(
                before_attention=part.input_layernorm,
                query_key_value=query_key_value,
                query_norm=norms.get("q_norm"),
                key_norm=norms.get("k_norm"),
                scale=float(part.self_attn.scaling),
                output=packed[part.self_attn.o_proj],
                before_mlp=part.post_attention_layernorm,
                gate_up=both,
                activation=part.mlp.act_fn,
                down=packed[part.mlp.down_proj],
            )
        )
    first: Any = model.blocks[0]
    width = int(first.self_attn.head_dim)
    return LlamaLike(
        embedding=decoder.embed_tokens,
        rotary=decoder.rotary_emb,
        blocks=tuple(blocks),
        norm=decoder.norm,
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
