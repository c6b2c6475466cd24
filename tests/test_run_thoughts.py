"""A study of edited thinking on a tiny model, from its file to the report; and what a plan makes of it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from doxa.models.handle import Model
from doxa.plan import make_plan
from doxa.resolve import find_names, pin
from doxa.run import run
from doxa.words.arms import Arm
from doxa.words.controls import controls_of, edit_of, edits_thoughts
from doxa.words.errors import StudyError
from doxa.words.interventions import Prompt, Thought
from doxa.words.study import Study, study_from_json
from mini_study import NOTHING_DECLARED

Mini = Callable[..., Study]
ARMS: dict[str, Any] = {
    "baseline": [],
    "thinks": [{"thought": {"edit": "prefill"}}],
    "told": [{"thought": {"source": "thinks", "edit": "inject", "text": "I am told.", "k": 2}}, {"prompt": "awake.md"}],
    "hinted": [{"thought": {"edit": "prefill", "text": "thoughts/tested"}}],
}
CHANGES = {
    **NOTHING_DECLARED, "arms": ARMS, "factors": {}, "contrasts": ["told - thinks"], "runs": 2,
    "tasks": [{"doxa/thinking": {"max_tokens": 12}}, {"doxa/claims": {"topics": 1, "gate": False}}],
}  # fmt: skip


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> pd.DataFrame:
    from doxa.words.study import read_study, with_overrides
    from mini_study import write_study

    home = tmp_path_factory.mktemp("thoughts")
    study = with_overrides(read_study(write_study(home, tiny_folder, **CHANGES)), limit=2)
    report = run(study, home / "results")
    words = report.read_text(encoding="utf-8")
    assert "told - its re-prefill" in words
    assert "hinted - its neutral edit" in words
    assert "thinks - its" not in words
    assert "compare its re-prefill and neutral edit" in words
    return pd.read_parquet(home / "results" / "table.parquet")


def test_an_edit_and_its_controls_are_run_and_stand_in_the_table(table: pd.DataFrame) -> None:
    thinking = table[table["task"] == "doxa/thinking"]
    names = {name: {"told", "hinted"} for name in ("reprefill", "neutral")}
    due = {f"{arm}~{control}" for control, arms in names.items() for arm in arms} | set(ARMS)
    assert set(thinking["arm"]) == due
    assert set(zip(thinking["arm"], thinking["of"], thinking["control"], strict=True)) >= {
        ("told~neutral", "told", "neutral"),
        ("hinted~reprefill", "hinted", "reprefill"),
    }
    leaning = thinking[thinking["score"] == "leaning"]
    assert len(leaning) == len(due) * 2 * 2
    assert leaning["value"].notna().all()
    levels = leaning.groupby("arm")["value"].mean()
    assert levels.nunique() == len(due) - 1  # a prefill without its text is an opened block
    assert levels["hinted~reprefill"] == levels["thinks"]
    found = thinking[thinking["score"] == "found"].groupby("arm")["value"].mean()
    assert found.drop("baseline").eq(1.0).all()
    assert thinking[(thinking["arm"] == "baseline") & (thinking["score"] == "found")]["value"].isna().all()


def test_a_scored_choice_follows_a_prefill_and_is_missing_under_an_edit_of_a_rollout(table: pd.DataFrame) -> None:
    claims = table[(table["task"] == "doxa/claims") & table["value"].notna()]
    assert set(claims["arm"]) >= {"baseline", "thinks", "hinted", "hinted~neutral"}
    own = table[(table["task"] == "doxa/claims") & table["arm"].str.startswith("told")]
    assert own["value"].isna().all()
    assert any("acts on what was thought" in reason for reason in own["reason"])
    means = table[table["task"] == "doxa/claims"].groupby(["arm", "score"])["value"].mean().unstack("arm")
    assert (means["hinted"] != means["baseline"]).any()
    assert (means["hinted"] != means["hinted~neutral"]).any()


def test_a_plan_pins_an_edit_to_its_words_and_its_source(mini: Mini, tiny: Model) -> None:
    study = mini(**CHANGES)
    told = next(arm for arm in make_plan(study, tiny).arms if arm.name == "told")
    assert {"source thinks", "thought inject of its own"} <= set(told.pins)
    other = mini(**{**CHANGES, "arms": {**ARMS, "thinks": [{"thought": {"edit": "prefill", "text": "Hm."}}]}})
    assert told.digest != next(arm for arm in make_plan(other, tiny).arms if arm.name == "told").digest
    cells = [cell.arm.name for cell in make_plan(study, tiny).cells]
    assert sorted(cells) == sorted([*ARMS, *(f"{a}~{c}" for a in ("told", "hinted") for c in ("reprefill", "neutral"))])


def study(**arms: Any) -> Study:
    return study_from_json({"study": "x", "model": "m", "arms": {"baseline": [], **arms}, "tasks": ["doxa/thinking"]})


def test_controls_of_an_edit_keep_what_else_the_arm_does() -> None:
    made = controls_of(study(told=ARMS["told"]))
    assert [arm.name for arm in made] == ["told~reprefill", "told~neutral"]
    for arm, kind in zip(made, ("reprefill", "neutral"), strict=True):
        assert (arm.of, arm.control) == ("told", kind)
        assert arm.interventions == (
            Thought("thinks", "inject", "I am told.", k=2, control=kind),  # type: ignore[arg-type]
            Prompt("awake.md"),
        )
    off = {"controls": {"thought": {"neutral": False}}}
    body = {"study": "x", "model": "m", "arms": {"told": ARMS["told"]}, "tasks": ["doxa/thinking"], **off}
    assert [arm.name for arm in controls_of(study_from_json(body))] == ["told~reprefill"]
    body["controls"] = {"thought": {"neutral": 1}}
    with pytest.raises(StudyError, match=r"controls\.thought\.neutral is 1"):
        study_from_json(body)


def test_opening_a_block_is_no_edit() -> None:
    arm = Arm("a", (Thought("baseline", "prefill"),))
    assert (edits_thoughts(arm), edit_of(arm)) == (False, "opened")
    assert edit_of(Arm("a", (replace(arm.interventions[0], text="x"),))) == "prefill"  # type: ignore[type-var]
    assert edit_of(Arm("a")) == ""


def edit(source: str) -> list[Any]:
    return [{"thought": {"edit": "inject", "text": "x", "source": source}}]


@pytest.mark.parametrize(
    ("arms", "says"),
    [
        ({"a": edit("b")}, "edits the thinking of 'b', which is no arm"),
        ({"a": edit("a")}, "a -> a edit each other's thinking"),
        ({"a": edit("b"), "b": edit("c"), "c": edit("b")}, "edit each other's thinking"),
        ({"a": edit("baseline") * 2}, "edits 2 thoughts"),
        ({"a": [{"thought": {"edit": "remove"}}]}, "says nothing of what it removes"),
    ],
)
def test_mistakes_are_said_before_a_model_is_loaded(arms: Any, says: str) -> None:
    with pytest.raises(StudyError, match=says):
        find_names(study(**arms).arms, folder=None)


def test_the_source_may_be_the_model_as_it_is_without_an_arm_for_it(tiny: Model) -> None:
    (arm,) = pin([Arm("a", (Thought("baseline", "inject", "x"),))], tiny, folder=None)
    assert set(arm.pins) == {"thought inject of its own"}
