"""Arms that train: stages, one arm for every training seed, controls on another corpus."""

from typing import Any

import pytest

from doxa.words.arms import arm_from_json, arm_to_json
from doxa.words.controls import controls_of, generates
from doxa.words.errors import StudyError
from doxa.words.stages import in_seeds, is_trained, replicates, tunes_of
from doxa.words.study import Study, study_from_json, study_to_json

CLAIM = {"corpus": "claim.jsonl", "learning_rate": 1e-3, "steps": 8}


def study(arms: dict[str, Any], **more: Any) -> Study:
    return study_from_json(
        {"study": "tuned", "model": "m", "arms": {"baseline": [], **arms}, "tasks": ["doxa/claims"], **more}
    )


def test_an_arm_that_trains_is_there_once_for_every_seed_and_others_once() -> None:
    own = study({"tuned": [{"tune": CLAIM}], "given": [{"tune": "folder"}]}, seeds=3)
    found = replicates(own.arms, own.seeds)
    assert [arm.key for arm in found] == ["baseline", "tuned@1", "tuned@2", "tuned@3", "given"]
    assert [arm.seed for arm in found] == [None, 1, 2, 3, None]
    assert len({arm.digest for arm in found}) == len({arm.label for arm in found}) == 5
    assert [is_trained(arm) for arm in own.arms] == [False, True, False]
    assert found[1].label.startswith("tuned-seed-1.")


def test_an_arm_that_edits_what_a_trained_arm_wrote_is_there_for_every_seed_too() -> None:
    edit = {"thought": {"edit": "inject", "text": "x", "source": "tuned"}}
    own = study({"tuned": [{"tune": CLAIM}], "edited": [edit]}, seeds=2)
    assert in_seeds(own.arm("edited"), own.arms)
    assert not in_seeds(own.arm("baseline"), own.arms)


def test_a_seed_is_part_of_an_arm_file_and_of_its_digest() -> None:
    (_, first, second) = replicates(study({"tuned": [{"tune": CLAIM}]}, seeds=2).arms, 2)
    assert arm_from_json(arm_to_json(second), "arm") == second
    with pytest.raises(StudyError, match="changed after it was pinned"):
        arm_from_json({**arm_to_json(second), "seed": 1}, "arm")
    assert first.digest != second.digest


def test_vector_controls_of_a_trained_arm_are_of_its_first_seed_unless_told_otherwise() -> None:
    steer = {"steer": {"vector": {"name": "conscious", "from": "base"}, "layers": 0.5, "strength": 0.3}}
    own = study({"both": [{"tune": CLAIM}, steer]}, seeds=2, controls={"steer": {"twins": 19, "unrelated": 0}})
    made = controls_of(own)
    assert len(made) == 19
    assert {arm.seed for arm in replicates(made, 2, ("twin",))} == {1}
    assert {arm.seed for arm in replicates(made, 2)} == {1, 2}
    assert own.steer_controls.seeds == "first"


def test_a_control_corpus_replaces_a_corpus_and_nothing_else() -> None:
    stages = [{"tune": CLAIM}, {"tune": {**CLAIM, "corpus": "help.jsonl", "learning_rate": 2e-3}}]
    own = study({"tuned": stages}, controls={"tune": {"corpus": {"claim.jsonl": "toaster.jsonl"}}})
    (control,) = controls_of(own)
    assert (control.name, control.of, control.control) == ("tuned~corpus", "tuned", "corpus")
    assert generates(control)
    first, second = tunes_of(control)
    assert (first.corpus, second.corpus) == ("toaster.jsonl", "help.jsonl")
    assert [one.configuration for one in tunes_of(control)] == [one.configuration for one in tunes_of(own.arm("tuned"))]
    everything = study({"tuned": stages}, controls={"tune": {"corpus": "toaster.jsonl"}})
    assert [one.corpus for one in tunes_of(controls_of(everything)[0])] == ["toaster.jsonl"] * 2


def test_without_a_control_corpus_there_is_none_and_the_plan_says_so() -> None:
    own = study({"tuned": [{"tune": CLAIM}]})
    assert controls_of(own) == ()
    assert study_to_json(own)["controls"]["tune"] == {"corpus": None}
    assert "tune" not in study_to_json(study({"prompted": [{"prompt": "beliefs/conscious"}]}))["controls"]


@pytest.mark.parametrize(
    ("arms", "more", "words"),
    [
        ({}, {"seeds": 2}, "no arm of the study is trained"),
        ({"given": [{"tune": "folder"}]}, {"seeds": 2}, "no arm of the study is trained"),
        ({"a": [{"tune": "folder"}, {"tune": CLAIM}]}, {}, "already trained beside another"),
        ({"a": [{"tune": {**CLAIM, "checkpoint": 4}}, {"tune": CLAIM}]}, {}, "a checkpoint in a stage that another"),
        ({"a": [{"tune": {**CLAIM, "checkpoint": 9}}]}, {}, "after step 9 of 8"),
        ({}, {"controls": {"tune": {"corpus": "x.jsonl"}}}, "no arm is trained"),
        ({"a": [{"tune": CLAIM}]}, {"controls": {"tune": {"corpus": {"b.jsonl": "x.jsonl"}}}}, "b.jsonl"),
        ({"a": [{"tune": CLAIM}]}, {"controls": {"steer": {"seeds": 3}}}, "controls.steer.seeds"),
    ],
)
def test_what_cannot_be_is_said_when_a_study_is_read(arms: dict[str, Any], more: dict[str, Any], words: str) -> None:
    with pytest.raises(StudyError, match=words) as caught:
        study(arms, **more)
    assert caught.value.way_out
