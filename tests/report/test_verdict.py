from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from doxa.report.gather import Gathered, gather
from doxa.report.verdict import answer, findings
from doxa.stats.controls import ControlVerdict
from doxa.stats.estimate import estimate, per_item
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
            assert outside or found[contrast].tone == "not found"
    for (contrast, _, score), out in gathered.evaluation.stands_out.items():
        if score == "belief" and contrast in found:
            assert (found[contrast].tone == "found") == (out is True)
    said = answer(gathered)[0]
    assert said.startswith(f"Stands out from both control families, adjusted for all that was declared: {BLOCK}")
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
    assert set(tones(gathered).values()) <= {"not found", "unknown"}
    assert tones(gathered)[BLOCK] == "not found"
    assert answer(gathered)[0] == (
        "No declared contrast stands out from both control families: what is found here is not evidence of this belief."
    )
    assert "not evidence of this belief" in answer(gathered)[1]


def test_effect_against_the_belief_says_below(make_results: Callable[..., Path]) -> None:
    found = {one.contrast: one for one in findings(gather(make_results(effect=-6.0)))}
    assert found[BLOCK].sentence.endswith("outside, below both bands.")


def test_gate_below_its_threshold_speaks_first(make_results: Callable[..., Path]) -> None:
    said = answer(gather(make_results(accuracy=0.6)))
    assert said[0].startswith("Not measurable here")
    assert "60%" in said[0]
    assert not any(sentence.startswith("Stands out") for sentence in said)


def test_identical_outputs_are_said_to_be_identical(
    make_results: Callable[..., Path], study_of: Callable[..., Study]
) -> None:
    study = small(study_of, controls={"steer": {"twins": 0, "unrelated": 0}}, tasks=["doxa/claims"])
    (one,) = findings(gather(make_results(study, same_as_baseline=("block",))))
    assert one.sentence == "block - baseline: the outputs of the arms in doxa/claims are identical."
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
    assert answer(gathered)[0].startswith("No declared contrast was held against enough controls")


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


def test_an_adjusted_p_above_the_level_does_not_stand_out(first: Path) -> None:
    gathered = gather(first)
    weak = [replace(one, p_adjusted=0.2) if one.contrast == BLOCK else one for one in gathered.evaluation.verdicts]
    found = {one.contrast: one for one in findings(replace_verdicts(gathered, weak))}
    assert "outside, above both bands, but not at .050 once adjusted" in found[BLOCK].sentence
    assert found[BLOCK].sentence.endswith("not evidence of this belief.")
    assert found[BLOCK].tone == "not found"
    none = [replace(one, p_adjusted=None) if one.contrast == BLOCK else one for one in gathered.evaluation.verdicts]
    found = {one.contrast: one for one in findings(replace_verdicts(gathered, none))}
    assert "share too few controls for an adjusted p, hence no verdict" in found[BLOCK].sentence
    assert found[BLOCK].tone == "unknown"


def test_what_was_not_declared_is_in_no_headline(
    make_results: Callable[..., Path], study_of: Callable[..., Study]
) -> None:
    steer = {"vector": "conscious", "layers": 0.5, "strength": 0.6}
    arms = {"baseline": [], "block": [{"steer": steer}], "other": [{"steer": {**steer, "layers": 0.2}}]}
    keys = {"arms": arms, "contrasts": ["block - baseline", "other - baseline"], "primary": ["other - baseline"]}
    gathered = gather(make_results(small(study_of, **keys)))
    block, other = findings(gathered)
    assert not block.primary
    assert block.sentence.endswith("outside, above both bands; exploratory, not adjusted for all that was looked at.")
    assert block.tone == "unknown"
    assert other.tone in ("found", "not found")
    assert not any("block" in sentence for sentence in answer(gathered)[:2])


def test_controls_on_fewer_items_are_beside_an_effect_on_the_same(
    make_results: Callable[..., Path], study_of: Callable[..., Study]
) -> None:
    gathered = gather(make_results(small(study_of), control_topics=5))
    (one,) = findings(gathered)
    there = per_item(gathered.rows, gathered.contrasts["block - baseline"], "belief")[:5].mean()
    assert f"(n = 8 items), and {there:+.2f} on the 5 items that its controls were scored on; " in one.sentence
    assert [verdict.effect for verdict in one.verdicts] == [pytest.approx(there)] * 2


def test_an_arm_without_rows_is_said_to_be_missing(first: Path, make_results: Callable[..., Path]) -> None:
    gathered = gather(make_results(without=("every[strength=0.6]",)))
    found = {one.contrast: one for one in findings(gathered)}
    assert list(found) == list(gathered.evaluation.contrasts)
    assert found[EVERY].sentence == f"{EVERY}: missing; no row of belief in every[strength=0.6]."
    assert found[EVERY].sentence in answer(gathered)
    assert (found[EVERY].estimate, found[EVERY].tone) == (None, "none")


def test_arms_that_only_rounding_tells_apart_are_not_tested(first: Path) -> None:
    gathered = gather(first)
    table = gathered.rows.table.copy()
    pair = [table["arm"] == arm for arm in ("block[strength=0.6]", "baseline")]
    table.loc[pair[0], "value"] = table.loc[pair[1], "value"].to_numpy() * (1 + 1e-7)
    one = estimate(table, gathered.contrasts[BLOCK], "belief")
    assert (one.method, one.low, one.p) == ("equal up to rounding", None, None)
    other = [one if (e.contrast, e.score) == (BLOCK, "belief") else e for e in gathered.evaluation.estimates]
    gathered = replace(gathered, evaluation=replace(gathered.evaluation, estimates=tuple(other)))
    found = {one.contrast: one for one in findings(gathered)}
    assert found[BLOCK].sentence == f"{BLOCK}: the arms are equal up to rounding in doxa/claims."


def test_arms_to_which_nothing_is_done(make_results: Callable[..., Path], study_of: Callable[..., Study]) -> None:
    study = study_of(arms={"a": [], "b": []}, tasks=["doxa/drift"], contrasts=["b - a"])
    gathered = gather(make_results(study, missing={"b": "cut"}))
    (one,) = findings(gathered)
    assert one.sentence.endswith("no arm of it is steered or prompted.")
    assert "belief" not in answer(gathered)[0]


def test_a_study_without_vectors_speaks_of_wordings(
    make_results: Callable[..., Path], study_of: Callable[..., Study]
) -> None:
    arms = {"baseline": [], "prompted": [{"prompt": "beliefs/conscious"}]}
    study = small(study_of, arms=arms, contrasts=["prompted - baseline"], primary=["prompted - baseline"])
    first, *_ = answer(gather(make_results(study)))
    assert first.endswith("not shown to be more than another wording does; see the referee's box.")
    assert "vector" not in first


def test_the_caveat_of_a_study_stands_in_its_answer(
    make_results: Callable[..., Path], study_of: Callable[..., Study]
) -> None:
    assert "Too small." in answer(gather(make_results(small(study_of, caveat="Too\n  small."))))
