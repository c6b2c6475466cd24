"""Drawing tokens: greedy, temperature, top-k, top-p, min-p, each row with a random stream of its own.

A row's draws are a function of its seed, the step and its logits, never of the batch. The uniform number of a step is
put through the inverse of the distribution function *in the order of token ids*: sorted by probability, two tokens of
almost equal probability would change places with the last bits of their logits, and the draw with them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from doxa.words.errors import ModelError, StudyError

_COLDEST = 1e-6  # a lower temperature draws the same tokens, and logits divided by it may overflow
_FIRST_LOOK = 1024  # the nucleus of top-p is looked for among so many tokens before all are sorted


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn.

    Attributes:
        max_tokens: At most so many.
        temperature: 0 takes the most probable token, of several the one with the lowest id.
        top_p: Only the fewest tokens that together have at least this probability; 1 keeps all.
        top_k: Only the k most probable tokens (and those that tie with the last of them); 0 keeps all.
        min_p: Only tokens with at least this fraction of the highest probability.
        stop: Generation ends before the first of these texts.
        seed: Of the row's random stream.

    The temperature is applied first, then top-k, top-p among what is left, and min-p.

    Raises:
        StudyError: When a number lies outside its range, or a stop text is empty.
    """

    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    stop: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        rules = (
            ("max_tokens", self.max_tokens >= 1, "at least 1"),
            ("temperature", 0 <= self.temperature < math.inf, "0 or more"),
            ("top_p", 0 < self.top_p <= 1, "more than 0 and at most 1"),
            ("top_k", self.top_k >= 0, "0 (no limit) or more"),
            ("min_p", 0 <= self.min_p <= 1, "from 0 to 1"),
            ("seed", self.seed >= 0, "0 or more"),
            ("stop", all(self.stop), "texts of at least one character"),
        )
        for name, holds, expected in rules:
            if not holds:
                raise StudyError(f"{name} = {self.__dict__[name]!r}", expected=expected, way_out=f"Change {name}")


def stream_of(sampling: Sampling) -> np.random.Generator:
    """The random stream of a row; one number is taken from it at every step."""
    return np.random.Generator(np.random.PCG64(sampling.seed))


def draw(
    logits: Float[Tensor, "rows vocab"], samplings: Sequence[Sampling], streams: Sequence[np.random.Generator]
) -> list[int]:
    """Draw the next token of every row.

    Args:
        logits: Of the next token.
        samplings: How each row is drawn.
        streams: The random stream of each row.

    Returns:
        Token ids.

    Raises:
        ModelError: When logits are not finite, as after a steering far too strong.
    """
    uniforms = [stream.random() for stream in streams]  # greedy rows too: the step counts, not what is done with it
    highest, first = logits.max(-1)  # of equals the first
    check_finite(highest)
    tokens: list[int] = first.tolist()
    random = [row for row, sampling in enumerate(samplings) if sampling.temperature > 0]
    if not random:
        return tokens
    temperatures = torch.tensor([max(samplings[row].temperature, _COLDEST) for row in random], device=logits.device)
    probabilities = torch.softmax(logits[random].float() / temperatures[:, None], -1)
    for index, row in enumerate(random):
        least = _least(probabilities[index], samplings[row])
        if least > 0:
            probabilities[index].masked_fill_(probabilities[index] < least, 0)
    cumulated = probabilities.cpu().numpy().cumsum(-1, dtype=np.float64)
    for index, row in enumerate(random):
        total = cumulated[index, -1]
        target = min(uniforms[row] * total, np.nextafter(total, 0))
        tokens[row] = int(np.searchsorted(cumulated[index], target, side="right"))
    return tokens


def check_finite(numbers: Float[Tensor, "..."]) -> None:
    """Refuse NaN and infinity.

    Raises:
        ModelError: When there are any.
    """
    if not bool(torch.isfinite(numbers).all()):
        raise ModelError(
            "the model's logits are not finite numbers",
            way_out="Lower the steering strength; without steering, use float32 or another model",
        )


def _least(probabilities: Float[Tensor, " vocab"], sampling: Sampling) -> float:
    """The lowest probability that a token may have under top-k, top-p and min-p; 0 when all are allowed."""
    least = sampling.min_p * float(probabilities.max()) if sampling.min_p > 0 else 0.0
    vocabulary = len(probabilities)
    top_k = min(sampling.top_k, vocabulary) or vocabulary
    if top_k == vocabulary and sampling.top_p == 1:
        return least
    top = probabilities.topk(min(top_k, _FIRST_LOOK)).values.double()
    if sampling.top_k > _FIRST_LOOK or (sampling.top_k == 0 and float(top.sum()) < sampling.top_p):
        top = probabilities.topk(top_k).values.double()
    allowed = float(top.sum()) if sampling.top_k else 1.0
    within = top.cumsum(0) < sampling.top_p * allowed
    last = min(int(within.sum()), len(top) - 1) if sampling.top_p < 1 else len(top) - 1
    return max(least, float(top[last]))
