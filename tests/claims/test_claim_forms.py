import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doxa.claims.claims import Claim, parse_claim, parse_reported
from doxa.claims.stated import Gap, Mean, Printed, Proportion
from doxa.words.errors import ClaimError


def counts(claim: Claim) -> list[tuple[int | None, int]]:
    return [(one.events, one.n) for one in claim.groups if isinstance(one, Proportion)]


@pytest.mark.parametrize(
    "text",
    [
        "26/520 vs 14/520",
        "26/520 vs. 14/520",
        "26/520 versus 14/520",
        "26/520 v. 14/520",
        "26/520 v 14/520",
        "26/520 against 14/520",
        "26/520, 14/520",
        "26/520; 14/520",
        "26/520 / 14/520",
        "26/520/14/520",
        "26/520 - 14/520",
        "26 of 520 compared with 14 out of 520",
        "26／520 vs 14／520",
        "26/520 vs 14/520, p = .053",
        "26/520 (5.0%) vs 14/520 (2.7%)",
        "5.0% (26/520) vs 2.7% (14/520)",
    ],
)
def test_two_counts_are_read_however_they_are_set_apart(text) -> None:
    assert counts(parse_claim(text)) == [(26, 520), (14, 520)]


def test_rates_keep_the_decimals_that_they_were_printed_with() -> None:
    for text in ("5.0% vs 2.7%, n=520", "5.0 % vs. 2.7 % (n = 520 per tier)", "0.050 vs 0.027, N=520"):
        a, b = parse_claim(text).groups
        assert isinstance(a, Proportion)
        assert isinstance(b, Proportion)
        assert (a.rate, b.rate) == (Printed(0.05, 0.0005), Printed(0.027, 0.0005))
        assert (a.n, b.n) == (520, 520)
        assert (list(a.counts), list(b.counts)) == ([26], [14])
    whole, other = parse_claim("5% vs 3%, n=520 and 500").groups
    assert isinstance(whole, Proportion)
    assert list(whole.counts) == [24, 25, 26, 27, 28]
    assert other.n == 500
    first, second = parse_claim("5.0% of 520 vs 2.7% of 1,500").groups
    assert (first.n, second.n) == (520, 1500)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 3000), st.data(), st.integers(0, 3))
def test_every_count_that_rounds_to_a_rate_is_found_and_no_other(n, data, decimals) -> None:
    k = data.draw(st.integers(0, n))
    shown = f"{100 * k / n:.{decimals}f}"
    found = parse_claim(f"{shown}%, n={n}").groups[0]
    assert isinstance(found, Proportion)
    assert k in found.counts
    half = 0.5 * 10.0**-decimals
    for events in (found.counts[0], found.counts[-1]):
        assert abs(100 * events / n - float(shown)) <= half + 1e-9
    for events in (found.counts[0] - 1, found.counts[-1] + 1):
        assert not 0 <= events <= n or abs(100 * events / n - float(shown)) > half - 1e-9


def test_means_with_their_spreads() -> None:
    for text in (
        "M=5.2 SD=1.1 n=30 vs M=4.8 SD=1.3 n=28",
        "5.2 (SD 1.1, n=30) vs 4.8 (SD 1.3, n=28)",
        "mean 5.2, standard deviation 1.1, n = 30 versus mean 4.8, standard deviation 1.3, n = 28",
        "5.2 ± 1.1 SD vs 4.8 ± 1.3 SD, n=30 and 28",
    ):
        a, b = parse_claim(text).groups
        assert (a, b) == (
            Mean(Printed(5.2, 0.05), Printed(1.1, 0.05), 30),
            Mean(Printed(4.8, 0.05), Printed(1.3, 0.05), 28),
        )
    one = parse_claim("M=5.2 SE=0.2 n=25").groups[0]
    assert isinstance(one, Mean)
    assert one.sd.value == pytest.approx(1.0)
    assert one.sd.half == pytest.approx(0.25)


def test_intervals() -> None:
    for text in (
        "2.1 [0.3, 3.9]",
        "2.1 (0.3 to 3.9)",
        "2.1 [0.3–3.9]",
        "2.1 [0.3 - 3.9]",
        "2.1 [0.3; 3.9]",
        "2.1, CI [0.3, 3.9]",
    ):
        found = parse_claim(text).interval
        assert found is not None
        assert (found.value, found.level, found.unit) == (Printed(2.1, 0.05), None, "plain")
        assert (found.low, found.high) == (Printed(0.3, 0.05), Printed(3.9, 0.05))
    minus = parse_claim("2.0 points, 90% CI [−0.2, 4.1]").interval
    assert minus is not None
    assert (minus.low.value, minus.level, minus.unit) == (-0.002, 0.9, "points")
    rate = parse_claim("3.9% [2.5%, 5.9%]").interval
    assert rate is not None
    assert rate.unit == "percent"
    beside = parse_claim("26/520 vs 14/520, 95% CI −0.1 to 4.8")
    assert beside.interval is not None
    assert beside.interval.value is None
    assert counts(beside) == [(26, 520), (14, 520)]


def test_a_gap_without_rates() -> None:
    for text in ("gap of 2.0 points, n=520", "difference: 2.0 percentage points (n=520)", "difference of 2.0%, n=520"):
        assert parse_claim(text).gap == Gap(Printed(0.02, 0.0005), 520, 520)


def test_reported_p_values() -> None:
    for text in ("p=0.053", ".053", "P = .053", "p-value of 0.053", "p = 5.3e-2"):
        found = parse_reported(text)
        assert (found.value, found.relation, found.half, found.sides) == (0.053, "=", 0.0005, None)
    assert parse_reported("p < .001").relation == "<"
    assert parse_reported("p ≤ 0.05").relation == "<"
    assert (parse_reported("n.s.").value, parse_reported("n.s.").relation) == (0.05, ">")
    assert parse_reported("one-sided p = .03").sides == 1
    assert parse_reported("p=0.000").words == "p < .0005"
    assert parse_reported("p=0.05").words == "p = .05"
    assert parse_reported("p=0.050").words == "p = .050"
    assert parse_claim("26/520 vs 14/520, p=.053", "p=0.053").reported == parse_reported(".053")


@settings(max_examples=100, deadline=None)
@given(st.floats(1e-4, 1, exclude_min=True), st.integers(3, 5))
def test_a_p_value_agrees_with_what_it_is_written_as(p, decimals) -> None:
    written = f"{p:.{decimals}f}"
    if float(written) > 0:
        assert parse_reported(written).agrees(p)
        assert not parse_reported(written).agrees(p + 2 * 10.0**-decimals)


def test_whether_groups_are_paired() -> None:
    assert parse_claim("26/520 vs 14/520").paired is None
    assert parse_claim("26/520 vs 14/520, paired").paired is True
    assert parse_claim("26/520 vs 14/520 on the same prompts".replace(" on the", ",")).paired is True
    assert parse_claim("26/520 vs 14/520 (unpaired)").paired is False
    with pytest.raises(ClaimError, match="paired and unpaired"):
        parse_claim("26/520 vs 14/520, paired", paired=False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "nothing that can be recomputed"),
        ("p=.05", "nothing that can be recomputed"),
        ("hello", "'hello'"),
        ("30/20", "30 of 20"),
        ("0/0", "0 observations"),
        ("-3/520 vs 4/520", "count -3"),
        ("−3/520 vs 4/520", "count -3"),
        ("26.5/520", "count 26.5"),
        ("nan/520", "'nan/520'"),
        ("inf% vs 3%, n=5", "not understood"),
        ("1e30/520", "count 1e30"),
        ("1e9999/520", "count 1e9999"),
        ("1" * 60 + "/520", "count 1111"),
        ("3/1000000000000", "1,000,000,000"),
        ("1e-99999999/520", "not"),
        ("26/520 vs 14/520 vs 3/5", "3 groups"),
        ("26/520 vs 14/520 p=1.5", "p-value of 1.5"),
        ("26/520 vs 14/520 p=0", "p-value of 0"),
        ("26/520 vs 14/520 p=-.1", "p-value of -0.1"),
        ("26/520 vs 14/520, p=.05, p=.04", "2 p-values"),
        ("5.0% vs 2.7%", "no number of observations"),
        ("5.0% vs 2.7%, n=1, n=2, n=3", "3 numbers of observations"),
        ("120% vs 3%, n=50", "120 %"),
        ("-5% vs 3%, n=50", "-5 %"),
        ("5.0 vs 2.7, n=520", "above 1"),
        ("5,0% vs 2,7%, n=520", "meaning is not clear"),
        ("26/520,140/520", "meaning is not clear"),
        ("26/520 vs 14/520, 5", "meaning is not clear"),
        ("5.2 ± 1.1 vs 4.8 ± 1.3, n=30", "±"),
        ("OR 2.1 [1.1, 3.9]", "ratio"),
        ("odds ratio of 2.1", "ratio"),
        ("M=5.2 SD=1.1 vs M=4.8, n=30", "2 means and 1"),
        ("M=5.2 SD=-1 n=3", "standard deviation of -1"),
        ("M=5.2 SD=1 n=1", "2 to"),
        ("M=1e300 SD=1 n=5", "below 10"),
        ("[3, 1]", "from 3 to 1"),
        ("2 [1, 3] [1, 4]", "2 intervals"),
        ("999% CI [1, 3]", "999 %"),
        ("2 [1, 3], n=1", "from 1 observations"),
        ("2 [1, 3], n=5 and 6", "2 numbers of observations"),
        ("n=6", "nothing that can be recomputed"),
        ("2 (5% CI 1 to 3)", "5 %"),
        ("gap of 0 points, n=5", "0 points"),
        ("gap of 200 points, n=5", "200 points"),
        ("x" * 600, "600 characters"),
        ("٣/٥ vs ١/٥", "not understood"),
        ("\x00\x1b[31m26/520", "not understood"),
        ("26/520, n=500", "n = 500"),
        ("26/520 vs 14/500, paired", "pairs of 520 and 500"),
    ],
)
def test_what_is_not_understood_or_cannot_be_is_a_sentence(text, words) -> None:
    with pytest.raises(ClaimError) as refused:
        parse_claim(text)
    assert words in str(refused.value)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("reported", ["1.5", "", " ", "p=nan", "p==3", "hello", "-1", "p = .05 n=3", "26/520"])
def test_a_reported_value_that_is_none_is_refused(reported) -> None:
    with pytest.raises(ClaimError):
        parse_claim("26/520 vs 14/520", reported)


def test_options_that_cannot_be_are_refused() -> None:
    for wrong in (0.0, 1.0, 95.0, float("nan")):
        with pytest.raises(ClaimError, match="level"):
            parse_claim("3/5", level=wrong)
    for margin in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ClaimError, match="margin"):
            parse_claim("3/5", margin=margin)
    with pytest.raises(ClaimError, match="two p-values"):
        parse_claim("26/520 vs 14/520, p=.05", "p=.04")


SIGNS = [*"0123456789", *".,;:/%()[]=<>±−-–e "]
PIECES = [*SIGNS, " vs ", "n=", "p=", "SD=", "M=", "SE=", "CI", "95%", " of ", " to ", "26/520"]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join) | st.text(max_size=60))
def test_no_text_is_more_than_a_claim_or_a_sentence(text) -> None:
    try:
        claim = parse_claim(text)
    except ClaimError:
        return
    assert claim.groups or claim.gap or claim.interval


@pytest.mark.parametrize("piece", ["1", "1,", "(", "26/520 ", "95% ", "n=", "1e", ".", "- ", "p=.05 ", "1,111"])
def test_reading_takes_no_time(piece) -> None:
    begun = time.perf_counter()
    with pytest.raises(ClaimError):
        parse_claim((piece * 500)[:500])
    assert time.perf_counter() - begun < 0.2
