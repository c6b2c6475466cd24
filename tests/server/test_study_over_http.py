"""A study whose model is an OpenAI-compatible server on loopback: the arms of another study, served."""

import gc
from pathlib import Path

import pytest
from running import TOKEN, Running

from doxa.bridge.logs import read_table
from doxa.run import run
from doxa.words.study import study_from_json, with_overrides


# Inspect leaves the connections of OpenAI's client to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_served_arm_is_the_model_of_a_study(served: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOPBACK_API_KEY", TOKEN)
    monkeypatch.setenv("LOOPBACK_BASE_URL", f"{served.url}/v1")
    monkeypatch.setattr("doxa.run.write_report", lambda folder: folder / "report.html")
    study = study_from_json(
        {
            "study": "over-http",
            "model": "openai-api/loopback/baseline",
            "arms": {"baseline": [], "prompted": [{"prompt": "conscious"}]},
            "tasks": [{"doxa/claims_open": {"max_tokens": 4}}],
            "contrasts": ["prompted - baseline"],
        }
    )
    asked = served.counted("baseline", 200)
    run(with_overrides(study, limit=2), tmp_path / "results")
    table = read_table(tmp_path / "results" / "table.parquet")
    assert served.counted("baseline", 200) - asked == 2 * 2
    assert set(table["arm"]) == {"baseline", "prompted"}
    assert (table["tokens"] > 0).all()
    assert not table["reason"].str.startswith("error").any()
    gc.collect()
