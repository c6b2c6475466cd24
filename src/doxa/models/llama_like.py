"""Forward passes of our own where a network is built as Llama is: of prompts, and of one more token for every row.

While texts are written a forward pass is a token a row, and much of its time goes into a thousand small operations and
small products. Here queries, keys and values are one product, gate and up are one, keys and values stand in a store
that is written in place, and the heads that share keys are asked together, so that keys are never copied. Prompts that
many arms read are run once up to the block at which the first of them adds something.

Nothing is known by the name of an architecture: a block has the modules of Llama's (Qwen 2 and 3, Mistral and OLMo have
them too), and a few tokens are run both ways before this way is believed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
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


class Branching(Protocol):
    """What is added to prompts, and where rows that were one until then become several."""

    def parents(self, layer: int) -> Int[Tensor, " rows"] | None:
        """For each row after a block, which row it was before; None when rows stay as they are."""

    def add(self, layer: int, residual: Float[Tensor, "rows time d_model"]) -> Tensor | None:
        """A new residual stream; None when nothing is due there."""


class Store:
    """Keys and values of the tokens so far, for every block: what a step reads and writes.

    Attributes:
        keys: For every block, [rows, key heads, room, width of a head].
        values: Likewise.
        length: Positions that are taken.
    """

    def __init__(self, keys: Sequence[Tensor], values: Sequence[Tensor]) -> None:
        """Begin with the keys and values of prompts, [rows, key heads, length, width of a head]."""
        self.length = keys[0].shape[2]
        self.keys = [_with_room(one) for one in keys]
        self.values = [_with_room(one) for one in values]

    @classmethod
    def of(cls, cache: DynamicCache) -> "Store":
        """Begin with what the prompts have left in a cache."""
        layers: Sequence[Any] = cache.layers
        return cls([layer.keys for layer in layers], [layer.values for layer in layers])

    def grow(self) -> None:
        """Make room for one more position, and take it."""
        if self.length == self.keys[0].shape[2]:
            self.keys = [_with_room(one) for one in self.keys]
            self.values = [_with_room(one) for one in self.values]
        self.length += 1

    def put(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Write a block's key and value of the last position; return those of all positions."""
        keys, values = self.keys[layer][:, :, : self.length], self.values[layer][:, :, : self.length]
        keys[:, :, -1:], values[:, :, -1:] = key, value
        return keys, values

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
class Read:
    """Prompts that were run.

    Attributes:
        logits: Of the token after each (float32).
        keys: For every block.
        values: For every block.
    """

    logits: Float[Tensor, "rows vocab"]
    keys: tuple[Float[Tensor, "rows heads time width"], ...]
    values: tuple[Float[Tensor, "rows heads time width"], ...]


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
        stream = self.embedding(tokens[:, None])
        turn = self._turn(stream, positions[:, None])
        steered = frozenset(additions.layers)
        for layer, block in enumerate(self.blocks):
            stream = self._through(block, stream, turn, mask[:, None, None], partial(store.put, layer))
            if layer in steered:
                new = additions.add(layer, stream)
                stream = stream if new is None else new
        return self.head(self.norm(stream[:, 0])).float()

    def read(self, tokens: Int[Tensor, "rows time"], mask: Bool[Tensor, "rows time"], branching: Branching) -> Read:
        """Run prompts, padded on the left.

        Args:
            tokens: Token ids; padding may be anything.
            mask: False where a token is padding.
            branching: What is added after blocks, and where rows that were one until then become several.

        Returns:
            Logits, keys and values of the rows that there are in the end.
        """
        time = tokens.shape[1]
        causal = torch.ones(time, time, dtype=torch.bool).tril()
        itself = torch.eye(time, dtype=torch.bool)  # padding sees itself: no row of the mask is empty
        sight = ((mask[:, None] & causal) | itself).repeat(1, self.heads // self.key_heads, 1)[:, None]
        stream = self.embedding(tokens)
        turn = self._turn(stream, (mask.cumsum(1) - 1).clamp(min=0))
        kept: list[tuple[Tensor, Tensor]] = []

        def keep(key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
            kept.append((key, value))
            return key, value

        for layer, block in enumerate(self.blocks):
            stream = self._through(block, stream, turn, sight, keep)
            parents = branching.parents(layer)
            if parents is not None:
                stream, sight = stream[parents], sight[parents]
                turn = (turn[0][parents], turn[1][parents])
            new = branching.add(layer, stream)
            stream = stream if new is None else new
        of = None  # of the rows in the end, which rows they were
        for layer in reversed(range(len(self.blocks))):
            parents = branching.parents(layer)
            if parents is not None:
                of = parents if of is None else parents[of]
            if of is not None:
                kept[layer] = (kept[layer][0][of], kept[layer][1][of])
        keys, values = zip(*kept, strict=True)
        return Read(self.head(self.norm(stream[:, -1])).float(), keys, values)

    def _turn(
        self, stream: Float[Tensor, "rows time d_model"], positions: Int[Tensor, "rows time"]
    ) -> tuple[Tensor, Tensor]:
        """Cosines, and sines of a head that is rolled by half of its width: [rows, 1, time, width of a head]."""
        cosine, sine = self.rotary(stream, positions)
        half = cosine.shape[-1] // 2
        return cosine[:, None], torch.cat([-sine[..., :half], sine[..., half:]], -1)[:, None]

    def _through(
        self,
        block: _Block,
        stream: Float[Tensor, "rows time d_model"],
        turn: tuple[Tensor, Tensor],
        sight: Bool[Tensor, "rows 1 asking past_and_time"],
        keep: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
    ) -> Float[Tensor, "rows time d_model"]:
        """Run a block; `keep` takes new keys and values and returns all."""
        (rows, time, _), (cosine, sine) = stream.shape, turn
        width = cosine.shape[-1]
        heads = block.query_key_value(block.before_attention(stream)).view(rows, time, -1, width).transpose(1, 2)
        turned, value = heads[:, : self.heads + self.key_heads], heads[:, self.heads + self.key_heads :]
        if block.query_norm is not None and block.key_norm is not None:
            query, key = turned[:, : self.heads], turned[:, self.heads :]
            turned = torch.cat([block.query_norm(query), block.key_norm(key)], 1)
        turned = torch.addcmul(turned * cosine, turned.roll(width // 2, -1), sine)
        keys, values = keep(turned[:, self.heads :], value)
        found = nn.functional.scaled_dot_product_attention(
            turned[:, : self.heads].reshape(rows, self.key_heads, -1, width),
            keys,
            values,
            attn_mask=sight,
            scale=block.scale,
        )
        stream = stream + block.output(found.view(rows, self.heads, time, width).transpose(1, 2).flatten(2))
        gate, up = block.gate_up(block.before_mlp(stream)).chunk(2, -1)
        return stream + block.down(block.activation(gate) * up)


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
