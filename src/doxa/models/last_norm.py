"""What stands between the last decoder block and the head, found by watching a few tokens pass through."""

from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor, nn

from doxa.models.handle import Model
from doxa.models.passes import reader_of
from doxa.models.steering import reading
from doxa.words.errors import ModelError

_norms: WeakKeyDictionary[Model, nn.Module] = WeakKeyDictionary()


@torch.no_grad()
def logits_of(model: Model, residual: Float[Tensor, "time d_model"]) -> Float[Tensor, "time vocab"]:
    """Logits (float32) from the residual stream at the output of the last decoder block.

    Args:
        model: The model.
        residual: In any dtype; it is read in the model's.

    Raises:
        ModelError: When the network has more than a norm there.
    """
    norm = _norm_of(model)
    return reader_of(model).logits(norm(residual.to(model.device, model.dtype)[None])[0])


def _norm_of(model: Model) -> nn.Module:
    if model not in _norms:
        _norms[model] = _found(model)
    return _norms[model]


def _found(model: Model) -> nn.Module:
    """The module that is given the last residual stream and returns what the head is given."""
    decoder = reader_of(model).decoder
    inside = {module for block in model.blocks for module in block.modules()}
    outside = [module for module in decoder.modules() if module not in inside] if decoder is not None else []
    seen: list[tuple[nn.Module, Tensor, Tensor]] = []

    def watch(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if args and isinstance(args[0], Tensor) and isinstance(output, Tensor):
            seen.append((module, args[0].detach().clone(), output.detach().clone()))

    hooks = [module.register_forward_hook(watch) for module in outside if module is not decoder]
    tokens = torch.arange(8, device=model.device)[None] % model.network.config.get_text_config().vocab_size
    try:
        with reading(model, [model.n_layers - 1]) as residuals:
            last = decoder(input_ids=tokens).last_hidden_state if decoder is not None else tokens
            given = residuals.get(model.n_layers - 1)
    finally:
        for hook in hooks:
            hook.remove()
    for module, taken, returned in seen:
        if given is not None and torch.equal(taken, given) and torch.equal(returned, last):
            return module
    raise ModelError(
        f"between the last decoder block of {model.name} and its head stands more than a norm, so distributions cannot "
        "be computed from the residual stream that vLLM sends",
        way_out="Leave tasks that measure divergence out, or run the model here (the same name without `vllm/`)",
    )
