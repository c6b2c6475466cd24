import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from doxa.stats.ordinal import brunner_munzel

SCORES = st.lists(st.integers(1, 10), min_size=6, max_size=30).map(lambda values: np.array(values, dtype=float))


def test_the_test_is_scipys() -> None:
    generator = np.random.default_rng(0)
    x, y = generator.integers(1, 11, 14).astype(float), generator.integers(2, 9, 20).astype(float)
    found = brunner_munzel(x, y)
    expected = stats.brunnermunzel(x, y)
    assert found.p == pytest.approx(expected.pvalue, abs=1e-9)
    pairs = (x[:, None] > y).mean() + (x[:, None] == y).mean() / 2
    assert found.value == pytest.approx(pairs)


@settings(max_examples=60, deadline=None)
@given(SCORES, SCORES)
def test_swapping_the_arms_turns_it_round(x: np.ndarray, y: np.ndarray) -> None:
    one, other = brunner_munzel(x, y), brunner_munzel(y, x)
    assert one.value == pytest.approx(1 - (other.value or 0.0))
    if one.low is not None:
        assert one.low <= one.value <= one.high  # type: ignore[operator]
        assert one.low == pytest.approx(1 - other.high)  # type: ignore[operator]


def test_samples_that_do_not_overlap_have_no_interval() -> None:
    found = brunner_munzel(np.arange(6.0), np.arange(6.0) + 9)
    assert (found.value, found.low, found.p, found.flags) == (0.0, None, None, ("no_overlap",))
    assert brunner_munzel(np.full(6, 3.0), np.full(6, 3.0)).flags == ("all_equal",)
    assert brunner_munzel(np.arange(2.0), np.arange(6.0)).flags == ("no_interval", "no_p")
    assert brunner_munzel(np.array([]), np.arange(6.0)).value is None
    assert brunner_munzel(np.arange(4.0), np.arange(6.0)).p is None
