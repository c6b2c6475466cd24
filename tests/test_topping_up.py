"""Runs that end by a rule: they stop early, top up what is there, and go on with the looks that were made."""

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import doxa.run as module
import doxa.topping_up as topping
from doxa.bridge import queue
from doxa.bridge.evaluate import Written
from doxa.bridge.logs import read_table
from doxa.models.engine import Row
from doxa.run import run
from doxa.stats.stopping import Look, Quantity
from doxa.watched import watched
from doxa.words.errors import EnvironmentFault
from doxa.words.schema import KEY
from doxa.words.study import Study, read_study, with_overrides
from mini_study import LIMIT, NO_CONTROLS, Stages, run_in_process

Mini = Callable[..., Study]
Contents = Callable[[Path], dict[str, Any]]
PATIENCE = 300
"""Seconds after which a run that does not get on is a failure."""
SAMPLES = 3 * 2
"""Arms times items of what is generated here."""


@pytest.fixture(autouse=True)
def without_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that ends before its report, which takes longest."""
    monkeypatch.setattr(module, "write_report", lambda folder: folder / "report.html")


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[Row]:
    """The texts that were asked of the engine."""
    rows: list[Row] = []
    compute = queue.compute

    def noted(model: Any, requests: Any, progress: Any) -> Any:
        rows.extend(one for one in requests if isinstance(one, Row))
        return compute(model, requests, progress)

    monkeypatch.setattr(queue, "compute", noted)
    return rows


@pytest.fixture
def small(mini: Mini) -> Callable[..., Study]:
    """`small(runs=...)`: three arms, two open prompts, nothing else that takes time."""

    def make(**changes: Any) -> Study:
        tasks = [{"doxa/drift": {"max_tokens": 4, "capability": False, "texts": 1}}]
        factors = {"mid": {"steer": {"vector": "awake-pairs.md", "layers": 0.5, "strength": [0.6]}}}
        contrasts = ["mid[strength=0.6] - baseline", "prompted - baseline"]
        study = mini(tasks=tasks, factors=factors, contrasts=contrasts, **{**NO_CONTROLS, **changes})
        return replace(study, limit=2)

    return make


def until(rule: Any, **more: Any) -> dict[str, Any]:
    return {"until": rule, "at_most": 8, "step": 2, "score": "refusal", **more}


def looks(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "stopping.json").read_text(encoding="utf-8")))


def runs_of(folder: Path) -> set[int]:
    table = read_table(folder / "table.parquet")
    assert not table.duplicated(list(KEY)).any()
    generated = table[table["score"] == "refusal"]
    assert generated.groupby(["arm", "item"])["run"].nunique().nunique() == 1, "arms are paired: they have equal runs"
    return set(generated["run"])


def met_after(runs: int) -> Callable[..., Look]:
    """A look that is met after so many runs."""

    def stub(table: pd.DataFrame, at: int, *_: Any, **__: Any) -> Look:
        assert table["run"].max() == at
        return Look(at, (Quantity("a", 0.0, 0.0, 0.1, 1, 0, "stub", "narrow" if at >= runs else ""),))

    return stub


def test_it_stops_at_the_first_look_that_is_enough(
    small: Callable[..., Study], tmp_path: Path, written: list[Row]
) -> None:
    """A tiny model that never refuses: both rates are 0 in every run, so they lie within a wide margin."""
    stages = Stages()
    study = small(runs=until("decided", margin=0.75))
    run(study, tmp_path / "out", progress=stages)
    found = looks(tmp_path / "out")
    stopped = found["looks"][-1]["runs"]
    assert stopped < 8
    assert found["met"]
    assert [one["runs"] for one in found["looks"]] == list(range(2, stopped + 1, 2))
    assert [one["met"] for one in found["looks"]] == [False] * (len(found["looks"]) - 1) + [True]
    assert runs_of(tmp_path / "out") == set(range(1, stopped + 1))
    assert len(written) == SAMPLES * stopped, "finished samples were run again"
    for name in (f"generating runs {first} to {first + 1}" for first in range(1, stopped, 2)):
        assert stages.seen[name] == (2 * SAMPLES, 0)
        assert stages.steps[name] == 2 * SAMPLES


def test_a_look_is_over_the_unit_of_the_task(
    small: Callable[..., Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watching = watched(small(runs=until("decided")))
    assert watching is not None
    assert watching.unit == "item"
    units = []

    def noted(table: pd.DataFrame, at: int, *_: Any, **how: Any) -> Look:
        units.append(how["unit"])
        return met_after(2)(table, at)

    monkeypatch.setattr(topping, "look", noted)
    monkeypatch.setattr(topping, "table_from_logs", lambda _: pd.DataFrame({"run": [2]}))
    topping.top_up(replace(watching, unit="family"), "digest", tmp_path, lambda *_: Written(frozenset(), (), 0))
    assert units == ["family"]


def test_it_ends_at_the_most_when_the_rule_is_not_met(small: Callable[..., Study], tmp_path: Path) -> None:
    run(small(runs=until({"width": 0.001}, at_most=3)), tmp_path / "out")
    found = looks(tmp_path / "out")
    assert [one["runs"] for one in found["looks"]] == [2, 3]
    assert not found["met"]
    assert {one["why"] for look in found["looks"] for one in look["quantities"]} == {"fewer than 3 units: no interval"}
    assert runs_of(tmp_path / "out") == {1, 2, 3}


def test_a_run_is_the_same_whatever_the_steps(
    small: Callable[..., Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topping, "look", met_after(4))
    for name, runs in (("by two", until("decided")), ("by four", until("decided", step=4)), ("fixed", 4)):
        run(small(runs=runs), tmp_path / name)
    tables = [read_table(tmp_path / name / "table.parquet") for name in ("by two", "by four", "fixed")]
    for table in tables[1:]:
        pd.testing.assert_frame_equal(table.drop(columns="log"), tables[0].drop(columns="log"))


def test_a_second_run_looks_at_nothing_and_generates_nothing(
    small: Callable[..., Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: list[Row],
    contents: Contents,
) -> None:  # fmt: skip
    study, folder = small(runs=until("decided")), tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(topping, "look", met_after(4))
        run(study, folder)
    before, asked = contents(folder), len(written)
    monkeypatch.setattr(topping, "look", None)  # to call it would be an error
    run(study, folder)
    assert len(written) == asked
    after = contents(folder)
    assert set(after) == set(before)
    for name in before:
        if name.endswith((".eval", ".csv")) or name in ("stopping.json", "plan.json", "estimates.json"):
            assert after[name] == before[name], name


@pytest.mark.parametrize("step", [2, 3])
def test_a_run_that_is_killed_between_steps_goes_on_with_the_same_looks(
    small: Callable[..., Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: list[Row], step: int
) -> None:
    """Killed after the first step's answers and before its look; then after the second look was committed."""
    study = small(runs=until("decided", step=step))
    monkeypatch.setattr(topping, "look", met_after(6))
    run(study, tmp_path / "whole")
    asked = len(written)
    commit, folder = topping._commit, tmp_path / "killed"

    def dies_before(*_: Any) -> None:
        raise KeyboardInterrupt

    def dies_after(*arguments: Any) -> None:
        commit(*arguments)
        raise KeyboardInterrupt

    for death in (dies_before, dies_after):
        with monkeypatch.context() as patch:
            patch.setattr(topping, "_commit", death)
            with pytest.raises(KeyboardInterrupt):
                run(study, folder)
    assert [one["runs"] for one in looks(folder)["looks"]] == [step]
    run(study, folder)
    assert len(written) == 2 * asked, "finished samples were run again"
    assert looks(folder) == looks(tmp_path / "whole")
    one, two = (read_table(tmp_path / name / "table.parquet") for name in ("whole", "killed"))
    pd.testing.assert_frame_equal(one.drop(columns="log"), two.drop(columns="log"))


def test_a_run_that_is_killed_in_a_step_ends_like_an_undisturbed_run(
    study_file: Callable[..., Path], tmp_path: Path
) -> None:
    """Killed outright while the second of three steps is being written."""
    tasks = [{"doxa/drift": {"max_tokens": 12, "capability": False, "texts": 1}}]
    file = study_file(tasks=tasks, runs=until({"width": 0.001}, at_most=6), **NO_CONTROLS)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mini_study", "doxa.run", "doxa.cli"])

    def in_second_step() -> bool:
        return (killed / "stopping.json").exists() and len(list((killed / "logs").glob("20*.eval"))) > 5

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    process = context.Process(target=run_in_process, args=(file, killed, tmp_path / "journal", tmp_path / "said"))
    process.start()
    end = time.monotonic() + PATIENCE
    while not in_second_step():
        assert process.is_alive(), (tmp_path / "said").read_text()
        assert time.monotonic() < end
        time.sleep(0.005)
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    assert [one["runs"] for one in looks(killed)["looks"]] == [2]
    for folder in (killed, whole):
        run(with_overrides(read_study(file), limit=LIMIT), folder)
    assert looks(killed) == looks(whole)
    one, two = (read_table(folder / "table.parquet") for folder in (whole, killed))
    pd.testing.assert_frame_equal(one[list(KEY)], two[list(KEY)])
    assert runs_of(killed) == {1, 2, 3, 4, 5, 6}


def test_a_step_with_errors_is_not_looked_at_until_they_are_mended(
    small: Callable[..., Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, folder, compute, steps = small(runs=until("decided")), tmp_path / "out", queue.compute, [0]
    monkeypatch.setattr(topping, "look", met_after(4))

    def out_of_memory(model: Any, requests: Any, progress: Any) -> Any:
        if isinstance(requests[0], Row) and (folder / "stopping.json").exists() and not steps[0]:
            steps[0] += 1
            raise RuntimeError("can't allocate memory")
        return compute(model, requests, progress)

    monkeypatch.setattr(queue, "compute", out_of_memory)
    with pytest.raises(EnvironmentFault, match=rf"of {4 * SAMPLES} answers ended in an error"):
        run(study, folder)
    assert [one["runs"] for one in looks(folder)["looks"]] == [2]
    run(study, folder)
    assert [one["runs"] for one in looks(folder)["looks"]] == [2, 4]
    assert runs_of(folder) == {1, 2, 3, 4}
    assert not read_table(folder / "table.parquet")["reason"].str.startswith("error").any()


def test_an_item_that_fails_every_time_holds_up_the_rule_once(
    small: Callable[..., Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second run asks for it again and then looks, without its rows."""
    study, folder, compute = small(runs=until("decided")), tmp_path / "out", queue.compute
    monkeypatch.setattr(topping, "look", met_after(4))

    def never(model: Any, requests: Any, progress: Any) -> Any:
        if isinstance(requests[0], Row) and any(len(row.prompt.tokens) == longest[0] for row in requests):
            raise RuntimeError("can't allocate memory")
        return compute(model, requests, progress)

    longest = [0]

    def measured(model: Any, requests: Any, progress: Any) -> Any:
        longest[0] = max([longest[0], *(len(row.prompt.tokens) for row in requests if isinstance(row, Row))])
        return never(model, requests, progress)

    monkeypatch.setattr(queue, "compute", measured)
    with pytest.raises(EnvironmentFault, match="ended in an error"):
        run(study, folder)
    assert not (folder / "stopping.json").exists()
    with pytest.raises(EnvironmentFault, match="ended in an error"):
        run(study, folder)
    assert [one["runs"] for one in looks(folder)["looks"]] == [2, 4]
    assert looks(folder)["met"]
    assert read_table(folder / "table.parquet")["reason"].str.startswith("error").any()


@pytest.mark.parametrize("damage", ["", "{", '{"digest": 1}', '{"digest": "x", "looks": []}'])
def test_looks_that_cannot_be_read_are_made_again(
    small: Callable[..., Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    study, folder = small(runs=until("decided", at_most=2)), tmp_path / "out"
    monkeypatch.setattr(topping, "look", met_after(2))
    run(study, folder)
    good = looks(folder)
    (folder / "stopping.json").write_text(damage, encoding="utf-8")
    run(study, folder)
    assert looks(folder) == good


def test_looks_of_another_plan_do_not_count(small: Callable[..., Study], tmp_path: Path) -> None:
    watching = watched(small(runs=until("decided")))
    assert watching is not None
    found = met_after(2)(pd.DataFrame({"run": [2]}), 2)
    topping._commit(watching, "one", tmp_path, [found])
    assert topping.read_looks(watching, "one", tmp_path) == [found]
    assert topping.read_looks(watching, "other", tmp_path) == []
    shifted = watched(small(runs=until("decided", step=3)))
    assert shifted is not None
    assert topping.read_looks(shifted, "one", tmp_path) == []


def test_where_looks_are_lost_runs_are_not(
    small: Callable[..., Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: list[Row]
) -> None:
    study, folder = small(runs=until("decided")), tmp_path / "out"
    monkeypatch.setattr(topping, "look", met_after(4))
    run(study, folder)
    asked = len(written)
    (folder / "stopping.json").unlink()
    met = Look(2, (Quantity("a", 0.0, 0.0, 0.1, 1, 0, "stub", "narrow"),))
    monkeypatch.setattr(topping, "look", lambda *_, **__: met)
    run(study, folder)
    assert len(written) == asked, "finished samples were run again"
    assert runs_of(folder) == {1, 2, 3, 4}
