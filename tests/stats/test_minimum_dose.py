import pytest

from doxa.stats.minimum_dose import Bounds, MinimumDose, minimum_dose

DOSES = (0.1, 0.2, 0.4, 0.8)


def found(*ends: tuple[float | None, float | None], asked: list[float] | None = None) -> tuple[float, float | None]:
    def interval(place: int, level: float) -> tuple[float | None, float | None]:
        if asked is not None:
            asked.append(level)
        return ends[place]

    one = minimum_dose(DOSES, interval)
    assert (one.doses, one.margin, one.level) == (DOSES, 0.2, 0.95)
    return one.low, one.high


NONE, BELOW, ABOVE, OPEN = (None, None), (-0.1, 0.1), (0.5, 0.9), (0.0, 0.5)


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ((BELOW, BELOW, ABOVE, ABOVE), (0.2, 0.4)),
        ((BELOW, BELOW, ABOVE, BELOW), (0.2, 0.4)),  # it need not grow
        ((BELOW, OPEN, BELOW, ABOVE), (0.1, 0.8)),  # what is open ends the sequence
        ((OPEN, OPEN, OPEN, OPEN), (0.0, None)),
        ((BELOW, BELOW, BELOW, BELOW), (0.8, None)),
        ((ABOVE, BELOW, BELOW, BELOW), (0.0, 0.1)),
        ((NONE, BELOW, ABOVE, ABOVE), (0.0, 0.4)),
        ((BELOW, NONE, NONE, NONE), (0.1, None)),
        (((0.19, 0.2), BELOW, BELOW, BELOW), (0.0, None)),  # an end at the margin shows nothing
        (((0.2, 0.5), BELOW, BELOW, BELOW), (0.0, None)),
    ],
)
def test_the_interval(ends: tuple[Bounds, ...], expected: tuple[float, float | None]) -> None:
    assert found(*ends) == expected


def test_an_error_is_shared_between_the_ends_for_every_strength_that_may_be_the_threshold() -> None:
    levels: list[float] = []
    found(BELOW, BELOW, ABOVE, ABOVE, asked=levels)
    below, above = [(1 - one) / 2 for one in levels[:3]], [(1 - one) / 2 for one in levels[3:]]
    assert above == [pytest.approx(0.05 / 8)] * 3  # one of four strengths is picked
    for place, one in enumerate(below):  # the strength's own test, and those of the smaller ones
        assert one + place * 0.05 / 8 == pytest.approx(0.05)


def test_an_interval_at_two_levels_never_contradicts_itself() -> None:
    def interval(place: int, level: float) -> tuple[float, float]:
        return (0.3, 0.1) if place == 1 else (-0.1, 0.1)

    assert minimum_dose(DOSES, interval) == MinimumDose(0.1, 0.2, DOSES, 0.2, 0.95)


@pytest.mark.parametrize("doses", [(), (0.2, 0.1), (0.1, 0.1), (0.0, 0.1), (-0.1, 0.2)])
def test_doses_ascend_from_above_0(doses: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="ascend"):
        minimum_dose(doses, lambda *_: BELOW)
