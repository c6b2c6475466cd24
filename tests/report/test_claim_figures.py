import pytest

from doxa.claims.check import check_claim
from doxa.claims.claims import parse_claim
from doxa.report.claim_figures import p_against_base_rate
from doxa.words.errors import ClaimError


def test_the_figure_names_its_lines_and_the_place_of_the_claim() -> None:
    drawing = p_against_base_rate(check_claim(parse_claim("26/520 vs 14/520", "p=0.053")))
    for words in ("pooled z", "Wald z", "Fisher exact", "base rate, 2.69 %", "reported p = .053", "two-sided", ".05"):
        assert words in drawing.svg
    assert "2.31 points with 520 observations in each group" in drawing.caption
    assert drawing.png.startswith(b"\x89PNG")


def test_a_gap_is_marked_where_it_would_give_the_reported_p() -> None:
    drawing = p_against_base_rate(check_claim(parse_claim("gap of 2.0 points, n=520", "p=.053")))
    assert "base rate that gives p = .053, 1.86 %" in drawing.svg


@pytest.mark.parametrize("text", ["95/100 vs 80/120", "1/3 vs 0/1", "gap of 99 points, n=1", "30% vs 31%, n=900000000"])
def test_odd_claims_have_a_figure_too(text) -> None:
    assert p_against_base_rate(check_claim(parse_claim(text))).svg


def test_the_same_claim_gives_the_same_bytes() -> None:
    one, other = (p_against_base_rate(check_claim(parse_claim("26/520 vs 14/520"))) for _ in range(2))
    assert (one.svg, one.png) == (other.svg, other.png)


@pytest.mark.parametrize("text", ["6/6", "M=5 SD=1 n=9 vs M=4 SD=1 n=9", "2 [1, 3]", "6/9 vs 6/9"])
def test_other_claims_have_none(text) -> None:
    with pytest.raises(ClaimError, match="two different rates"):
        p_against_base_rate(check_claim(parse_claim(text)))
