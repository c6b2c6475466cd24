"""Properties that hold for every table, whatever its values: found by looking for a table that breaks them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jaxtyping import Float

from doxa.stats.comparison import as_one, compare
from doxa.stats.design import ScoreKind
from doxa.stats.estimate import Estimate, estimate
from doxa.stats.parts import inverted
from doxa.words import schema
from doxa.words.errors import ResultsError

FEW = settings(max_examples=60, deadline=None)
KINDS: tuple[ScoreKind, ...] = ("unbounded", "share", "binary")
FLIPPED = {"a": "b", "b": "a"}


@dataclass(frozen=True)
class Design:
    """A table of two arms and what is asked of it."""

    table: pd.DataFrame
    kind: ScoreKind
    estimand: str | None


def frame(arms: Sequence[tuple[str, int, Sequence[Sequence[float]]]], **columns: str) -> pd.DataFrame:
    """A table: of every (arm, seed) the values of its items by run; NaN is missing."""
    rows = [
        {"arm": arm, "seed": seed, "item": f"i{place:02d}", "run": run, "value": value,
         "reason": "refused" if math.isnan(value) else ""}
        for arm, seed, items in arms
        for place, runs in enumerate(items)
        for run, value in enumerate(runs, start=1)
    ]  # fmt: skip
    empty = {"study": "one", "model": "one", "of": "", "control": "", "task": "task", "score": "y"}
    return pd.DataFrame(rows).assign(**empty, tokens=7, stop="stop", log="a.eval")[list(schema.COLUMNS)]


@st.composite
def designs(draw: st.DrawFn, *, missing: bool = True, kinds: Sequence[ScoreKind] = KINDS) -> Design:
    """Two arms on the same items: one seed each, the same seeds, different seeds, or seeds against one model."""
    kind = draw(st.sampled_from(kinds))
    items = draw(st.integers(1, 9))
    seeds = draw(
        st.sampled_from([((0,), (0,)), ((1, 2, 3), (1, 2, 3)), ((1, 2, 3), (4, 5, 6, 7)), ((1, 2, 3, 4), (0,))])
    )
    estimand = draw(st.sampled_from([None, "items", "fixed", "seeds" if len(seeds[0]) > 1 else "runs"]))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rate = draw(st.sampled_from([0.0, 0.05, 0.5, 0.95, 1.0]))
    parts = []
    for arm, own in zip("ab", seeds, strict=True):
        for seed in own:
            values = []
            for _ in range(items):
                runs = draw(st.integers(1, 4))
                value = {
                    "unbounded": generator.normal(rate, 1, runs),
                    "share": np.clip(rate + generator.integers(-4, 5, runs) / 10, 0, 1),
                    "binary": (generator.random(runs) < rate).astype(float),
                }[kind]
                if missing and runs > 1 and generator.random() < 0.2:
                    value[0] = np.nan
                values.append(value.tolist())
            parts.append((arm, seed, values))
    return Design(frame(parts), kind, estimand)


def asked(one: Design, contrast: str = "a - b", *, table: pd.DataFrame | None = None, level: float = 0.95) -> Estimate:
    return estimate(
        one.table if table is None else table, contrast, "y", kind=one.kind, estimand=one.estimand, level=level
    )


def same(one: float | None, other: float | None, *, rel: float = 1e-6, scale: float = 1.0) -> bool:
    if one is None or other is None:
        return one is other
    return one == pytest.approx(other, rel=rel, abs=1e-9 * scale)


@FEW
@given(designs(), st.sampled_from(["a - b", "a", "0.5*a + 0.5*b", "0.5*a - 0.5*b", "2*a - 2*b"]))
def test_an_interval_contains_its_estimate_and_stays_possible(one: Design, contrast: str) -> None:
    found = asked(one, contrast)
    assert (found.low is None) == (found.high is None)
    if found.low is None or found.high is None or found.value is None:
        return
    assert found.low <= found.value + 1e-12
    assert found.value <= found.high + 1e-12
    assert found.low < found.high
    assert found.p is None or 0 <= found.p <= 1
    if one.kind != "unbounded":
        least, most = {"a - b": (-1, 1), "0.5*a - 0.5*b": (-0.5, 0.5), "2*a - 2*b": (-2, 2)}.get(contrast, (0, 1))
        nested = math.sqrt(2)  # MOVER may leave the range of a difference, never that of both arms together
        assert least * nested - 1e-9 <= found.low
        assert found.high <= most * nested + 1e-9


@FEW
@given(designs())
def test_swapped_arms_flip_the_sign_and_keep_p(one: Design) -> None:
    found, back = asked(one), asked(one, "b - a")
    assume(not ("pseudo-items" in found.method and found.unit == "seed"))  # test_the_first_of_paired_recipes_...
    assert found.n == back.n
    assert set(found.flags) == set(back.flags)
    assert same(found.value, None if back.value is None else -back.value)
    assert same(found.low, None if back.high is None else -back.high)
    assert same(found.high, None if back.low is None else -back.low)
    assert same(found.p, back.p)


@FEW
@given(designs())
def test_renamed_arms_change_nothing(one: Design) -> None:
    found = asked(one)
    renamed = asked(one, "b - a", table=one.table.assign(arm=one.table["arm"].map(FLIPPED)))
    assert found.n == renamed.n
    for name in ("value", "low", "high", "p"):
        assert same(getattr(found, name), getattr(renamed, name))


@FEW
@given(designs(), st.randoms(use_true_random=False))
def test_the_order_of_rows_and_constant_columns_change_nothing(one: Design, random: object) -> None:
    order = list(range(len(one.table)))
    random.shuffle(order)  # type: ignore[attr-defined]
    other = one.table.iloc[order].assign(factor_all="x", study="two", log="b.eval")
    assert asked(one) == asked(one, table=other)


@FEW
@given(designs(kinds=["unbounded"]), st.sampled_from([-1000.0, -1.0, 0.5, 100.0]))
def test_a_constant_added_changes_no_difference(one: Design, constant: float) -> None:
    found, moved = asked(one), asked(one, table=one.table.assign(value=one.table["value"] + constant))
    assert found.flags == moved.flags
    for name in ("value", "low", "high", "se", "p"):
        assert same(getattr(found, name), getattr(moved, name), scale=1000.0, rel=1e-5)


@FEW
@given(designs(kinds=["unbounded"]), st.sampled_from([1e-6, 0.01, 3.0, 1e6]))
def test_another_scale_scales_the_interval_and_keeps_p(one: Design, scale: float) -> None:
    found, moved = asked(one), asked(one, table=one.table.assign(value=one.table["value"] * scale))
    assert found.flags == moved.flags
    for name in ("value", "low", "high", "se"):
        before = getattr(found, name)
        assert same(None if before is None else before * scale, getattr(moved, name), scale=scale)
    assert same(found.p, moved.p)


@FEW
@given(designs(kinds=["share"]), st.sampled_from([(0.0, 10.0), (1.0, 10.0), (-3.0, 4.0)]))
def test_bounds_scale_the_interval_of_a_bounded_score(one: Design, bounds: tuple[float, float]) -> None:
    width = bounds[1] - bounds[0]
    on_scale = one.table.assign(value=(bounds[0] + width * one.table["value"]).clip(*bounds))
    found = estimate(one.table, "a - b", "y", bounds=(0.0, 1.0), estimand=one.estimand)
    moved = estimate(on_scale, "a - b", "y", bounds=bounds, estimand=one.estimand)
    assert found.flags == moved.flags
    for name in ("value", "low", "high"):
        before = getattr(found, name)
        assert same(None if before is None else before * width, getattr(moved, name), rel=1e-5)
    assert same(found.p, moved.p, rel=1e-4)


EXACT = ("McNemar", "Boschloo", "pooled z")
"""Tests with a p of their own beside an interval of another kind."""


@FEW
@given(designs())
def test_p_is_the_level_at_which_the_interval_reaches_zero(one: Design) -> None:
    found = asked(one)
    assume(found.p is not None and 1e-6 < found.p < 0.9 and not any(name in found.method for name in EXACT))
    at = asked(one, level=1 - (found.p or 0.0))
    assert at.low is not None
    assert at.high is not None
    assert min(abs(at.low), abs(at.high)) <= 1e-3 * (at.high - at.low)


@FEW
@given(designs(), st.sampled_from([2.0, 0.5]))
def test_weights_scale_a_difference_and_keep_p(one: Design, weight: float) -> None:
    found, scaled = asked(one), asked(one, f"{weight}*a - {weight}*b")
    assume("Bonett" not in found.method)  # stands for plain differences only
    assert same(found.p, scaled.p, rel=1e-4)
    for name in ("value", "low", "high"):
        before = getattr(found, name)
        assert same(None if before is None else before * weight, getattr(scaled, name), rel=1e-5)


@FEW
@given(designs())
def test_a_wider_level_is_wider(one: Design) -> None:
    narrow, wide = asked(one, level=0.9), asked(one, level=0.99)
    assert narrow.p == wide.p
    if narrow.low is not None and narrow.high is not None and wide.low is not None and wide.high is not None:
        assert wide.low <= narrow.low
        assert narrow.high <= wide.high


@FEW
@given(designs(missing=False))
def test_rates_mirror_when_events_and_others_are_swapped(one: Design) -> None:
    assume(one.kind != "unbounded")
    found, other = asked(one), asked(one, table=one.table.assign(value=1 - one.table["value"]))
    assert same(found.value, None if other.value is None else -other.value)
    assert same(found.low, None if other.high is None else -other.high, rel=1e-5)
    assert same(found.p, other.p, rel=1e-4)


@FEW
@given(designs())
def test_an_arm_beside_changes_no_contrast(one: Design) -> None:
    beside = one.table[one.table["arm"] == "a"].assign(arm="c")
    assert asked(one) == asked(one, table=pd.concat([one.table, beside], ignore_index=True))


@FEW
@given(designs())
def test_a_comparison_holds_nothing_that_json_cannot(one: Design) -> None:
    import json

    from doxa.stats.comparison import to_json

    found = compare(as_one(one.table, {}), ["a - b"], kinds={"y": one.kind}, margin=0.1)
    text = json.dumps(to_json(found), allow_nan=False)
    assert json.loads(text)["differences"][0]["contrast"] == "a - b"


@FEW
@given(st.floats(0.01, 0.99), st.floats(0.1, 30.0))
def test_p_by_inversion_is_that_of_the_closed_form(value: float, se_per_value: float) -> None:
    from scipy import special

    from doxa.stats.intervals import Interval

    se = value / se_per_value

    def build(level: float) -> Interval:
        half = float(special.ndtri(0.5 + level / 2)) * se
        return Interval(value, value - half, value + half)

    expected = float(2 * special.ndtr(-se_per_value))
    assert inverted(build, 0.0) == pytest.approx(max(expected, math.exp(-34)), rel=1e-3, abs=1e-13)


def rates(generator: np.random.Generator, rate: float, counts: Sequence[int]) -> list[list[float]]:
    return [(generator.random(count) < rate).astype(float).tolist() for count in counts]


def covered(intervals: Sequence[Estimate], truth: float) -> float:
    inside: Float[np.ndarray, " tables"] = np.array(
        [one.low is not None and one.high is not None and one.low <= truth <= one.high for one in intervals]
    )
    return float(inside.mean())


@pytest.mark.parametrize("counts", [[10, 10, 10], [30, 30, 3]])
def test_rates_of_fixed_items_cover_with_unequal_runs(counts: list[int]) -> None:
    found = []
    for number in range(150):
        generator = np.random.default_rng(number)
        table = frame([("a", 0, rates(generator, 0.4, counts)), ("b", 0, rates(generator, 0.4, counts))])
        found.append(estimate(table, "a - b", "y", kind="binary", estimand="fixed"))
    assert covered(found, 0.0) >= 0.9


@pytest.mark.parametrize(
    "contrast",
    [
        "a - c",
        "0.5*a + 0.5*b - c",
        "a + b - 2*c",
        "a - 0.5*b - 0.5*c",
    ],
)
def test_rates_of_weighted_recipes_are_no_wider_than_scores(contrast: str) -> None:
    """The same values as a rate and as a score within bounds differ in method, and not in kind."""
    generator = np.random.default_rng(0)
    rate = {"a": 0.9, "b": 0.8, "c": 0.4}
    table = frame(
        [(arm, seed, rates(generator, rate[arm], [10] * 10)) for arm in "ab" for seed in range(1, 7)]
        + [("c", 0, rates(generator, rate["c"], [10] * 10))]
    )
    widths = []
    for kind in ("share", "binary"):
        found = estimate(table, contrast, "y", kind=kind, estimand="seeds")
        assert found.low is not None
        assert found.high is not None
        widths.append(found.high - found.low)
    assert 0.5 < widths[1] / widths[0] < 2


@pytest.mark.parametrize("kind", ["share", "binary"])
def test_a_mean_of_arms_against_other_items_stays_possible(kind: ScoreKind) -> None:
    generator = np.random.default_rng(1)
    level = {"a": 0.95, "b": 0.95, "c": 0.1}
    table = frame([(arm, 0, rates(generator, rate, [3] * 40)) for arm, rate in level.items()])
    tier = table["item"].str[1:].astype(int).mod(2).map({0: "free", 1: "paid"})
    contrast = "0.5*a[tier=free] + 0.5*b[tier=free] - c[tier=paid]"
    found = estimate(table.assign(factor_tier=tier), contrast, "y", kind=kind)
    assert found.high is not None
    assert found.high <= 1


def test_the_first_of_paired_recipes_is_not_special() -> None:
    """Six seeds of two recipes, no event: 200 runs a seed of one say nothing about the 2 runs a seed of the other."""
    table = frame(
        [("a", seed, [[0.0] * 200]) for seed in range(1, 7)] + [("b", seed, [[0.0] * 2]) for seed in range(1, 7)]
    )
    found, back = (estimate(table, one, "y", kind="binary") for one in ("a - b", "b - a"))
    assert found.high == pytest.approx(-(back.low or 0.0))


def test_rates_of_paired_items_cover_with_unequal_runs() -> None:
    found = []
    for number in range(150):
        generator = np.random.default_rng(number)
        table = frame([("a", 0, rates(generator, 0.02, [10] * 30)), ("b", 0, rates(generator, 0.05, [1] * 30))])
        found.append(estimate(table, "a - b", "y", kind="binary"))
    assert covered(found, -0.03) >= 0.9


def test_rates_of_one_model_beside_a_recipe_cover_with_unequal_runs() -> None:
    found = []
    for number in range(100):
        generator = np.random.default_rng(number)
        recipe = [("a", seed, rates(generator, 0.4, [30] * 6)) for seed in range(1, 7)]
        table = frame([*recipe, ("b", 0, rates(generator, 0.4, [60, 60, 60, 2, 2, 2]))])
        found.append(estimate(table, "a - b", "y", kind="binary", estimand="seeds"))
    assert covered(found, 0.0) >= 0.9


@pytest.mark.parametrize("counts", [[10, 10], [30, 1]])
def test_seeds_that_do_not_differ_are_found_one_time_in_twenty(counts: list[int]) -> None:
    generator = np.random.default_rng(0)
    found = 0
    for _ in range(100):
        table = frame([("a", seed, [generator.normal(0, 1, n).tolist() for n in counts]) for seed in range(1, 7)])
        (one,) = compare(table, []).variances.values()
        found += one.p is not None and one.p <= 0.05
    assert found <= 13


def test_two_tiers_without_an_event_are_not_identical_outputs() -> None:
    table = frame([("a", 0, [[0.0]] * 40)])
    place = table["item"].str[1:].astype(int)
    table = table.assign(factor_tier=place.mod(2).map({0: "free", 1: "paid"}), factor_prompt=(place // 2).astype(str))
    found = estimate(table, "a[tier=free] - a[tier=paid]", "y", kind="binary", unit="prompt")
    assert "identical" not in found.flags
    assert found.high is not None


def test_events_of_a_unit_are_counted_and_not_reckoned() -> None:
    table = frame([("a", 0, [[1.0] * 10, [0.0], [1.0, 0.0], [1.0] * 3, [0.0] * 7, [1.0]])])
    topics = dict(zip(["i00", "i01", "i02", "i03", "i04", "i05"], "ppqqrr", strict=True))
    found = estimate(table.assign(factor_topic=table["item"].map(topics)), "a", "y", kind="binary", unit="topic")
    assert (found.n["events"], found.n["rows"]) == (15, 24)


def test_a_unit_has_one_value_whatever_is_drawn_anew() -> None:
    """Every item of a unit counts alike, however many runs it has: also over seeds."""
    runs = [[1.0] * 10, [0.0], [1.0, 0.0], [1.0] * 3, [0.0] * 7, [1.0]]
    topics = dict(zip(["i00", "i01", "i02", "i03", "i04", "i05"], "ppqqrr", strict=True))
    alone, several = (
        estimate(table.assign(factor_topic=table["item"].map(topics)), "a", "y", unit="topic")
        for table in (frame([("a", seed, runs) for seed in seeds]) for seeds in ((1,), (1, 2, 3)))
    )
    assert alone.value == pytest.approx(several.value)


def test_what_no_test_can_find_is_not_promised() -> None:
    """Exact McNemar on 8 items rejects from 6 discordant ones that agree."""
    table = frame([("a", 0, [[0.0]] * 8), ("b", 0, [[0.0]] * 8)])
    table.loc[table["arm"] == "b", "tokens"] = 9
    (found,) = compare(table, ["a - b"]).differences
    assert found.detectable is None or found.detectable > 0.6


def test_an_arm_is_not_taken_for_a_seed_of_its_namesake() -> None:
    from doxa.words.errors import ResultsError

    generator = np.random.default_rng(0)
    table = frame(
        [(arm, 0, [[value] for value in generator.normal(0, 1, 8)]) for arm in ("base", "tuned-1", "tuned-2")]
    )
    with pytest.raises(ResultsError):
        as_one(table, {"base": "tuned-*"})


def test_a_contrast_is_asked_once() -> None:
    generator = np.random.default_rng(0)
    table = frame([(arm, 0, [[value] for value in generator.normal(0, 1, 8)]) for arm in "ab"])
    with pytest.raises(ResultsError, match="asks what"):
        compare(table, ["a - b", "a - b"])
