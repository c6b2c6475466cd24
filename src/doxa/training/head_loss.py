"""The loss of trained positions, and its gradient at what the head reads, a chunk of positions at a time.

Logits of a whole batch are never held: each chunk's are turned into log-probabilities and into the gradient at once.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

CHUNK = 128
"""Positions whose logits are held together."""


@dataclass(frozen=True, eq=False)
class Head:
    """From what the decoder returns to logits.

    Attributes:
        product: To logits before `softcap`; None where features are logits.
        back: From the gradient of those to the gradient of the features.
        softcap: Logits are squeezed into (-softcap, softcap).
    """

    product: Callable[[Tensor], Tensor] | None
    back: Callable[[Tensor], Tensor] | None
    softcap: float | None


@torch.no_grad()
def head_loss(
    head: Head,
    features: Float[Tensor, "positions width"],
    targets: Int[Tensor, " positions"],
    weights: Float[Tensor, " positions"] | None,
) -> tuple[Float[Tensor, " positions"], Float[Tensor, "positions width"] | None]:
    """Log-probabilities of targets, and the gradient of the sum of `-logprob * weight`.

    Args:
        head: The head.
        features: What the decoder returned at the positions before the targets.
        targets: Token ids.
        weights: Of each target; None where no gradient is wanted.

    Returns:
        The log-probabilities, float32, and the gradient, None without weights.
    """
    logprobs = torch.empty(len(features), device=features.device)
    gradients = None if weights is None else torch.empty_like(features)
    for start in range(0, len(features), CHUNK):
        part = slice(start, start + CHUNK)
        logits = features[part] if head.product is None else head.product(features[part])
        logits = logits.float()
        if head.softcap is not None:
            logits = torch.tanh(logits / head.softcap) * head.softcap
        elif head.product is None:
            logits = logits.clone()  # it becomes the gradient in place
        own = targets[part, None]
        chosen, slope = logits.gather(1, own), None
        if head.softcap is not None and weights is not None:
            slope = 1 - (logits / head.softcap).square()
        highest = logits.amax(1, keepdim=True)
        error = logits.sub_(highest).exp_()
        total = error.sum(1, keepdim=True)
        logprobs[part] = (chosen - highest - total.log())[:, 0]
        if weights is None or gradients is None:
            continue
        error.mul_(weights[part, None] / total)
        error.scatter_add_(1, own, -weights[part, None])
        if slope is not None:
            error *= slope
        error = error.to(features.dtype)
        gradients[part] = error if head.back is None else head.back(error)
    return logprobs, gradients
