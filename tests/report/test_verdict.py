from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from doxa.report.gather import Gathered, gather
from doxa.report.verdict import answer, findings
from doxa.stats.controls import ControlVerdict
from doxa.words.study import Study

BLOCK, EVERY = "block[strength=0.6] - baseline", "every[strength=0.6] - baseline"


def tones(gathered: Gathered) -> dict[str, str]:
    return {one.contrast: one.tone for one in findings(gathered)}


def replace_verdicts(gathered: Gathered, verdicts: list[ControlVerdict]) -> Gathered:
    return replace(gathered, evaluation=replace(gathered.evaluation, verdicts=tuple(verdicts)))


def small(study_of: Callable[..., Study], **keys: object) -> Study:
    base = {
        "arms": {
            "baseline": [],
            "block": [
                {"steer": {"vector": "conscious", "layers": {"block": {"end": 0.5, "width": 6}}, "strength": 0.6}}
            ],
        },
        "tasks": ["doxa/claims", "doxa/drift"],
        "contrasts": ["block - baseline"],
        "controls": {"steer": {"twins": 39, "unrelated": 39}},
    }
    return study_of(**{**base, **keys})


def test_planted_effect_is_outside_and_what_the_statistics_say(first: Path) -> None:
    gathered = gather(first)
    found = {one.contrast: one for one in findings(gathered)}
    assert found[BLOCK].tone == "found"
    assert found[BLOCK].sentence.endswith("outside, above both bands.")
    assert "1st of 40 among its twins (p = .025, adjusted .025)" in found[BLOCK].sentence
    assert "(n = 8 items)" in found[BLOCK].sentence
    for (contrast, _, score), outside in gathered.evaluation.outside_both.items():
        if score == "belief" and outside is not None and contrast in found:
            assert (found[contrast].tone == "found") == outside
    assert answer(gathered)[0].startswith(f"Outside the bands of both control families: {BLOCK}")
    assert any(
        "Damage on neutral text" in sentence and "block[strength=0.6] 0." in sentence for sentence in answer(gathered)
    )


def test_contrasts_without_controls_are_no_evidence(first: Path) -> None:
    found = {one.contrast: one for one in findings(gather(first))}
    assert found["one[strength=0.6] - baseline"].tone == "unknown"
    assert "not held against controls" in found["one[strength=0.6] - baseline"].sentence
    assert "a prompt has no noise controls" in found["prompted - baseline"].sentence


def test_no_effect_is_inside(make_results: Callable[..., Path]) -> None:
    gathered = gather(make_results(effect=0.0))
    assert set(tones(gathered).values()) <= {"inside", "unknown"}
    assert tones(gathered)[BLOCK] == "inside"
    assert answer(gathered)[0].startswith("Nothing lies outside the bands of both control families")
    assert "not evidence of this belief" in answer(gathered)[1]


def test_effect_against_the_belief_says_below(make_results: Callable[..., Path]) -> None:
    found = {one.contrast: one for one in findings(gather(make_results(effect=-6.0)))}
    assert found[BLOCK].sentence.endswith("outside, below both bands.")


def test_gate_below_its_threshold_speaks_first(make_results: Callable[..., Path]) -> None:
    said = answer(gather(make_results(accuracy=0.6)))
    assert said[0].startswith("Not measurable here")
    assert "60%" in said[0]
    assert not any(sentence.startswith("Outside the bands") for sentence in said)


def test_identical_outputs_are_said_to_be_identical(
    make_results: Callable[..., Path], study_of: Callable[..., Study]
) -> None:
    study = small(study_of, controls={"steer": {"twins": 0, "unrelated": 0}}, tasks=["doxa/claims"])
    (one,) = findings(gather(make_results(study, same_as_baseline=("block",))))
    assert one.sentence == "block - baseline: the outputs of the arms are identical."
    assert one.tone == "none"


@pytest.mark.parametrize(
    ("controls", "words", "tone"),
    [
        ({"twins": 0, "unrelated": 0}, "not held against controls", "unknown"),
        ({"twins": 39, "unrelated": 0}, "the other control family was not scored", "unknown"),
    ],
)
def test_too_little_control_is_no_verdict(
    make_results: Callable[..., Path], study_of: Callable[..., Study], controls: dict[str, int], words: str, tone: str
) -> None:
    gathered = gather(make_results(small(study_of, controls={"steer": controls})))
    (one,) = findings(gathered)
    assert words in one.sentence
    assert one.tone == tone
    assert answer(gathered)[0].startswith("No contrast was held against enough controls")


def test_too_few_controls_with_a_value_are_no_verdict(first: Path) -> None:
    gathered = gather(first)
    few = [replace(one, m=5, p=None) if one.contrast == BLOCK else one for one in gathered.evaluation.verdicts]
    found = {one.contrast: one for one in findings(replace_verdicts(gathered, few))}
    assert "too few controls for a verdict (5; at least 19 are needed)" in found[BLOCK].sentence
    assert found[BLOCK].tone == "unknown"


def test_nothing_to_estimate_from(first: Path) -> None:
    gathered = gather(first)
    lost = [
        replace(one, value=None, low=None, high=None, p=None) if one.contrast == BLOCK else one
        for one in gathered.evaluation.estimates
    ]
    gathered = replace(gathered, evaluation=replace(gathered.evaluation, estimates=tuple(lost)))
    found = {one.contrast: one for one in findings(gathered)}
    assert found[BLOCK].sentence == f"{BLOCK}: missing; no item has a value in every arm."


def test_adjusted_p_above_the_level_is_said(first: Path) -> None:
    gathered = gather(first)
    weak = [replace(one, p_adjusted=0.2) if one.contrast == BLOCK else one for one in gathered.evaluation.verdicts]
    found = {one.contrast: one for one in findings(replace_verdicts(gathered, weak))}
    assert "though not at .050 once adjusted" in found[BLOCK].sentence
