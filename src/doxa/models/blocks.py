"""Where an architecture keeps its decoder blocks, and what they return.

Nothing is looked up by the name of an architecture. Decoder blocks are what behaves like decoder blocks: a list of
modules of one class that hand the residual stream on to each other, each called once, in order, while a few tokens pass
through.
"""

from dataclasses import dataclass
from itertools import count, pairwise
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel

from doxa.words.errors import ModelError

Output: TypeAlias = Tensor | tuple[Any, ...]
"""What a decoder block returns: the residual stream, or a tuple that begins with it."""

Chain: TypeAlias = tuple[str, tuple[nn.Module, ...]]

LOOKED_FOR = (
    "a torch.nn.ModuleList of blocks of one class, each called once and in order with the residual stream "
    "[batch, time, d_model] that the block before it returned, where no token sees a later one"
)


def residual_of(output: Output) -> Float[Tensor, "batch time d_model"]:
    """The residual stream in what a decoder block returned."""
    residual = output[0] if isinstance(output, tuple) else output
    assert isinstance(residual, Tensor), f"a decoder block returned {type(residual).__name__}"
    return residual


def with_residual(output: Output, new: Float[Tensor, "batch time d_model"]) -> Output:
    """The same output with another residual stream."""
    return (new, *output[1:]) if isinstance(output, tuple) else new


def find_blocks(network: PreTrainedModel) -> tuple[tuple[nn.Module, ...], int]:
    """Find the decoder blocks of a network by watching two rows of three tokens pass through it.

    Args:
        network: A decoder in eval mode. It has the same hooks afterwards as before.

    Returns:
        The decoder blocks, in order, and the width of the residual stream (d_model). Of several lists that behave like
        decoder blocks the longest is taken.

    Raises:
        ModelError: When nothing in the network behaves like decoder blocks; the message says what was looked for.
    """
    kind = type(network).__name__
    if network.config.is_encoder_decoder:
        raise _not_understood(f"{kind} is an encoder-decoder")
    embedding = network.get_input_embeddings()
    if not isinstance(embedding, nn.Embedding):
        raise _not_understood(f"{kind} has no embedding of tokens")
    chains = [
        (name, tuple(module))
        for name, module in network.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) > 0 and len({type(child) for child in module}) == 1
    ]
    if not chains:
        raise _not_understood(f"{kind} has no list of modules of one class")
    visits = _watch(network, embedding, chains)
    found = [children for _, children in chains if _is_chain([visits[child] for child in children])]
    if not found:
        tried = ", ".join(f"{name} ({len(children)} x {type(children[0]).__name__})" for name, children in chains[:6])
        raise _not_understood(f"In {kind} none of {tried} behaves like decoder blocks")
    blocks = max(found, key=len)
    return blocks, residual_of(visits[blocks[0]][0].returned).shape[-1]


@dataclass(frozen=True, eq=False)
class _Visit:
    order: int
    given: Tensor | None
    returned: Any


def _watch(network: PreTrainedModel, embedding: nn.Embedding, chains: list[Chain]) -> dict[nn.Module, list[_Visit]]:
    visits: dict[nn.Module, list[_Visit]] = {child: [] for _, children in chains for child in children}
    order = count()

    def watch(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        first = args[0] if args else kwargs.get("hidden_states")
        visits[module].append(_Visit(next(order), first if isinstance(first, Tensor) else None, output))

    last = embedding.num_embeddings - 1
    tokens = torch.tensor([[0, 1, 2], [0, 1, last]], device=embedding.weight.device).clamp(max=last)
    hooks = [child.register_forward_hook(watch, with_kwargs=True) for child in visits]
    try:
        with torch.no_grad():
            network(input_ids=tokens, attention_mask=torch.ones_like(tokens), use_cache=False)
    except (TypeError, ValueError, RuntimeError, AttributeError, KeyError) as error:
        raise _not_understood(f"{type(network).__name__} does not take token ids alone ({error})") from error
    finally:
        for hook in hooks:
            hook.remove()
    return visits


def _is_chain(visits: list[list[_Visit]]) -> bool:
    """Whether blocks were called once each, in order, every one with what the one before it returned, and causally."""
    if any(len(visit) != 1 for visit in visits):
        return False
    path = [visit[0] for visit in visits]
    if any(later.order < earlier.order for earlier, later in pairwise(path)):
        return False
    residuals = [visit.returned[0] if isinstance(visit.returned, tuple) else visit.returned for visit in path]
    shape = None if path[0].given is None else path[0].given.shape
    if shape is None or shape[:2] != (2, 3) or len(shape) != 3:
        return False
    if not all(isinstance(residual, Tensor) and residual.shape == shape for residual in residuals):
        return False
    if any(
        later.given is None or not torch.equal(later.given, residual)
        for residual, later in zip(residuals, path[1:], strict=False)
    ):
        return False
    last = residuals[-1].float()
    scale = last.abs().max()
    return bool((last[0, :2] - last[1, :2]).abs().max() <= 1e-4 * scale)


def _not_understood(found: str) -> ModelError:
    return ModelError(
        f"{found}; the decoder blocks were not found",
        expected=f"Looked for {LOOKED_FOR}",
        way_out="Use a decoder-only language model, such as Llama, Qwen, Gemma, Mistral, GPT-2, GPT-NeoX or OLMo",
    )
