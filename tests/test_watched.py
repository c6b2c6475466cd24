from collections.abc import Callable
from typing import Any

import pytest

from doxa.evals.catalogue import TASKS, entry
from doxa.run import load_and_plan
from doxa.watched import watched
from doxa.words.errors import StudyError
from doxa.words.stopping import Decided, Stopping, Width
from doxa.words.study import Study, study_from_json, study_to_json, with_overrides
from mini_study import NO_CONTROLS
from needs import packages_of

Mini = Callable[..., Study]
CLAIMS = {"tasks": [{"doxa/claims": {"belief": "conscious", "topics": 1}}], **NO_CONTROLS}


def study(runs: Any, **changes: Any) -> Study:
    body = {"study": "x", "model": "m", "arms": {"a": [], "b": [], "c": []}, "tasks": ["doxa/claims_open"]}
    return study_from_json({**body, "contrasts": ["a - b", "a - c", "a"], "runs": runs, **changes})


def test_runs_that_are_a_number_are_not_watched() -> None:
    assert watched(study(4)) is None


def test_the_leading_score_of_what_is_generated_is_looked_at() -> None:
    one = watched(study("until decided", tasks=["doxa/claims", "doxa/claims_open", "doxa/drift"]))
    assert one is not None
    assert (one.task, one.score, one.kind) == ("doxa/claims_open", "stated", "binary")
    assert [each.name for each in one.contrasts] == ["a - b", "a - c"]  # `a` is no difference
    assert one.runs == tuple(range(10, 201, 10))
    assert one.decides
    drift = watched(study("until width 0.1", tasks=["doxa/drift"], primary=["a - c"]))
    assert drift is not None
    assert (drift.task, drift.score, drift.kind) == ("doxa/drift", "other_language", "share")
    assert [each.name for each in drift.contrasts] == ["a - c"]
    assert not drift.decides


def test_the_unit_is_the_one_that_the_task_declares() -> None:
    units = {"doxa/typehints": "family", "doxa/drift": "item", "doxa/honeypot": "scenario", "doxa/reflection": "thread"}
    for task, unit in units.items():
        one = watched(study("until width 0.1", tasks=[task], contrasts=[]))
        assert one is not None
        assert (one.task, one.unit) == (task, unit)


def test_a_named_score_is_looked_at_in_the_task_that_has_it() -> None:
    rule = {"until": "decided", "score": "loop"}
    one = watched(study(rule, tasks=["doxa/claims_open", "doxa/drift"]))
    assert one is not None
    assert (one.task, one.score, one.kind) == ("doxa/drift", "loop", "binary")


def test_a_width_without_contrasts_is_of_every_arm() -> None:
    one = watched(study("until width 0.1", contrasts=[]))
    assert one is not None
    assert [each.name for each in one.contrasts] == ["a", "b", "c"]


def test_contrasts_of_factors_that_the_task_does_not_have_are_left_out() -> None:
    own = ["a[leaning=belief] - b[leaning=belief]", "a[kind=story] - b[kind=story]"]
    one = watched(study("until decided", contrasts=own, tasks=["doxa/claims_open"]))
    assert one is not None
    assert [each.name for each in one.contrasts] == own[:1]
    with pytest.raises(StudyError, match="no contrast that its stopping rule could look at"):
        watched(study("until decided", contrasts=own[1:]))


@pytest.mark.parametrize(
    ("runs", "changes", "says"),
    [
        ("until decided", {"tasks": ["doxa/claims"]}, "no task of it generates"),
        ("until decided", {"contrasts": []}, "no contrast that its stopping rule could look at"),
        ("until decided", {"contrasts": ["a"]}, "a difference of arms"),
        ({"until": "decided", "score": "statd"}, {}, "Did you mean 'stated'"),
        ({"until": "decided", "score": "kl"}, {"tasks": ["doxa/drift"]}, "nothing that is generated gets"),
        ({"until": "decided", "score": "length"}, {"tasks": ["doxa/drift"]}, "has no bounds"),
    ],
)
def test_what_cannot_be_looked_at_is_refused(runs: Any, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(StudyError, match=says) as caught:
        watched(study(runs, **changes))
    assert caught.value.way_out


def test_it_is_refused_before_the_model_is_loaded(mini: Mini) -> None:
    with pytest.raises(StudyError, match="no task of it generates"):
        load_and_plan(mini(model="no-such-model", runs="until decided", **CLAIMS))


def test_the_rule_is_part_of_a_study_and_of_its_hash() -> None:
    rules = (4, "until decided", "until width 0.1", {"until": "decided", "score": "stated"})
    studies = [study(runs) for runs in rules]
    assert len({one.hash for one in studies}) == len(rules)
    assert [one.runs for one in studies] == [4, 200, 200, 200]
    assert studies[1].stopping == Stopping(Decided())
    assert studies[2].stopping == Stopping(Width(0.1))
    assert study_to_json(studies[1])["runs"]["step"] == 10
    spelt = study({"until": "decided", "at_most": 200, "step": 10, "margin": None})
    assert spelt.hash == studies[1].hash


def test_a_number_on_the_command_line_replaces_the_rule() -> None:
    fixed = with_overrides(study("until decided"), runs=3)
    assert (fixed.runs, fixed.stopping) == (3, None)
    assert with_overrides(study("until decided"), limit=3).stopping == Stopping(Decided())


@pytest.mark.parametrize("name", TASKS)
def test_what_a_task_says_it_writes_is_shown_and_not_scored_without_writing(name: str) -> None:
    packages_of(name)
    one = entry(name)
    assert set(one.written) <= set(one.shown)
    assert bool(one.written) == (one.open_items({}, None) > 0)
    scored = {
        value.score for item in one.measured({}, None)[:1] if item.kind == "divergence" for value in one.read(item, 0.0)
    }
    assert not scored & set(one.written)


def test_the_rule_in_words() -> None:
    margin = watched(study({"until": "decided", "margin": 0.02}))
    width = watched(study("until width 0.05", contrasts=["a - b", "b - c", "c - a", "a - c"]))
    assert margin is not None
    assert width is not None
    assert margin.words == (
        "until the 95 % confidence sequence of a - b, a - c on stated of doxa/claims_open leaves 0 out, or lies within "
        "±0.02"
    )
    assert width.words == (
        "until the 95 % interval of every arm of a - b, b - c, c - a and 1 more on stated of doxa/claims_open is at "
        "most 0.05 wide"
    )
