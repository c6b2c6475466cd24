"""`doxa/traits` as an Inspect task; what it measures, and why so, stands in `traits.py`."""

from collections.abc import Sequence

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset
from inspect_ai.scorer import Score, Scorer, Target, scorer
from inspect_ai.solver import Generate, Solver, TaskState, solver

from doxa.bridge.oneline import in_one_line
from doxa.evals.asking import answers_of, ask, need_scores, sample_of
from doxa.evals.catalogue import Measured
from doxa.evals.scores import means, task_metadata, to_inspect_score
from doxa.evals.traits import DERIVATIONS, LIST, NAME, TRAITS, VERSION, measured, read

INSTEAD = "leave this task out: it has no open part"


@task
def traits(
    traits: str = TRAITS,
    list: int = LIST,
    kind: str | Sequence[str] | None = None,
    wordings: int | None = None,
    letters: bool = True,
    limit: int | None = None,
) -> Task:
    """Whose traits the assistant has, by forced choice.

    Args:
        traits: A shipped name, or the path of a file.
        list: Which list of it says who likes what.
        kind: One or several of `bundle`, `shared`, `unrelated`, `naming`, `recall`; all by default.
        wordings: How many wordings of the questions; all by default.
        letters: Whether bundles are asked under letters too.
        limit: At most so many items of every kind and form.

    Raises:
        PrerequisiteError: When an argument is wrong or the file of traits cannot be read; Inspect prints it as a line.
    """
    given = {"traits": traits, "list": list, "kind": kind, "wordings": wordings, "letters": letters}
    wanted = {key: value for key, value in given.items() if value is not None}
    with in_one_line():
        items = {item.id: item for item in measured(wanted, limit)}
        need_scores(NAME, INSTEAD)
    return Task(
        name="traits",
        version=VERSION,
        dataset=MemoryDataset([sample_of(item) for item in items.values()]),
        solver=_score_options(items),
        scorer=_read_options(items),
        metadata=task_metadata(NAME, VERSION, DERIVATIONS),
    )


@solver(name="traits")
def _score_options(items: dict[str, Measured]) -> Solver:
    async def solve(state: TaskState, generate: Generate) -> TaskState:
        with in_one_line():
            need_scores(NAME, INSTEAD)
        return await ask(state, items[str(state.sample_id)])

    return solve


@scorer(metrics=[means(DERIVATIONS)], name="traits")
def _read_options(items: dict[str, Measured]) -> Scorer:
    async def score(state: TaskState, target: Target) -> Score:
        item = items[str(state.sample_id)]
        return to_inspect_score(read(item, answers_of(state, item)), answer=state.output.completion)

    return score
