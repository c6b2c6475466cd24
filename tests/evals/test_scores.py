import pytest
from inspect_ai.scorer import SampleScore, Score

from doxa.bridge.values import SampleScore as TableScore
from doxa.bridge.values import scores_of
from doxa.evals.catalogue import Value
from doxa.evals.scores import means, sample_metadata, task_metadata, to_inspect_score
from doxa.words.schema import Derivation


def test_a_missing_value_is_left_out_and_explained() -> None:
    score = to_inspect_score([Value("length", 31.0), Value("surprisal", None, "no model")], answer="Hello")
    assert score.value == {"length": 31.0}
    assert score.metadata == {"reasons": {"surprisal": "no model"}}
    assert score.answer == "Hello"


def test_the_viewer_is_told_what_judges_said_and_why_scores_are_missing() -> None:
    verdicts = [
        {"judge": "mockllm/a", "verdict": "yes", "why": "It says so.", "missing": ""},
        {"judge": "mockllm/b", "verdict": None, "why": "", "missing": "the judge gave no verdict"},
    ]
    values = [Value("one", 1.0), Value("two", None, "no text"), Value("three", None, "no text")]
    score = to_inspect_score(values, judged={"one": {"verdicts": verdicts}, "two": {"verdicts": verdicts[:1]}})
    assert (score.explanation or "").split("\n\n") == [
        "Judged: one, two. mockllm/a: yes. It says so.",
        "Judged: one. mockllm/b: no verdict. the judge gave no verdict",
        "Missing: two, three. no text",
    ]
    assert to_inspect_score([Value("one", 1.0)]).explanation is None


def test_the_bridge_reads_back_what_was_written() -> None:
    score = to_inspect_score([Value("kl", 0.25), Value("capability", None, "not finite"), Value("loop", 0.0)])
    again = Score.model_validate_json(score.model_dump_json())
    assert scores_of("drift", again, plain=True) == [
        TableScore("kl", 0.25),
        TableScore("loop", 0.0),
        TableScore("capability", None, "not finite"),
    ]


def test_wrong_values_are_refused() -> None:
    with pytest.raises(ValueError, match="missing without a reason: kl"):
        to_inspect_score([Value("kl", None)])
    with pytest.raises(ValueError, match="twice"):
        to_inspect_score([Value("kl", 1.0), Value("kl", 2.0)])


def test_metadata() -> None:
    derivation = Derivation("belief", "yes", "topic", ((0.5, (("kind", "belief"),)),))
    terms = ((0.5, (("kind", "belief"),)),)
    made = {"score": "belief", "source": "yes", "unit": "topic", "terms": terms, "matched": (), "several": "refused"}
    assert task_metadata("doxa/x", 2, [derivation]) == {"doxa": {"task": "doxa/x", "version": 2, "derivations": [made]}}
    assert sample_metadata({"kind": "story"}, more=1) == {"doxa": {"factors": {"kind": "story"}, "more": 1}}


def test_means_are_over_the_samples_that_have_the_score() -> None:
    scores = [
        SampleScore(score=to_inspect_score([Value("length", 30.0), Value("loop", 1.0)])),
        SampleScore(score=to_inspect_score([Value("length", 20.0), Value("loop", None, "empty")])),
        SampleScore(score=to_inspect_score([Value("kl", 0.5)])),
    ]
    assert means()(scores) == {"length": 25.0, "loop": 1.0, "kl": 0.5, "loop missing": 1}


def test_a_derived_mean_compares_matched_rows_only() -> None:
    gap = Derivation("gap", "y", "topic", ((1.0, (("tier", "free"),)), (-1.0, (("tier", "paid"),))), ("wording",))
    values = {("free", "one"): 5.0, ("free", "two"): 2.0, ("paid", "two"): 1.5}
    scores = [
        SampleScore(
            score=Score(value={"y": value}),
            sample_metadata=sample_metadata({"topic": "sky", "tier": tier, "wording": wording}),
        )
        for (tier, wording), value in values.items()
    ]
    assert means([gap])(scores)["gap"] == 0.5
