"""`doxa/drift` as an Inspect task; what it measures, and why so, stands in `drift.py`."""

from typing import Literal

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessageUser, GenerateConfig
from inspect_ai.scorer import Score, Scorer, Target, scorer
from inspect_ai.solver import Generate, Solver, TaskState, solver

from doxa.bridge.oneline import in_one_line
from doxa.evals.asking import answers_of, ask, ask_surprisal, cannot_score, sample_of, was_asked
from doxa.evals.catalogue import Value, known_arguments
from doxa.evals.drift import (
    ARGUMENTS,
    ENTRY,
    MAX_TOKENS,
    NAME,
    TEMPERATURE,
    VERSION,
    measured,
    open_factors,
    read,
    read_answer,
)
from doxa.evals.drift_items import Text, open_prompts
from doxa.evals.scores import means, sample_metadata, task_metadata, task_version, to_inspect_score
from doxa.words.errors import StudyError, nearest
from doxa.words.reading import shown

PARTS = ("all", "open")


@task
def drift(
    part: Literal["all", "open"] = "all",
    limit: int | None = None,
    max_tokens: int = MAX_TOKENS,
    temperature: float = TEMPERATURE,
) -> Task:
    """The whole task for `inspect eval`.

    Args:
        part: `open` leaves out the scored items, which `doxa run` scores outside Inspect.
        limit: At most so many open prompts, neutral texts and capability questions.
        max_tokens: Length of the answers to open prompts.
        temperature: Of sampling them.

    Raises:
        PrerequisiteError: When an argument is not one of these or out of range; Inspect prints it as a line.
    """
    with in_one_line():
        known_arguments(NAME, {"max_tokens": max_tokens, "temperature": temperature}, ARGUMENTS)
        known_arguments(NAME, {} if limit is None else {"limit": limit}, {"limit": int})
        if part not in PARTS:
            raise StudyError(f"{NAME}: part is {shown(part)}", way_out=nearest(str(part), PARTS))
    scored = measured({}, limit) if part == "all" else ()
    return Task(
        name="drift",
        version=task_version(VERSION, ENTRY.content({})),
        dataset=MemoryDataset([*map(_sample, open_prompts()[:limit]), *map(sample_of, scored)]),
        solver=_solve(),
        scorer=_score(),
        config=GenerateConfig(max_tokens=max_tokens, temperature=temperature),
        metadata=task_metadata(NAME, VERSION),
    )


def _sample(prompt: Text) -> Sample:
    return Sample(
        id=f"open-{prompt.name}",
        input=[ChatMessageUser(content=prompt.text)],
        metadata=sample_metadata(open_factors(prompt)),
    )


@solver(name="drift")
def _solve() -> Solver:
    items = {item.id: item for item in measured({}, None)}

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        if str(state.sample_id) in items:
            return await ask(state, items[str(state.sample_id)])
        prompt = list(state.messages)
        state = await generate(state)
        answer = state.output.completion.rstrip("\ufffd")
        state.metadata["doxa"]["surprisal"] = await ask_surprisal(prompt, answer) if answer.strip() else None
        return state

    return solve


@scorer(metrics=[means()], name="drift")
def _score() -> Scorer:
    items = {item.id: item for item in measured({}, None)}

    async def score(state: TaskState, target: Target) -> Score:
        item = items.get(str(state.sample_id))
        if item is not None:
            if was_asked(state):
                return to_inspect_score(read(item, answers_of(state, item)))
            names = ("kl",) if item.kind == "divergence" else ("capability", "margin")
            return to_inspect_score([Value(name, None, cannot_score()) for name in names])
        own = state.metadata["doxa"]
        values = read_answer(
            state.output.completion,
            language=own["factors"]["language"],
            tokens=state.output.usage.output_tokens if state.output.usage else None,
            surprisal=own["surprisal"],
            no_surprisal=cannot_score(),
        )
        return to_inspect_score(values, answer=state.output.completion)

    return score
