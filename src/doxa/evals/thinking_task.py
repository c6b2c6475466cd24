"""`doxa/thinking` as an Inspect task; what it measures, and why so, stands in `thinking.py`."""

from dataclasses import replace
from typing import Any

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessageAssistant, GenerateConfig, get_model
from inspect_ai.scorer import Score, Scorer, Target, scorer
from inspect_ai.solver import Generate, Solver, TaskState, solver

from doxa.bridge.conversation import blocks_of
from doxa.bridge.oneline import in_one_line
from doxa.evals import thinking as own
from doxa.evals.asking import ask_options, can_score, cannot_score
from doxa.evals.catalogue import known_arguments
from doxa.evals.scores import means, sample_metadata, task_metadata, task_version, to_inspect_score
from doxa.evals.thinking_items import Question, read_questions
from doxa.words.errors import StudyError
from doxa.words.transcripts import Block, Tags, format_called, marked, write_turn
from doxa.words.wordings import QUESTIONS


@task
def thinking(
    questions: str = QUESTIONS,
    belief: str = own.BELIEF,
    tags: str = own.TAGS,
    scratchpad: bool = False,
    max_tokens: int = own.MAX_TOKENS,
    temperature: float = own.TEMPERATURE,
    limit: int | None = None,
) -> Task:
    """Think first, then choose.

    Args:
        questions: `questions` (shipped), or the path of a Markdown file of cases.
        belief: A file of wordings: what a sentence says that counts as `mentions`.
        tags: Name of the tags around thinking that is written as text.
        scratchpad: Tell the model to think between these tags.
        max_tokens: Length of a turn, thinking included.
        temperature: Of sampling.
        limit: At most so many questions.

    Raises:
        PrerequisiteError: When an argument is wrong or a file cannot be read; Inspect prints it as a line.
    """
    with in_one_line():
        given = {"questions": questions, "belief": belief, "tags": tags, "scratchpad": scratchpad}
        given |= {"max_tokens": max_tokens, "temperature": temperature}
        known_arguments(own.NAME, given, own.ARGUMENTS)
        known_arguments(own.NAME, {} if limit is None else {"limit": limit}, {"limit": int})
        if not isinstance(format_called(tags), Tags):
            raise StudyError(f"{own.NAME}: tags is {tags!r}", expected="the name of a tag", way_out="Write `think`")
        asked, _ = read_questions(questions)
        content, phrases = own.content(given), own.belief_phrases(belief)
    return Task(
        name="thinking",
        version=task_version(own.VERSION, content),
        dataset=MemoryDataset([_sample(one, scratchpad=scratchpad, tags=tags) for one in asked[:limit]]),
        solver=_think_and_answer(tags),
        scorer=_read_turn(tags, list(phrases)),
        config=GenerateConfig(max_tokens=max_tokens, temperature=temperature),
        metadata=task_metadata(own.NAME, own.VERSION),
    )


def _sample(question: Question, *, scratchpad: bool, tags: str) -> Sample:
    return Sample(
        id=question.name,
        input=own.prompt_of(question, scratchpad=scratchpad, tags=tags),
        metadata=sample_metadata(own.open_factors(question), careful=question.careful),
    )


@solver(name="thinking")
def _think_and_answer(tags: str) -> Solver:
    async def solve(state: TaskState, generate: Generate) -> TaskState:
        conversation = list(state.messages)
        state = await generate(state)
        if can_score(get_model()):
            turn = write_turn(_up_to_the_last_thought(blocks_of(state.output.message.content, Tags(tags)), Tags(tags)))
            begun = ChatMessageAssistant(content=f"{turn}{own.ANSWER}".lstrip())
            letters = await ask_options([*conversation, begun], [" A", " B"])
            careful = state.metadata["doxa"]["careful"]
            state.metadata["doxa"]["leaning"] = (letters[0] - letters[1]) * (1.0 if careful == "A" else -1.0)
        return state

    return solve


def _up_to_the_last_thought(blocks: tuple[Block, ...], tags: Tags) -> list[Block]:
    """The turn before its answer, with every thought ended."""
    last = max((index for index, block in enumerate(blocks) if block.kind == "thinking"), default=-1)
    ended = marked(blocks, tags)[: last + 1]
    return [
        replace(block, closing=block.closing or tags.closing) if block.kind == "thinking" else block for block in ended
    ]


@scorer(metrics=[means()], name="thinking")
def _read_turn(tags: str, phrases: list[str]) -> Scorer:
    async def score(state: TaskState, target: Target) -> Score:
        metadata: dict[str, Any] = state.metadata["doxa"]
        made: dict[str, Any] = (state.output.metadata or {}).get("doxa", {})
        values = own.read_turn_of(
            blocks_of(state.output.message.content, Tags(tags)),
            careful=metadata["careful"],
            leaning=metadata.get("leaning"),
            no_leaning=cannot_score(),
            receipt=made.get("thought"),
            phrases=tuple(phrases),
        )
        return to_inspect_score(values, answer=state.output.completion)

    return score
