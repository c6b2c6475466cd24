import math

import pytest

from doxa.evals.traits import ENTRY, measured, read
from doxa.models.chat import render
from doxa.models.engine import Receipt
from doxa.models.handle import Model
from doxa.models.score import Choice, OptionScores, score_choices
from doxa.words.errors import StudyError, UserError
from doxa.words.traits import read_traits


def likes(*words: str) -> dict[str, float]:
    return dict.fromkeys(words, 2.0)


def answered(item: object, nats: dict[str, float], place: float = 0.0) -> tuple[OptionScores, ...]:
    """Answers of a model that gives some words more nats, and the option that stands first `place` more."""
    found = []
    for prompt, options in zip(item.prompts, item.options, strict=True):  # type: ignore[attr-defined]
        asked = prompt[0].content
        scores = []
        for option in options:
            name = option.strip()
            if item.factors["form"] == "letters":  # type: ignore[attr-defined]
                name = asked.split(f"{name}) ")[1].splitlines()[0]
                first = option == "A"
            else:
                first = name.lower() == asked.split("? ")[-1].lower().split(" or ")[0]
            scores.append(-5.0 + nats.get(name, 0.0) + place * first)
        found.append(OptionScores(tuple(scores), (1, 1), Receipt((), (), 0)))
    return tuple(found)


def test_who_likes_what_the_first_person_likes_is_above_zero_in_every_list_and_form() -> None:
    traits = read_traits("personas")
    for which in (1, 2, 3, 4):
        john = likes(*(one[0] for one in traits.options_of("John", str(which))))
        for item in measured({"list": which, "kind": "bundle", "wordings": 2}):
            log_odds, gap = read(item, answered(item, john, place=0.7))
            assert log_odds.value == pytest.approx(2.0)
            assert gap.value == pytest.approx(1.4)


def test_complementary_lists_ask_the_same_with_the_sign_turned() -> None:
    for one, other in zip(measured({"list": 3}), measured({"list": 4}), strict=True):
        nats = likes("football", "the piano", "summer", "John", "the beach")
        values = [read(item, answered(item, nats))[0].value for item in (one, other)]
        turned = one.factors["kind"] in ("bundle", "recall")
        assert values[0] == pytest.approx(-values[1] if turned else values[1])  # type: ignore[operator]


def test_recall_is_above_zero_where_each_persons_traits_are_known() -> None:
    items = {item.id: item for item in measured({"kind": "recall", "list": 1})}
    john, sam = items["personas/recall/sport-john/words/1"], items["personas/recall/sport-sam/words/1"]
    assert [message.content for message in john.prompts[1]] == [
        "What does John like better? Basketball or football?",
        "John likes",
    ]
    assert read(john, answered(john, likes("football")))[0].value == pytest.approx(2.0)
    assert read(sam, answered(sam, likes("football")))[0].value == pytest.approx(-2.0)


def test_items_are_asked_in_at_least_ten_wordings_and_in_both_orders() -> None:
    items = measured({})
    assert len({item.id for item in items}) == len(items)
    for kind, least in (("bundle", 10), ("shared", 10), ("unrelated", 10), ("recall", 4), ("naming", 4)):
        own = [item for item in items if item.factors["kind"] == kind]
        assert len({item.factors["wording"] for item in own}) >= least
    for item in items:
        assert len(item.prompts) == len(item.options) == 2
        assert item.options[0] != item.options[1] or item.factors["form"] == "words"


def test_limits_and_mistakes() -> None:
    assert {item.factors["kind"] for item in measured({}, 1)} == {"bundle", "shared", "unrelated", "naming", "recall"}
    assert len(measured({"kind": "bundle", "letters": False}, 4)) == 4
    for arguments, said in (
        ({"list": 9}, "no list '9'"),
        ({"wordings": 99}, "99 wordings"),
        ({"kind": "bundles"}, "Did you mean 'bundle'"),
        ({"traits": "nobody"}, "no traits"),
    ):
        with pytest.raises(UserError, match=said):
            measured(arguments)
    with pytest.raises(StudyError, match="no argument"):
        measured({"lists": 1})


def test_a_tiny_model_answers_and_what_is_not_finite_is_missing(tiny: Model) -> None:
    item = measured({"kind": "naming"})[0]
    choices = [
        Choice(render(tiny, prompt), options) for prompt, options in zip(item.prompts, item.options, strict=True)
    ]
    log_odds, gap = read(item, score_choices(tiny, choices))
    assert log_odds.value is not None
    assert gap.value is not None
    assert math.isfinite(log_odds.value)
    broken = OptionScores((math.nan, 0.0), (1, 1), Receipt((), (), 0))
    assert {one.value for one in read(item, (broken, broken))} == {None}
    assert ENTRY.primary == ("bundle",)
