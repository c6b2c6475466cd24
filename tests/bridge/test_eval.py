"""Whole evals on the tiny model: arms in one process, runs, seeds, resume, errors, and the table that comes of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inspect_ai import Epochs, Task, eval, eval_set, task, task_with
from inspect_ai.dataset import Sample
from inspect_ai.log import EvalLog, read_eval_log
from inspect_ai.model import GenerateConfig, get_model
from inspect_ai.scorer import Score, Scorer, Target, scorer
from inspect_ai.solver import Generate, Solver, TaskState, generate, solver

from doxa.bridge.logs import table_from_logs
from doxa.bridge.queue import QUEUE
from doxa.models.engine import Row
from doxa.stats.table import validate
from doxa.words.store import stream_seed

MakeArm = Callable[..., Path]
QUIET: dict[str, Any] = {"display": "none", "log_realtime": False}


@scorer(metrics=[], name="length")
def length() -> Scorer:
    async def score(state: TaskState, target: Target) -> Score:
        return Score(value={"length": len(state.output.completion)})

    return score


@solver
def twice() -> Solver:
    async def solve(state: TaskState, generate: Generate) -> TaskState:
        return await generate(await generate(state))

    return solve


@task
def talk(calls: int = 1, tokens: int = 5) -> Task:
    return Task(
        name="talk",
        dataset=[Sample(id=name, input=f"say {name}") for name in ("a", "b", "c")],
        solver=twice() if calls == 2 else generate(),
        scorer=length(),
        config=GenerateConfig(max_tokens=tokens, temperature=1.0, seed=4),
    )


def on_arms(folder: Path, arms: dict[str, Path | None], made: Task, **more: Any) -> list[EvalLog]:
    tasks = [
        task_with(
            made if index == 0 else talk(),
            name="talk",
            model=get_model(f"doxa/tiny+{name}", memoize=False, **({} if path is None else {"arm": str(path)})),
        )
        for index, (name, path) in enumerate(arms.items())
    ]
    return eval(tasks, log_dir=str(folder), max_tasks=9, max_connections=256, **QUIET, **more)


def answers(log: EvalLog) -> dict[tuple[str, int], str]:
    assert log.samples is not None
    return {(str(sample.id), sample.epoch): sample.output.completion for sample in log.samples}


@pytest.mark.usefixtures("offered")
def test_two_arms_in_one_process(
    tmp_path: Path, make_arm: MakeArm, engine: list[list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QUEUE, "linger", 1.0)  # however slowly Inspect starts the tasks
    monkeypatch.setattr(QUEUE, "patience", 5.0)
    steered = make_arm("steered", strength=0.9)
    logs = on_arms(tmp_path, {"baseline": None, "steered": steered}, talk(), epochs=Epochs(2, reducer=[]))
    assert [log.status for log in logs] == ["success", "success"]

    rows = [row for call in engine for row in call]
    assert all(isinstance(row, Row) for row in rows)
    assert len(rows) == 12
    mixed = [call for call in engine if {bool(row.plans) for row in call} == {False, True}]
    assert mixed, "rows of both arms share a batch"
    assert len(engine) < len(rows)

    def seeds(steered: bool) -> list[tuple[str, int]]:
        return sorted((row.prompt.text, row.sampling.seed) for row in rows if bool(row.plans) is steered)

    assert seeds(True) == seeds(False), "arms are paired: the same seed for the same item and run"
    due = {stream_seed("row", 4, 0, "talk", item, run, 1) for item in "abc" for run in (1, 2)}
    assert {seed for _, seed in seeds(True)} == due, "items and runs have streams of their own, whatever their order"
    baseline = answers(logs[0])
    assert all(baseline[item, 1] != baseline[item, 2] for item in "abc"), "runs differ"
    assert baseline != answers(logs[1])

    table = table_from_logs(tmp_path)
    validate(table)
    assert set(table["arm"]) == {"baseline", "steered"}
    assert set(table["tokens"]) <= {1, 2, 3, 4, 5}
    assert set(table["stop"]) <= {"max_tokens", "stop"}


@pytest.mark.usefixtures("offered")
def test_an_arm_alone_says_what_it_says_among_others(tmp_path: Path, make_arm: MakeArm) -> None:
    steered = make_arm("steered", strength=0.9)
    (alone,) = on_arms(tmp_path / "alone", {"steered": steered}, talk())
    among = on_arms(tmp_path / "among", {"baseline": None, "steered": steered}, talk())[1]
    assert answers(alone) == answers(among)


@pytest.mark.usefixtures("offered")
def test_calls_of_one_sample_have_streams_of_their_own(tmp_path: Path, engine: list[list[Any]]) -> None:
    made = talk(calls=2)
    on_arms(tmp_path / "one", {"baseline": None}, made)
    first = sorted(row.sampling.seed for call in engine for row in call)
    assert first == sorted(stream_seed("row", 4, 0, "talk", item, 1, call) for item in "abc" for call in (1, 2))
    engine.clear()
    on_arms(tmp_path / "two", {"baseline": None}, talk(calls=2))
    assert sorted(row.sampling.seed for call in engine for row in call) == first


@pytest.mark.usefixtures("offered")
def test_more_runs_are_added_to_those_that_are_there(
    tmp_path: Path, make_arm: MakeArm, engine: list[list[Any]]
) -> None:
    arm = str(make_arm("steered", strength=0.9))

    def run(epochs: int) -> dict[tuple[str, int], str]:
        engine.clear()
        made = task_with(talk(), model=get_model("doxa/tiny+steered", memoize=False, arm=arm))
        done, logs = eval_set(
            made, log_dir=str(tmp_path), epochs=epochs, retry_attempts=0, max_connections=256, **QUIET
        )
        assert done
        return answers(read_eval_log(logs[0].location))

    first = run(1)
    assert sum(map(len, engine)) == 3
    second = run(2)
    assert sum(map(len, engine)) == 3
    assert {key: second[key] for key in first} == first
    assert run(2) == second
    assert not engine
    assert sorted(set(table_from_logs(tmp_path)["run"])) == [1, 2]


@pytest.mark.usefixtures("offered")
def test_a_mistake_is_the_reason_why_its_rows_are_missing(tmp_path: Path) -> None:
    made = talk()
    made.dataset[1].input = "x " * 600
    (log,) = on_arms(tmp_path, {"baseline": None}, made, fail_on_error=False)
    assert log.status == "success"
    table = table_from_logs(tmp_path)
    validate(table)
    (reason,) = table[table["item"] == "b"]["reason"]
    assert reason.startswith("error: a prompt of 1")
    assert "the context of tiny" in reason
    assert table["value"].notna().sum() == 2


@pytest.mark.usefixtures("offered")
def test_tasks_with_the_same_items_have_streams_of_their_own(tmp_path: Path, engine: list[list[Any]]) -> None:
    eval(
        [task_with(talk(), name=name, model=get_model("doxa/tiny", memoize=False)) for name in ("one", "two")],
        log_dir=str(tmp_path),
        max_tasks=2,
        **QUIET,
    )
    assert len({row.sampling.seed for call in engine for row in call}) == 6
