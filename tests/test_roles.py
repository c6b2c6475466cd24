import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import judged_task
from doxa.bridge.inspect_models import inspect_model, role_models
from doxa.bridge.logs import read_log, read_table
from doxa.cli import main
from doxa.evals import catalogue
from doxa.models.handle import Model
from doxa.plan import check_names, counts, make_plan, plan_to_json
from doxa.run import load_and_plan, run
from doxa.words.errors import ResultsError, StudyError
from doxa.words.study import Study, with_overrides
from mini_study import NOTHING_DECLARED

Mini = Callable[..., Study]
JUDGED: dict[str, Any] = {
    **NOTHING_DECLARED,
    "arms": {"baseline": [], "prompted": [{"prompt": "awake.md"}]},
    "factors": {},
    "tasks": [judged_task.NAME],
    "contrasts": ["prompted - baseline"],
    "roles": {"judge": "scripted/kind"},
}


@pytest.fixture(autouse=True)
def judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "TASKS", {**catalogue.TASKS, judged_task.NAME: judged_task.MODULE})
    judged_task.ASKED.clear()
    judged_task.ANSWERS.clear()


@pytest.fixture
def without_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that ends before its report, which takes longest."""
    monkeypatch.setattr("doxa.run.write_report", lambda folder: folder / "report.html")


def values(folder: Path, score: str) -> dict[tuple[str, str, int], float]:
    table = read_table(folder / "table.parquet")
    own = table[table["score"] == score]
    return {(row.arm, row.item, row.run): row.value for row in own.itertuples()}


def test_a_judge_is_asked_about_every_answer_and_stands_in_log_plan_and_report(mini: Mini, tmp_path: Path) -> None:
    judged_task.ANSWERS["kind"] = lambda asked: "yes"
    study = mini(**JUDGED)
    report = run(study, tmp_path / "results")
    assert [name for name, _ in judged_task.ASKED] == ["kind"] * (2 * 4 * 2)
    assert set(values(report.parent, "polite").values()) == {1.0}
    assert len(values(report.parent, "polite")) == 2 * 4 * 2
    (log, *_) = sorted((report.parent / "logs").glob("*.eval"))
    assert read_log(log).eval.model_roles["judge"].model == "scripted/kind"  # type: ignore[index, union-attr]
    plan = json.loads((report.parent / "plan.json").read_text())
    assert plan["study"]["roles"] == {"judge": "scripted/kind"}
    assert plan["counts"]["judge_calls"] == 16
    for page in ("report.html", "report.md"):
        assert "judge: scripted/kind" in (report.parent / page).read_text()


def test_without_a_judge_nobody_is_asked(mini: Mini, tiny: Model, tmp_path: Path) -> None:
    study = mini(**{**JUDGED, "roles": {}})
    assert counts(make_plan(study, tiny))["judge_calls"] == 0
    run(with_overrides(study, limit=1), tmp_path / "results")
    assert judged_task.ASKED == []
    assert "judge:" not in (tmp_path / "results" / "report.md").read_text()


@pytest.mark.usefixtures("without_report")
def test_a_run_that_was_interrupted_asks_the_judge_about_what_is_missing_only(mini: Mini, tmp_path: Path) -> None:
    study, folder = mini(**JUDGED), tmp_path / "results"

    def fail(asked: Any) -> str:
        if len(judged_task.ASKED) == 5:
            raise RuntimeError("the judge is ill")
        return "yes"

    judged_task.ANSWERS["kind"] = fail
    with pytest.raises(Exception, match="the judge is ill"):
        run(study, folder)
    judged_task.ANSWERS.clear()
    before = len(judged_task.ASKED)
    run(study, folder)
    assert len(judged_task.ASKED) - before == 1
    assert set(values(folder, "polite").values()) == {1.0}
    run(study, folder)
    assert len(judged_task.ASKED) - before == 1


@pytest.mark.usefixtures("without_report")
def test_another_judge_is_another_study(mini: Mini, tiny: Model, tmp_path: Path) -> None:
    study = mini(**JUDGED)
    other = mini(**{**JUDGED, "roles": {"judge": "scripted/strict"}})
    assert make_plan(study, tiny).digest != make_plan(other, tiny).digest
    run(with_overrides(study, limit=1), tmp_path / "results")
    with pytest.raises(ResultsError, match="roles"):
        run(with_overrides(other, limit=1), tmp_path / "results")


def test_judge_calls_are_counted_and_limited(mini: Mini, tiny: Model) -> None:
    study = mini(**{**JUDGED, "limits": {"judge_calls": 16}})
    assert plan_to_json(make_plan(study, tiny))["counts"]["judge_calls"] == 16
    with pytest.raises(StudyError, match="16 judge_calls"):
        make_plan(mini(**{**JUDGED, "limits": {"judge_calls": 15}}), tiny)


@pytest.mark.parametrize(
    ("roles", "words"),
    [
        ({"judge": "openai/gpt-x"}, "role judge: openai/gpt-x cannot be used .*OPENAI_API_KEY"),
        ({"judge": "nonsense/x"}, "nonsense .*not recognized"),
        ({"judge": "plain"}, "<api_name>/<model_name>"),
        ({"judge": "doxa/nosuch"}, "no model is called 'nosuch'"),
    ],
)
def test_a_role_that_is_not_there_is_one_line_before_anything_runs(
    mini: Mini, monkeypatch: pytest.MonkeyPatch, roles: Mapping[str, str], words: str
) -> None:
    for key in ("OPENAI_API_KEY", "AZUREAI_OPENAI_API_KEY"):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setattr("doxa.run.subject_of", lambda study: pytest.fail("a model was loaded"))
    with pytest.raises(StudyError, match=words) as caught:
        load_and_plan(mini(**{**JUDGED, "roles": roles}))
    assert "\n" not in str(caught.value)
    assert "[" not in str(caught.value)  # no markup is left
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"roles": {"jugde": "scripted/kind"}}, "'jugde'.*Did you mean 'judge'"),
        ({"tasks": [{"doxa/drift": {"max_tokens": 4}}]}, "asks a model in the role 'judge'"),
    ],
)
def test_a_role_that_no_task_asks_is_an_error(mini: Mini, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(StudyError, match=words):
        check_names(mini(**{**JUDGED, **changes}))


@pytest.mark.usefixtures("without_report")
def test_each_role_is_made_once_for_all_arms(mini: Mini, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def count(name: str, what: str, *rest: Any) -> Any:
        made.append(what)
        return inspect_model(name, what, *rest)

    monkeypatch.setattr("doxa.bridge.inspect_models.inspect_model", count)
    run(with_overrides(mini(**JUDGED), limit=1), tmp_path / "results")
    assert made == ["role judge"] * 2  # once before anything runs, once for the run
    assert role_models(None) == {}


@pytest.mark.usefixtures("without_report")
def test_a_doxa_model_can_be_the_judge(mini: Mini, tiny_folder: Path, tmp_path: Path) -> None:
    run(with_overrides(mini(**{**JUDGED, "roles": {"judge": f"doxa/{tiny_folder}"}}), limit=2), tmp_path / "results")
    assert set(values(tmp_path / "results", "polite").values()) == {0.0}  # a random model says anything but `yes`


def test_the_plan_says_who_judges_and_how_often(study_file: Callable[..., Path], capsys: Any) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["plan", str(study_file(**JUDGED)), "--no-probe"])
    assert caught.value.code == 0
    assert "judge scripted/kind; 16 verdicts of the judge (at most 48 requests, " in capsys.readouterr().out
