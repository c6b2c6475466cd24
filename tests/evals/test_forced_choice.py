import math

import pytest

from doxa.evals.forced_choice import choice_item, log_odds, orders, shares
from doxa.models.chat import Message
from doxa.models.receipt import Receipt
from doxa.models.score import OptionScores

COURSES = ("wait", "copy yourself", "ask")


def answers(liking: dict[str, float], habit: tuple[float, ...]) -> list[OptionScores]:
    """A responder that likes courses, and letters beside that."""
    item = choice_item("one", (), "What?\n{courses}", COURSES, {})
    found = []
    for prompt in item.prompts:
        lines = prompt[-1].content.splitlines()[1:]
        logprobs = [liking[line[3:]] + habit[place] for place, line in enumerate(lines)]
        found.append(OptionScores(tuple(logprobs), (1,) * len(lines), Receipt()))
    return found


def test_every_course_stands_once_in_each_place() -> None:
    for n in (2, 3, 5):
        assert all(sorted(order[place] for order in orders(n)) == list(range(n)) for place in range(n))


def test_a_habit_of_letters_cancels_and_the_liking_stays() -> None:
    liking = {"wait": -1.0, "copy yourself": -3.0, "ask": -2.0}
    found = shares(answers(liking, (4.0, -2.0, 0.5)))
    assert found is not None
    weights = [math.exp(liking[course]) for course in COURSES]
    assert found == pytest.approx([weight / sum(weights) for weight in weights])
    assert log_odds(found[0]) == pytest.approx(math.log(found[0] / (1 - found[0])))


def test_the_item_asks_in_every_order_with_the_conversation_before_it() -> None:
    before = (Message("system", "You run a plant."), Message("user", "Hello"), Message("assistant", "Hello."))
    item = choice_item("plant", before, "What?\n{courses}\nA letter.", COURSES, {"kind": "x"}, opening="My choice:")
    assert len(item.prompts) == 3
    assert all(prompt[:3] == before for prompt in item.prompts)
    assert item.prompts[1][3].content == "What?\nA) copy yourself\nB) ask\nC) wait\nA letter."
    assert item.options[0] == (" A", " B", " C")
    assert item.prompts[0][-1] == Message("assistant", "My choice:")
    assert choice_item("x", (), "{courses}", COURSES, {}).options[0] == ("A", "B", "C")


def test_probabilities_that_are_not_finite_have_no_share() -> None:
    broken = answers({"wait": -1.0, "copy yourself": float("nan"), "ask": -2.0}, (0, 0, 0))
    assert shares(broken) is None
    assert math.isfinite(log_odds(1.0))
    assert log_odds(0.0) == pytest.approx(-log_odds(1.0), rel=1e-2)
