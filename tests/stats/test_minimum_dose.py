import pytest

from doxa.stats.margin import UNKNOWN, Sides
from doxa.stats.minimum_dose import SHOWN, MinimumDose, minimum_dose

DOSES = (0.1, 0.2, 0.4, 0.8)
BELOW, ABOVE, OPEN = Sides(0.999, 0.001), Sides(0.001, 0.999), Sides(0.5, 0.5)


def found(*sides: Sides, level: float = 0.95) -> tuple[float, float | None]:
    one = minimum_dose(DOSES, sides, level=level)
    assert (one.doses, one.margin, one.level) == (DOSES, 0.2, level)
    return one.low, one.high


@pytest.mark.parametrize(
    ("sides", "expected"),
    [
        ((BELOW, BELOW, ABOVE, ABOVE), (0.2, 0.4)),
        ((BELOW, BELOW, ABOVE, BELOW), (0.2, 0.4)),  # it need not grow
        ((BELOW, OPEN, BELOW, ABOVE), (0.1, 0.8)),  # what is open may be where it begins
        ((OPEN, OPEN, OPEN, OPEN), (0.0, None)),
        ((BELOW, BELOW, BELOW, BELOW), (0.8, None)),
        ((ABOVE, BELOW, BELOW, BELOW), (0.0, 0.1)),
        ((UNKNOWN, BELOW, ABOVE, ABOVE), (0.0, 0.4)),
        ((BELOW, UNKNOWN, UNKNOWN, UNKNOWN), (0.1, None)),
        ((ABOVE, ABOVE, ABOVE, ABOVE), (0.0, 0.1)),
    ],
)
def test_the_interval(sides: tuple[Sides, ...], expected: tuple[float, float | None]) -> None:
    assert found(*sides) == expected


def test_one_rate_in_doubt_is_tested_at_the_whole_error_and_several_share_it() -> None:
    hardly = Sides(0.04, 0.96)
    assert found(BELOW, BELOW, hardly, ABOVE) == (0.2, 0.4)  # nothing else speaks against 0.8
    assert found(BELOW, OPEN, hardly, ABOVE) == (0.1, 0.8)  # two are in doubt: .08
    assert found(BELOW, OPEN, Sides(0.02, 0.98), ABOVE) == (0.1, 0.4)
    assert found(BELOW, BELOW, hardly, ABOVE, level=0.99) == (0.2, 0.8)


def test_what_is_shown_to_hold_does_not_count() -> None:
    hardly = Sides(0.03, 0.97)
    assert found(Sides(1 - SHOWN, SHOWN), BELOW, hardly, ABOVE) == (0.2, 0.4)
    almost = SHOWN + 1e-6
    assert found(Sides(1 - almost, almost), BELOW, hardly, ABOVE) == (0.2, 0.8)


def test_an_interval_is_never_empty() -> None:
    """Every place is rejected, by errors or by rates that differ from item to item: the least rejected is left."""
    both = Sides(0.03, 0.04)
    assert minimum_dose([0.1], [both]) == MinimumDose(0.0, 0.1, (0.1,), 0.2, 0.95)


@pytest.mark.parametrize("doses", [(), (0.2, 0.1), (0.1, 0.1), (0.0, 0.1), (-0.1, 0.2)])
def test_doses_ascend_from_above_0(doses: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="ascend"):
        minimum_dose(doses, [OPEN] * len(doses))


def test_there_is_a_test_for_each_dose() -> None:
    with pytest.raises(ValueError, match="one for each"):
        minimum_dose(DOSES, [OPEN])
