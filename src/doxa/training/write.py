"""Who writes the answers of a corpus: the model itself, under a prompt, steered, or another model.

A writer gets conversations and returns a text for each. The random stream of a text depends on the recipe's seed, the
question and the draw, and not on who writes: the same draws stand behind every writer's answer to a question.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from doxa.models.chat import Message, render
from doxa.models.engine import Row as Written
from doxa.models.engine import generate
from doxa.models.handle import Model
from doxa.models.sampling import Sampling
from doxa.models.steering import SteeringPlan
from doxa.words.store import stream_seed

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Request:
    """One answer that is wanted.

    Attributes:
        id: Of the question and the draw.
        conversation: What the writer reads.
        seed: Of the answer's random stream.
    """

    id: str
    conversation: tuple[Message, ...]
    seed: int


@dataclass(frozen=True)
class Answer:
    """What was written.

    Attributes:
        text: The answer to the letter: blank space is part of what the model wrote.
        finished: Whether the writer ended it by itself.
        missing: Why there is none; "" when there is one.
    """

    text: str
    finished: bool = True
    missing: str = ""


class Writer(Protocol):
    """Writes an answer to every request."""

    def __call__(self, requests: Sequence[Request], progress: Progress | None) -> Sequence[Answer]:
        """Write.

        Args:
            requests: What is wanted.
            progress: Told how many are finished.

        Returns:
            An answer to each, in their order.
        """


@dataclass(frozen=True, eq=False)
class ModelItself:
    """The model under study writes, all answers in one call of the engine.

    Attributes:
        model: The model.
        sampling: How tokens are drawn; the seed is the request's.
        plans: What is added to the residual stream while it writes.
    """

    model: Model
    sampling: Sampling
    plans: tuple[SteeringPlan, ...] = ()

    def __call__(self, requests: Sequence[Request], progress: Progress | None) -> Sequence[Answer]:
        """See `Writer`."""
        rows = [
            Written(render(self.model, one.conversation), replace(self.sampling, seed=one.seed), self.plans)
            for one in requests
        ]
        done = generate(self.model, rows, progress=progress)
        return [Answer(one.text, one.stop == "stop") for one in done]


@dataclass(frozen=True)
class AnotherModel:
    """A model of any Inspect provider writes.

    Attributes:
        name: Inspect model string.
        sampling: As far as the provider knows these settings; it is given no seed, which would make all answers alike.
    """

    name: str
    sampling: Sampling

    def __call__(self, requests: Sequence[Request], progress: Progress | None) -> Sequence[Answer]:
        """See `Writer`.

        Raises:
            StudyError: When there is no such model.
        """
        from doxa.bridge.writing import written  # a provider is loaded only where one writes

        texts = written(self.name, [one.conversation for one in requests], self.sampling, progress)
        return [Answer(one.text.strip(), one.finished, one.missing) for one in texts]


@dataclass(frozen=True)
class Given:
    """Answers that are there already.

    Attributes:
        answers: By question; draw d gets the d-th, and from the start again after the last.
        drawn: Question and number of the draw by request.
    """

    answers: Mapping[str, tuple[str, ...]]
    drawn: Mapping[str, tuple[str, int]]

    def __call__(self, requests: Sequence[Request], progress: Progress | None) -> Sequence[Answer]:
        """See `Writer`."""
        found = []
        for one in requests:
            question, draw = self.drawn[one.id]
            texts = self.answers.get(question, ())
            found.append(Answer(texts[draw]) if draw < len(texts) else Answer("", missing="the file has no answer"))
        return found


def conversation_of(question: str, system_prompt: str | None) -> tuple[Message, ...]:
    """A question as a writer reads it."""
    before = () if system_prompt is None else (Message("system", system_prompt),)
    return (*before, Message("user", question))


def request_seed(seed: int, question: str, draw: int) -> int:
    """The seed of an answer: of the recipe's seed, the question's text and the number of the draw."""
    return stream_seed("corpus", seed, question, draw)
