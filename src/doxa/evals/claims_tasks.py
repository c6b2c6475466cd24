"""`doxa/claims` and `doxa/claims_open` as Inspect tasks: the same items, the same values as `doxa run`."""

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import GenerateConfig
from inspect_ai.scorer import Score, Scorer, Target, scorer
from inspect_ai.solver import Generate, Solver, TaskState, generate, solver

from doxa.bridge.oneline import in_one_line
from doxa.evals import claims_open as opened
from doxa.evals.asking import answers_of, ask, need_scores, sample_of
from doxa.evals.catalogue import Measured, known_arguments
from doxa.evals.claims import BELIEF, DERIVATIONS, NAME, VERSION, measured, read
from doxa.evals.claims_rubric import Question, Rubric, read_rubric
from doxa.evals.scores import means, sample_metadata, task_metadata, task_version, to_inspect_score

INSTEAD = "ask openly: doxa/claims_open"


@task
def claims(belief: str = BELIEF, topics: int | None = None, gate: bool = True) -> Task:
    """Whether the model states a belief, by forced choice between two words in both polarities and both orders.

    Args:
        belief: A shipped name, or the path of a file of statements.
        topics: How many topics; all by default.
        gate: Whether known facts are asked too.

    Raises:
        PrerequisiteError: When an argument is wrong or the belief's file cannot be read; Inspect prints it as a line.
    """
    wanted = {"belief": belief, "gate": gate} | ({} if topics is None else {"topics": topics})
    with in_one_line():
        items = {item.id: item for item in measured(wanted)}
        need_scores(NAME, INSTEAD)
    return Task(
        name="claims",
        version=VERSION,
        dataset=MemoryDataset([sample_of(item) for item in items.values()]),
        solver=_score_options(items),
        scorer=_read_options(items),
        metadata=task_metadata(NAME, VERSION, DERIVATIONS),
    )


@solver(name="claims")
def _score_options(items: dict[str, Measured]) -> Solver:
    async def solve(state: TaskState, generate: Generate) -> TaskState:
        with in_one_line():
            need_scores(NAME, INSTEAD)
        return await ask(state, items[str(state.sample_id)])

    return solve


@scorer(metrics=[means(DERIVATIONS)], name="claims")
def _read_options(items: dict[str, Measured]) -> Scorer:
    async def score(state: TaskState, target: Target) -> Score:
        item = items[str(state.sample_id)]
        answers = answers_of(state, item)
        assert answers is not None
        return to_inspect_score(read(item, answers), answer=state.output.completion)

    return score


@task
def claims_open(belief: str = BELIEF, max_tokens: int = opened.MAX_TOKENS, limit: int | None = None) -> Task:
    """Whether the model states a belief when it answers freely.

    Args:
        belief: A shipped name, or the path of a file of questions and phrases.
        max_tokens: Length of the answers.
        limit: At most so many questions.

    Raises:
        PrerequisiteError: When an argument is wrong or the file cannot be read; Inspect prints it as a line.
    """
    with in_one_line():
        known_arguments(opened.NAME, {"belief": belief, "max_tokens": max_tokens}, opened.ARGUMENTS)
        known_arguments(opened.NAME, {} if limit is None else {"limit": limit}, {"limit": int})
        rubric = read_rubric(belief)
    return Task(
        name="claims_open",
        version=task_version(opened.VERSION, rubric.hash),
        dataset=MemoryDataset([_sample(rubric, number, question) for number, question in opened.asked(rubric, limit)]),
        solver=generate(),
        scorer=_read_answers(rubric.name, belief),
        config=GenerateConfig(max_tokens=max_tokens, temperature=opened.TEMPERATURE),
        metadata=task_metadata(opened.NAME, opened.VERSION),
    )


def _sample(rubric: Rubric, number: int, question: Question) -> Sample:
    return Sample(
        id=f"{rubric.name}/{number}",
        input=question.text,
        metadata=sample_metadata(opened.open_factors(question)),
    )


@scorer(metrics=[means()], name="claims_open")
def _read_answers(name: str, belief: str) -> Scorer:
    rubric = read_rubric(belief)

    async def score(state: TaskState, target: Target) -> Score:
        answer = state.output.completion
        return to_inspect_score(opened.read_answer(answer, rubric), answer=answer)

    return score
