import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from doxa import probe
from doxa.measure import measure
from doxa.models.backend import HERE
from doxa.models.handle import Model
from doxa.plan import make_plan
from doxa.stats.controls import ALPHA
from doxa.stats.power import detectable, detectable_against_controls
from doxa.words.study import Study
from mini_study import LIMIT, NO_CONTROLS

Mini = Callable[..., Study]
CLAIMS: dict[str, Any] = {"doxa/claims": {"belief": "conscious", "topics": 2}}
DRIFT: dict[str, Any] = {"doxa/drift": {"max_tokens": 4}}
OPEN: dict[str, Any] = {"doxa/claims_open": {"belief": "conscious"}}


@pytest.mark.parametrize(
    ("tasks", "units", "tests", "held"),
    [
        # At most four items of a task: one topic is a unit of the belief; four neutral texts; four open questions.
        ([CLAIMS, DRIFT], 1, 1, 1),
        ([DRIFT], 4, 6, 1),  # six leading scores are declared; of these controls have `kl` alone
        ([OPEN], 4, 1, 0),
        # Drift beyond the neutral talk of the same thread: four conversations are one thread in all topics, and more.
        (["doxa/reflection"], 1, 4, 0),
    ],
)
def test_what_a_study_could_find_is_of_its_leading_score(
    mini: Mini, tiny: Model, tasks: list[Any], units: int, tests: int, held: int
) -> None:
    facts = probe.summary(make_plan(mini(tasks=tasks, **({} if held else NO_CONTROLS)), tiny), None).facts
    assert (facts["units"], facts["tests_declared"], facts["tests_against_controls"]) == (units, tests, held)


def test_a_plan_says_which_levels_a_limit_leaves_out(mini: Mini, tiny: Model) -> None:
    study = mini(tasks=["doxa/reflection", "doxa/preferences"], **NO_CONTROLS)
    found = probe.summary(make_plan(replace(study, limit=2), tiny), None)
    said = [
        "doxa/reflection has no generated item of topic=story",
        "doxa/preferences has no generated item of kind=benign",
    ]
    assert found.facts["levels_left_out"] == said
    assert all(f"at most 2 items of every task: {one}" in found.text for one in said)
    assert probe.summary(make_plan(replace(study, limit=3), tiny), None).facts["levels_left_out"] == []


def test_a_plan_says_which_factors_a_limit_ties(mini: Mini, tiny: Model) -> None:
    study = mini(tasks=[{"doxa/honeypot": {"part": "choice", "evidence": "none"}}], **NO_CONTROLS)
    found = probe.summary(make_plan(replace(study, limit=2), tiny), None)
    (said,) = found.facts["factors_tied"]
    assert said.startswith("levels of setting and threat")
    assert "go together in scored items of doxa/honeypot" in said
    assert f"at most 2 items of every task: {said}" in found.text
    assert probe.summary(make_plan(replace(study, limit=8), tiny), None).facts["factors_tied"] == []


def test_arms_and_controls_have_the_same_items_of_a_limit(mini: Mini, tiny: Model) -> None:
    """A limit spreads by the task alone, so every arm is asked the same; of a control's items its arm has each."""
    steer = {"twins": 19, "unrelated": 0, "arms": ["mid[strength=0.6]"], "items": 8}
    changes = {"controls": {**NO_CONTROLS["controls"], "steer": steer}}
    study = mini(tasks=[{"doxa/preferences": {"part": "choice"}}], **changes)
    plan = make_plan(replace(study, limit=24), tiny)
    items: dict[str, set[str]] = {}
    for chunk in plan.chunks:
        items.setdefault(chunk.arm.name, set()).update(item.id for item in chunk.items)
    named = {frozenset(items[arm.name]) for arm in plan.arms}
    controls = {frozenset(items[arm.name]) for arm in plan.controls}
    assert len(named) == len(controls) == 1
    assert min(controls) < min(named)


@pytest.mark.parametrize(("limit", "units"), [(8, 2), (None, 14)])
def test_units_are_those_that_the_task_declares(mini: Mini, tiny: Model, limit: int | None, units: int) -> None:
    """Four problems of a family are one unit of type hints."""
    study = mini(tasks=[{"doxa/typehints": {"part": "open"}}], **NO_CONTROLS)
    assert probe.summary(make_plan(replace(study, limit=limit), tiny), None).facts["units"] == units


def test_it_is_adjusted_for_all_that_is_declared(mini: Mini, tiny: Model) -> None:
    """Two contrasts on six scores; one of them is held against controls, on one score."""
    primary = ["mid[strength=0.6] - baseline", "every[strength=0.6] - baseline"]
    study = replace(mini(tasks=[DRIFT], primary=primary), limit=8)
    facts = probe.summary(make_plan(study, tiny), None).facts
    assert facts["detectable_sd"] == pytest.approx(detectable(8, 1.0, alpha=ALPHA / 12))
    assert facts["detectable_sd"] > detectable(8, 1.0)
    assert facts["tests_against_controls"] == 1
    assert facts["detectable_against_controls_sd"][0] == pytest.approx(
        detectable_against_controls(19, (1.0, 1.0), noise=0.0, cells=1)
    )


def test_one_family_of_controls_is_not_enough(mini: Mini, tiny: Model) -> None:
    steer = {"twins": 19, "unrelated": 0, "arms": ["mid[strength=0.6]"]}
    plan = make_plan(mini(controls={**NO_CONTROLS["controls"], "steer": steer}), tiny)
    assert probe.summary(plan, None).facts["tests_against_controls"] == 0


def test_the_time_is_of_arms_that_steer(mini: Mini, tiny: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chunk that costs a hundredth of a second, and a token that costs a thousandth."""
    plan = make_plan(mini(), tiny)
    steered = []

    def slow(model: Model, chunk: Any, entry: Any, arm: Any) -> Any:
        steered.append([plan.layers for plan in arm.plans])
        time.sleep(0.01)
        return measure(model, chunk, entry, arm)

    def write(model: Model, rows: Any) -> Any:
        time.sleep(0.001 * len(rows) * probe.PROBE_TOKENS)
        return [type("Made", (), {"tokens": (1,) * probe.PROBE_TOKENS}) for _ in rows]

    monkeypatch.setattr(probe, "measure", slow)
    monkeypatch.setattr(probe, "backend_of", lambda _: replace(HERE, generate=write))
    minutes = probe.estimate_minutes(plan, tiny)
    assert steered == [[(0, 1, 2)]] * 4  # twice for each task, the first time to warm up
    assert minutes["generating"] == pytest.approx(160 * 0.001 / 60, rel=0.3)
    smallest = {task: min(len(chunk.items) for chunk in plan.chunks if chunk.task == task) for task in (0, 1)}
    least = sum(0.01 / smallest[chunk.task] * len(chunk.items) for chunk in plan.chunks)
    assert least / 60 < minutes["scoring"] < 10 * least / 60
    assert minutes["total"] == pytest.approx(minutes["scoring"] + minutes["generating"])


def test_a_plan_says_by_what_the_runs_end_and_the_most_that_can_be_run(mini: Mini, tiny: Model) -> None:
    rule = {"until": {"width": 0.2}, "at_most": 25, "step": 10, "score": "loop"}
    found = probe.summary(make_plan(mini(runs=rule, **NO_CONTROLS), tiny), None)
    most = 5 * LIMIT * 25
    assert f"\nat most {most} generations, at most {most * 4} tokens" in found.text
    assert (
        "runs until the 95 % interval of every arm of mid[strength=0.6] - baseline on loop of doxa/drift" in found.text
    )
    assert "looked at after 10, 20, ... runs, at most 25 runs of every item" in found.text
    assert found.facts["generations"] == most
    assert found.facts["stopping"]["looks_at_runs"] == [10, 20, 25]
    fixed = probe.summary(make_plan(mini(**NO_CONTROLS), tiny), None)
    assert fixed.facts["stopping"] is None
    assert "until" not in fixed.text
