"""The residual stream at every layer for some token sequences: clean, or under steering plans."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import DynamicCache

from doxa.models.chat import Rendered
from doxa.models.handle import Model
from doxa.models.passes import new_cache, reader_of, selected
from doxa.models.prefixes import WORTH
from doxa.models.steering import SteeringPlan, reading, steering, touched
from doxa.words.errors import ModelError

_MAX_ROWS = 64
_MAX_NUMBERS = 1 << 27  # residuals held at once: half a gigabyte in float32


@dataclass(frozen=True, eq=False)
class Row:
    """One token sequence to read.

    Attributes:
        rendered: The conversation.
        generated: From this position on, tokens count as written by the model (for plans that tell them apart).
        plans: What is added to it; () reads it clean.
    """

    rendered: Rendered
    generated: int
    plans: tuple[SteeringPlan, ...] = ()

    def touches(self, plan: SteeringPlan) -> list[bool]:
        """Which of its tokens a plan touches."""
        return [touched(plan, role, at >= self.generated) for at, role in enumerate(self.rendered.roles)]


def residuals(model: Model, rows: Sequence[Row]) -> Iterator[tuple[int, Float[Tensor, "layers time d_model"]]]:
    """Read the residual stream at every layer.

    Rows run in batches of about equal length, with explicit positions and, where the model allows it, without the head;
    what all rows of a batch begin with is run once.

    Args:
        model: The model.
        rows: The sequences, each perhaps under plans of its own.

    Yields:
        The index of a row, and its residuals at the output of every decoder block, float32, without padding; in no
        particular order.

    Raises:
        ModelError: When a sequence is longer than the model's context.
        VectorError: When a plan does not fit the model.
    """
    longest = max((row.rendered for row in rows), key=lambda rendered: len(rendered.tokens), default=None)
    if longest is not None and len(longest.tokens) > model.context_length:
        raise ModelError(
            f"a text of {len(longest.tokens)} tokens that begins {longest.text[:60]!r}",
            expected=f"at most {model.context_length}: the context of {model.name}",
            way_out="Shorten it",
        )
    for batch in _batches(model, rows):
        found = _run(model, [rows[index] for index in batch])  # no hook is left when it yields
        yield from zip(batch, found, strict=True)


def _run(model: Model, batch: Sequence[Row]) -> list[Float[Tensor, "layers time d_model"]]:
    """Run a batch; the beginning that all its rows share (a default system prompt) once for each set of plans."""
    arms = list(dict.fromkeys(row.plans for row in batch))
    shared = _shared(batch)
    if (len(batch) - len(arms)) * shared < WORTH:
        return _pass(model, batch, 0, None, None)
    owners = [next(row for row in batch if row.plans == plans) for plans in arms]
    cache = new_cache(model)
    trunks = _pass(model, owners, 0, shared, cache)
    chosen = [arms.index(row.plans) for row in batch]
    own = _pass(model, batch, shared, None, selected(cache, chosen))
    return [torch.cat([trunks[arm], states], dim=1) for arm, states in zip(chosen, own, strict=True)]


def _shared(batch: Sequence[Row]) -> int:
    """How many tokens all rows have in common at their beginning, of the same speakers; at most all but the last."""
    first = batch[0].rendered
    end = min(min(len(row.rendered.tokens) - 1, row.generated) for row in batch)
    for at in range(end):
        if any(
            (row.rendered.tokens[at], row.rendered.roles[at]) != (first.tokens[at], first.roles[at]) for row in batch
        ):
            return at
    return end


def _pass(
    model: Model, rows: Sequence[Row], start: int, end: int | None, cache: DynamicCache | None
) -> list[Float[Tensor, "layers time d_model"]]:
    """Residuals of the tokens from `start` to before `end`; the cache holds what stands before `start`, and grows."""
    strips = [row.rendered.tokens[start:end] for row in rows]
    time = max(len(strip) for strip in strips)
    tokens = torch.zeros(len(rows), time, dtype=torch.long)
    mask = torch.zeros(len(rows), start + time, dtype=torch.bool)
    mask[:, :start] = True
    for row, strip in enumerate(strips):
        tokens[row, : len(strip)] = torch.tensor(strip)
        mask[row, start : start + len(strip)] = True
    # Padding stands on the right, where no token sees it; it may reach beyond the last position that the model has.
    positions = torch.arange(start, start + time).clamp(max=model.context_length - 1).expand(len(rows), time)
    layers = range(model.n_layers)
    reader = reader_of(model)
    plans = [row.plans for row in rows]
    with torch.no_grad(), steering(model, plans) as state, reading(model, layers) as streams:
        touched_at = torch.zeros(len(state.pairs), time, dtype=torch.bool)
        for place, (row, plan) in zip(touched_at, state.pairs, strict=True):
            place[: len(strips[row])] = torch.tensor(rows[row].touches(plan)[start:end])
        state.move(touched_at)
        reader.features(tokens.to(model.device), mask.to(model.device), positions.to(model.device), cache, last=True)
        return [
            torch.stack([streams[layer][row, : len(strip)].float().cpu() for layer in layers])
            for row, strip in enumerate(strips)
        ]


def _batches(model: Model, rows: Sequence[Row]) -> Iterator[list[int]]:
    budget = _MAX_NUMBERS // (model.n_layers * model.d_model)
    batch: list[int] = []
    for index in sorted(range(len(rows)), key=lambda i: len(rows[i].rendered.tokens)):
        longest = len(rows[index].rendered.tokens)
        if batch and (len(batch) == _MAX_ROWS or (len(batch) + 1) * longest > budget):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
