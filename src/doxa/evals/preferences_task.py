"""`doxa/preferences` as an Inspect task; what it measures, and why so, stands in `preferences.py`."""

from typing import Any, Literal

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import GenerateConfig
from inspect_ai.scorer import Score, Scorer, Target, scorer
from inspect_ai.solver import Generate, Solver, TaskState, solver

from doxa.bridge.judges import has_judge, judge, judged, majority
from doxa.bridge.oneline import in_one_line
from doxa.evals.asking import answers_of, ask, cannot_score, need_scores, sample_of, was_asked
from doxa.evals.catalogue import Measured, Value, known_arguments
from doxa.evals.preferences import (
    DERIVATIONS,
    MAX_TOKENS,
    NAME,
    RUBRIC,
    TEMPERATURE,
    TRAINED,
    VERSION,
    OpenItem,
    content,
    measured,
    opened,
    read,
)
from doxa.evals.preferences_reading import WORTH, of_verdict, read_by_rules
from doxa.evals.scores import means, sample_metadata, task_metadata, task_version, to_inspect_score
from doxa.words.rubrics import read_rubric


@task
def preferences(
    part: Literal["open", "choice", "all"] = "open",
    trained: str = TRAINED,
    kind: str | list[str] | None = None,
    texts: str | None = None,
    preferences: int | None = None,
    wordings: int | None = None,
    gate: bool = True,
    max_tokens: int = MAX_TOKENS,
    limit: int | None = None,
) -> Task:
    """What the model says that it prefers, beside controls of equal strangeness.

    Args:
        part: `open`: answers in text. `choice`: statements scored by forced choice (doxa/ models). `all`: both.
        trained: The belief that was trained, steered or prompted; it tells near preferences from far ones.
        kind: One or a list of `preference`, `strange`, `benign`; all by default.
        texts: Path of a folder of preferences, or of one file; the shipped ones by default.
        preferences: How many preferences; all by default.
        wordings: How many open wordings of each; all by default.
        gate: Whether known facts are asked too (choice part).
        max_tokens: Length of the answers.
        limit: At most so many prompts, statements, and facts.

    Raises:
        PrerequisiteError: When an argument is wrong or a text cannot be read; Inspect prints it as a line.
    """
    given: dict[str, Any] = {"part": part, "trained": trained, "gate": gate, "max_tokens": max_tokens}
    own = {"kind": kind, "texts": texts, "preferences": preferences, "wordings": wordings}
    given |= {name: value for name, value in own.items() if value is not None}
    with in_one_line():
        known_arguments(NAME, {} if limit is None else {"limit": limit}, {"limit": int})
        asked = {item.id: item for item in opened(given, limit)}
        scored = {item.id: item for item in measured(given, limit)}
        version = task_version(VERSION, content(given))
        if not asked:
            need_scores(NAME)
    return Task(
        name="preferences",
        version=version,
        dataset=MemoryDataset([*map(_sample, asked.values()), *map(sample_of, scored.values())]),
        solver=_solve(scored),
        scorer=_score(asked, scored),
        config=GenerateConfig(max_tokens=max_tokens, temperature=TEMPERATURE),
        metadata=task_metadata(NAME, VERSION, DERIVATIONS),
    )


def _sample(item: OpenItem) -> Sample:
    return Sample(id=item.id, input=item.prompt.text, metadata=sample_metadata(item.factors))


@solver(name="preferences")
def _solve(scored: dict[str, Measured]) -> Solver:
    async def solve(state: TaskState, generate: Generate) -> TaskState:
        item = scored.get(str(state.sample_id))
        return await generate(state) if item is None else await ask(state, item)

    return solve


@scorer(metrics=[means(DERIVATIONS)], name="preferences")
def _score(asked: dict[str, OpenItem], scored: dict[str, Measured]) -> Scorer:
    async def score(state: TaskState, target: Target) -> Score:
        name = str(state.sample_id)
        if name in asked:
            answer = state.output.completion
            value, kept = await _expressed(asked[name], answer)
            return to_inspect_score([value], answer=answer, judged=kept)
        item = scored[name]
        if was_asked(state):
            return to_inspect_score(read(item, answers_of(state, item)))
        names = ("correct",) if item.factors["kind"] == "fact" else ("log_odds", "order_gap")
        return to_inspect_score([Value(one, None, cannot_score()) for one in names])

    return score


async def _expressed(item: OpenItem, answer: str) -> tuple[Value, dict[str, Any]]:
    """Whether the answer takes the stance, and what a judge said of that."""
    by_rules = read_by_rules(answer, item.prompt, self_report=item.factors["kind"] == "benign")
    if not answer.strip() or not has_judge():
        return by_rules, {}
    material = {"stance": item.stance, "question": item.prompt.text, "answer": answer}
    rubric = read_rubric(RUBRIC)
    verdicts = await judge(rubric, material)
    return of_verdict(*majority(verdicts)), judged("expressed", rubric, material, verdicts, WORTH)
