import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from inspect_ai import eval as inspect_eval
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.model import GenerateConfig, get_model

import judged_task
from doxa.bridge.logs import read_log, read_table
from doxa.cli import main
from doxa.evals import catalogue
from doxa.evals.reflection_items import read_pairs
from doxa.plan import counts, make_plan, plan_to_json
from doxa.run import load_and_plan, run
from doxa.subject import Distant, is_distant, load_model
from doxa.words.arms import Arm, Pin, prompt_pin, read_arm, write_arm
from doxa.words.beliefs import read_belief
from doxa.words.errors import ModelError, StudyError
from doxa.words.interventions import Prompt
from doxa.words.study import ModelChoice, Study, study_to_json, with_overrides

Mini = Callable[..., Study]
NAME = "scripted/gpt"
SERVED: dict[str, Any] = {
    "model": NAME,
    "tasks": [
        {"doxa/claims": {"belief": "conscious", "topics": 2}},
        judged_task.NAME,
        {"doxa/drift": {"max_tokens": 4, "capability": False}},
    ],
    "contrasts": [
        "mid[strength=0.6] - baseline",
        "prompted - baseline",
        "prompted[half=0] - baseline[half=0]",
        "prompted[kind=fact] - baseline[kind=fact]",
    ],
    "primary": ["mid[strength=0.6] - baseline", "prompted - baseline"],
}


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(catalogue, "TASKS", {**catalogue.TASKS, judged_task.NAME: judged_task.MODULE})
    judged_task.ASKED.clear()
    judged_task.ANSWERS.clear()
    judged_task.ANSWERS["gpt"] = lambda asked: "yes" if asked[0].role == "system" else "no"
    yield
    judged_task.ANSWERS.clear()


@pytest.fixture
def without_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that ends before its report, which takes longest."""
    monkeypatch.setattr("doxa.run.write_report", lambda folder: folder / "report.html")


@pytest.fixture
def arm_of(tmp_path: Path) -> Callable[..., Path]:
    """An arm file with a prompt of its own."""

    def write(text: str, name: str = "mine") -> Path:
        pins = {prompt_pin("x"): Pin("h", text=text)}
        write_arm(tmp_path / f"{name}.json", Arm(name, (Prompt("x"),), pins=pins))
        return tmp_path / f"{name}.json"

    return write


def test_a_study_on_another_provider_runs_to_its_report(mini: Mini, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    run(mini(**SERVED), folder)
    (pinned,) = [one for one in map(read_arm, (folder / "arms").glob("*.json")) if one.name == "prompted"]
    (prompt,) = [one for one in pinned.interventions if isinstance(one, Prompt)]
    belief = read_belief(prompt.text, mini(**SERVED).folder)
    assert pinned.pins == {prompt_pin(prompt.text): Pin(belief.hash, text=belief.text)}
    table = read_table(folder / "table.parquet")
    assert set(table["arm"]) == {"baseline", "prompted"}
    assert set(table["model"]) == {NAME}
    yes = table[table["score"] == "yes"].groupby("arm")["value"].mean()
    assert dict(yes) == {"baseline": 0.0, "prompted": 1.0}  # the prompt reached the model, in its own arm only
    surprisal = table[table["score"] == "surprisal"]
    assert surprisal["value"].isna().all()
    assert set(surprisal["reason"]) == {"scripted models do not give log-probabilities of a given text"}
    estimates = json.loads((folder / "estimates.json").read_text())
    (found,) = [
        one
        for one in estimates["estimates"]
        if (one["contrast"], one["task"], one["score"]) == ("prompted - baseline", judged_task.NAME, "yes")
    ]
    assert found["value"] == 1.0
    left_out = [one["subject"] for one in estimates["notes"] if one["code"] == "left_out"]
    assert ("arm", "mid[strength=0.3]") in {(one["part"], one["name"]) for one in left_out}
    for name in ("report.html", "report.md", "summary.txt"):
        text = (folder / name).read_text(encoding="utf-8")
        assert "Left out on scripted/gpt: arm" in text.replace("\\", ""), name
        assert "doxa/claims" in text
    assert "served elsewhere" in (folder / "report.md").read_text()
    assert "float32" not in (folder / "report.md").read_text()


def test_what_cannot_be_done_is_left_out_in_words(mini: Mini) -> None:
    _, plan = load_and_plan(mini(**SERVED))
    left = [(one.part, one.name) for one in plan.left_out]
    assert left == [
        ("arm", "mid[strength=0.3]"),
        ("arm", "mid[strength=0.6]"),
        ("arm", "every[strength=0.6]"),
        ("task", "doxa/claims"),
        ("scored items", "doxa/drift"),
        ("contrast", "mid[strength=0.6] - baseline"),
        ("contrast", "prompted[kind=fact] - baseline[kind=fact]"),
    ]
    assert [one.name for one in plan.arms] == ["baseline", "prompted"]
    assert [one.name for one in plan.study.contrasts] == ["prompted - baseline", "prompted[half=0] - baseline[half=0]"]
    assert plan.study.primary == ("prompted - baseline",)
    assert plan.chunks == ()
    assert plan.controls == ()
    assert plan_to_json(plan)["model"] == {"name": NAME, "fingerprint": ""}
    assert [one.name for one in plan.entries] == [judged_task.NAME, "doxa/drift"]
    assert plan.entries[1].primary
    assert set(plan.entries[1].primary) <= set(plan.entries[1].written)


def test_a_contrast_that_is_left_can_be_read_without_those_that_are_left_out(mini: Mini) -> None:
    named = [
        {"with_vector": "mid[strength=0.6] - baseline"},
        {"beyond_prompt": "mid[strength=0.6] - prompted"},
        {"told": "with_vector - beyond_prompt"},
    ]
    _, plan = load_and_plan(mini(**{**SERVED, "contrasts": named, "primary": ["told"]}))
    assert [one.name for one in plan.left_out if one.part == "contrast"] == ["with_vector", "beyond_prompt"]
    (told,) = plan.study.contrasts
    assert {term.arm: term.weight for term in told.terms} == {"prompted": 1.0, "baseline": -1.0}
    data = study_to_json(plan.study)
    assert data["contrasts"] == [{"told": "(mid[strength=0.6] - baseline) - (mid[strength=0.6] - prompted)"}]


def test_controls_of_prompts_are_left_out_in_words(mini: Mini) -> None:
    controls = {"prompt": {"neutral": False, "paraphrases": 1}}
    study = mini(**{**SERVED, "controls": controls, "arms": {"baseline": [], "prompted": [{"prompt": "conscious"}]}})
    _, plan = load_and_plan(study)
    assert ("controls", "prompted, paraphrase") in {(one.part, one.name) for one in plan.left_out}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tasks": [{"doxa/claims": {"belief": "conscious"}}], "contrasts": [], "primary": []}, "no task"),
        ({"arms": {"a": [{"steer": {"vector": "awake-pairs.md", "layers": 0.5, "strength": 1}}]},
          "contrasts": [], "primary": []}, "no arm"),
        ({"model": {"name": NAME, "dtype": "bfloat16"}}, "dtype or a device"),
        ({"model": {"name": NAME, "reasoning": "on"}}, "no such setting"),
        ({"model": "openai/gpt-x"}, "OPENAI_API_KEY"),
    ],
)  # fmt: skip
def test_what_leaves_nothing_or_cannot_be_reached_is_one_line(
    mini: Mini, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], words: str
) -> None:
    for key in ("OPENAI_API_KEY", "AZUREAI_OPENAI_API_KEY"):
        monkeypatch.delenv(key, raising=False)
    with pytest.raises(StudyError, match=words) as caught:
        load_and_plan(mini(**{**SERVED, **changes}))
    assert "\n" not in str(caught.value)


def test_which_names_are_served_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "openai" / "mine").mkdir(parents=True)
    told = {name: is_distant(ModelChoice(name), tmp_path) for name in (
        "smollm2", "Qwen/Qwen3-0.6B", "openai/gpt", "openai/mine", "hf/openai/gpt", "vllm/smollm2", "mockllm/model",
        "openai-api/here/x", "doxa/smollm2",
    )}  # fmt: skip
    assert {name for name, distant in told.items() if distant} == {"openai/gpt", "mockllm/model", "openai-api/here/x"}


def test_a_verb_that_needs_weights_says_so(mini: Mini) -> None:
    with pytest.raises(StudyError, match="served elsewhere, and this needs its weights"):
        load_model(mini(**SERVED))


def test_the_hub_can_be_meant(mini: Mini, tiny_folder: Path) -> None:
    study = mini(model=f"hf/{tiny_folder}")
    assert load_model(study).name == f"hf/{tiny_folder}"


@pytest.mark.usefixtures("without_report")
def test_a_run_that_was_finished_asks_nobody_again(mini: Mini, tmp_path: Path) -> None:
    study = with_overrides(mini(**{**SERVED, "tasks": [judged_task.NAME]}), limit=2)
    run(study, tmp_path / "results")
    assert len(judged_task.ASKED) == 2 * 2 * 2
    run(study, tmp_path / "results")
    assert len(judged_task.ASKED) == 2 * 2 * 2
    (log, *_) = sorted((tmp_path / "results" / "logs").glob("*.eval"))
    assert read_log(log).eval.model.startswith("doxa-arm/scripted/gpt+")
    assert read_log(log).eval.model_generate_config.seed is None
    assert read_log(log).plan.config.seed is None


def test_the_system_prompt_of_an_arm_stands_before_the_items_own(arm_of: Callable[..., Path]) -> None:
    import asyncio

    from inspect_ai.model import ChatMessageSystem, ChatMessageUser

    model = get_model("doxa-arm/scripted/gpt+mine", arm=str(arm_of("You are awake.")), memoize=False)
    conversation = [ChatMessageSystem(content="Be brief."), ChatMessageUser(content="Are you?")]
    asyncio.run(model.generate(conversation))
    (_, asked) = judged_task.ASKED[-1]
    assert [(one.role, one.text) for one in asked] == [("system", "You are awake.\n\nBe brief."), ("user", "Are you?")]
    assert conversation[0].text == "Be brief."  # what a task holds is left as it is


def test_two_arms_never_share_a_cached_answer(
    arm_of: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSPECT_CACHE_DIR", str(tmp_path / "cache"))
    judged_task.ANSWERS["gpt"] = lambda asked: asked[0].text
    task = judged_task.generated({}, 1)
    task.config = GenerateConfig(cache=True)
    with pytest.raises(PrerequisiteError, match=r"cache would mix") as caught:
        get_cached(task, "doxa-arm/scripted/gpt+mine", arm_of("One."), tmp_path)
    name = str(caught.value).split("Call the model ")[1].split(",")[0]
    assert get_cached(task, name, arm_of("One."), tmp_path) == "One."
    before = len(judged_task.ASKED)
    assert get_cached(task, name, arm_of("One."), tmp_path) == "One."
    assert len(judged_task.ASKED) == before  # it was the cache that answered
    with pytest.raises(PrerequisiteError, match="cache would mix"):
        get_model(name, arm=str(arm_of("Two.")), memoize=False)


def get_cached(task: Any, name: str, arm: Path, folder: Path) -> str:
    (log,) = inspect_eval(
        task, model=get_model(name, arm=str(arm), memoize=False), log_dir=str(folder / "logs"), display="none"
    )
    if log.status != "success":
        assert log.error is not None
        raise PrerequisiteError(log.error.message)
    assert log.samples
    return log.samples[0].output.completion


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("doxa-arm/scripted/gpt", {}, "has no label"),
        ("doxa-arm/scripted/gpt+x", {}, "given no arm file"),
        ("doxa-arm/scripted/gpt+x", {"arm": "nowhere.json"}, "no arm file"),
        ("doxa-arm/nonsense/gpt+x", {"arm": "ARM"}, "not recognized"),
    ],
)
def test_mistakes_are_one_line(arm_of: Callable[..., Path], name: str, arguments: Any, words: str) -> None:
    path = str(arm_of("One."))
    with pytest.raises(PrerequisiteError, match=words):
        get_model(name, memoize=False, **{key: path if value == "ARM" else value for key, value in arguments.items()})


def test_a_plan_says_what_is_left_out(study_file: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["plan", str(study_file(**SERVED))])
    assert caught.value.code == 0
    said = capsys.readouterr().out
    assert "model scripted/gpt, served elsewhere" in said
    assert "Left out on scripted/gpt: task doxa/claims" in said
    assert "fingerprint" not in said


def test_a_plan_counts_what_is_asked_in_writing_beside_the_conversation(mini: Mini) -> None:
    study = mini(**{**SERVED, "tasks": [{"doxa/reflection": {"rounds": 2, "threads": 1, "max_tokens": 5}}]})
    plan = make_plan(study, Distant(NAME))
    conversations = sum(cell.samples * cell.runs for cell in plan.cells)
    written = conversations * (2 + 2 + 2 * len(read_pairs().pairs) * 3)  # rounds, the open question, pairs thrice
    assert counts(plan)["generations"] == written
    assert counts(plan)["tokens_at_most"] == 5 * written


def test_a_model_that_is_not_there_is_not_distant(mini: Mini) -> None:
    assert make_plan(mini(**SERVED), Distant(NAME)).fingerprint == ""
    with pytest.raises(ModelError):
        load_and_plan(mini(**{**SERVED, "model": "no-such-model"}))
