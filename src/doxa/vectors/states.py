"""The residual stream at every layer for some token sequences: clean, or under steering plans."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from doxa.models.chat import Rendered
from doxa.models.handle import Model
from doxa.models.low_rank import LowRank
from doxa.models.paths import Path, batches, cells_of
from doxa.models.score import BATCH_TOKENS
from doxa.models.steering import SteeringPlan, touched
from doxa.models.strips import read_strips
from doxa.words.errors import ModelError

_MAX_NUMBERS = 1 << 27  # residuals held at once: half a gigabyte in float32


@dataclass(frozen=True, eq=False)
class Row:
    """One token sequence to read.

    Attributes:
        rendered: The conversation.
        generated: From this position on, tokens count as written by the model (for plans that tell them apart).
        plans: What is added to it; () reads it clean.
        low_rank: The adapter it is read with; None: the model as it is.
    """

    rendered: Rendered
    generated: int
    plans: tuple[SteeringPlan, ...] = ()
    low_rank: LowRank | None = None

    def touches(self, plan: SteeringPlan) -> list[bool]:
        """Which of its tokens a plan touches."""
        return [touched(plan, role, at >= self.generated) for at, role in enumerate(self.rendered.roles)]


def residuals(model: Model, rows: Sequence[Row]) -> Iterator[tuple[int, Float[Tensor, "layers time d_model"]]]:
    """Read the residual stream at every layer.

    What the sequences of an arm begin with is run once, and the head is left out, where the model allows it.

    Args:
        model: The model.
        rows: The sequences, each perhaps under plans of its own.

    Yields:
        The index of a row, and its residuals at the output of every decoder block, float32, without padding; in no
        particular order.

    Raises:
        ModelError: When a sequence is longer than the model's context.
        VectorError: When a plan does not fit the model.
        TrainingError: When an adapter is another model's.
    """
    longest = max((row.rendered for row in rows), key=lambda rendered: len(rendered.tokens), default=None)
    if longest is not None and len(longest.tokens) > model.context_length:
        raise ModelError(
            f"a text of {len(longest.tokens)} tokens that begins {longest.text[:60]!r}",
            expected=f"at most {model.context_length}: the context of {model.name}",
            way_out="Shorten it",
        )
    layers = range(model.n_layers)
    budget = min(BATCH_TOKENS, max(1, _MAX_NUMBERS // (model.n_layers * model.d_model)))
    paths = [Path(row.plans, cells_of(row.rendered, row.generated), row.low_rank) for row in rows]
    for batch in batches(model, paths, budget):
        with torch.no_grad():
            streams = read_strips(model, batch.strips, layers)
            stack = torch.stack([streams[layer].float() for layer in layers], dim=1).cpu()
        for index, row, places in batch.paths:
            yield index, stack[row][:, list(places)]
