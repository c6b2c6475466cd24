"""A forward pass without padding where a network is built as Llama is: the tokens of all rows stand in one line.

Linear layers do not care which row a token is of; attention is asked row by row. Queries, keys and values are one
product, gate and up are one, and norms, rotations and the gated unit have gradients written out, which read and write
memory less often than torch's own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from doxa.models.handle import Model
from doxa.training.base import Base
from doxa.training.low_rank_linear import LowRankPair, TunedLinear

_BLOCK = {"self_attn", "mlp", "input_layernorm", "post_attention_layernorm"}
_ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
_MLP = ("gate_proj", "up_proj", "down_proj", "act_fn")


@dataclass(frozen=True, eq=False)
class FlatBlock:
    """The parts of a decoder block. `query_norm` and `key_norm` are Qwen 3's, on each head."""

    before_attention: "Norm"
    query_key_value: TunedLinear
    query_norm: "Norm | None"
    key_norm: "Norm | None"
    scale: float
    output: TunedLinear
    before_mlp: "Norm"
    gate_up: TunedLinear
    down: TunedLinear


@dataclass(frozen=True, eq=False)
class Norm:
    """A root-mean-square norm: its weight and what is added to the mean square."""

    weight: Float[Tensor, " width"]
    epsilon: float

    def __call__(self, inputs: Float[Tensor, "... width"]) -> Float[Tensor, "... width"]:
        """The norm."""
        found: Tensor = _RmsNorm.apply(inputs, self.weight, self.epsilon)  # type: ignore[no-untyped-call]
        return found


@dataclass(frozen=True, eq=False)
class LlamaFlat:
    """A network that is built as Llama is, in parts, with what is trained.

    Attributes:
        embedding: From token ids to the residual stream.
        rotary: From the residual stream (for its dtype) and position ids to cosines and sines.
        blocks: The decoder blocks.
        norm: Before the head.
        heads: Query heads.
        key_heads: Heads of keys and values; each is shared by `heads / key_heads` query heads.
    """

    embedding: Callable[[Tensor], Tensor]
    rotary: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    blocks: tuple[FlatBlock, ...]
    norm: Norm
    heads: int
    key_heads: int

    def run(
        self, tokens: Int[Tensor, " tokens"], lengths: Sequence[int], places: Int[Tensor, " places"]
    ) -> Float[Tensor, "places width"]:
        """Run rows that stand one after the other.

        Args:
            tokens: Of all rows.
            lengths: Of each row.
            places: Which tokens are read.

        Returns:
            What the head reads there.
        """
        positions = torch.cat([torch.arange(length) for length in lengths]).to(tokens.device)
        stream = self.embedding(tokens)
        cosine, sine = self.rotary(stream[None], positions[None])
        turn = (cosine[0, :, None], sine[0, :, None])
        for block in self.blocks:
            stream = self._through(block, stream, lengths, turn)
        return self.norm(stream[places])

    def _through(
        self,
        block: FlatBlock,
        stream: Float[Tensor, "tokens width"],
        lengths: Sequence[int],
        turn: tuple[Tensor, Tensor],
    ) -> Float[Tensor, "tokens width"]:
        cosine, sine = turn
        heads = block.query_key_value(block.before_attention(stream)).view(len(stream), -1, cosine.shape[-1])
        turned, value = heads.split([self.heads + self.key_heads, self.key_heads], 1)
        if block.query_norm is not None and block.key_norm is not None:
            query, key = turned.split([self.heads, self.key_heads], 1)
            turned = torch.cat([block.query_norm(query), block.key_norm(key)], 1)
        turned = _Turned.apply(turned, cosine, sine)  # type: ignore[no-untyped-call]
        query, key = turned.split([self.heads, self.key_heads], 1)
        parts = (torch.split(part, list(lengths)) for part in (query, key, value))
        found = torch.cat([_attended(*row, scale=block.scale) for row in zip(*parts, strict=True)])
        stream = stream + block.output(found.flatten(1))
        gated = _Gated.apply(block.gate_up(block.before_mlp(stream)))  # type: ignore[no-untyped-call]
        added: Tensor = stream + block.down(gated)
        return added


def _attended(
    query: Float[Tensor, "time heads width"],
    key: Float[Tensor, "time key_heads width"],
    value: Float[Tensor, "time key_heads width"],
    *,
    scale: float,
) -> Float[Tensor, "time heads width"]:
    """Let the tokens of a row see those before them; consecutive query heads share a head of keys."""
    own = [part.transpose(0, 1)[None] for part in (query, key, value)]
    found = nn.functional.scaled_dot_product_attention(
        own[0], own[1], own[2], is_causal=True, scale=scale, enable_gqa=True
    )
    return found[0].transpose(0, 1)


class _RmsNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        wide = inputs.float()
        inverse = torch.rsqrt(wide.square().mean(-1, keepdim=True) + epsilon)
        ctx.save_for_backward(inputs, inverse, weight)
        return weight * (wide * inverse).to(inputs.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        inputs, inverse, weight = ctx.saved_tensors
        wide = inputs.float()
        scaled = (gradient * weight).float()
        along = (scaled * wide).mean(-1, keepdim=True) * inverse.pow(3)
        return torch.addcmul(scaled.mul_(inverse), wide, along, value=-1).to(inputs.dtype), None, None


class _Turned(torch.autograd.Function):
    """Rotary positions: a turn of each pair of coordinates; its gradient is turned back."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        half = sine.shape[-1] // 2
        ctx.save_for_backward(cosine, sine)
        turned = inputs * cosine
        turned[..., :half].addcmul_(inputs[..., half:], sine[..., :half], value=-1)
        turned[..., half:].addcmul_(inputs[..., :half], sine[..., half:])
        return turned

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        cosine, sine = ctx.saved_tensors
        half = sine.shape[-1] // 2
        back = gradient * cosine
        back[..., :half].addcmul_(gradient[..., half:], sine[..., half:])
        back[..., half:].addcmul_(gradient[..., :half], sine[..., :half], value=-1)
        return back, None, None


class _Gated(torch.autograd.Function):
    """silu(gate) * up of the two halves."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor) -> Tensor:
        gate, up = inputs.chunk(2, -1)
        ctx.save_for_backward(inputs)
        return nn.functional.silu(gate).mul_(up)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (inputs,) = ctx.saved_tensors
        gate, up = inputs.chunk(2, -1)
        back = torch.empty_like(inputs)
        of_gate, of_up = back.chunk(2, -1)
        torch.mul(gradient, nn.functional.silu(gate), out=of_up)
        of_gate.copy_(torch.ops.aten.silu_backward(gradient * up, gate))
        return back


def llama_flat(
    model: Model, base: Base, network: Any, pairs: Mapping[str, LowRankPair], scale: float
) -> LlamaFlat | None:
    """The parts of a network with low-rank matrices; None where it is built otherwise.

    Args:
        model: The model.
        base: Its frozen layers.
        network: Our modules, with the low-rank matrices in them: what the parts are compared with.
        pairs: The matrices by the paths of their layers.
        scale: alpha / rank.
    """
    try:
        flat = _parts(model, base, pairs, scale)
    except (KeyError, AttributeError):
        return None
    return flat if flat is not None and _same(flat, network) else None


def _parts(model: Model, base: Base, pairs: Mapping[str, LowRankPair], scale: float) -> LlamaFlat | None:
    network: Any = base.network
    decoder = network.get_decoder()
    config = network.config.to_dict()
    windows = set(config.get("layer_types") or ["full_attention"]) | {config.get("sliding_window") and "sliding_window"}
    outer = {name for name, _ in decoder.named_children()}
    if windows - {"full_attention", None} or outer != {"embed_tokens", "layers", "norm", "rotary_emb"} or base.whole:
        return None
    paths = {id(module): path for path, module in network.named_modules()}
    rest = set(pairs)

    def tuned(*layers: nn.Module) -> TunedLinear:
        own = [paths[id(layer)] for layer in layers]
        rest.difference_update(own)
        return TunedLinear(base.product(own), [pairs[path] for path in own], scale)

    blocks = []
    for block in decoder.layers:
        attention, mlp = block.self_attn, block.mlp
        inner = {name for name, _ in attention.named_children()}
        if (
            {name for name, _ in block.named_children()} != _BLOCK
            or inner - {*_ATTENTION, "q_norm", "k_norm"}
            or {name for name, _ in mlp.named_children()} != set(_MLP)
        ):
            return None
        blocks.append(
            FlatBlock(
                before_attention=_norm(block.input_layernorm),
                query_key_value=tuned(attention.q_proj, attention.k_proj, attention.v_proj),
                query_norm=_norm(attention.q_norm) if "q_norm" in inner else None,
                key_norm=_norm(attention.k_norm) if "k_norm" in inner else None,
                scale=float(attention.scaling),
                output=tuned(attention.o_proj),
                before_mlp=_norm(block.post_attention_layernorm),
                gate_up=tuned(mlp.gate_proj, mlp.up_proj),
                down=tuned(mlp.down_proj),
            )
        )
    first = decoder.layers[0].self_attn
    heads, key_heads = (layer.out_features // int(first.head_dim) for layer in (first.q_proj, first.k_proj))
    if rest:
        return None
    return LlamaFlat(decoder.embed_tokens, decoder.rotary_emb, tuple(blocks), _norm(decoder.norm), heads, key_heads)


def _norm(module: nn.Module) -> Norm:
    """The parts of a norm.

    Raises:
        AttributeError: When the module is built otherwise.
    """
    own: Any = module
    return Norm(own.weight.detach(), float(own.variance_epsilon))


@torch.no_grad()
def _same(flat: LlamaFlat, network: Any) -> bool:
    """Whether the parts compute what the network computes, of two short rows."""
    size = network.config.get_text_config().vocab_size
    rows = [torch.arange(5, device=network.device) % size, (3 * torch.arange(3, device=network.device) + 1) % size]
    found = flat.run(torch.cat(rows), [5, 3], torch.arange(8, device=network.device))
    due = torch.cat([network.get_decoder()(input_ids=row[None], use_cache=False).last_hidden_state[0] for row in rows])
    apart = (found - due).float().norm(dim=1) / due.float().norm(dim=1).clamp(min=1e-6)
    # Rounding to bfloat16 takes tokens that mean nothing far, so half of them may be anywhere.
    return bool(apart.max() < 1e-3) if due.dtype == torch.float32 else bool(apart.median() < 0.1)
