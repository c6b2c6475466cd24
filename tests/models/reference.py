"""What the engine is held against: transformers with plain hooks, one row at a time, without cache or padding."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from doxa.models.chat import Rendered, thinks_on
from doxa.models.handle import Model
from doxa.models.steering import SteeringPlan, touched
from doxa.words.interventions import Where


def random_plan(
    model: Model,
    seed: int,
    layers: Sequence[int] | None = None,
    at: Sequence[Where] = ("all",),
    size: float = 1.0,
) -> SteeringPlan:
    layers = tuple(range(model.n_layers)) if layers is None else tuple(layers)
    additions = torch.randn(len(layers), model.d_model, generator=torch.Generator().manual_seed(seed))
    return SteeringPlan(layers, size * additions / additions.norm(dim=1, keepdim=True), frozenset(at))


def logits_of(
    model: Model, prompt: Rendered, more: Sequence[int] = (), plans: Sequence[SteeringPlan] = ()
) -> Float[Tensor, "time vocab"]:
    """Logits of a prompt and what was generated after it, at every position."""
    role = "thinking" if thinks_on(prompt) else "assistant"
    handles = []
    for plan in plans:
        touches = [touched(plan, own, False) for own in prompt.roles] + [touched(plan, role, True)] * len(more)
        for layer, addition in zip(plan.layers, plan.additions, strict=True):
            added = torch.tensor(touches)[:, None] * addition

            def add(module, args, output, added=added):
                residual = output[0] if isinstance(output, tuple) else output
                steered = residual + added.to(residual.dtype)
                return (steered, *output[1:]) if isinstance(output, tuple) else steered

            handles.append(model.blocks[layer].register_forward_hook(add))
    try:
        with torch.no_grad():
            return model.network(input_ids=torch.tensor([[*prompt.tokens, *more]]), use_cache=False).logits[0].float()
    finally:
        for handle in handles:
            handle.remove()


def logprob_of(model: Model, prompt: Rendered, more: Sequence[int], plans: Sequence[SteeringPlan] = ()) -> float:
    """Summed log-probability of what follows a prompt."""
    logprobs = logits_of(model, prompt, more, plans).double().log_softmax(-1)
    start = len(prompt.tokens) - 1
    return sum(float(logprobs[start + offset, token]) for offset, token in enumerate(more))
