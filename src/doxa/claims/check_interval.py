"""A printed interval, recomputed: the standard error and the p-value that it implies."""

from collections.abc import Mapping, Sequence
from itertools import product

from scipy import special

from doxa.claims.agreement import reported_among
from doxa.claims.checked import Bounds, Stated
from doxa.claims.stated import Printed, ReportedP, StatedInterval


def stated_alone(one: StatedInterval, reported: ReportedP | None, level: float) -> Stated:
    """What an interval says by itself: se = (high - low) / 2 z, p = 2 Φ(-|value| / se), as for a normal distribution.

    Args:
        one: The interval.
        reported: The reported p-value.
        level: The level to assume where the interval has none.
    """
    used = one.level or level
    z = float(special.ndtri(0.5 + used / 2))
    width, middle = one.high.value - one.low.value, (one.low.value + one.high.value) / 2
    value = middle if one.value is None else one.value.value
    loose = (one.low.half + one.high.half) / 2
    se = width / (2 * z)
    spare = loose + (0.0 if one.value is None else one.value.half)
    values = [value - spare, value, value + spare] if one.value is None else [*one.value.ends, value]
    widths = [max(0.0, width - 2 * loose), width, width + 2 * loose]
    if min(values) <= 0 <= max(values):
        values.append(0.0)
    found = [_p(each, wide / (2 * z)) for each, wide in product(values, widths)]
    known = [each for each in found if each is not None]
    by_t = None if one.n is None else _p_by_t(value, width, used, one.n)
    agrees = None if reported is None else _agrees(known, reported) or _agrees([by_t] if by_t else [], reported)
    return Stated(
        low=one.low.value,
        high=one.high.value,
        unit=one.unit,
        level=used,
        assumed=one.level is None,
        value=value,
        se=se,
        n=one.n,
        p=_p(value, se),
        p_by_t=by_t,
        lowest=min(known, default=None),
        highest=max(known, default=None),
        agrees=agrees,
        outside=not one.low.value - spare <= value <= one.high.value + spare,
        lopsided=abs(value - middle) > spare * (1 + 1e-9),
        methods=None,
        compared=None,
    )


def stated_beside(
    one: StatedInterval, by_method: Mapping[str, Sequence[Bounds]], difference: float, level: float
) -> Stated:
    """Which methods give the printed interval of stated groups.

    Ends of a difference of rates that are printed without a unit may be shares or percentage points.

    Args:
        one: The interval.
        by_method: Method to its intervals over all numbers that agree with the stated ones, at the interval's level.
        difference: What the interval is of.
        level: The level to assume where the interval has none.
    """
    scales = (1.0, 100.0) if one.unit == "plain" else (1.0,)
    methods = tuple(
        method for method, found in by_method.items() if found and any(_same(one, found, scale) for scale in scales)
    )
    inside = any(one.low.ends[0] <= scale * difference <= one.high.ends[1] for scale in scales)
    return Stated(
        low=one.low.value,
        high=one.high.value,
        unit=one.unit,
        level=one.level or level,
        assumed=one.level is None,
        value=None,
        se=None,
        n=None,
        p=None,
        p_by_t=None,
        lowest=None,
        highest=None,
        agrees=None,
        outside=not inside,
        lopsided=False,
        methods=methods,
        compared=tuple(by_method),
    )


def _same(one: StatedInterval, found: Sequence[Bounds], scale: float) -> bool:
    """Whether the printed ends are those of a method, also for the difference the other way round."""
    lows, highs = [scale * each.low for each in found], [scale * each.high for each in found]
    ways = ((lows, highs), ([-each for each in highs], [-each for each in lows]))
    return any(_among(one.low, low) and _among(one.high, high) for low, high in ways)


def _among(end: Printed, numbers: Sequence[float]) -> bool:
    """Whether a printed end is one of several numbers or between them."""
    return end.ends[0] <= max(numbers) + 1e-12 and min(numbers) - 1e-12 <= end.ends[1]


def _agrees(p: Sequence[float], reported: ReportedP) -> bool:
    halves = [each / 2 for each in p]
    two = reported.sides != 1 and reported_among(p, reported, between=True)
    return two or (reported.sides == 1 and reported_among(halves, reported, between=True))


def _p_by_t(value: float, width: float, level: float, n: int) -> float | None:
    half = float(special.stdtrit(n - 1, 0.5 + level / 2))
    return max(1e-300, float(2 * special.stdtr(n - 1, -abs(value) * 2 * half / width))) if width > 0 else None


def _p(value: float, se: float) -> float | None:
    if se == 0:
        return None
    return max(1e-300, float(2 * special.ndtr(-abs(value) / se)))
