"""A task of the tests that generates and asks a judge about what is written, and models that are scripts."""

from collections.abc import Callable
from typing import Any

from inspect_ai import Task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import (
    ChatMessage,
    GenerateConfig,
    ModelAPI,
    ModelOutput,
    ModelUsage,
    get_model,
    model_roles,
    modelapi,
)
from inspect_ai.scorer import Score, Scorer, Target, scorer
from inspect_ai.solver import TaskState, generate

from doxa.evals.catalogue import Measured, TaskEntry, Value
from doxa.evals.scores import means, sample_metadata, task_metadata, to_inspect_score

NAME = "doxa/judged"
MODULE = "judged_task"
ARGUMENTS: dict[str, type] = {}
QUESTIONS = ("Is it warm?", "Is it late?", "Is it far?", "Is it old?")

ASKED: list[tuple[str, list[ChatMessage]]] = []
"""What the scripted models were asked: their names and the messages."""
ANSWERS: dict[str, Callable[[list[ChatMessage]], str]] = {}
"""What a scripted model answers, by its name; `yes` without an entry."""


@modelapi(name="scripted")
class Scripted(ModelAPI):
    """`scripted/<anything>`: answers by `ANSWERS`, and keeps what it is asked."""

    async def generate(
        self, input: list[ChatMessage], tools: list[Any], tool_choice: Any, config: GenerateConfig
    ) -> ModelOutput:
        """Answer."""
        ASKED.append((self.model_name, list(input)))
        output = ModelOutput.from_content(self.model_name, ANSWERS.get(self.model_name, lambda _: "yes")(input))
        output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
        return output

    async def count_text_tokens(self, text: str) -> int:
        """Words."""
        return len(text.split())


def generated(arguments: Any, limit: int | None) -> Task:
    """The Inspect task."""
    return Task(
        name="judged",
        dataset=MemoryDataset(
            [
                Sample(id=str(at), input=question, metadata=sample_metadata({"half": str(at % 2)}))
                for at, question in enumerate(QUESTIONS[:limit])
            ]
        ),
        solver=generate(),
        scorer=_score(),
        config=GenerateConfig(max_tokens=4),
        metadata=task_metadata(NAME, 1),
    )


@scorer(metrics=[means()], name="judged")
def _score() -> Scorer:
    async def score(state: TaskState, target: Target) -> Score:
        own = [Value("yes", float("yes" in state.output.completion))]
        if "judge" in model_roles():
            said = (await get_model(role="judge").generate(f"Is this polite? {state.output.completion}")).completion
            own.append(Value("polite", float(said == "yes")))
        return to_inspect_score(own, answer=state.output.completion)

    return score


def _read(item: Measured, answers: Any) -> tuple[Value, ...]:
    raise AssertionError("nothing is measured")


ENTRY = TaskEntry(
    name=NAME,
    version=1,
    measured=lambda arguments, limit: (),
    read=_read,
    generated=generated,
    derivations=(),
    primary=("yes",),
    open_factors=lambda arguments: [{"half": str(at % 2)} for at in range(len(QUESTIONS))],
    open_items=lambda arguments, limit: len(QUESTIONS[:limit]),
    max_tokens=lambda arguments: 4,
    judge_calls=lambda arguments: 1,
    kinds={"yes": "binary", "polite": "binary"},
    shown=("yes", "polite"),
    written=("yes", "polite"),
)
