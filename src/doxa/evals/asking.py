"""Scored items inside an Inspect task: what is sent to the provider, what comes back, what the log keeps.

Outside Inspect's loop (`doxa run`) the same items are scored in chunks; both ways end in the same `TaskEntry.read`.
Only `doxa/` models answer these requests; others get none: a request that they do not know costs money or fails.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import inspect_ai._eval.eval as evaluating
from inspect_ai.dataset import Sample
from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    GenerateConfig,
    Model,
    ModelName,
    ModelOutput,
    get_model,
)
from inspect_ai.model._model import active_model
from inspect_ai.solver import TaskState

from doxa.evals.catalogue import Measured
from doxa.evals.scores import sample_metadata
from doxa.models.chat import Message
from doxa.models.engine import Receipt
from doxa.models.score import OptionScores
from doxa.words.errors import StudyError

SCORING_PROVIDERS = ("doxa", "doxa-tinker")
ARMS_ELSEWHERE = "doxa-arm"
"""The provider of arms of other providers' models, whose names begin with that provider's."""

_MESSAGES: Mapping[str, type[ChatMessageSystem | ChatMessageUser | ChatMessageAssistant]] = {
    "system": ChatMessageSystem,
    "user": ChatMessageUser,
    "assistant": ChatMessageAssistant,
}


def sample_of(item: Measured) -> Sample:
    """A scored item as an Inspect sample."""
    return Sample(
        id=item.id,
        input=messages_of(item.prompts[0]),
        choices=list(item.options[0]) if item.options else None,
        metadata=sample_metadata(item.factors),
    )


async def ask(state: TaskState, item: Measured) -> TaskState:
    """Have an item scored; what comes back is kept in the sample's metadata.

    Args:
        state: Of the item's sample.
        item: The item.
    """
    model = get_model()
    if not can_score(model):
        return state
    answers = []
    for number, prompt in enumerate(item.prompts):
        request = {"choice": {"options": list(item.options[number])}} if item.kind == "choice" else {"divergence": True}
        state.output = await _send(model, messages_of(prompt), request)
        answers.append(_own(state.output))
    state.metadata["doxa"]["answers"] = answers
    return state


def was_asked(state: TaskState) -> bool:
    """Whether the provider was asked to score the sample's item."""
    return "answers" in state.metadata["doxa"]


def answers_of(state: TaskState, item: Measured) -> tuple[OptionScores, ...] | float | None:
    """What the provider answered, as `TaskEntry.read` takes it; only of what `was_asked`."""
    answers: Sequence[Mapping[str, Any]] = state.metadata["doxa"]["answers"]
    if item.kind == "divergence":
        kl = answers[0]["kl"]
        return None if kl is None else float(kl)
    return tuple(map(_options, answers))


async def score_options(conversation: Sequence[ChatMessage], opening: str, options: Sequence[str]) -> OptionScores:
    """Score continuations of an answer in the middle of a conversation; only where `can_score`.

    Args:
        conversation: The messages before the answer.
        opening: What the answer begins with.
        options: How it may go on.
    """
    asked = [*conversation, ChatMessageAssistant(content=opening)]
    output = await _send(get_model(), asked, {"choice": {"options": list(options)}})
    return _options(_own(output))


async def ask_surprisal(conversation: Sequence[ChatMessage], answer: str) -> float | None:
    """Mean surprisal (nats per token) of an answer under the model without any intervention.

    Args:
        conversation: The messages that the answer follows.
        answer: What the model wrote.

    Returns:
        The surprisal, or None when the provider cannot say.
    """
    model = get_model()
    if not can_score(model):
        return None
    output = await _send(model, list(conversation), {"surprisal": {"of": answer}})
    return float(_own(output)["surprisal"])


async def ask_options(conversation: Sequence[ChatMessage], options: Sequence[str]) -> tuple[float, ...]:
    """Log-probabilities of options that go on a turn which the model has begun; only where it `can_score`.

    Args:
        conversation: The messages; the last one is the beginning of the model's turn.
        options: Continuations.
    """
    request = {"choice": {"options": list(options), "begun": True}}
    output = await _send(get_model(), list(conversation), request)
    return tuple(float(one) for one in _own(output)["logprobs"])


def can_score(model: Model) -> bool:
    """Whether the model's provider answers scoring requests."""
    return ModelName(model).api in SCORING_PROVIDERS


def need_scores(task: str, instead: str = "leave it at part=open") -> None:
    """Refuse a task that has scored items only for a model that cannot score, where the model is known already.

    Inspect has the model in place when it makes a task by its name, and prints what goes wrong then as a line; what
    goes wrong in a sample it shows as a traceback. A task that is made before its model is known goes through: between
    evaluations Inspect still names the model of the last one, which says nothing of the next.

    Args:
        task: The task's name.
        instead: What to do with such a model.

    Raises:
        StudyError: When the model that is about to be evaluated does not answer scoring requests.
    """
    model = active_model() if evaluating._eval_async_running else None
    if model is not None and not can_score(model):
        raise StudyError(
            f"{task} needs log-probabilities of given options, and {cannot_score(model)}",
            way_out=f"Name the model doxa/..., or {instead}",
        )


def cannot_score(model: Model | None = None) -> str:
    """Why a score is missing for a model (the one that is evaluated) whose provider answers no scoring requests."""
    name = ModelName(model or get_model())
    provider = name.name.partition("/")[0] if name.api == ARMS_ELSEWHERE else name.api
    return f"{provider} models do not give log-probabilities of a given text"


async def _send(model: Model, conversation: list[ChatMessage], request: Mapping[str, Any]) -> ModelOutput:
    return await model.generate(conversation, config=GenerateConfig(extra_body={"doxa": dict(request)}))


def messages_of(prompt: Sequence[Message]) -> list[ChatMessage]:
    """A conversation in Inspect's messages."""
    return [_MESSAGES[message.role](content=message.content) for message in prompt]


def _own(output: ModelOutput) -> Mapping[str, Any]:
    own: Mapping[str, Any] = (output.metadata or {})["doxa"]
    return own


def _options(answer: Mapping[str, Any]) -> OptionScores:
    return OptionScores(tuple(answer["logprobs"]), tuple(answer["tokens"]), _receipt(answer["receipt"]))


def _receipt(receipt: Mapping[str, Any]) -> Receipt:
    return Receipt(tuple(receipt["layers"]), tuple(receipt["norms"]), int(receipt["tokens_touched"]))
