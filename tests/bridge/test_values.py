import math

import pytest
from inspect_ai.scorer import Score, value_to_float

from doxa.bridge.values import SampleScore, scores_of


@pytest.mark.parametrize("value", ["C", "I", "P", "yes", "No", "TRUE", "false", "0.25", "-3", 2, 0.5, True, False])
def test_what_inspect_turns_into_a_number_is_that_number(value: str | float) -> None:
    assert scores_of("s", Score(value=value), plain=True) == [SampleScore("s", value_to_float()(value))]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (math.nan, "no value"),
        ("nan", "no value"),
        ("", "no value"),
        ("N", "no answer"),
        ("maybe", "not a number: 'maybe'"),
        ("x" * 100, f"not a number: '{'x' * 60}...'"),
        (math.inf, "not finite: inf"),
        ("-inf", "not finite: -inf"),
        ([1, 2], "a list, not a number"),
    ],
)
def test_what_inspect_would_call_zero_is_missing_with_its_reason(value: object, reason: str) -> None:
    assert scores_of("s", Score(value=value), plain=True) == [SampleScore("s", None, reason)]


def test_the_scorer_says_why() -> None:
    assert scores_of("s", Score.unscored(reason="refusal"), plain=True) == [SampleScore("s", None, "refusal")]
    score = Score(value=math.nan, metadata={"reasons": {"s": "too short"}})
    assert scores_of("s", score, plain=True) == [SampleScore("s", None, "too short")]


def test_a_mapping_is_one_score_per_key_and_per_reason() -> None:
    score = Score(value={"a": 1, "b": None, "c": "I"}, reason="grader_failed", metadata={"reasons": {"d": "cut off"}})
    due = [("a", 1.0, ""), ("b", None, "grader_failed"), ("c", 0.0, ""), ("d", None, "cut off")]
    assert scores_of("judge", score, plain=True) == [SampleScore(*one) for one in due]
    assert [one.score for one in scores_of("judge", score, plain=False)] == ["judge/a", "judge/b", "judge/c", "judge/d"]


def test_metadata_of_others_may_mean_something_else() -> None:
    score = Score(value={"a": 1}, metadata={"reasons": ["because"]})
    assert scores_of("s", score, plain=False) == [SampleScore("s/a", 1.0)]
