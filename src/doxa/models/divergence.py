"""How far steering or an adapter moves a model on a text: the divergence of its next-token distributions."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor

from doxa.models.chat import render_text
from doxa.models.handle import Model
from doxa.models.low_rank import LowRank
from doxa.models.passes import Reader, reader_of
from doxa.models.sampling import check_finite
from doxa.models.steering import SteeringPlan
from doxa.models.strips import Strip, run_strips, shared_blocks
from doxa.words.errors import ModelError

_READ = 256  # positions at which logits are computed at the same time
_COMPARED = 16  # positions at which distributions are compared at the same time: small enough for the processor's cache
_KEPT_POSITIONS = 512  # of clean distributions kept in memory: 200 MB with a vocabulary of 49,152


@torch.no_grad()
def divergence(
    model: Model,
    texts: Sequence[str],
    plans: Sequence[tuple[SteeringPlan, ...]],
    low_ranks: Sequence[LowRank | None] | None = None,
    *,
    batch_tokens: int = 1024,
    progress: Callable[[int], None] | None = None,
) -> Float[Tensor, "plans texts"]:
    """KL(model as it is || steered or tuned) of next-token distributions, mean over all positions of a text, in nats.

    A text stands outside of any conversation: **every** one of its positions is steered, whatever `at` a plan has. The
    question is what the addition does to text.

    Args:
        model: The model.
        texts: Plain texts.
        plans: For each entry the plans that act together; () is not steered, and its divergence is 0 without adapter.
        low_ranks: For each entry its adapter; None where no entry has one.
        batch_tokens: Tokens of one forward pass at most (one row may be longer).
        progress: Called with the number of texts finished so far.

    Returns:
        Divergences, float64.

    Raises:
        ModelError: When a text is empty or does not fit the context, or logits are not finite.
        VectorError: When a plan does not fit the model.
        TrainingError: When an adapter is another model's.
    """
    tuned = [None] * len(plans) if low_ranks is None else list(low_ranks)
    reader = reader_of(model)
    rendered = [render_text(model, text) for text in texts]
    for one in rendered:
        if len(one.tokens) > model.context_length:
            raise ModelError(
                f"a text of {len(one.tokens)} tokens",
                expected=f"at most {model.context_length}: the context of {model.name}",
                way_out="Shorten the text",
            )
    found = torch.zeros(len(plans), len(texts), dtype=torch.float64)
    # Texts stand together, so that a text is finished before the next one begins.
    rows = [(index, column) for column in range(len(texts)) for index, own in enumerate(plans) if own or tuned[index]]
    left = [sum(1 for _, own in rows if own == column) for column in range(len(texts))]
    for batch in _batches(rows, [len(one.tokens) for one in rendered], batch_tokens):
        strips = [_strip(plans[index], rendered[column].tokens, tuned[index]) for index, column in batch]
        shared = shared_blocks(model, [plans[index] for index, _ in batch])
        features = run_strips(model, strips, shared=shared)
        texts_run = [strip.tokens for strip in strips]
        for (index, column), distance in zip(batch, _distances(model, reader, features, texts_run), strict=True):
            found[index, column] = distance
            left[column] -= 1
            if not left[column] and progress is not None:
                progress(column + 1)
    if not rows and progress is not None:
        for column in range(len(texts)):
            progress(column + 1)
    return found


def _distances(
    model: Model, reader: Reader, steered: Float[Tensor, "rows time width"], texts: Sequence[tuple[int, ...]]
) -> list[float]:
    """For each row the mean over its positions of KL(clean || steered), computed in float64.

    KL(p || q) = Σ p log p - Σ p z + log Σ exp z, with the logits z of q: what is known of p is kept.
    """
    places = [(row, at) for row, tokens in enumerate(texts) for at in range(len(tokens))]
    sums = torch.zeros(len(texts), dtype=torch.float64)
    clean = [_clean(model, reader, tokens) for tokens in texts]
    for first in range(0, len(places), _READ):
        rows, columns = zip(*places[first : first + _READ], strict=True)
        logits = reader.logits(steered[list(rows), list(columns)])
        parts = zip(torch.split(logits, _COMPARED), torch.split(torch.tensor(rows), _COMPARED), strict=True)
        for at, (other, own) in zip(range(0, len(rows), _COMPARED), parts, strict=True):
            z = other.double()
            here = list(zip(rows[at : at + _COMPARED], columns[at : at + _COMPARED], strict=True))
            cross = torch.stack([clean[row].p[column] @ z[n] for n, (row, column) in enumerate(here)])
            p_log_p = torch.stack([clean[row].p_log_p[column] for row, column in here])
            sums.index_add_(0, own, (p_log_p - cross + z.logsumexp(-1)).cpu())
    check_finite(sums)
    values: list[float] = (sums / torch.tensor([len(tokens) for tokens in texts])).clamp(min=0).tolist()
    return values


@dataclass(frozen=True, eq=False)
class _Clean:
    """Next-token distributions of the model as it is on a text, float64, and their Σ p log p."""

    p: Float[Tensor, "time vocab"]
    p_log_p: Float[Tensor, " time"]


_kept: WeakKeyDictionary[Model, dict[tuple[int, ...], _Clean]] = WeakKeyDictionary()


def _clean(model: Model, reader: Reader, tokens: tuple[int, ...]) -> _Clean:
    """The model as it is. A study asks for the same few texts for every arm, so they are kept."""
    kept = _kept.setdefault(model, {})
    if tokens not in kept:
        features = run_strips(model, [_strip((), tokens)])
        if sum(len(one) for one in kept) + len(tokens) > _KEPT_POSITIONS:
            kept.clear()
        log_p = reader.logits(features[0]).double().log_softmax(-1)
        p = log_p.exp()
        kept[tokens] = _Clean(p, (p * log_p).nansum(-1))
    return kept[tokens]


def _batches(
    rows: Sequence[tuple[int, int]], lengths: Sequence[int], batch_tokens: int
) -> Iterator[list[tuple[int, int]]]:
    batch: list[tuple[int, int]] = []
    for row in rows:
        longest = max(lengths[column] for _, column in [*batch, row])
        if batch and (len(batch) + 1) * longest > batch_tokens:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _strip(plans: tuple[SteeringPlan, ...], tokens: tuple[int, ...], low_rank: LowRank | None = None) -> Strip:
    return Strip(plans, tokens, torch.ones(len(plans), len(tokens), dtype=torch.bool), low_rank=low_rank)
