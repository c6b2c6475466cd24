import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from doxa.report.gather import gather, placement
from doxa.report.page import write_report
from doxa.words.errors import ResultsError


@pytest.fixture
def copy(first: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(first, tmp_path / "copy"))


@pytest.mark.parametrize("name", ["plan.json", "estimates.json", "table.parquet"])
def test_a_missing_or_damaged_file(copy: Path, name: str) -> None:
    (copy / name).write_bytes(b"{")
    with pytest.raises(ResultsError, match=name):
        gather(copy)
    (copy / name).unlink()
    with pytest.raises(ResultsError, match="Run `doxa run`"):
        gather(copy)


@pytest.mark.parametrize("name", ["plan.json", "estimates.json"])
def test_another_format(copy: Path, name: str) -> None:
    value = json.loads((copy / name).read_text(encoding="utf-8"))
    (copy / name).write_text(json.dumps({**value, "format": 0}), encoding="utf-8")
    with pytest.raises(ResultsError, match="format"):
        gather(copy)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("plan.json", {"format": 1}),
        ("plan.json", []),
        ("estimates.json", {"format": 1, "table_version": 1}),
        ("dose.json", {"rows": [{"arm": "block", "layer": 0}]}),
        ("dose.json", {}),
        ("transcripts.json", {"transcripts": [{"arm": "block"}]}),
    ],
)
def test_a_file_without_its_keys(copy: Path, name: str, value: object) -> None:
    (copy / name).write_text(json.dumps(value), encoding="utf-8")
    with pytest.raises(ResultsError):
        gather(copy)


def test_a_table_of_another_shape(copy: Path) -> None:
    pd.read_parquet(copy / "table.parquet").drop(columns="reason").to_parquet(copy / "table.parquet")
    with pytest.raises(ResultsError, match="reason"):
        gather(copy)


def test_arm_files_are_needed(copy: Path) -> None:
    shutil.rmtree(copy / "arms")
    with pytest.raises(ResultsError, match="no arm file"):
        write_report(copy)


def test_what_is_read(first: Path) -> None:
    gathered = gather(first)
    assert (gathered.baseline, gathered.lead, len(gathered.arms)) == ("baseline", "belief", 14)
    assert gathered.total("block[strength=0.6]") == pytest.approx(0.6)
    assert gathered.total("everywhere[strength=0.1]") == pytest.approx(3.0)
    assert gathered.total("prompted") is None
    belief = pd.read_parquet(first / "table.parquet").query("score == 'belief'").groupby("arm")["value"].mean()
    twin = "block[strength=0.6]~twin/05"
    assert gathered.shift(twin, "belief") == pytest.approx(belief[twin] - belief["baseline"])
    assert gathered.level(twin, "belief") == pytest.approx(belief[twin])
    assert gathered.shift(twin, "surprisal") is None
    assert gathered.shift(twin, "nothing") is None
    declared = gathered.declared("block[strength=0.6]", "belief")
    assert declared is not None
    assert declared.value == gathered.shift("block[strength=0.6]", "belief")
    assert gathered.declared("block[strength=0.3]", "belief") is None


def test_placements() -> None:
    twin = {"name": "a~twin/01", "of": "a[strength=0.3,at=user]", "levels": {"strength": "0.3", "at": "user"}}
    assert placement(twin) == "a[at=user]"
    assert placement({"name": "block[strength=0.6]", "of": "", "levels": {"strength": "0.6"}}) == "block"
    assert placement({"name": "prompted", "of": "", "levels": {}}) == "prompted"
