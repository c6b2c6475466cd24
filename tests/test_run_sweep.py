import json
import os
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

import doxa.run as runs
from doxa.bridge.tables import read_table
from doxa.cli import main
from doxa.models.handle import Model
from doxa.models.steering import SteeringPlan
from doxa.report.sweep_page import write_sweep_page
from doxa.run import run
from doxa.stats.sweep import grid_of
from doxa.sweep import plan_sweep, run_sweep
from doxa.words.errors import ResultsError
from doxa.words.study import read_study
from mini_study import NO_CONTROLS, Stages, write_study

CLAIMS = {"doxa/claims": {"belief": "conscious", "topics": 8}}
ARM = "mid[strength=0.6]"
Contents = Callable[[Path], dict[str, Any]]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Path:
    """A sweep of three layers and two strengths with 19 twins."""
    home = tmp_path_factory.mktemp("swept")
    file = write_study(home / "study", tiny_folder, tasks=[CLAIMS, "doxa/drift"])
    model, sweep, plan = plan_sweep(read_study(file), ARM, strengths=(-0.5, 1.0))
    stages = Stages()
    run_sweep(model, sweep, plan, home / "results" / "sweep", "doxa sweep mini ...", progress=stages)
    assert stages.steps["scoring"] == 1 + 6 + 6 * 19 == stages.seen["scoring"][0]
    return home


def test_the_grid_says_what_a_study_of_the_same_arm_says(swept: Path, tiny_folder: Path, tmp_path: Path) -> None:
    """A cell is an arm like any other: the study run the long way, through logs, has the same effect."""
    steer = {"vector": "awake-pairs.md", "layers": {"at": [2]}, "strength": 1.0}
    changes: dict[str, Any] = {"factors": {}, "arms": {"baseline": [], "late": [{"steer": steer}]}, **NO_CONTROLS}
    file = write_study(
        tmp_path / "study", tiny_folder, **changes, tasks=[CLAIMS], contrasts=["late - baseline"], primary=[]
    )
    run(read_study(file), tmp_path / "results" / "mini")
    estimates = json.loads((tmp_path / "results" / "mini" / "estimates.json").read_text())["estimates"]
    (expected,) = (one["value"] for one in estimates if one["score"] == "belief")
    found = json.loads((swept / "results" / "sweep" / "sweep.json").read_text())["scores"]["belief"]
    assert len(found["units"]) == 8
    (cell,) = (one for one in found["cells"] if (one["layers"], one["strength"]) == ([2], 1.0))
    assert cell["effect"] == pytest.approx(expected, abs=1e-4)
    assert cell["low"] < cell["effect"] < cell["high"]
    assert cell["twins_low"] < cell["twins_high"]
    assert found["on_the_maximum"]["twins"] == 19
    assert len(found["doses"]) == 3


def test_the_table_has_the_columns_of_every_table(swept: Path) -> None:
    table = read_table(swept / "results" / "sweep")
    assert set(table["control"]) == {"", "twin"}
    assert set(table["factor_strength"]) == {"", "-0.5", "1"}
    assert set(table["factor_layers"]) == {"", "0", "1", "2"}
    own = table[(table["score"] == "belief") & (table["of"] == "")]
    assert own.groupby("arm")["item"].nunique().to_dict() == dict.fromkeys(own["arm"], 8)
    again = pd.read_csv(swept / "results" / "sweep" / "table.csv")
    assert len(again) == len(table)


def test_a_sweep_goes_on_where_it_stopped(swept: Path, monkeypatch: pytest.MonkeyPatch, contents: Contents) -> None:
    folder = swept / "results" / "sweep"
    before = contents(folder)
    for path in sorted((folder / "chunks").glob("*.json"))[:5]:
        path.unlink()
    counted: list[str] = []
    measure = runs.measure

    def noted(model: Any, chunk: Any, *rest: Any) -> Any:
        counted.append(chunk.id)
        return measure(model, chunk, *rest)

    monkeypatch.setattr(runs, "measure", noted)
    model, sweep, plan = plan_sweep(read_study(swept / "study" / "mini.yaml"), ARM, strengths=(-0.5, 1.0))
    run_sweep(model, sweep, plan, folder, "doxa sweep mini ...")
    assert len(counted) == 5
    assert contents(folder) == before


def test_the_sweep_sees_what_is_planted(
    tiny_folder: Path, tiny: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where layer 1 moves the belief and nothing else moves it but noise, that is what is found."""
    measure = runs.measure

    def planted(model: Any, chunk: Any, entry: Any, arm: Any) -> Any:
        plans: tuple[SteeringPlan, ...] = arm.plans
        result = measure(model, chunk, entry, arm)
        here = bool(plans) and plans[0].layers == (1,) and not chunk.arm.control
        for place, item in enumerate(result["items"]):
            factors = item["factors"]
            sign = (1 if factors["polarity"] == "affirmed" else -1) * (factors["kind"] == "belief")
            own = f"{chunk.arm.name} {chunk.items[place].id}"  # a chunk's id is another one in every folder
            noise = (zlib.crc32(own.encode()) % 1000 / 1000 - 0.5) * 0.2
            for value in item["values"]:
                value["value"] = sign * 2.0 * here + noise
        return result

    monkeypatch.setattr(runs, "measure", planted)
    file = write_study(tmp_path / "study", tiny_folder, tasks=[CLAIMS])
    model, sweep, plan = plan_sweep(read_study(file), ARM, strengths=(0.5, 1.0))
    run_sweep(model, sweep, plan, tmp_path / "results" / "sweep", "doxa sweep mini ...")
    found = grid_of(read_table(tmp_path / "results" / "sweep"), sweep.cells, task="doxa/claims", score="belief")
    assert [cell.layers for cell, row in zip(found.cells, found.target, strict=True) if row.mean() > 1] == [(1,)] * 2
    said = (tmp_path / "results" / "sweep" / "summary.txt").read_text()
    assert "layer 1 at strength" in said
    assert "which leaves 0 out" in said
    assert "1st of 20 beside its twins (p = .050): more than random directions" in said
    assert "grows with the strength at 1 of 3 placements (one slope a placement, Holm): layer 1." in said


def test_the_page_is_as_a_reader_needs_it(swept: Path, tmp_path: Path) -> None:
    if not any(shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")):
        assert not os.environ.get("CI"), "there is no Chromium: apt-get install chromium"
        pytest.skip("there is no Chromium")
    folder, pictures = swept / "results" / "sweep", tmp_path / "pictures"
    command = [sys.executable, "-m", "tests.look_at_report", str(folder), str(pictures)]
    root = Path(__file__).parents[1]
    found = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=240)
    assert found.returncode == 0, found.stderr


def test_the_page_is_written_again_by_report(swept: Path) -> None:
    folder = swept / "results" / "sweep"
    before = (folder / "sweep.html").read_bytes()
    (folder / "sweep.html").unlink()
    result = CliRunner().invoke(main, ["report", str(folder)])
    assert result.exit_code == 0, result.output
    assert (folder / "sweep.html").read_bytes() == before


def test_a_damaged_sweep_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "sweep.json").write_text('{"scores": {"belief": {}}}')
    with pytest.raises(ResultsError, match="cannot be read"):
        write_sweep_page(tmp_path)


def test_the_command(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = write_study(tmp_path / "study", tiny_folder, tasks=[CLAIMS, "doxa/drift"])
    words = ["sweep", str(file), ARM, "--strengths", "0.5", "--widths", "1,2", "--twins", "0", "--limit", "8"]
    planned = CliRunner().invoke(main, [*words, "--plan"])
    assert planned.exit_code == 0, planned.output
    assert "5 cells and their 0 twins: 6 arms on doxa/claims" in planned.output
    assert not (tmp_path / "results").exists()
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output + repr(result.exception)
    assert "page: results/mini-sweep-mid/sweep.html" in result.output
    page = (tmp_path / "results" / "mini-sweep-mid" / "sweep.html").read_text()
    assert "--strengths 0.5 --widths 1,2 --twins 0 --limit 8" in page
    for option, given, said in (
        ("--strengths", "a,b", "numbers with commas"),
        ("--strengths", "inf", "numbers with commas"),
        ("--widths", "1.5", "whole numbers with commas"),
        ("--twins", "3", "at least 19"),
        ("--task", "doxa/drfit", "no task"),
    ):
        refused = CliRunner().invoke(main, ["sweep", str(file), ARM, option, given])
        assert refused.exit_code == 2, refused.output
        assert said in refused.output
        assert "Traceback" not in refused.output
