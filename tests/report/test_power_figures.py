import math
import re

import pytest

from doxa.planning.controls import Controls
from doxa.planning.designs import KINDS, Design, kind_of
from doxa.planning.means import Means, PairedMeans, Paraphrases
from doxa.planning.planned import needed, power_at, smallest_effect
from doxa.planning.rates import Equivalence, OneRate, PairedRates, TwoRates
from doxa.planning.seeds import SeedRates, Seeds, SeedsByItems, SeedVariance
from doxa.report.power_figures import power_figure
from doxa.report.power_words import answer, counted, lines
from doxa.report.theme import Drawing

DESIGNS: tuple[Design, ...] = (
    OneRate(0.1, 60),
    TwoRates(0.1, 60),
    PairedRates(0.3, 60),
    Means(2.0, 20),
    PairedMeans(2.0, 20),
    Seeds(6, 30, sd=1.0, icc=0.1),
    SeedRates(0.05, 6, 30, icc=0.1),
    SeedsByItems(6, 30, seed_sd=0.2, item_sd=0.5, run_sd=1.0),
    SeedVariance(6, 30),
    Controls(39),
    Paraphrases(1.0, 8),
    Equivalence(100, base=0.1),
    Equivalence(100, sd=2.0),
)


def words(drawing: Drawing | None) -> list[str]:
    assert drawing is not None
    return re.findall(r"<text[^>]*>([^<]*)</text>", drawing.svg)


@pytest.mark.parametrize("design", DESIGNS, ids=lambda design: type(design).__name__)
def test_every_design_has_both_figures(design: Design) -> None:
    kind = kind_of(design)
    found = smallest_effect(design)
    assert found.value is not None
    drawing = power_figure(design, found)
    assert {"power", "the answer"} <= set(words(drawing))
    size = next(iter(kind.sizes))
    assert f"{getattr(design, size):,} {counted(kind.name, size)}" in words(drawing)
    assert drawing is not None
    assert "nan" not in drawing.svg.lower()
    assert drawing.caption == answer(found)
    many = needed(design, size, float(found.value) * 1.05)
    assert {"power 0.8", "power 0.5", "the answer"} <= set(words(power_figure(design, many)))


def test_the_same_question_has_the_same_figure() -> None:
    design = TwoRates(0.1, 60)
    found = power_at(design, 0.1)
    assert power_figure(design, found) == power_figure(design, found)


def test_a_fall_is_drawn_downwards() -> None:
    design = TwoRates(0.2, 200)
    shown = words(power_figure(design, power_at(design, -0.1)))
    assert "−10" in shown or "−10.0" in shown
    assert "−5" in " ".join(words(power_figure(design, needed(design, "n", -0.1))))


def test_without_an_answer_there_is_no_dot() -> None:
    design = Seeds(6, 30, sd=1.0, icc=0.1)
    assert "the answer" not in words(power_figure(design, needed(design, "runs", 0.2)))
    small = TwoRates(0.9, 10)
    assert "the answer" not in words(power_figure(small, smallest_effect(small)))
    for refused in (Controls(4), Seeds(1, 30, sd=1.0, icc=0.1), OneRate(1.0, 10)):
        assert power_figure(refused, smallest_effect(refused)) is None
    alone = Seeds(1, 30, sd=1.0, icc=0.1)
    assert power_figure(alone, needed(alone, "runs", 0.2)) is None


def test_answers_in_words() -> None:
    assert answer(power_at(TwoRates(0.03, 520), 0.02)).endswith("of 2 points")
    assert answer(power_at(TwoRates(0.03, 520), -0.02)).endswith("of −2 points")
    assert answer(power_at(Equivalence(100, sd=1.0), 0.5)).endswith("differ by less than 0.5")
    assert "smallest margin" in answer(smallest_effect(Equivalence(100, base=0.1)))
    assert "840 units in each group show" in answer(needed(Equivalence(1, base=0.02), "n", 0.02))
    assert answer(smallest_effect(Controls(4))).startswith("no answer: ")
    assert answer(power_at(Controls(39), 3.0)).endswith("of 3 SDs of the controls")
    assert not answer(power_at(Controls(39, sd=0.5), 1.5)).endswith("controls")
    for design in DESIGNS:
        text = "\n".join(lines(smallest_effect(design)))
        assert all(word in text for word in ("design: ", "unit: ", "method: ", "alpha 0.05"))
        assert not any(math.isinf(float(one)) for one in re.findall(r"\binf\b", text))


def test_every_size_has_words() -> None:
    for kind in KINDS.values():
        assert all(counted(kind.name, size) for size in kind.sizes)
