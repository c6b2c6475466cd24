"""Power, smallest effect and size of every design: known numbers, live oracles, and what holds between the three."""

import json
import math
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from statsmodels.stats.power import NormalIndPower, TTestIndPower, TTestPower, normal_power_het
from statsmodels.stats.proportion import power_proportions_2indep, power_ztost_prop

from doxa.planning.controls import LADDER, Controls
from doxa.planning.designs import KINDS, Design, kind_named, kind_of
from doxa.planning.exact_power import power_of_mcnemar
from doxa.planning.means import Means, PairedMeans, Paraphrases
from doxa.planning.planned import needed, planned_to_json, power_at, power_of, smallest_effect
from doxa.planning.rates import Equivalence, OneRate, PairedRates, TwoRates, normal_power_of_paired_rates
from doxa.planning.seeds import SeedRates, Seeds, SeedsByItems, SeedVariance
from doxa.stats.power import detectable, detectable_against_controls
from doxa.words.errors import StudyError

ONE_OF_EACH: tuple[Design, ...] = (
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
CLOSED = tuple(one for one in ONE_OF_EACH if not isinstance(one, Controls | SeedRates))


def value(found: Any) -> float:
    assert found.reason is None, found.reason
    assert found.value is not None
    return float(found.value)


@pytest.mark.parametrize(
    ("base", "points"), [(0.01, 2.6), (0.02, 3.2), (0.05, 4.5), (0.1, 5.8), (0.2, 7.4), (0.5, 8.6)]
)
def test_smallest_gap_of_two_rates_with_520_a_group(base: float, points: float) -> None:
    assert 100 * value(smallest_effect(TwoRates(base, 520))) == pytest.approx(points, abs=0.05)


def test_smallest_gaps_of_other_sizes() -> None:
    assert 100 * value(smallest_effect(TwoRates(0.01, 100))) == pytest.approx(9.0, abs=0.05)
    assert 100 * value(smallest_effect(TwoRates(0.5, 100))) == pytest.approx(19, abs=0.5)
    assert 100 * value(smallest_effect(TwoRates(0.01, 10_000))) == pytest.approx(0.43, abs=0.005)
    assert 100 * value(smallest_effect(TwoRates(0.5, 10_000))) == pytest.approx(2.0, abs=0.05)


def test_520_a_group_find_two_points_at_three_percent_38_times_of_100() -> None:
    assert value(power_at(TwoRates(0.03, 520), 0.02)) == pytest.approx(0.38, abs=0.005)


@pytest.mark.parametrize(("share", "points"), [(0.02, 1.73), (0.04, 2.45), (0.06, 3.0), (0.1, 3.9), (0.2, 5.5)])
def test_smallest_gap_of_paired_rates_by_discordance(share: float, points: float) -> None:
    """The gaps are those of the score test; the exact test, which is planned with, needs a little more."""
    design, digits = PairedRates(share, 520), 5e-5 if points < 3 else 5e-4
    found = brentq(lambda gap: normal_power_of_paired_rates(design, gap) - 0.8, 1e-4, share - 1e-6)
    assert found == pytest.approx(points / 100, abs=digits)
    assert found < value(smallest_effect(design)) < 1.06 * found


def test_few_discordant_prompts_are_planned_with_the_exact_test() -> None:
    assert power_at(PairedRates(0.1, 30), 0.1).power == power_of_mcnemar(30, 0.1, 0.1, 0.05)
    assert value(power_at(PairedRates(0.1, 30), 0.1)) < 0.25 * normal_power_of_paired_rates(PairedRates(0.1, 30), 0.1)


@pytest.mark.parametrize(
    ("base", "margin", "n"), [(0.02, 0.02, 840), (0.05, 0.02, 2034), (0.5, 0.02, 10_705), (0.02, 0.01, 3358)]
)
def test_units_for_equivalence(base: float, margin: float, n: int) -> None:
    assert needed(Equivalence(1, base=base), "n", margin).value == n


@pytest.mark.parametrize(
    ("seeds", "runs", "icc"),
    [
        (2, 30, 0.67),
        (3, 30, 0.30),
        (4, 30, 0.19),
        (6, 30, 0.114),
        (10, 30, 0.069),
        (30, 30, 0.030),
        (3, 100, 0.112),
        (6, 100, 0.036),
        (6, 10, 0.29),
    ],
)
def test_smallest_icc(seeds: int, runs: int, icc: float) -> None:
    assert value(smallest_effect(SeedVariance(seeds, runs))) == pytest.approx(icc, abs=0.005 if icc > 0.15 else 0.0006)


def test_as_published_elsewhere() -> None:
    """G*Power 3.1: 34 pairs and 64 a group for d = .5; both at alpha .05 and power .8."""
    assert needed(PairedMeans(1.0, 6), "n", 0.5).value == 34
    assert needed(Means(1.0, 6), "n", 0.5).value == 64


@settings(max_examples=40, deadline=None)
@given(st.floats(0.05, 2), st.integers(6, 300), st.integers(6, 300), st.sampled_from([0.01, 0.05, 0.1]))
def test_means_are_statsmodels(effect: float, n: int, n_base: int, alpha: float) -> None:
    """Where scipy gives statsmodels a NaN for a far tail there is nothing to compare with."""
    two = TTestIndPower().power(effect, n, alpha, ratio=n_base / n)
    assume(not math.isnan(two))
    assert power_of(Means(1.0, n, n_base, alpha=alpha), effect) == pytest.approx(two, abs=1e-8)
    one = TTestPower().power(effect, n, alpha)
    assume(not math.isnan(one))
    assert power_of(PairedMeans(1.0, n, alpha=alpha), effect) == pytest.approx(one, abs=1e-8)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.01, 0.6), st.floats(0.01, 0.3), st.integers(20, 2000), st.integers(1, 3))
def test_two_rates_are_statsmodels(base: float, effect: float, n: int, ratio: int) -> None:
    """statsmodels calls the base rate `prop2`, and its ratio is the size of that group over the first."""
    found = power_proportions_2indep(effect, base, n, ratio=ratio, return_results=False)
    assert power_of(TwoRates(base, n, n * ratio), effect) == pytest.approx(found, abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.02, 0.5), st.floats(0.01, 0.3), st.integers(20, 2000))
def test_one_rate_and_paired_rates_are_statsmodels(base: float, effect: float, n: int) -> None:
    null, true = math.sqrt(base * (1 - base)), math.sqrt((base + effect) * (1 - base - effect))
    assert power_of(OneRate(base, n), effect) == pytest.approx(normal_power_het(effect, n, 0.05, null, true), abs=1e-9)
    share = effect + base * (1 - effect)
    paired = normal_power_het(effect, n, 0.05, math.sqrt(share), math.sqrt(share - effect**2))
    assert normal_power_of_paired_rates(PairedRates(share, n), effect) == pytest.approx(paired, abs=1e-9)


def test_large_groups_of_means_are_the_normal_power() -> None:
    found = NormalIndPower().power(0.05, 10_000, 0.05)
    assert power_of(Means(1.0, 10_000), 0.05) == pytest.approx(found, abs=1e-4)


def test_equivalence_of_rates_is_statsmodels() -> None:
    """Of one rate with a variance of its own under the alternative; n is halved for one sample instead of two."""
    found = power_ztost_prop(-0.03 + 0.05, 0.03 + 0.05, 1000 / 2, 0.05, 0.05, variance_prop=0.05, discrete=False)[0]
    assert power_of(Equivalence(1000, base=0.05), 0.03) == pytest.approx(found, abs=1e-9)


@pytest.mark.parametrize("design", CLOSED, ids=lambda design: type(design).__name__)
@settings(max_examples=25, deadline=None)
@given(st.floats(0.1, 0.95))
def test_the_smallest_effect_has_the_power_that_was_asked_for(design: Design, power: float) -> None:
    found = smallest_effect(design, power)
    if found.value is None:
        assert found.reason
        assert power_of(design, kind_of(design).largest(design)[0]) < power
    else:
        assert power_of(design, found.value) == pytest.approx(power, abs=1e-6)


def test_the_smallest_effect_of_controls_is_that_of_the_plan() -> None:
    assert value(smallest_effect(Controls(39))) == detectable_against_controls(39, (1.0, 1.0))
    assert value(power_at(Controls(39), detectable_against_controls(39, (1.0, 1.0)))) == pytest.approx(0.8, abs=0.006)
    assert value(smallest_effect(PairedMeans(2.5, 12))) == pytest.approx(detectable(12, 2.5), rel=1e-9)


@pytest.mark.parametrize("design", CLOSED, ids=lambda design: type(design).__name__)
@settings(max_examples=25, deadline=None)
@given(st.floats(0.02, 0.25), st.floats(1.0, 3.0))
def test_power_grows_with_the_effect_and_with_every_size(design: Design, effect: float, factor: float) -> None:
    base = power_of(design, effect)
    assert power_of(design, effect * 1.1) >= base - 1e-9
    for size in kind_of(design).sizes:
        count = getattr(design, size)
        more: Any = {size: math.ceil(count * factor)}
        if size == "runs" and isinstance(design, OneRate | TwoRates):
            more["icc"] = 0.5
        record: Any = design
        assert power_of(replace(record, **more), effect) >= base - 1e-9


@pytest.mark.parametrize("design", CLOSED, ids=lambda design: type(design).__name__)
@settings(max_examples=15, deadline=None)
@given(st.floats(0.3, 0.9), st.floats(0.4, 0.9))
def test_what_is_needed_is_the_first_number_that_is_enough(design: Design, share: float, power: float) -> None:
    kind = kind_of(design)
    largest = smallest_effect(design, 0.95).value
    effect = share * (largest if largest is not None else kind.largest(design)[0])
    for size, fewest in kind.sizes.items():
        record: Any = design
        if size == "runs" and isinstance(design, OneRate | TwoRates):
            record = replace(design, icc=0.5)
        found = needed(record, size, effect, power)
        if found.value is None:
            assert found.reason
            assert found.given[size] is None
            continue
        assert found.power is not None
        assert found.power >= power
        assert power_of(replace(record, **{size: found.value}), effect) == found.power
        if found.value > fewest:
            assert power_of(replace(record, **{size: int(found.value) - 1}), effect) < power


@settings(max_examples=20, deadline=None)
@given(st.floats(1e-6, 1e6), st.sampled_from([0.8, 0.5]))
def test_means_have_no_unit_of_their_own(scale: float, power: float) -> None:
    for one in (Means(1.0, 20, run_sd=2.0, runs=3), PairedMeans(1.0, 20), Paraphrases(1.0, 8)):
        record: Any = one
        scaled = replace(record, sd=scale, run_sd=scale * record.run_sd)
        assert value(smallest_effect(scaled, power)) == pytest.approx(scale * value(smallest_effect(one, power)))


def test_both_ways_to_name_the_spread_of_seeds_are_the_same() -> None:
    total = Seeds(6, 30, sd=2.0, icc=0.25)
    parts = Seeds(6, 30, seed_sd=1.0, run_sd=math.sqrt(3))
    assert power_of(total, 0.9) == pytest.approx(power_of(parts, 0.9), rel=1e-12)


def test_a_paired_mean_with_noisy_runs_is_a_paired_mean() -> None:
    noisy, quiet = PairedMeans(1.0, 20, runs=8, run_sd=2.0), PairedMeans(math.sqrt(2), 20)
    assert power_of(noisy, 0.7) == pytest.approx(power_of(quiet, 0.7), rel=1e-9)
    groups, plain = Means(1.0, 20, runs=4, run_sd=2.0), Means(math.sqrt(2), 20)
    assert power_of(groups, 0.7) == pytest.approx(power_of(plain, 0.7), rel=1e-9)


def test_runs_of_one_prompt_carry_less_than_prompts() -> None:
    assert power_of(TwoRates(0.1, 100, runs=5, icc=0.0), 0.05) == power_of(TwoRates(0.1, 500), 0.05)
    assert power_of(TwoRates(0.1, 100, runs=5, icc=1.0), 0.05) == power_of(TwoRates(0.1, 100), 0.05)


@pytest.mark.parametrize(
    ("design", "words"),
    [
        (Seeds(1, 30, sd=1.0, icc=0.1), "one seed is one checkpoint"),
        (Seeds(2, 30, sd=1.0, icc=0.1), "2 seeds have no interval"),
        (Seeds(6, 1, sd=1.0, icc=0.1), "one run of the vanilla model"),
        (SeedsByItems(1, 30, 0.1, 0.1, 1.0), "one seed is one checkpoint"),
        (SeedsByItems(6, 2, 0.1, 0.1, 1.0), "2 items"),
        (SeedVariance(1, 30), "one seed has no variance"),
        (SeedVariance(6, 1), "one run of each seed"),
        (Controls(4), "they can never reject"),
        (Controls(39, alpha=0.01), "above alpha"),
        (Means(1.0, 5), "5 units in a group"),
        (Means(1.0, 50, 5), "5 units in a group"),
        (PairedMeans(1.0, 5), "at least 6"),
        (Paraphrases(1.0, 4), "at least 5"),
        (Equivalence(5, sd=1.0), "at least 6"),
    ],
)
def test_what_has_no_answer_is_none_with_a_reason(design: Design, words: str) -> None:
    for found in (smallest_effect(design), power_at(design, 0.5)):
        assert found.value is None
        assert found.reason is not None
        assert words in found.reason
        json.dumps(planned_to_json(found), allow_nan=False)


@pytest.mark.parametrize(
    ("design", "size", "effect", "words"),
    [
        (Seeds(6, 30, sd=1.0, icc=0.1), "runs", 0.4, "more seeds would help"),
        (Seeds(6, 30, sd=1.0, icc=0.1), "seeds", 0.4, "vanilla model"),
        (Seeds(1, 30, sd=1.0, icc=0.1), "runs", 0.4, "one checkpoint"),
        (SeedsByItems(6, 30, 0.2, 0.5, 1.0), "seeds", 0.1, "more items"),
        (TwoRates(0.02, 520), "n", 1e-5, "10,000,000 units have power"),
        (PairedMeans(1.0, 10, run_sd=3.0), "runs", 0.8, "more units"),
        (Controls(19), "m", 2.0, "larger effect"),
    ],
)
def test_what_no_size_finds(design: Design, size: str, effect: float, words: str) -> None:
    found = needed(design, size, effect)
    assert found.value is None
    assert found.reason is not None
    assert words in found.reason


def test_a_rate_without_room() -> None:
    assert "no room" in str(smallest_effect(OneRate(1.0, 50)).reason)
    assert "with power" in str(smallest_effect(TwoRates(0.9, 10)).reason)
    assert value(smallest_effect(OneRate(1.0, 50), fall=True)) < 0
    assert any("a fall from the base rate" in note for note in smallest_effect(TwoRates(0.5, 520)).notes)
    assert any("no fall is found" in note for note in smallest_effect(TwoRates(0.01, 200)).notes)


def test_a_stated_rate_of_zero_is_refuted_by_one_event() -> None:
    assert value(power_at(OneRate(0.0, 50), 0.02)) == pytest.approx(1 - 0.98**50)
    assert value(power_at(OneRate(1.0, 50), -0.02)) == pytest.approx(1 - 0.98**50)
    assert needed(OneRate(0.0, 1), "n", 0.01, 0.95).value == 299
    assert value(power_at(OneRate(0.0, 50), 1.0)) == 1
    assert "no spread" in str(smallest_effect(Equivalence(50, base=0.0)).reason)


def test_rates_over_seeds() -> None:
    design = SeedRates(0.05, 6, 30, icc=0.1)
    effect = value(smallest_effect(design))
    assert power_of(design, effect) == pytest.approx(0.8, abs=0.006)
    assert needed(design, "seeds", 1.01 * effect).value in (5, 6, 8)
    assert "vanilla model" in str(needed(design, "seeds", 0.06).reason)
    assert power_of(SeedRates(0.05, 6, 30, 0.1, vanilla_runs=180), effect) > 0.9
    assert "2 seeds have no interval" in str(smallest_effect(SeedRates(0.05, 2, 30, icc=0.1)).reason)
    assert value(smallest_effect(design, 0.5, fall=False)) < effect
    assert smallest_effect(design, fall=True).value is None
    assert power_of(SeedRates(0.5, 6, 30, 0.0), 0.5) > 0.99


def test_controls_that_are_tried() -> None:
    assert needed(Controls(19), "m", 4.0).value == 19
    assert needed(Controls(19), "m", 2.9).value == 39
    assert LADDER[0] == 19
    assert "19 do best" in str(needed(Controls(19), "m", 2.0).reason)


def test_notes_say_what_the_approximation_leaves_out() -> None:
    assert "power 0.334" in power_at(TwoRates(0.03, 520), 0.02).notes[0]
    assert any("rough" in note for note in power_at(TwoRates(0.01, 50), 0.1).notes)
    assert "power 0.824" in power_at(PairedRates(0.1, 520), 0.04).notes[0]
    assert "39.3%" in smallest_effect(Seeds(6, 30, sd=1.0, icc=0.1)).notes[1]
    few = smallest_effect(Seeds(3, 30, sd=1.0, icc=0.1)).notes
    assert "simulated" in few[0]
    assert "covers too little" in few[2]
    assert "exact binomial" in power_at(OneRate(0.1, 60), 0.1).notes[0]
    assert "rough" in power_at(Equivalence(60, base=0.01), 0.1).notes[0]
    assert "no p-value" in smallest_effect(Paraphrases(1.0, 5)).notes[0]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: OneRate(2.0, 50),
        lambda: OneRate(0.5, 0),
        lambda: OneRate(0.5, 10, runs=3),
        lambda: TwoRates(0.5, 10**9),
        lambda: PairedRates(0.0, 50),
        lambda: Means(0.0, 50),
        lambda: Means(math.nan, 50),
        lambda: Means(math.inf, 50),
        lambda: Means(1.0, 50, run_sd=-1.0),
        lambda: Means(1.0, 50, alpha=0.0),
        lambda: Seeds(6, 30),
        lambda: Seeds(6, 30, sd=1.0),
        lambda: Seeds(6, 30, sd=1.0, icc=0.1, seed_sd=0.1),
        lambda: Seeds(6, 30, sd=1.0, icc=1.1),
        lambda: Seeds(6, 30, seed_sd=0.0, run_sd=0.0),
        lambda: Equivalence(50),
        lambda: Equivalence(50, base=0.1, sd=1.0),
        lambda: Equivalence(50, base=0.1, gap=-0.2),
        lambda: Controls(39, families=3),
        lambda: Controls(10**6),
        lambda: power_at(TwoRates(0.9, 50), 0.2),
        lambda: power_at(PairedRates(0.1, 50), 0.2),
        lambda: power_at(Means(1.0, 50), math.inf),
        lambda: power_at(SeedVariance(6, 30), 1.5),
        lambda: power_at(Equivalence(50, sd=1.0), -1.0),
        lambda: smallest_effect(Means(1.0, 50), 0.01),
        lambda: smallest_effect(Means(1.0, 50), 1.0),
        lambda: needed(Means(1.0, 50), "n", 0.0),
        lambda: needed(Means(1.0, 50), "items", 0.5),
        lambda: kind_named("three rates"),
    ],
)
def test_mistakes_are_refused_in_words(wrong: Any) -> None:
    with pytest.raises(StudyError):
        wrong()


def test_names_of_designs() -> None:
    assert kind_named("Two-Rates").name == "two rates"
    assert kind_named("seeds × items").name == kind_named("seeds x items").name == "seeds x items"
    for design in ONE_OF_EACH:
        kind = kind_of(design)
        assert KINDS[kind.name] is kind
        assert set(kind.sizes) <= {field.name for field in fields(kind.record)}
