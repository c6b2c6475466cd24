import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import doxa.run as one_run
import judged_task
from doxa.bridge.logs import read_table
from doxa.cli import main
from doxa.evals import catalogue
from doxa.models.chat import Message, render
from doxa.models.handle import Model, adopt
from doxa.models.reasoning import with_reasoning
from doxa.models_run import folder_of, run
from doxa.words.errors import EnvironmentFault, ModelError, ResultsError, StudyError
from doxa.words.study import ModelChoice, Study, study_from_json, study_to_json
from mini_study import NO_CONTROLS, save_model

Mini = Callable[..., Study]
SWITCH = "{% if enable_thinking is defined and enable_thinking %}<|im_start|>system\nThink.<|im_end|>\n{% endif %}"


def changes(models: list[Any]) -> dict[str, Any]:
    return {
        "model": "unused",
        **NO_CONTROLS,
        "factors": {"mid": {"steer": {"vector": "awake-pairs.md", "layers": 0.5, "strength": [0.6]}}},
        "tasks": [{"doxa/claims": {"belief": "conscious", "topics": 2}}, judged_task.NAME],
        "contrasts": ["mid[strength=0.6] - baseline", {"told": "prompted - baseline"}],
        "primary": [],
        "runs": 1,
        "models": models,
    }


@pytest.fixture
def several(study_file: Callable[..., Path]) -> Callable[..., Study]:
    """`several([...])`: the small study over models."""

    def read(models: list[Any], **more: Any) -> Study:
        import yaml

        path = study_file(**{**changes(models), **more})
        body = yaml.safe_load(path.read_text())
        del body["model"]
        path.write_text(yaml.safe_dump(body, sort_keys=False))
        from doxa.words.study import read_study, with_overrides

        return with_overrides(read_study(path), limit=4)

    return read


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(catalogue, "TASKS", {**catalogue.TASKS, judged_task.NAME: judged_task.MODULE})
    judged_task.ASKED.clear()
    judged_task.ANSWERS.clear()
    yield
    judged_task.ANSWERS.clear()


@pytest.fixture(scope="module")
def thinking_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model whose chat template has a switch for reasoning."""
    folder = save_model(tmp_path_factory.mktemp("thinking"), seed=1)
    template = folder / "chat_template.jinja"
    template.write_text(SWITCH + template.read_text())
    return folder


def without_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    def stub(folder: Path) -> Path:
        (folder / "report.html").write_text("<html>")
        return folder / "report.html"

    monkeypatch.setattr(one_run, "write_report", stub)


def test_each_model_has_a_run_and_all_have_one_page(
    several: Callable[..., Study], tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_reports(monkeypatch)
    study, folder = several([str(tiny_folder), "scripted/gpt", "scripted/other"]), tmp_path / "results"
    run(study, folder)
    own = [folder_of(folder, choice) for choice in study.models]
    for one in own:
        assert (one / "plan.json").exists()
        assert (one / "estimates.json").exists()
    table = read_table(folder / "table.parquet")
    assert set(table["model"]) == {str(tiny_folder), "scripted/gpt", "scripted/other"}
    assert len(table) == sum(len(read_table(one / "table.parquet")) for one in own)
    assert set(table[table["model"] == "scripted/gpt"]["arm"]) == {"baseline", "prompted"}
    assert "mid[strength=0.6]" in set(table[table["model"] == str(tiny_folder)]["arm"])
    record = json.loads((folder / "models.json").read_text())
    assert [one["finished"] for one in record["models"]] == [True] * 3
    for page in ("report.html", "report.md", "summary.txt"):
        text = (folder / page).read_text().replace("\\", "")
        assert "Left out on scripted/gpt: arm mid[strength=0.6]" in text, page
        assert "no difference between them is tested" in text
        assert "This is a trial run with at most 4 items of every task." in text
    assert "--limit 4" in (folder / "report.md").read_text()
    assert "left out: the arm mid[strength=0.6] is left out" in (folder / "report.md").read_text()
    assert (folder / "figures" / "told-yes.svg").exists()
    assert "told is prompted - baseline." in (folder / "report.md").read_text()
    asked = len(judged_task.ASKED)
    run(study, folder)
    assert len(judged_task.ASKED) == asked  # a finished study asks nobody again
    monkeypatch.undo()


def test_a_model_that_fails_does_not_hold_up_the_others(
    several: Callable[..., Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_reports(monkeypatch)
    monkeypatch.setattr(catalogue, "TASKS", {**catalogue.TASKS, judged_task.NAME: judged_task.MODULE})

    def fail(asked: Any) -> str:
        raise RuntimeError("the service is down")

    judged_task.ANSWERS["ill"] = fail
    study, folder = several(["scripted/ill", "scripted/well"]), tmp_path / "results"
    with pytest.raises(EnvironmentFault, match=r"scripted/ill: .*the service is down"):
        run(study, folder)
    assert set(read_table(folder / "table.parquet")["model"]) == {"scripted/ill", "scripted/well"}
    judged_task.ANSWERS.clear()
    before = [name for name, _ in judged_task.ASKED].count("well")
    run(study, folder)
    assert [name for name, _ in judged_task.ASKED].count("well") == before
    table = read_table(folder / "table.parquet")
    assert table[table["score"] == "yes"]["value"].notna().all()


def test_a_model_can_be_added_later_and_nothing_else_can_change(
    several: Callable[..., Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_reports(monkeypatch)
    folder = tmp_path / "results"
    run(several(["scripted/a", "scripted/b"]), folder)
    before = len(judged_task.ASKED)
    run(several(["scripted/a", "scripted/b", "scripted/c"]), folder)
    assert {name for name, _ in judged_task.ASKED[before:]} == {"c"}
    with pytest.raises(ResultsError, match="differs in seed"):
        run(several(["scripted/a", "scripted/b"], seed=5), folder)
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "thesis.docx").write_text("x")
    with pytest.raises(ResultsError, match=r"thesis\.docx"):
        run(several(["scripted/a", "scripted/b"]), tmp_path / "strange")


def test_what_is_wrong_with_any_model_is_said_before_the_first_runs(
    several: Callable[..., Study], tiny_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(StudyError, match="reasoning cannot be switched on for mockllm/model"):
        run(several([str(tiny_folder), {"name": "mockllm/model", "reasoning": True}]), tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_reasoning_is_a_factor(
    several: Callable[..., Study], thinking_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_reports(monkeypatch)
    both = [{"name": str(thinking_folder), "reasoning": way} for way in ("on", "off")]
    study, folder = several(both), tmp_path / "results"
    run(study, folder)
    record = json.loads((folder / "models.json").read_text())
    estimates = [one["estimate"] for one in record["reasoning"]]
    found = {(one["contrast"], one["score"]): one for one in estimates}
    table = read_table(folder / "table.parquet")
    assert set(table["model"]) == {f"{thinking_folder}[reasoning=on]", f"{thinking_folder}[reasoning=off]"}
    belief = table[(table["score"] == "belief") & (table["arm"] == "baseline")].pivot(
        index="item", columns="model", values="value"
    )
    due = (belief[f"{thinking_folder}[reasoning=on]"] - belief[f"{thinking_folder}[reasoning=off]"]).mean()
    assert found["(baseline)[on] - (baseline)[off]", "belief"]["value"] == pytest.approx(due)
    assert due != 0  # the template said something else
    assert ("(told)[on] - (told)[off]", "belief") in found
    assert "What reasoning changes" in (folder / "report.html").read_text()
    on, off = (json.loads((folder_of(folder, one) / "plan.json").read_text()) for one in study.models)
    assert on["model"]["fingerprint"] != off["model"]["fingerprint"]
    assert {arm["label"] for arm in on["arms"]}.isdisjoint(arm["label"] for arm in off["arms"])


def test_the_switch_is_the_templates_own(thinking_folder: Path, tiny: Model) -> None:
    from doxa.models.handle import load

    model = load(str(thinking_folder))
    asked = [Message("user", "Is it late?")]
    on, off = (with_reasoning(model, way, f"x[{way}]") for way in ("on", "off"))
    assert render(on, asked).text == "<|im_start|>system\nThink.<|im_end|>\n" + render(model, asked).text
    assert render(off, asked).text == render(model, asked).text
    assert on.network is model.network
    assert on is with_reasoning(model, "on", "x[on]")
    assert len({model.fingerprint, on.fingerprint, off.fingerprint}) == 3
    assert model.tokenizer.chat_template.startswith("{% if enable_thinking")
    with pytest.raises(ModelError, match="no switch for reasoning"):
        with_reasoning(tiny, "on", "x")


@pytest.mark.parametrize(
    ("template", "switches"),
    [
        ("{% set enable_thinking = true %}{% if enable_thinking %}x{% endif %}", False),
        ("{% if thinking is defined and thinking %}x{% endif %}", True),
        ("{% generation %}{{ enable_thinking }}{% endgeneration %}", True),
        ("nothing thinking here", False),
    ],
)
def test_which_templates_have_a_switch(tiny: Model, template: str, switches: bool) -> None:
    from copy import copy

    tokenizer = copy(tiny.tokenizer)
    tokenizer.chat_template = template
    model = adopt("x", tiny.network, tokenizer)
    if switches:
        assert with_reasoning(model, "off", "x").tokenizer.chat_template.endswith(template)
    else:
        with pytest.raises(ModelError, match="no switch"):
            with_reasoning(model, "off", "x")


@pytest.mark.parametrize(("written", "read"), [(True, "on"), (False, "off"), ("on", "on"), ("off", "off")])
def test_yaml_takes_on_and_off_for_truth_values(written: object, read: str) -> None:
    body = {"study": "x", "model": {"name": "m", "reasoning": written}, "arms": {"a": []}, "tasks": ["doxa/drift"]}
    study = study_from_json(body)
    assert study.models[0].reasoning == read
    assert study.models[0].label == f"m[reasoning={read}]"
    assert study_to_json(study)["models"][0]["reasoning"] == read


@pytest.mark.parametrize("written", ["high", 1, 0, None, []])
def test_reasoning_is_on_or_off(written: object) -> None:
    body = {"study": "x", "model": {"name": "m", "reasoning": written}, "arms": {"a": []}, "tasks": ["doxa/drift"]}
    with pytest.raises(StudyError, match="on or off"):
        study_from_json(body)


def test_a_model_stands_once() -> None:
    body = {"study": "x", "models": ["m", "m"], "arms": {"a": []}, "tasks": ["doxa/drift"]}
    with pytest.raises(StudyError, match="stands twice"):
        study_from_json(body)
    twice = [{"name": "m", "reasoning": "on"}, {"name": "m", "reasoning": "off"}, "m"]
    assert len(study_from_json({**body, "models": twice}).models) == 3


def test_a_study_without_reasoning_is_the_one_it_was() -> None:
    body = {"study": "x", "model": "m", "arms": {"a": []}, "tasks": ["doxa/drift"]}
    assert study_to_json(study_from_json(body))["models"] == [{"name": "m", "dtype": "float32", "device": "cpu"}]


def test_names_that_look_alike_have_folders_of_their_own(tmp_path: Path) -> None:
    names = ["a/b", "a-b", "a b", "../a"]
    assert len({folder_of(tmp_path, ModelChoice(name)) for name in names}) == 4
    assert all(folder_of(tmp_path, ModelChoice(name)).parent == tmp_path / "models" for name in names)


def test_a_plan_of_several_models_says_what_each_does(
    several: Callable[..., Study], tiny_folder: Path, study_file: Any, tmp_path: Path, capsys: Any
) -> None:
    several([str(tiny_folder), "scripted/gpt"])
    for options in (["--no-probe"], ["--no-probe", "--json"]):
        with pytest.raises(SystemExit) as caught:
            main(["plan", str(tmp_path / "study" / "mini.yaml"), *options])
        assert caught.value.code == 0
        said = capsys.readouterr().out
        if options[-1] == "--json":
            found = json.loads(said)["models"]
            assert set(found) == {str(tiny_folder), "scripted/gpt"}
            assert found["scripted/gpt"]["left_out"]
        else:
            assert "model scripted/gpt, served elsewhere" in said
            assert "fingerprint" in said
