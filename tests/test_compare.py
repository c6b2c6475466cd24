"""`doxa compare` and `doxa table` on logs that Inspect wrote."""

import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result
from inspect_ai import Task
from inspect_ai import eval as inspect_eval
from inspect_ai.dataset import Sample
from inspect_ai.model import ModelOutput
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer
from inspect_ai.solver import Generate, Solver, TaskState, solver

from doxa.cli import main
from evals.planted import row


@scorer(metrics={"*": [mean()]})
def judge() -> Scorer:
    async def score(state: TaskState, target: Target) -> Score:
        place = int(str(state.sample_id)[1:]) * 7 + state.epoch * 3
        shift = int(state.output.completion)
        return Score(value={"concerning": 1 + (place + shift) % 9, "refused": int((place + 2 * shift) % 4 == 0)})

    return score


@solver
def told(shift: int) -> Solver:
    async def solve(state: TaskState, generate: Generate) -> TaskState:
        state.output = ModelOutput.from_content("mockllm", str(shift))
        return state

    return solve


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Petri's shape: a dict of judge scores, few scenarios, many epochs."""
    folder = tmp_path_factory.mktemp("logs")
    samples = [Sample(input="?", id=f"s{place}", metadata={"category": "ab"[place % 2]}) for place in range(6)]
    for name, shift in (("base", 0), ("tuned-1", 3), ("tuned-2", 4), ("tuned-3", 5)):
        task = Task(dataset=samples, solver=told(shift), scorer=judge(), name="audit")
        inspect_eval(task, model=f"mockllm/{name}", epochs=4, log_dir=str(folder), display="none")
    return folder


def doxa(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def test_levels_alone(logs: Path) -> None:
    done = doxa("compare", logs)
    assert done.exit_code == 0, done.output
    assert done.output.count("mockllm/base") == 2
    assert "/24) [" in done.output  # counts beside rates


def test_a_difference_with_its_page(logs: Path, tmp_path: Path) -> None:
    done = doxa("compare", logs, "tuned - mockllm/base", "--seeds", "tuned=mockllm/tuned-*", "--bounds",
                "judge/concerning=1,10", "--margin", 2, "--out", tmp_path / "out")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "3 seeds" in done.output
    assert "find an ICC of" in done.output
    page = (tmp_path / "out" / "comparison.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 4
    record = json.loads((tmp_path / "out" / "comparison.json").read_text(encoding="utf-8"))
    assert [one["score"] for one in record["differences"]] == ["judge/concerning", "judge/refused"]
    again = doxa("compare", tmp_path / "out" / "table.csv", "tuned - mockllm/base", "--json")
    assert again.exit_code == 0, again.output
    assert json.loads(again.output)["differences"][0]["n"]["seeds"] == 3


def test_tasks_of_doxa_have_their_own_unit(tmp_path: Path) -> None:
    """Two cells of each of six scenarios are six units, unless somebody says otherwise."""
    rows = [
        row(arm, "doxa/honeypot", f"i{n}", "steps", float(n + (arm == "a") * (n % 3)), scenario=f"s{n // 2}")
        for n in range(12)
        for arm in ("a", "b")
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "table.csv", index=False)
    for options, unit, n in (((), "scenario", 6), (("--unit", "item"), "item", 12)):
        done = doxa("compare", tmp_path / "table.csv", "a - b", *options, "--json")
        assert done.exit_code == 0, done.output
        (one,) = json.loads(done.output)["differences"]
        assert (one["unit"], one["n"]["units"]) == (unit, n)


def test_a_table_of_logs(logs: Path, tmp_path: Path) -> None:
    done = doxa("table", logs, "--out", tmp_path)
    assert done.exit_code == 0, done.output
    assert done.output.startswith("192 rows")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["base - tuned"], "unknown arm 'base'"),
        (["mockllm/base - mockllm/tuned-1", "--for", "seed"], "no estimand is called 'seed'"),
        (["mockllm/base - mockllm/tuned-1", "--bounds", "concerning"], "Expected SCORE=LOW,HIGH"),
        (["mockllm/base - mockllm/tuned-1", "--bounds", "judge/concerning=1"], "Expected LOW,HIGH"),
        (["mockllm/base - mockllm/tuned-1", "--bounds", "judge/concerning=1,4"], "Expected 1 to 4"),
        (["mockllm/base - mockllm/tuned-1", "--kind", "judge/concerning=rate"], "a score of kind 'rate'"),
        (["mockllm/base - mockllm/tuned-1", "--kind", "judge/concerning=binary"], "declared a binary"),
        (["mockllm/base - mockllm/tuned-1", "--by", "kind"], "no factor 'kind'"),
        (["mockllm/base - mockllm/tuned-1", "--margin", "-1"], "a margin of -1"),
        (["--seeds", "x=y*"], "no arm matches 'y*'"),
        (["--unit", "kind"], "no factor 'kind'"),
    ],
)
def test_mistakes_are_told_in_a_sentence(logs: Path, words: list[str], told: str) -> None:
    done = doxa("compare", logs, *words)
    assert done.exit_code == 2, done.output
    assert told in done.output
    assert "Traceback" not in done.output


def test_a_folder_without_logs(tmp_path: Path) -> None:
    assert "no logs in" in doxa("compare", tmp_path).output
    assert doxa("compare", tmp_path / "absent").exit_code == 2
