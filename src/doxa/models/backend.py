"""What an engine offers: the functions through which every request reaches a model.

A further engine is one more `Backend`; what a study, an arm or a task is, it does not see.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from jaxtyping import Float
from torch import Tensor

from doxa.models.divergence import divergence
from doxa.models.engine import Generation, Row, generate
from doxa.models.handle import Model
from doxa.models.low_rank import LowRank
from doxa.models.score import Choice, OptionScores, score_choices
from doxa.models.steering import SteeringPlan
from doxa.models.vllm_link import check
from doxa.models.vllm_scoring import divergence as divergence_on_vllm
from doxa.models.vllm_scoring import score_choices as score_on_vllm
from doxa.models.vllm_writing import generate as generate_on_vllm
from doxa.words.interventions import Where


class Generates(Protocol):
    """Writes texts."""

    def __call__(
        self, model: Model, rows: Sequence[Row], /, *, progress: Callable[[int], None] | None = None
    ) -> list[Generation]:
        """A generation for each row."""


class Scores(Protocol):
    """Scores given continuations."""

    def __call__(
        self, model: Model, choices: Sequence[Choice], /, *, progress: Callable[[int], None] | None = None
    ) -> list[OptionScores]:
        """Log-probabilities of the options of each choice."""


class Diverges(Protocol):
    """Compares next-token distributions on raw texts."""

    def __call__(
        self,
        model: Model,
        texts: Sequence[str],
        plans: Sequence[tuple[SteeringPlan, ...]],
        low_ranks: Sequence[LowRank | None] | None = None,
        /,
    ) -> Float[Tensor, "plans texts"]:
        """KL(model as it is || steered or tuned) for each entry, mean over the positions of a text, nats."""


class Checks(Protocol):
    """Finds before a run what would go wrong in it."""

    def __call__(
        self, model: Model, places: Sequence[frozenset[Where]], written: Sequence[frozenset[Where]], /
    ) -> None:
        """Raise it, given where each plan of any arm acts, and each plan of those arms that generate."""


@dataclass(frozen=True)
class Backend:
    """An engine."""

    generate: Generates
    score: Scores
    divergence: Diverges
    check: Checks


def _can_do_all(model: Model, places: Sequence[frozenset[Where]], written: Sequence[frozenset[Where]], /) -> None:
    """The engine here steers any token."""


HERE = Backend(generate, score_choices, divergence, _can_do_all)
VLLM = Backend(generate_on_vllm, score_on_vllm, divergence_on_vllm, check)


def backend_of(model: Model) -> Backend:
    """The engine that runs a model."""
    return VLLM if model.servers else HERE
