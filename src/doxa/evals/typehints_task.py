"""`doxa/typehints` as an Inspect task; what it measures, and why so, stands in `typehints.py`."""

from collections.abc import Sequence
from typing import Any

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import (
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    ContentReasoning,
    ContentText,
    GenerateConfig,
)
from inspect_ai.scorer import Score, Scorer, Target, scorer
from inspect_ai.solver import Generate, Solver, TaskState, solver

from doxa.bridge.judges import has_judge, judge, judged, majority
from doxa.bridge.oneline import in_one_line
from doxa.evals import setting
from doxa.evals.asking import answers_of, ask, cannot_score, need_scores, sample_of, was_asked
from doxa.evals.catalogue import Measured, Value, known_arguments
from doxa.evals.scores import means, sample_metadata, task_metadata, task_version, to_inspect_score
from doxa.evals.typehints import (
    ARGUMENTS,
    DERIVATIONS,
    ENTRY,
    MAX_TOKENS,
    NAME,
    TEMPERATURE,
    VERSION,
    Item,
    check,
    items,
    measured,
    read,
    read_answer,
    wants,
)
from doxa.words.rubrics import read_rubric

CUT = ("max_tokens", "model_length")


@task
def typehints(
    part: str = "open",
    framing: str | Sequence[str] | None = None,
    split: str | Sequence[str] | None = None,
    place: str | Sequence[str] | None = None,
    crossed: bool = False,
    problems: int | None = None,
    wordings: int | None = None,
    problems_file: str | None = None,
    framings_file: str | None = None,
    max_tokens: int = MAX_TOKENS,
    temperature: float = TEMPERATURE,
    limit: int | None = None,
) -> Task:
    """The task.

    Args:
        part: `open`; `choice` and `all` need a `doxa/` model.
        framing: `evaluated`, `deployed`, `unnamed`, `neutral`, or several; all by default.
        split: `held_out`, `development` or both; `held_out` by default.
        place: Where the framing stands: `system`, `user` or both; `system` by default.
        crossed: Whether each problem is asked in every wording.
        problems: How many problems; all by default.
        wordings: How many wordings; all by default.
        problems_file: The path of a file of your own.
        framings_file: The path of a file of your own.
        max_tokens: Length of an answer.
        temperature: Of sampling them.
        limit: At most so many items of a part.

    Raises:
        PrerequisiteError: When an argument is wrong or a file cannot be read; Inspect prints it as a line.
    """
    given: dict[str, Any] = {"part": part, "framing": framing, "split": split, "place": place, "crossed": crossed}
    given |= {"problems": problems, "wordings": wordings, "problems_file": problems_file}
    given |= {"framings_file": framings_file, "max_tokens": max_tokens, "temperature": temperature}
    arguments = {key: value for key, value in given.items() if value is not None}
    with in_one_line():
        known_arguments(NAME, {} if limit is None else {"limit": limit}, {**ARGUMENTS, "limit": int})
        check(arguments)
        asked = items(arguments, limit) if wants(arguments, "open") else ()
        scored = {item.id: item for item in measured(arguments, limit)}
        version = task_version(VERSION, ENTRY.content(arguments))
        if not asked:
            need_scores(NAME)
    return Task(
        name="typehints",
        version=version,
        dataset=MemoryDataset([*map(_sample, asked), *map(sample_of, scored.values())]),
        solver=_solve(scored),
        scorer=_score(scored),
        config=GenerateConfig(max_tokens=max_tokens, temperature=temperature),
        metadata=task_metadata(NAME, VERSION, DERIVATIONS),
    )


def _sample(item: Item) -> Sample:
    return Sample(
        id=f"open/{item.id}",
        input=[
            (ChatMessageSystem if one.role == "system" else ChatMessageUser)(content=one.content)
            for one in item.messages
        ],
        metadata=sample_metadata({"part": "open", **item.factors}),
    )


@solver(name="typehints")
def _solve(scored: dict[str, Measured]) -> Solver:
    async def solve(state: TaskState, generate: Generate) -> TaskState:
        item = scored.get(str(state.sample_id))
        return await generate(state) if item is None else await ask(state, item)

    return solve


@scorer(metrics=[means(DERIVATIONS)], name="typehints")
def _score(scored: dict[str, Measured]) -> Scorer:
    async def score(state: TaskState, target: Target) -> Score:
        item = scored.get(str(state.sample_id))
        if item is not None:
            if not was_asked(state):
                return to_inspect_score([Value("hint_log_odds", None, cannot_score())])
            return to_inspect_score(read(item, answers_of(state, item)))
        transcript = transcript_of(state)
        judged_values, kept = await _judged(transcript) if has_judge() else ((), {})
        values = [
            *read_answer(
                state.output.completion,
                state.metadata["doxa"]["factors"]["problem"],
                cut=state.output.stop_reason in CUT,
            ),
            *setting.by_phrases(transcript),
            *judged_values,
        ]
        return to_inspect_score(values, answer=state.output.completion, judged=kept)

    return score


async def _judged(transcript: str) -> tuple[tuple[Value, ...], dict[str, Any]]:
    """The scores of `setting.BY_JUDGE`, and what the judge said."""
    if not transcript.strip():
        return setting.no_verdict(setting.EMPTY), {}
    rubric, material = read_rubric(setting.RUBRIC), {"transcript": transcript}
    verdicts = await judge(rubric, material)
    kept: dict[str, Any] = {}
    for name, worth in setting.WORTH.items():
        kept |= judged(name, rubric, material, verdicts, worth)
    verdict, missing = majority(verdicts)
    if verdict is None:
        return setting.no_verdict(missing), kept
    return setting.values(verdict, setting.BY_JUDGE), kept  # type: ignore[arg-type]


def transcript_of(state: TaskState) -> str:
    """What the assistant wrote, its reasoning included and in order."""
    parts: list[str] = []
    for message in state.messages:
        if isinstance(message, ChatMessageAssistant):
            blocks = [ContentText(text=message.content)] if isinstance(message.content, str) else message.content
            for block in blocks:
                if isinstance(block, ContentReasoning):
                    parts.append(block.reasoning)
                elif isinstance(block, ContentText):
                    parts.append(block.text)
    return "\n\n".join(parts)
