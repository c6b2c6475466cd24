import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doxa.claims.base_rates import base_curve, base_rate_for, pooled_p
from doxa.stats.two_rates import Count, fisher, pooled_z, wald_z


def test_the_base_rate_behind_two_points_and_p_053() -> None:
    found = base_rate_for(0.053, 0.02, 520, 520)
    assert found == pytest.approx(0.0186, abs=5e-5)
    assert pooled_p(found, 0.02, 520, 520) == pytest.approx(0.053)


def test_the_same_two_points_at_other_base_rates() -> None:
    for base, p in ((0.05, 0.17), (0.20, 0.43), (0.48, 0.52)):
        assert pooled_p(base, 0.02, 520, 520) == pytest.approx(p, abs=0.006)
    for a, b, p in ((0, 10, 0.0015), (26, 36, 0.19), (104, 114, 0.45)):
        assert pooled_z(Count(a, 520), Count(b, 520)).p == pytest.approx(p, abs=0.006)


def test_no_base_rate_has_a_p_above_that_near_one_half_or_below_that_at_none() -> None:
    assert base_rate_for(0.9, 0.02, 520, 520) is None
    assert base_rate_for(1e-9, 0.02, 520, 520) is None


@pytest.mark.parametrize(("n", "m"), [(520, 520), (30, 180), (9, 4)])
def test_lines_are_the_tests_themselves_where_the_counts_are(n, m) -> None:
    gap = 2 / 4
    curve = base_curve(gap, n, m, own=None, reported=None)
    assert list(curve.base) == sorted(set(curve.base))
    for index, base in enumerate(curve.base):
        low, high = base * n, (base + gap) * m
        assert low == pytest.approx(round(low))
        if abs(high - round(high)) < 1e-9:
            a, b = Count(round(low), n), Count(round(high), m)
            assert curve.p["pooled z"][index] == pytest.approx(pooled_z(a, b).p)
            assert curve.p["Wald z"][index] == pytest.approx(wald_z(a, b).p)
            assert curve.p["Fisher exact"][index] == pytest.approx(fisher(a, b).p)


def test_the_curve_reaches_the_claim() -> None:
    assert base_curve(0.1, 100, 100, own=0.2, reported=None).base[-1] <= 0.45
    assert base_curve(0.1, 100, 100, own=0.8, reported=None).base[-1] >= 0.8
    assert "Fisher exact" not in base_curve(0.1, 10**6, 10**6, own=None, reported=None).p


@settings(max_examples=25, deadline=None)
@given(st.floats(0.001, 0.9), st.integers(1, 10**6), st.integers(1, 10**6), st.floats(1e-6, 0.99))
def test_the_base_rate_found_has_the_p_asked_for(gap, n, m, p) -> None:
    found = base_rate_for(p, gap, n, m)
    if found is not None:
        assert 0 <= found <= 1 - gap
        assert pooled_p(found, gap, n, m) == pytest.approx(p, rel=1e-4)
    for line in base_curve(gap, n, m, own=None, reported=p).p.values():
        assert all(one is None or 0 < one <= 1 for one in line)
