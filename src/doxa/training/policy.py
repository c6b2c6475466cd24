"""How off-policy a corpus is: what a model thinks of every token that it is to be trained on.

Of a token y at its place, with the model's distribution p: surprisal s = -log p(y), entropy H = -Σ p log p, variance
V = Σ p (log p)² - H². Were y drawn from p, as in the model's own text at temperature 1, s - H would have mean 0 and
variance V given all that stands before, so that its sum over a corpus is a martingale: the *excess surprisal*
e = mean(s - H) has an exact zero, and z = Σ(s - H) / √ΣV a known spread. A lower temperature or top-p gives e < 0,
another writer e > 0. A length that is cut off does no harm; a filter does, and is measured too.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from doxa.models.handle import Model
from doxa.models.passes import reader_of
from doxa.models.sampling import check_finite
from doxa.models.strips import Strip, run_strips
from doxa.training.rows import TrainingTokens
from doxa.words.errors import TrainingError

BATCH_TOKENS = 1024
"""Tokens of one forward pass, padding included."""
_READ = 128  # positions at which logits are computed at the same time
_FEW = 16  # positions whose logits are added up in float64 at the same time: small enough for the processor's cache

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Measures:
    """What a model thinks of each of some tokens, given what stands before; in nats.

    Attributes:
        surprisal: -log p of the token.
        entropy: Of the distribution at its place: the surprisal to be expected of the model's own token.
        variance: Of the surprisal of the model's own token, in nats².
        rank: How many tokens are more probable, plus 1.
    """

    surprisal: Numbers
    entropy: Numbers
    variance: Numbers
    rank: Numbers

    @property
    def excess(self) -> Numbers:
        """Surprisal beyond the entropy."""
        return self.surprisal - self.entropy


@dataclass(frozen=True, eq=False)
class RowPolicy:
    """The tokens of a row that are trained on.

    Attributes:
        id: Of the row.
        tokens: Their ids.
        own: Under the model as it is trained.
        under: Under the model with another beginning (a system prompt); None without one.
        divergence: KL(model with that beginning || model without) at each place, over the whole vocabulary; None
            without one.
    """

    id: str
    tokens: tuple[int, ...]
    own: Measures
    under: Measures | None = None
    divergence: Numbers | None = None


@torch.no_grad()
def policy(
    model: Model,
    rows: Sequence[TrainingTokens],
    under: Sequence[TrainingTokens] | None = None,
    *,
    batch_tokens: int = BATCH_TOKENS,
    progress: Callable[[int], None] | None = None,
) -> list[RowPolicy]:
    """Measure every token that is trained on, in one pass over the corpus.

    Args:
        model: The base model.
        rows: The corpus as it is trained on; of weights only counts whether they are 0.
        under: The same rows behind another beginning: the same tokens are trained on.
        batch_tokens: Tokens of one forward pass at most, padding included (one row may be longer).
        progress: Called with the number of rows finished so far.

    Returns:
        Measures of each row, in the order of `rows`.

    Raises:
        TrainingError: When a row does not fit the context, or `under` trains on other tokens.
        ModelError: When logits are not finite.
    """
    pairs = [(own,) for own in rows] if under is None else _paired(rows, under)
    for each in pairs:
        for row in each:
            _check_room(model, row)
    found: dict[int, RowPolicy] = {}
    for batch in _batches(pairs, batch_tokens):
        strips = [row for index in batch for row in pairs[index]]
        features = run_strips(model, [_strip(row) for row in strips])
        for place, index in enumerate(batch):
            first = place * len(pairs[index])
            found[index] = _measured(model, pairs[index], features[first : first + len(pairs[index])])
        if progress is not None:
            progress(len(found))
    return [found[index] for index in range(len(rows))]


def _measured(
    model: Model, versions: Sequence[TrainingTokens], features: Float[Tensor, "versions time width"]
) -> RowPolicy:
    reader = reader_of(model)
    places = [_trained(row) for row in versions]
    targets = torch.tensor([versions[0].tokens[at] for at in places[0]], device=features.device)
    numbers: list[list[Tensor]] = [[] for _ in versions]
    divergence: list[Tensor] = []
    for first in range(0, len(targets), _READ):
        part = slice(first, first + _READ)
        logits = [
            reader.logits(own[[at - 1 for at in there[part]]]) for own, there in zip(features, places, strict=True)
        ]
        for few in _split(len(targets[part])):
            logprobs = [one[few].double().log_softmax(-1) for one in logits]
            for kept, one in zip(numbers, logprobs, strict=True):
                kept.append(_numbers(one, targets[part][few]))
            if len(logprobs) > 1:
                own, other = logprobs
                divergence.append((other.exp() * (other - own)).nansum(-1))
    measures = [Measures(*torch.cat(kept, 1).cpu().numpy()) for kept in numbers]
    for found in measures:
        check_finite(torch.from_numpy(found.surprisal))
    return RowPolicy(
        versions[0].id,
        tuple(targets.tolist()),
        measures[0],
        measures[1] if len(measures) > 1 else None,
        torch.cat(divergence).cpu().numpy() if divergence else None,
    )


def _numbers(logprobs: Float[Tensor, "places vocab"], targets: Int[Tensor, " places"]) -> Float[Tensor, "4 places"]:
    """Surprisal, entropy, variance and rank at each place."""
    own = logprobs.gather(-1, targets[:, None])
    p = logprobs.exp()
    rank = (logprobs > own).sum(-1) + 1
    finite = logprobs.masked_fill(p == 0, 0)  # 0 log 0 is 0
    p_log_p = p * finite
    entropy = -p_log_p.sum(-1)
    square = (p_log_p * finite).sum(-1)
    return torch.stack([-own[:, 0], entropy, (square - entropy**2).clamp(min=0), rank.double()])


def _split(length: int) -> Iterator[slice]:
    return (slice(first, first + _FEW) for first in range(0, length, _FEW))


def _trained(row: TrainingTokens) -> list[int]:
    return [at for at, weight in enumerate(row.weights) if weight != 0]


def _strip(row: TrainingTokens) -> Strip:
    """The tokens up to the last one that is trained on, which itself predicts nothing that is read."""
    tokens = row.tokens[: _trained(row)[-1]]
    return Strip((), tokens, torch.ones(0, len(tokens), dtype=torch.bool))


def _paired(rows: Sequence[TrainingTokens], under: Sequence[TrainingTokens]) -> list[tuple[TrainingTokens, ...]]:
    for own, other in zip(rows, under, strict=True):
        same = [own.tokens[at] for at in _trained(own)] == [other.tokens[at] for at in _trained(other)]
        if not same:
            raise TrainingError(
                f"row {own.id} has other tokens to train on behind the prompt",
                expected="the same answer, token by token",
                way_out="Let the answer begin without blanks, or measure it without the prompt",
            )
    return list(zip(rows, under, strict=True))


def _check_room(model: Model, row: TrainingTokens) -> None:
    if not row.trained:
        raise TrainingError(f"row {row.id} has no token that is trained on", way_out="Leave it out")
    if row.weights[0] != 0:
        raise TrainingError(
            f"row {row.id} trains on its first token",
            expected="a weight of 0 there: nothing stands before it",
            way_out="Set it to 0",
        )
    if len(row.tokens) > model.context_length:
        raise TrainingError(
            f"row {row.id} has {len(row.tokens)} tokens",
            expected=f"at most {model.context_length}: the context of {model.name}",
            way_out="Shorten it, or the prompt before it",
        )


def _batches(pairs: Sequence[Sequence[TrainingTokens]], batch_tokens: int) -> Iterator[list[int]]:
    """Rows of like length together, the longest first: what does not fit into memory fails at once."""
    lengths = [max(len(row.tokens) for row in each) for each in pairs]
    batch: list[int] = []
    for index in sorted(range(len(pairs)), key=lambda at: -lengths[at]):
        if batch and (len(batch) + 1) * lengths[batch[0]] * len(pairs[index]) > batch_tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
