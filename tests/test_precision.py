import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

from doxa import precision
from doxa.cli import main
from doxa.evals.catalogue import entry
from doxa.models.handle import Model
from doxa.plan import make_plan
from doxa.precision import precision_lines, precision_of
from doxa.run import load_and_plan
from doxa.stats.table import encode
from doxa.words.contrasts import Contrast, Term
from doxa.words.study import Study, read_study, with_overrides
from evals.planted import row
from mini_study import LIMIT, Finished, write_study

Mini = Callable[..., Study]


def test_float32_is_beside_nothing(mini: Mini, tiny: Model) -> None:
    plan = make_plan(mini(), tiny)
    assert precision_of(plan, tiny) is None
    assert precision_lines(plan, None) == []


def test_what_servers_compute_is_said_to_be_unmeasured(mini: Mini, tiny: Model) -> None:
    plan = make_plan(mini(), tiny)
    narrow = replace(plan, model=replace(plan.model, dtype="bfloat16"))
    assert precision_of(narrow, replace(tiny, servers=("http://127.0.0.1:1",))) is None
    assert precision_lines(narrow, None) == ["bfloat16 beside float32: not measured, as servers compute"]


def test_a_declared_precision_is_measured(finished: Finished, tiny_folder: Path, tmp_path: Path) -> None:
    """The change of an estimate begins at the one that the study has in float32."""
    model = {"name": str(tiny_folder), "dtype": "bfloat16"}
    file = write_study(tmp_path / "study", tiny_folder)
    study = with_overrides(read_study(file), limit=LIMIT)
    narrow = replace(study, models=(replace(study.models[0], **model),))
    loaded, plan = load_and_plan(narrow)
    found = precision_of(plan, loaded)
    assert found is not None
    assert found.dtype == "bfloat16"
    assert 0 < found.rounding.kl < found.rounding.kl_largest
    (change,) = found.changes
    estimates = json.loads((finished.folder / "estimates.json").read_text())["estimates"]
    (own,) = (e for e in estimates if e["contrast"] == change.contrast and e["score"] == change.score == "belief")
    assert change.float32 == pytest.approx(own["value"], abs=1e-4)
    assert change.declared != change.float32
    lines = precision_lines(plan, found)
    assert lines[0].startswith("bfloat16 beside float32: KL of next-token distributions")
    assert "mid[strength=0.6] - baseline, belief: " in lines[1]


def test_a_change_is_of_the_mean_over_the_units_of_the_task() -> None:
    """Three items of one family and one of another weigh as two families."""
    task = replace(entry("doxa/typehints"), derivations=())
    rows = [
        row("a", task.name, f"i{n}", "hint_log_odds", value, family=f"f{n // 3}")
        for n, value in enumerate((0.0, 0.0, 0.0, 1.0))
    ]
    table = pd.DataFrame(rows)
    found = precision._value(encode(table), Contrast("a", (Term(1.0, "a"),)), "hint_log_odds", task)
    assert found == pytest.approx(0.5)


def test_plan_says_what_the_precision_changes(tiny_folder: Path, tmp_path: Path) -> None:
    body: dict[str, Any] = {"tasks": [{"doxa/claims": {"belief": "conscious", "topics": 1}}]}
    file = write_study(tmp_path / "study", tiny_folder, **body)
    text = file.read_text().replace(f"model: {tiny_folder}", f"model: {{name: {tiny_folder}, dtype: bfloat16}}")
    file.write_text(text)
    result = CliRunner().invoke(main, ["plan", str(file), "--limit", "4"])
    assert result.exit_code == 0, result.output
    assert "bfloat16 beside float32" in result.output
    facts = json.loads(CliRunner().invoke(main, ["plan", str(file), "--limit", "4", "--json"]).stdout)
    assert facts["precision"]["rounding"]["tokens"] > 0
    assert facts["precision"]["changes"][0]["contrast"] == "mid[strength=0.6] - baseline"
    without = json.loads(CliRunner().invoke(main, ["plan", str(file), "--no-probe", "--json"]).stdout)
    assert without["precision"] is None
