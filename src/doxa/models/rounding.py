"""What a narrower precision does to a model: its next-token distributions beside those in float32."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from doxa.models.handle import Model
from doxa.models.passes import reader_of
from doxa.models.strips import Strip, run_strips


@dataclass(frozen=True)
class Rounding:
    """How far a model in one precision is from the same model in float32.

    Attributes:
        tokens: Positions that were compared.
        kl: KL(float32 || other) of next-token distributions, mean over positions, nats.
        kl_largest: The largest of them.
        changed: Share of positions at which another token is the most probable.
    """

    tokens: int
    kl: float
    kl_largest: float
    changed: float


@torch.no_grad()
def rounding(reference: Model, model: Model, texts: Sequence[tuple[int, ...]]) -> Rounding:
    """Compare a model with itself in another precision.

    Args:
        reference: In float32.
        model: The same weights in another precision.
        texts: Tokens, at least one.
    """
    distances, changed = [], []
    for tokens in texts:
        strip = Strip((), tokens, torch.zeros(0, len(tokens), dtype=torch.bool))
        log_p, log_q = (
            reader_of(one).logits(run_strips(one, [strip])[0]).double().log_softmax(-1).cpu()
            for one in (reference, model)
        )
        distances.append((log_p.exp() * (log_p - log_q)).sum(-1))
        changed.append(log_p.argmax(-1) != log_q.argmax(-1))
    kl = torch.cat(distances).clamp(min=0)
    return Rounding(len(kl), float(kl.mean()), float(kl.max()), float(torch.cat(changed).double().mean()))
