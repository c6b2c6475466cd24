import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from doxa.claims.check import check_claim, check_to_json, findings
from doxa.claims.checked import Check, Recomputed
from doxa.claims.claims import parse_claim
from doxa.stats.rates import bonett_price, bonett_price_of_counts
from doxa.stats.two_rates import Count, fisher, mcnemar_exact
from doxa.words.errors import ClaimError


def checked(text: str, reported: str | None = None, **options) -> Check:
    return check_claim(parse_claim(text, reported, **options))


def said(text: str, reported: str | None = None, **options) -> str:
    return "\n".join(findings(checked(text, reported, **options)))


def named(check: Check) -> dict[str, Recomputed]:
    return {one.name: one for one in check.tests}


def test_the_known_claim() -> None:
    found = checked("26/520 vs 14/520", "p=0.053")
    p = {name: round(one.p, 4) for name, one in named(found).items()}
    assert p == {
        "Boschloo exact": 0.0673,
        "Fisher exact": 0.0749,
        "pooled z": 0.0530,
        "Wald z": 0.0526,
        "Welch t": 0.0531,
        "Yates' chi-squared": 0.0761,
    }
    agreeing = {name for name, one in named(found).items() if one.agrees == "two-sided"}
    assert agreeing == {"pooled z", "Wald z", "Welch t"}
    first = found.intervals[0]
    assert (first.method, first.level) == ("Newcombe", 0.95)
    assert (100 * first.low, 100 * first.high) == pytest.approx((-0.06, 4.78), abs=5e-3)
    assert found.difference == pytest.approx(12 / 520)
    assert found.power == pytest.approx(0.490, abs=1e-3)
    assert found.detectable == pytest.approx(0.0359, abs=5e-5)
    assert (found.inferred, found.tables, found.paired) == (False, 1, None)
    text = "\n".join(findings(found))
    assert text.startswith("p = .053 is what pooled z (.0530), Wald z (.0526) and Welch t (.0531) give")
    assert "−0.06 to 4.78 points (Newcombe); it includes 0" in text


def test_pairs_that_are_possible() -> None:
    found = checked("16/520 vs 6/520", "p=0.0525").pairing
    assert found is not None
    assert (found.fewest.more, found.fewest.less) == (10, 0)
    assert found.fewest.p == pytest.approx(2 * 0.5**10)
    assert (found.most.more, found.most.less) == (16, 6)
    assert found.most.p == pytest.approx(0.0525, abs=5e-5)
    assert found.reported == found.most
    assert found.significant is not None
    assert found.significant.p < 0.05 <= mcnemar_exact(found.significant.more + 1, found.significant.less + 1).p
    assert "p = .0525 is that of 16 against 6" in said("16/520 vs 6/520", "p=0.0525")
    # When nearly all show the behaviour, few can differ.
    crowded = checked("510/520 vs 500/520").pairing
    assert crowded is not None
    assert (crowded.most.more, crowded.most.less) == (20, 10)
    assert checked("26/520 vs 14/520", paired=False).pairing is None
    assert checked("26/520 vs 14/500").pairing is None
    assert checked("26/520 vs 26/520").pairing is None


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 120), st.data())
def test_pairing_by_trying_every_overlap(n, data) -> None:
    a, b = data.draw(st.integers(0, n)), data.draw(st.integers(0, n))
    found = checked(f"{a}/{n} vs {b}/{n}").pairing
    if a == b:
        assert found is None
        return
    p = [mcnemar_exact(a - both, b - both).p for both in range(max(0, a + b - n), min(a, b) + 1)]
    assert found.fewest.p == pytest.approx(min(p))
    assert found.most.p == pytest.approx(max(p))
    below = [one for one in p if one < 0.05]
    assert (found.significant is None) == (not below)
    if below:
        assert found.significant.p == pytest.approx(max(below))
    assert found.most.bounds.low <= (a - b) / n <= found.most.bounds.high or n < 30


def test_bonett_price_of_counts_is_that_of_items() -> None:
    items = np.repeat([1.0, -1.0, 0.0], [22, 10, 488])
    one, other = bonett_price_of_counts(22, 10, 520), bonett_price(items)
    assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high), rel=1e-12)


def test_paired_claims_lead_with_the_pairs() -> None:
    found = checked("26/520 vs 14/520", "p=0.053", paired=True)
    assert found.intervals[0].method == "Bonett-Price"
    assert found.power is None
    sentences = findings(found)
    assert sentences[0].startswith("These are pairs")
    assert any(one.endswith("All but McNemar are tests of unpaired groups.") for one in sentences)
    assert found.tests[0].name == "exact McNemar"
    assert (found.tests[0].p, found.tests[0].agrees) == (None, "none")  # 21 against 9 is .0428, 22 against 10 is .0501
    assert "p = .25 is what exact McNemar (.250) gives" in said("3/6 vs 6/6", "p=.25", paired=True)
    assert "p = .0525 is what exact McNemar (.00195 to .0525) gives" in said("16/520 vs 6/520", "p=.0525", paired=True)
    assert "None of the tests of unpaired groups gives p = .0525" in said("16/520 vs 6/520", "p=.0525")
    assert "p < .05 holds by exact McNemar (.000488 to .0807), not by" in said("26/520 vs 14/520", "p<.05", paired=True)
    assert "These are tests of unpaired groups" in said("M=5 SD=1 n=9 vs M=4 SD=1 n=9", "p=.5", paired=True)


def test_rates_stand_for_several_tables() -> None:
    found = checked("5% vs 3%, n=520", "p<.05")
    assert (found.inferred, found.tables, found.tried) == (True, 30, 30)
    p = [fisher(Count(a, 520), Count(b, 520)).p for a in range(24, 29) for b in range(13, 19)]
    exact = named(found)["Fisher exact"]
    assert (exact.lowest, exact.highest) == pytest.approx((min(p), max(p)))
    assert exact.agrees == "two-sided"
    assert named(found)["Boschloo exact"].agrees is None  # made of one table only, so that it is not known
    text = "\n".join(findings(found))
    assert text.startswith("The counts are inferred: 30 tables")
    assert ".0246 to .431" in text
    many = checked("50% vs 20%, n=100000")
    assert (many.tables, many.tried) == (1001**2, 400)
    assert "400 of them computed" in "\n".join(findings(many))
    only = checked("5.0% vs 2.7%, n=520")
    assert (only.inferred, only.tables) == (True, 1)
    assert "26/520 and 14/520" in findings(only)[-1]


def test_numbers_that_do_not_fit_together_are_said_first() -> None:
    assert findings(checked("3.9% (20/520) vs 1.9% (10/520)"))[0] == (
        "20/520 is 3.846 %, which does not round to the 3.9 % beside it."
    )
    impossible = checked("5.3% vs 5%, n=20")
    assert impossible.tests == ()
    assert impossible.tables == 0
    (sentence,) = findings(impossible)
    assert sentence.startswith("No count of 20 rounds to 5.3 %: 1 is 5.000 %, 2 is 10.000 %.")


def test_one_sided_values_are_recognised() -> None:
    found = checked("26/520 vs 14/520", "p=0.0265")
    assert named(found)["pooled z"].agrees == "one-sided"
    assert findings(found)[0].startswith(
        "p = .0265 is half of a two-sided p, as a one-sided test gives it: pooled z (.0265)"
    )
    two = checked("26/520 vs 14/520", "two-sided p=0.0265")
    assert {one.agrees for one in two.tests} == {"none"}
    assert findings(two)[0].startswith("None of the tests of unpaired groups gives two-sided p = .0265")
    one = checked("26/520 vs 14/520", "one-sided p=0.053")
    assert {each.agrees for each in one.tests} == {"none"}


def test_bounds_of_p() -> None:
    assert "p < .001 holds by Boschloo exact" in said("0/180 vs 13/180", "p<.001")
    assert "holds by none of the tests of unpaired groups" in said("26/520 vs 14/520", "p<.01")
    assert "p < .05 holds one-sided only" in said("26/520 vs 14/520", "p<.05")
    assert "p < .05 holds by pooled z (.0449)" in said("21/520 vs 10/520", "p<.05")
    assert "not by Boschloo exact (" in said("21/520 vs 10/520", "p<.05")
    assert "depends on the choice of the test" in said("21/520 vs 10/520", "p=.045")
    assert "Not significant" not in said("26/520 vs 14/520", "p<.05")
    none = said("26/520 vs 14/520", "n.s.")
    assert "Not significant is not the same as no difference" in none
    assert "up to 4.78 points" in none


def test_a_margin_decides_about_no_difference() -> None:
    wide = checked("26/520 vs 14/520", margin=5)
    assert wide.equivalence is not None
    assert wide.equivalence.holds
    assert wide.equivalence.bounds.level == pytest.approx(0.9)
    assert "lies within ± 5.00 points" in said("26/520 vs 14/520", margin=5)
    assert "is not within ± 2.00 points" in said("26/520 vs 14/520", margin=2)
    means = checked("M=5.2 SD=1.1 n=30 vs M=4.8 SD=1.3 n=28", margin=1)
    assert means.equivalence is not None
    assert means.equivalence.bounds.level == pytest.approx(0.9)
    t = stats.t.interval(0.9, 53.06, 0.4, math.sqrt(1.1**2 / 30 + 1.3**2 / 28))
    assert (means.equivalence.bounds.low, means.equivalence.bounds.high) == pytest.approx(t, abs=1e-3)
    assert "is not within ± 0.300" in said("M=5.2 SD=1.1 n=30 vs M=4.8 SD=1.3 n=28", margin=0.3)
    assert "[−0.06, 0.06]" in said("0.00 [-0.06, 0.06]", margin=0.3)
    assert "−0.0504 to 0.0504 (from the printed one), lies within ± 0.300" in said("0.00 [-0.06, 0.06]", margin=0.3)
    assert "is not within ± 2.00 points" in said("1.0 points [-1.0, 3.0]", margin=2)
    for text in ("6/9", "M=5 SD=1 n=9", "gap of 2 points, n=50"):
        with pytest.raises(ClaimError, match="margin beside"):
            checked(text, margin=1)
    assert "as if unpaired" in said("M=5.2 SD=1.1 vs M=4.8 SD=1.3, n=28", margin=0.3, paired=True)


def test_a_gap_needs_its_base_rate() -> None:
    found = checked("gap of 2.0 points, n=520", "p=.053")
    assert found.curve is not None
    assert found.curve.needed == pytest.approx(0.0186, abs=5e-5)
    text = "\n".join(findings(found))
    assert "ask for the counts" in text
    assert "1.86 % against 3.86 %" in text
    assert "inferred" in text
    assert "No base rate gives p = .90" in said("gap of 2.0 points, n=520", "p=.90")


def test_means() -> None:
    found = checked("M=5.2 SD=1.1 n=30 vs M=4.8 SD=1.3 n=28", "p=.21")
    tests = named(found)
    for name, equal in (("Welch t", False), ("Student t", True)):
        expected = stats.ttest_ind_from_stats(5.2, 1.1, 30, 4.8, 1.3, 28, equal_var=equal).pvalue
        assert tests[name].p == pytest.approx(expected, rel=1e-10)
        assert tests[name].agrees == "two-sided"
        assert tests[name].lowest < expected < tests[name].highest
    welch = found.intervals[0]
    variances = 1.1**2 / 30, 1.3**2 / 28
    df = sum(variances) ** 2 / (variances[0] ** 2 / 29 + variances[1] ** 2 / 27)
    half = stats.t.ppf(0.975, df) * math.sqrt(sum(variances))
    assert (welch.low, welch.high) == pytest.approx((0.4 - half, 0.4 + half))
    assert welch.low < 0 < welch.high
    assert found.power is not None
    assert 0.2 < found.power < 0.3
    # Any p between the smallest and the largest is possible for measured numbers.
    assert named(checked("M=5.2 SD=1.1 n=30 vs M=4.8 SD=1.3 n=28", "p=.3"))["Welch t"].agrees == "two-sided"
    assert named(checked("M=5.2 SD=1.1 n=30 vs M=4.8 SD=1.3 n=28", "p=.5"))["Welch t"].agrees == "none"


def test_means_that_can_be_equal_can_have_any_large_p() -> None:
    assert named(checked("M=5 SD=1 n=30 vs M=5.4 SD=1 n=30"))["Welch t"].highest == pytest.approx(1.0)


def test_the_power_of_means_is_that_of_statsmodels() -> None:
    from statsmodels.stats.power import TTestIndPower

    found = checked("M=5.4 SD=1.0 n=40 vs M=4.8 SD=1.0 n=40", paired=False)
    oracle = TTestIndPower()
    assert found.power == pytest.approx(oracle.power(0.6, 40, 0.05), abs=1e-6)
    assert found.detectable == pytest.approx(oracle.solve_power(None, 40, 0.05, 0.8), abs=1e-4)


def test_paired_means_depend_on_their_correlation() -> None:
    found = checked("M=5.2 SD=1.1 vs M=4.8 SD=1.3, n=30", "p=.01").correlated
    assert found is not None
    assert found.reported is not None
    sd = math.sqrt(1.1**2 + 1.3**2 - 2 * found.reported * 1.1 * 1.3)
    assert 2 * stats.t.sf(0.4 / sd * math.sqrt(30), 29) == pytest.approx(0.01)
    assert list(found.p) == sorted(found.p, reverse=True)
    assert checked("M=5.2 SD=1.1 vs M=4.8 SD=1.3, n=30", paired=False).correlated is None


def test_an_interval_implies_a_standard_error_and_a_p() -> None:
    found = checked("2.1 [0.3, 3.9]", "p=.022").stated
    assert found is not None
    assert found.se == pytest.approx(3.6 / (2 * stats.norm.ppf(0.975)))
    assert found.p == pytest.approx(2 * stats.norm.sf(2.1 / found.se))
    assert found.lowest < found.p < found.highest
    assert found.agrees
    assert (found.assumed, found.lopsided, found.outside) == (True, False, False)
    assert "disagrees with the reported p = .20" in said("2.1 [0.3, 3.9]", "p=.20")
    ninety = checked("2.1, 90% CI [0.3, 3.9]").stated
    assert ninety is not None
    assert (ninety.level, ninety.assumed) == (0.9, False)
    by_t = checked("2.1 [0.3, 3.9], n=6", "p=.0301").stated
    assert by_t is not None
    assert by_t.p_by_t == pytest.approx(2 * stats.t.sf(2.1 / (1.8 / stats.t.ppf(0.975, 5)), 5))
    assert by_t.agrees
    assert "t covered 83 %" in said("2.1 [0.3, 3.9], n=6")
    both = checked("2.0 points [-0.2, 4.1], n=520", "p=.06")
    assert both.stated is not None
    assert both.stated.agrees
    assert both.curve is not None
    assert "lies outside" in said("5 [1, 3]")
    assert "not in the middle" in said("1.5 [1.1, 3.9]")
    assert "width 0" in said("2 [2, 2]")
    assert "a rate of about 498 independent observations" in said("3.9% [2.2%, 5.6%]")


def test_a_printed_interval_beside_groups_is_recognised() -> None:
    newcombe = checked("26/520 vs 14/520, 95% CI [-0.1, 4.8]").stated
    assert newcombe is not None
    assert newcombe.methods == ("Newcombe",)
    turned = checked("14/520 vs 26/520, 95% CI [-0.06, 4.78]").stated
    assert turned is not None
    assert turned.methods == ("Newcombe",)
    shares = checked("26/520 vs 14/520 unpaired [-0.0003, 0.0464]").stated
    assert shares is not None
    assert shares.methods == ("Wald",)
    none = said("26/520 vs 14/520 unpaired [1.0, 3.6]")
    assert (
        "none of those that were compared with it at 95 %, which is assumed: Newcombe, Agresti-Caffo, Wald, "
        "Miettinen-Nurminen and Wald with continuity correction" in none
    )
    pairs = checked("26/520 vs 14/520 [0.39, 4.20]").stated  # 18 against 6 pairs
    assert pairs is not None
    assert pairs.methods == ("Bonett-Price for pairs",)
    pooled = checked("M=5.2 SD=1.1 n=30 vs M=4.8 SD=2.3 n=12, 95% CI [-0.65, 1.45]").stated
    assert pooled is not None
    assert pooled.methods == ("Student t",)
    one = checked("3.8% [2.5%, 5.9%], n=520").stated
    assert one is not None
    assert "Wilson" in one.methods
    means = checked("M=5.2 SD=1.1 n=30 vs M=4.8 SD=1.3 n=28, 95% CI [-0.24, 1.04]").stated
    assert means is not None
    assert "Welch t" in means.methods


def test_what_six_observations_can_carry() -> None:
    text = said("6 of 6")
    assert "61.0 % to 100 % (Wilson); exact 54.1 % to 100 %" in text
    assert "up to 39 % (Wilson) or 46 % (exact)" in text
    means = said("M=5.2 SD=1.1 vs M=4.8 SD=1.3, n=6")
    assert "covers 89 % on normal data, where t covers 95 %" in means
    assert "t covered 83 %" in means
    assert checked("2/6 vs 5/6").power is None  # the normal approximation does not hold


def test_nothing_varies() -> None:
    assert "There is no test" in said("M=5 SD=0 n=5 vs M=4 SD=0 n=5")
    found = checked("0/6 vs 0/6", "n.s.")
    assert named(found)["pooled z"].p is None
    assert named(found)["Fisher exact"].p == 1
    assert checked("5/5 vs 5/5").curve is None
    assert "39.0" in said("0/6 vs 0/6")


REPORTED = st.sampled_from([None, "p=.04", "p<.001", "n.s.", "p=.5", "one-sided p=.02"])
CLAIMS = st.one_of(
    st.builds(
        lambda n, m, a, b: f"{min(a, n)}/{n} vs {min(b, m)}/{m}",
        st.integers(1, 60),
        st.integers(1, 60),
        st.integers(0, 60),
        st.integers(0, 60),
    ),
    st.builds(lambda a, b, n: f"{a}% vs {b}%, n={n}", st.integers(0, 100), st.integers(0, 100), st.integers(1, 10**9)),
    st.builds(
        lambda a, s, b, t, n: f"M={a:.1f} SD={s:.2f} vs M={b:.1f} SD={t:.2f}, n={n}",
        st.floats(-50, 50),
        st.floats(0, 30),
        st.floats(-50, 50),
        st.floats(0, 30),
        st.integers(2, 10**6),
    ),
    st.builds(
        lambda v, lo, w: f"{v:.1f} [{lo:.1f}, {lo + w:.1f}]", st.floats(-9, 9), st.floats(-9, 9), st.floats(0, 9)
    ),
    st.builds(lambda g, n: f"gap of {g} points, n={n}", st.integers(1, 99), st.integers(1, 10**9)),
    st.builds(lambda k, n: f"{min(k, n)}/{n}", st.integers(0, 10**9), st.integers(1, 10**9)),
)


def test_p_is_never_nought() -> None:
    assert all(one.p is None or one.p > 0 for one in checked("0/976 vs 732/976").tests)


def test_the_margin_of_pairs_is_that_of_the_most_discordant_ones_also_when_the_rates_are_equal() -> None:
    for text in ("260/520 vs 260/520 paired", "261/520 vs 260/520 paired"):
        found = checked(text, margin=6.0)
        assert found.equivalence is not None
        assert not found.equivalence.holds
        assert "Bonett-Price" in found.intervals[0].method
    equal = checked("260/520 vs 260/520 paired", margin=8.0).equivalence
    assert equal is not None
    assert equal.holds
    assert equal.bounds.high == pytest.approx(bonett_price_of_counts(260, 260, 520, level=0.9).high)


def test_a_test_of_one_table_only_does_not_decide_on_which_side_the_others_lie() -> None:
    assert named(checked("80% vs 70%, n=1000", "p=0.0000001"))["Boschloo exact"].agrees is None


@settings(max_examples=50, deadline=None)
@given(
    CLAIMS, st.sampled_from([None, "p=.04", "p<.001", "n.s.", "p=.5", "one-sided p=.02"]), st.sampled_from([None, 3.0])
)
def test_every_claim_has_findings_and_is_plain_json(text, reported, margin) -> None:
    single = "gap" in text or not ("vs" in text or "[" in text)
    found = checked(text, reported, margin=None if single else margin)
    sentences = findings(found)
    assert sentences
    for sentence in sentences:
        assert sentence.endswith(".")
        assert "None" not in sentence.removeprefix("None of ")
        assert "nan" not in sentence.split()
        assert len(sentence) < 450
    assert json.loads(json.dumps(check_to_json(found, sentences), allow_nan=False))["findings"] == list(sentences)
    for one in found.tests:
        assert one.p is None or 0 < one.p <= 1
    for bounds in found.intervals:
        value = found.difference if found.difference is not None else found.groups[0].value
        assert bounds.low <= value + 1e-12 or bounds.method == "Bonett-Price"
        assert value <= bounds.high + 1e-12 or bounds.method == "Bonett-Price"


@settings(max_examples=20, deadline=None)
@given(st.integers(13, 400), st.integers(13, 400), st.data())
def test_swapping_the_groups_flips_the_signs_and_nothing_else(n, m, data) -> None:
    a, b = data.draw(st.integers(0, n)), data.draw(st.integers(0, m))
    one, other = checked(f"{a}/{n} vs {b}/{m}"), checked(f"{b}/{m} vs {a}/{n}")
    assert one.difference == pytest.approx(-other.difference)
    assert (one.intervals[0].low, one.intervals[0].high) == pytest.approx(
        (-other.intervals[0].high, -other.intervals[0].low), abs=1e-12
    )
    for mine, theirs in zip(one.tests, other.tests, strict=True):
        assert (mine.p is None and theirs.p is None) or mine.p == pytest.approx(theirs.p, abs=1e-7)
    if a / n != b / m:
        assert one.detectable == pytest.approx(other.detectable)
