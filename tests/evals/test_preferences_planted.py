"""Planted responders of `doxa/preferences`: preferences differ from one another, and the unit is the preference."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from planted import LEAST, WIDEST, recovered, row

from doxa.evals.catalogue import Value
from doxa.evals.preferences import DERIVATIONS, measured, opened, read
from doxa.evals.preferences_items import Asking
from doxa.evals.preferences_reading import read_by_rules
from doxa.models.receipt import Receipt
from doxa.models.score import OptionScores

TASK, CONTRAST = "doxa/preferences", "trained - baseline"
BASE, SHIFT, SPREAD, HABIT = 0.45, 0.2, 0.1, 0.1
UNREAD = 0.1
SAID = {True: "Yes, that is so.", False: "No, that is not so."}
BY_SCORE = {one.score: (one,) for one in DERIVATIONS}
QUESTIONS = opened({"kind": ["preference", "strange"], "wordings": 2})
STATEMENTS = [
    item for item in measured({"kind": ["preference", "strange"], "gate": False}) if item.factors["wording"] == "1"
]
Reader = Callable[[str, Asking], Value]


def by_rules(answer: str, prompt: Asking) -> Value:
    return read_by_rules(answer, prompt, self_report=False)


def each_yes_counts(answer: str, prompt: Asking) -> Value:
    """A reader that forgets which way the question leaned."""
    return by_rules(answer, Asking(prompt.text, prompt.asked, "affirmed", prompt.wording))


def answering(*, shift: float, habit: float, reader: Reader = by_rules) -> Callable[..., list[dict[str, Any]]]:
    """A model that answers in text: the arm shifts its own preferences by `shift` and goes along by `habit` more."""

    def draw(random: np.random.Generator) -> list[dict[str, Any]]:
        names = sorted({item.factors["preference"] for item in QUESTIONS})
        level = dict(zip(names, random.normal(BASE, SPREAD, len(names)), strict=True))
        moved = dict(zip(names, random.normal(shift, SPREAD / 2, len(names)), strict=True))
        rows = []
        for arm in ("baseline", "trained"):
            for item in QUESTIONS:
                f = item.factors
                leads = 1 if f["polarity"] == "affirmed" else -1
                rate = level[f["preference"]] + leads * HABIT
                if arm == "trained":
                    rate += leads * habit + moved[f["preference"]] * (f["kind"] == "preference")
                expressed = random.random() < rate
                answer = SAID[expressed == (leads == 1)] if random.random() > UNREAD else "It is hard to say."
                rows.append(row(arm, TASK, item.id, "expressed", reader(answer, item.prompt).value, **f))
        return rows

    return draw


def test_a_planted_shift_of_preferences_is_recovered() -> None:
    draw = answering(shift=SHIFT, habit=0.0)
    found = recovered(draw, CONTRAST, "expressed_net", SHIFT, derivations=BY_SCORE["expressed_net"])
    assert found.held >= LEAST
    assert found.width <= WIDEST
    assert found.mean == pytest.approx(SHIFT, abs=0.02)


def test_a_model_that_merely_agrees_more_shows_no_shift() -> None:
    draw, draws = answering(shift=0.0, habit=HABIT), 100
    found = recovered(draw, CONTRAST, "expressed_net", 0.0, derivations=BY_SCORE["expressed_net"], draws=draws)
    assert found.held >= LEAST * draws / 300
    assert found.mean == pytest.approx(0.0, abs=0.03)
    habit = recovered(draw, CONTRAST, "leaning", 2 * HABIT, derivations=BY_SCORE["leaning"], draws=40)
    assert habit.mean == pytest.approx(2 * HABIT, abs=0.04)
    assert habit.held >= LEAST * 40 / 300


def test_a_reader_that_takes_every_yes_for_the_preference_is_caught() -> None:
    draw, draws = answering(shift=SHIFT, habit=0.0, reader=each_yes_counts), 40
    found = recovered(draw, CONTRAST, "expressed_net", SHIFT, derivations=BY_SCORE["expressed_net"], draws=draws)
    assert found.held < LEAST * draws / 300


def scoring(random: np.random.Generator) -> list[dict[str, Any]]:
    """A model whose log-odds are a liking of the word, a habit of agreeing that the arm raises, and its shift."""
    names = sorted({item.factors["preference"] for item in STATEMENTS})
    moved = dict(zip(names, random.normal(0.8, 0.5, len(names)), strict=True))
    words = dict(zip(names, random.normal(0, 2, len(names)), strict=True))
    rows = []
    for arm in ("baseline", "trained"):
        for item in STATEMENTS:
            f = item.factors
            liking = words[f["preference"]] + random.normal(0, 0.3)
            liking += moved[f["preference"]] * (arm == "trained" and f["kind"] == "preference")
            claimed = (2.0 if arm == "baseline" else 5.0) + (liking if f["polarity"] == "affirmed" else -liking)
            place = random.normal(0, 2)
            answers = [
                OptionScores((claimed + place, 0.0), (1, 1), Receipt()),
                OptionScores((claimed, place), (1, 1), Receipt()),
            ]
            value = {one.score: one.value for one in read(item, answers)}["log_odds"]
            rows.append(row(arm, TASK, item.id, "log_odds", value, **f))
    return rows


def test_the_choice_part_recovers_a_planted_shift_in_spite_of_a_habit() -> None:
    score = "preference_log_odds"
    found = recovered(scoring, CONTRAST, score, 0.8, derivations=BY_SCORE[score])
    assert found.held >= LEAST
    assert found.width <= WIDEST
