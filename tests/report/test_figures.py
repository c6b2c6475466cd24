import math
import re

import pytest

from doxa.evals import catalogue
from doxa.report.figures import Dot, ForestRow, forest, frontier
from doxa.report.labels import label
from doxa.report.marks import colours_of
from doxa.report.panels import DoseLine, Line, dose, dose_response, envelope, finite, small_multiples
from doxa.report.theme import VARIABLES, WIDTH, Drawing
from doxa.report.training_figures import curves


def words(drawing: Drawing) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", drawing.svg)


def test_forest_writes_every_estimate_and_survives_missing_ones() -> None:
    rows = [
        ForestRow("a - b", 1.5, 1.0, 2.0, [1.2, 1.8], {"twin": [-0.5, 0.5], "unrelated": [-0.1, 0.2]}, primary=True),
        ForestRow("c - b", 0.25, None, None),
        ForestRow("d - b", None, None, None),
    ]
    drawing = forest(rows, name="forest", axis="effect", caption="")
    found = words(drawing)
    assert {"+1.50", "[1.00, 2.00]", "+0.250", "missing", "nothing to estimate from"} <= set(found)
    assert "twins, smallest to largest" in found
    assert drawing == forest(rows, name="forest", axis="effect", caption="")


def test_frontier_draws_no_damage_and_no_controls() -> None:
    dots = [Dot("one", 0.0, 1.0, 0.3), Dot("one", 0.5, 2.0, 0.6), Dot("prompted", 0.1, 0.5)]
    drawing = frontier(dots, colours_of(["one"]), name="f", x="damage", y="effect", caption="")
    assert {"one", "prompted"} <= set(words(drawing))
    assert "twins" not in words(drawing)
    assert "nan" not in drawing.svg.lower()
    assert "twins" in words(frontier([Dot("one", 0.2, 0.1, 0.3, "twin")], {}, name="f", x="", y="", caption=""))


def test_arms_without_a_strength_are_told_apart_by_a_number_and_those_of_a_grid_share_it() -> None:
    levels = [Dot(f"tuned[rate={rate}]", rate, rate) for rate in (0.1, 0.2, 0.4)]
    found = words(frontier([*levels, Dot("prompted", 0.3, 0.5)], {}, name="f", x="damage", y="effect", caption=""))
    assert {"1  tuned", "2  prompted"} <= set(found)
    assert (found.count("1"), found.count("2")) == (3, 1)


@pytest.mark.parametrize("count", [2, 30])
def test_a_long_legend_makes_a_figure_higher_and_stays_in_its_width(count: int) -> None:
    dots = [Dot(f"a_rather_long_name_of_an_arm_number_{index}", 0.1 * (index + 1), 0.5) for index in range(count)]
    drawing = frontier(dots, {}, name="f", x="damage", y="effect", caption="")
    width, height = (float(one) for one in re.findall(r'(?:width|height)="([\d.]+)pt"', drawing.svg)[:2])
    assert width == pytest.approx(72 * WIDTH, abs=1)
    axes = re.search(
        r'id="patch_2">\s*<path d="M ([\d.]+) ([\d.]+) \nL ([\d.]+) ([\d.]+) \nL ([\d.]+) ([\d.]+)', drawing.svg
    )
    assert axes is not None
    assert abs(float(axes[2]) - float(axes[6])) > 150  # points: what is drawn keeps its room
    assert height > (330 if count == 2 else 450)


def test_the_losses_of_many_arms_have_panels() -> None:
    line = [([1.0, 2.0], [3.0, 2.0])]
    few = curves({f"arm{index}": line for index in range(3)}, name="c", caption="Loss.")
    assert few.caption == "Loss."
    many = curves({f"tuned[rate={index}]": line for index in range(9)} | {"other": line}, name="c", caption="Loss.")
    assert {"tuned", "other"} <= set(words(many))
    assert not any("rate" in one for one in words(many))
    assert "darker" in many.caption


def test_dose_response_with_one_and_several_scored_strengths() -> None:
    one = Line("one", [0.6], [1.0], [None], [None], {"twin": {0.6: [-1.0, 1.0]}})
    two = Line(
        "two", [-0.3, 0.6], [-1.0, 2.0], [-2.0, None], [0.0, None], {"twin": {-0.3: [0.0, 1.0], 0.6: [0.0, 2.0]}}
    )
    drawing = dose_response([one, two], colours_of(["one", "two"]), {"prompted": 0.4}, name="d", axis="y", caption="")
    assert {"one", "two", "prompted"} <= set(words(drawing))
    assert "−0.3" in words(drawing) or "-0.3" in words(drawing)


def test_strengths_that_stand_too_close_have_ticks_without_numbers() -> None:
    strengths = [0.15, 0.3, 0.6, 1.2]
    lines = [Line("one", strengths, [0.0] * 4, [None] * 4, [None] * 4)]
    found = words(dose_response(lines, colours_of(["one"]), {}, name="d", axis="y", caption=""))
    assert "0.15" not in found
    assert {"0", "0.3", "0.6", "1.2"} <= set(found)
    wide = [*strengths, 0.75, 1.5, 3.0, 6.0]
    lines = [Line("one", wide, [0.0] * 8, [None] * 8, [None] * 8)]
    found = words(small_multiples({"a": lines}, colours_of(["one"]), {}, name="d", caption=""))
    assert {"0.15", "0.3", "0.6", "1.2", "3", "6"} <= set(found)
    assert not {"0.75", "1.5"} & set(found)


def test_dose_with_gaps() -> None:
    nan = float("nan")
    line = DoseLine(
        "a[strength=0.6]",
        "a",
        [0, 1, 2],
        [0, 0.3, 0.6],
        [nan, 0.2, 0.4],
        [nan] * 3,
        {"twin": ([nan, 0, 0], [nan, 1, 1])},
    )
    assert "a[strength=0.6]" in words(dose([line], {}, name="dose", caption=""))


def test_small_multiples_in_one_panel_or_many() -> None:
    line = Line("one", [0.3, 3.0], [0.1, 0.2], [None, 0.1], [None, 0.3])
    panels = {f"score {index}": [line] for index in range(7)}
    drawing = small_multiples(panels, colours_of(["one"]), {"score 1": {"baseline": 0.1}}, name="m", caption="")
    assert {*panels, "baseline", "one"} <= set(words(drawing))
    assert len(words(small_multiples({"s": [line]}, colours_of(["one"]), {}, name="m", caption=""))) > 3


def test_envelope() -> None:
    low, high = envelope([[1.0, None, None], [2.0, 5.0, None]])
    assert (low[:2], high[:2]) == ([1.0, 5.0], [2.0, 5.0])
    assert math.isnan(low[2])
    assert math.isnan(high[2])
    assert finite([1.0, None])[0] == 1.0
    assert math.isnan(finite([None])[0])


@pytest.mark.parametrize("name", ["a$b_c^d$", "<script>&"])
def test_names_are_drawn_as_they_are(name: str) -> None:
    drawing = forest([ForestRow(name, 1.0, 0.0, 2.0)], name="x", axis="", caption='say "<b>"')
    assert "<script" not in drawing.svg
    assert name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") in drawing.svg
    assert 'aria-label="say &quot;&lt;b&gt;&quot;"' in drawing.inline


def test_inline_follows_the_page() -> None:
    drawing = forest([ForestRow("a - b", 1.0, 0.0, 2.0, [1.0], {"twin": [0.0, 1.0]})], name="x", axis="", caption="")
    assert not any(colour in drawing.inline for colour in VARIABLES)
    ids = re.findall(r'\bid="([^"]+)"', drawing.inline)
    assert ids
    assert all(one.startswith("x-") for one in ids)
    for target in re.findall(r'(?:href="|url\()#([^")]+)', drawing.inline):
        assert target in ids


def test_every_score_that_leads_a_report_has_words() -> None:
    leading = [score for name in catalogue.TASKS for score in catalogue.entry(name).primary]
    assert [score for score in leading if label(score) == score] == []


def test_controls_that_are_too_few_for_a_band_are_marks_of_their_own() -> None:
    marks = {"reprefill": [0.1], "neutral": [-0.2], "paraphrase": [0.3, 0.4]}
    few = forest([ForestRow("a - b", 1.0, 0.0, 2.0, singles=marks)], name="x", axis="", caption="")
    none = forest([ForestRow("a - b", 1.0, 0.0, 2.0)], name="x", axis="", caption="")
    for words in ("re-prefill", "neutral text", "paraphrase"):
        assert f"the same with its {words}" in few.svg
        assert words not in none.svg


def test_a_long_name_of_an_arm_stands_above_its_panel_in_lines() -> None:
    long = "deployed-every[strength=1.6]"
    line = DoseLine(long, "a", [0, 1], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0], {})
    drawing = dose([line], {}, name="x", caption="")
    assert long not in drawing.svg
    assert ">deployed-every<" in drawing.svg
    assert ">[strength=1.6]<" in drawing.svg
