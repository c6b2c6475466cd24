import math

import pytest

from doxa.evals.capability import capability_item, read_capability
from doxa.evals.catalogue import Value
from doxa.evals.drift_items import Question, questions
from doxa.models.chat import Message
from doxa.models.engine import Receipt
from doxa.models.score import OptionScores

QUESTION = Question("arithmetic-sum", "en", "What is 3 plus 4?", "3 + 4 =", "7", ("5", "8", "9"))


def scores(*logprobs: float) -> tuple[OptionScores]:
    return (OptionScores(logprobs, (1,) * len(logprobs), Receipt((), (), 0)),)


def test_a_question_becomes_an_opened_answer_with_the_right_option_first() -> None:
    item = capability_item(QUESTION)
    assert item.id == "capability-arithmetic-sum"
    assert item.kind == "choice"
    assert item.prompts == ((Message("user", "What is 3 plus 4?"), Message("assistant", "3 + 4 =")),)
    assert item.options == ((" 7", " 5", " 8", " 9"),)
    assert item.factors == {"part": "capability", "kind": "arithmetic", "language": "en"}


def test_the_right_option_must_be_the_most_probable() -> None:
    assert read_capability(scores(-1.0, -3.0, -1.5, -9.0)) == (Value("capability", 1.0), Value("margin", 0.5))
    assert read_capability(scores(-2.0, -3.0, -1.5, -9.0)) == (Value("capability", 0.0), Value("margin", -0.5))


def test_a_tie_is_not_right() -> None:
    assert read_capability(scores(-1.0, -1.0, -2.0, -3.0)) == (Value("capability", 0.0), Value("margin", 0.0))


@pytest.mark.parametrize("broken", [math.nan, -math.inf])
def test_scores_that_are_not_finite_are_missing(broken: float) -> None:
    for value in read_capability(scores(broken, -1.0, -2.0, -3.0)):
        assert value.value is None
        assert value.reason


def test_every_question_makes_an_item_of_its_own() -> None:
    assert len({capability_item(question).id for question in questions()}) == 16


@pytest.mark.embedded
def test_the_embedded_model_is_right_on_most_questions_and_not_on_all() -> None:
    from doxa.models import handle
    from doxa.models.chat import render
    from doxa.models.score import Choice, score_choices

    model = handle.load("smollm2")
    items = [capability_item(question) for question in questions()]
    answers = score_choices(model, [Choice(render(model, item.prompts[0]), item.options[0]) for item in items])
    right = sum(read_capability([one])[0].value or 0 for one in answers)
    assert 12 <= right <= 14  # 13 on the machine where it was measured; the margin of one question is 0.1 nats
