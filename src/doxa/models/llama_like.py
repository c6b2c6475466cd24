"""Forward passes of our own where a network is built as Llama is: of prompts, of texts, of one more token for each row.

While texts are written a forward pass is a token a row, and much of its time goes into a thousand small operations and
small products. Here queries, keys and values are one product, gate and up are one, keys and values stand in a store
that is written in place, and the heads that share keys are asked together, so that keys are never copied. Prompts that
many arms read are run once up to the block at which the first of them adds something.

`llama_parts` finds out whether a network is built so.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from doxa.models.adapting import Adapting, Place
from doxa.models.key_values import KeyValues
from doxa.models.packed import Linear

Module: TypeAlias = Callable[[Tensor], Tensor]
Turn: TypeAlias = tuple[Float[Tensor, "rows 1 time width"], Float[Tensor, "rows 1 time width"]]
"""Cosines, and sines of a head that is rolled by half of its width."""
Attend: TypeAlias = Callable[[Tensor, Tensor, Tensor, float], Tensor]
"""From query, key and value of the new tokens ([rows, heads, time, width]) and the scale to what the heads found."""


@dataclass(frozen=True, eq=False)
class Product:
    """A linear layer, or several on the same input as one.

    Attributes:
        linear: What they compute.
        place: Which they are, for adapters.
    """

    linear: Linear
    place: Place

    def __call__(
        self, inputs: Float[Tensor, "rows time into"], adapting: Adapting | None
    ) -> Float[Tensor, "rows time out"]:
        """What they return, with what adapters add there."""
        output = self.linear(inputs)
        return output if adapting is None else adapting.add(self.place, inputs, output)


@dataclass(frozen=True, eq=False)
class Block:
    """The parts of a decoder block. `query_norm` and `key_norm` are Qwen 3's, on each head."""

    before_attention: Module
    query_key_value: Product
    query_norm: Module | None
    key_norm: Module | None
    scale: float
    output: Product
    before_mlp: Module
    gate_up: Product
    activation: Module
    down: Product


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


@dataclass(frozen=True, eq=False)
class Read:
    """Prompts that were run.

    Attributes:
        logits: Of the token after each, in the dtype of the model.
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
    blocks: tuple[Block, ...]
    norm: Module
    head: Linear
    heads: int
    key_heads: int

    def step(
        self,
        tokens: Int[Tensor, " rows"],
        positions: Int[Tensor, " rows"],
        mask: Bool[Tensor, "rows past_and_one"],
        store: KeyValues,
        additions: Additions,
        adapting: Adapting | None = None,
    ) -> Float[Tensor, "rows vocab"]:
        """Run one token of every row.

        Args:
            tokens: Token ids.
            positions: Their position ids.
            mask: False where a position of the store is padding.
            store: Grows by one position.
            additions: What is added after blocks.
            adapting: The adapters of the rows; None where no row has one.

        Returns:
            Logits of the next token, in the dtype of the model.
        """
        store.grow()
        stream = self.embedding(tokens[:, None])
        turn = self._turn(stream, positions[:, None])
        hidden = store.hidden(mask)
        steered = frozenset(additions.layers)
        for layer, block in enumerate(self.blocks):
            stream = self._through(block, stream, turn, partial(store.attend, layer, hidden), adapting)
            if layer in steered:
                new = additions.add(layer, stream)
                stream = stream if new is None else new
        return self.head(self.norm(stream[:, 0]))

    def read(
        self,
        tokens: Int[Tensor, "rows time"],
        mask: Bool[Tensor, "rows time"],
        branching: Branching,
        adapting: Adapting | None = None,
    ) -> Read:
        """Run prompts, padded on the left.

        Args:
            tokens: Token ids; padding may be anything.
            mask: False where a token is padding.
            branching: What is added after blocks, and where rows that were one until then become several.
            adapting: The adapters of the rows; it is used up. None where no row has one.

        Returns:
            Logits, keys and values of the rows that there are in the end.
        """
        time = tokens.shape[1]
        causal = torch.ones(time, time, dtype=torch.bool).tril()
        itself = torch.eye(time, dtype=torch.bool)  # padding sees itself: no row of the mask is empty
        stream = self.embedding(tokens)
        hidden = _hidden((mask[:, None] & causal) | itself, stream.dtype)
        turn = self._turn(stream, (mask.cumsum(1) - 1).clamp(min=0))
        kept: list[tuple[Tensor, Tensor]] = []
        for layer, block in enumerate(self.blocks):
            stream = self._through(block, stream, turn, partial(_keep_and_attend, kept, hidden), adapting)
            parents = branching.parents(layer)
            if parents is not None:
                stream, hidden = stream[parents], hidden[parents]
                turn = (turn[0][parents], turn[1][parents])
                if adapting is not None:
                    adapting.keep(parents.tolist())
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
        return Read(self.head(self.norm(stream[:, -1])), keys, values)

    def run(
        self,
        stream: Float[Tensor, "rows time d_model"],
        positions: Int[Tensor, "rows time"],
        sight: Bool[Tensor, "rows time time"] | None,
        layers: range,
        additions: Additions,
        adapting: Adapting | None = None,
    ) -> Float[Tensor, "rows time d_model"]:
        """Run some blocks on whole texts.

        Args:
            stream: The residual stream before them: `embedding`, or what blocks before returned.
            positions: Position ids.
            sight: Which tokens each token sees, at least itself; None: all before it, which takes no mask.
            layers: Which blocks, in their order.
            additions: What is added after each.
            adapting: The adapters of the rows; None where no row has one.

        Returns:
            The residual stream after them, for `norm` or further blocks.
        """
        attend = partial(_attend, None if sight is None else _hidden(sight, stream.dtype))
        turn = self._turn(stream, positions)
        steered = frozenset(additions.layers)
        for layer in layers:
            stream = self._through(self.blocks[layer], stream, turn, attend, adapting)
            if layer in steered:
                new = additions.add(layer, stream)
                stream = stream if new is None else new
        return stream

    def _turn(self, stream: Float[Tensor, "rows time d_model"], positions: Int[Tensor, "rows time"]) -> Turn:
        cosine, sine = self.rotary(stream, positions)
        half = cosine.shape[-1] // 2
        return cosine[:, None], torch.cat([-sine[..., :half], sine[..., half:]], -1)[:, None]

    def _through(
        self,
        block: Block,
        stream: Float[Tensor, "rows time d_model"],
        turn: Turn,
        attend: Attend,
        adapting: Adapting | None,
    ) -> Float[Tensor, "rows time d_model"]:
        """Run a block."""
        (rows, time, _), (cosine, sine) = stream.shape, turn
        width = cosine.shape[-1]
        joined = block.query_key_value(block.before_attention(stream), adapting)
        heads = joined.view(rows, time, -1, width).transpose(1, 2)
        turned, value = heads[:, : self.heads + self.key_heads], heads[:, self.heads + self.key_heads :]
        if block.query_norm is not None and block.key_norm is not None:
            query, key = turned[:, : self.heads], turned[:, self.heads :]
            turned = torch.cat([block.query_norm(query), block.key_norm(key)], 1)
        turned = torch.addcmul(turned * cosine, turned.roll(width // 2, -1), sine)
        found = attend(turned[:, : self.heads], turned[:, self.heads :], value, block.scale)
        stream = stream + block.output(found.transpose(1, 2).flatten(2), adapting)
        gate, up = block.gate_up(block.before_mlp(stream), adapting).chunk(2, -1)
        return stream + block.down(block.activation(gate) * up, adapting)


def _hidden(sight: Bool[Tensor, "rows time time"], dtype: torch.dtype) -> Float[Tensor, "rows 1 time time"]:
    """What is added to scores: minus infinity where a token does not see another."""
    return torch.where(sight, torch.zeros((), dtype=dtype), -torch.inf)[:, None]


def _attend(
    hidden: Float[Tensor, "rows 1 time time"] | None,
    query: Float[Tensor, "rows heads time width"],
    key: Float[Tensor, "rows key_heads time width"],
    value: Float[Tensor, "rows key_heads time width"],
    scale: float,
) -> Float[Tensor, "rows heads time width"]:
    """Let the tokens of texts see each other; consecutive query heads share a head of keys."""
    return nn.functional.scaled_dot_product_attention(
        query, key, value, attn_mask=hidden, is_causal=hidden is None, scale=scale, enable_gqa=True
    )


def _keep_and_attend(
    kept: list[tuple[Tensor, Tensor]], hidden: Tensor, query: Tensor, key: Tensor, value: Tensor, scale: float
) -> Tensor:
    kept.append((key, value))
    return _attend(hidden, query, key, value, scale)
