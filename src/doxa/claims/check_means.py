"""A claim about means, recomputed: over every mean and standard deviation that is printed like the stated ones."""

import math
from itertools import product

from scipy import optimize, special

from doxa.claims.agreement import compared
from doxa.claims.checked import Bounds, Correlated, Group, Recomputed
from doxa.claims.stated import Mean, Printed, ReportedP
from doxa.planning.planned import POWER
from doxa.stats.controls import ALPHA
from doxa.stats.noncentral import power_of_t
from doxa.stats.two_rates import TestResult

EQUAL = "the standard deviations are 0: every observation is the same"
MOST_SHIFT = 100.0
"""Noncentrality that is found for certain, also with 1 degree of freedom."""
CORRELATIONS = (0.0, 0.5, 0.9)


def group_of_mean(one: Mean) -> Group:
    """The group with its numbers as printed."""
    return Group(one.n, None, None, None, one.mean.value, one.sd.value)


def tests_of_means(means: tuple[Mean, ...], reported: ReportedP | None) -> tuple[Recomputed, ...]:
    """Welch's t, Student's t and z of two means; t and z of one mean against 0, only where a p is reported."""
    if len(means) == 1 and reported is None:
        return ()
    kinds = ("Welch t", "Student t", "z") if len(means) == 2 else ("t", "z")
    every = _every(means)
    found = []
    for kind in kinds:
        central = _test(kind, means, tuple((one.mean.value, one.sd.value) for one in means))
        found.append(compared(central, [_test(kind, means, values) for values in every], reported, between=True))
    return tuple(found)


def interval_of_means(groups: tuple[Group, ...], level: float) -> tuple[Bounds, ...]:
    """Welch's interval of the difference, or t of the single mean; none when nothing varies."""
    value, se, df = _spread(groups)
    if se == 0:
        return ()
    method = "Welch t" if len(groups) == 2 else "t"
    half = float(special.stdtrit(df, 0.5 + level / 2)) * se
    return (Bounds(method, value - half, value + half, level),)


def intervals_by_method_of_means(means: tuple[Mean, ...], level: float) -> dict[str, list[Bounds]]:
    """Intervals over the extremes of what the numbers stand for, to recognise a printed one."""
    z = float(special.ndtri(0.5 + level / 2))
    found: dict[str, list[Bounds]] = {}
    for values in _every(means):
        groups = _groups(means, values)
        for bounds in interval_of_means(groups, level):
            value, se, _ = _spread(groups)
            found.setdefault(bounds.method, []).append(bounds)
            found.setdefault("z", []).append(Bounds("z", value - z * se, value + z * se, level))
            if len(groups) == 2:
                equal, df = _pooled(groups)
                half = float(special.stdtrit(df, 0.5 + level / 2)) * equal
                found.setdefault("Student t", []).append(Bounds("Student t", value - half, value + half, level))
    return found


def power_of_means(groups: tuple[Group, Group], *, paired: bool) -> tuple[float | None, float | None]:
    """Power at the claim's own difference, and the difference with a power of .8: noncentral t.

    Args:
        groups: The two groups; their standard deviations are taken as the true ones.
        paired: Pairs need their correlation, which is not stated: then there is no answer.

    Returns:
        Power and smallest difference; None for what is not known.
    """
    value, se, df = _spread(groups)
    if se == 0 or paired:
        return None, None
    shift = float(optimize.brentq(lambda one: power_of_t(df, one, ALPHA) - POWER, 0.0, MOST_SHIFT))
    return power_of_t(df, min(abs(value) / se, MOST_SHIFT), ALPHA), shift * se


def correlated_of(groups: tuple[Group, Group], reported: ReportedP | None) -> Correlated | None:
    """The paired t at several correlations of the two scores over items; None when pairs are impossible."""
    a, b = groups
    assert a.sd is not None
    assert b.sd is not None
    difference = abs(a.value - b.value)
    if a.n != b.n or difference == 0 or a.sd * b.sd == 0:
        return None

    def p(correlation: float) -> float:
        assert a.sd is not None
        assert b.sd is not None
        sd = math.sqrt(max(0.0, a.sd**2 + b.sd**2 - 2 * correlation * a.sd * b.sd))
        return max(1e-300, float(2 * special.stdtr(a.n - 1, -difference / sd * math.sqrt(a.n)))) if sd else 1e-300

    needed = None
    if reported is not None and reported.relation == "=" and reported.sides != 1 and reported.value < 1:
        t = -float(special.stdtrit(a.n - 1, reported.value / 2))
        sd = difference * math.sqrt(a.n) / t
        correlation = (a.sd**2 + b.sd**2 - sd**2) / (2 * a.sd * b.sd)
        needed = correlation if -1 <= correlation <= 1 else None
    return Correlated(CORRELATIONS, tuple(p(one) for one in CORRELATIONS), needed)


def _spread(groups: tuple[Group, ...]) -> tuple[float, float, float]:
    """Difference (or value), standard error and Welch-Satterthwaite degrees of freedom."""
    values = [one.value for one in groups]
    parts = [(one.sd or 0.0) ** 2 / one.n for one in groups]
    value = values[0] - values[1] if len(groups) == 2 else values[0]
    variance = sum(parts)
    if variance == 0:
        return value, 0.0, math.nan
    df = variance**2 / sum(part**2 / (one.n - 1) for part, one in zip(parts, groups, strict=True))
    return value, math.sqrt(variance), df


def _pooled(groups: tuple[Group, ...]) -> tuple[float, float]:
    """Standard error of the difference with one standard deviation for both, and its degrees of freedom."""
    df = float(sum(one.n for one in groups) - 2)
    pooled = sum((one.n - 1) * (one.sd or 0.0) ** 2 for one in groups) / df
    return math.sqrt(pooled * sum(1 / one.n for one in groups)), df


def _test(kind: str, means: tuple[Mean, ...], values: tuple[tuple[float, float], ...]) -> TestResult:
    groups = _groups(means, values)
    value, se, df = _spread(groups)
    if kind == "Student t":
        se, df = _pooled(groups)
    name = kind if len(means) == 2 else f"{kind} against 0"
    if se == 0:
        return TestResult(name, None, reason=EQUAL)
    ratio = -abs(value) / se
    tail = max(1e-300, float(special.ndtr(ratio) if kind == "z" else special.stdtr(df, ratio)))
    return TestResult(name, 2 * tail, tail)


def _groups(means: tuple[Mean, ...], values: tuple[tuple[float, float], ...]) -> tuple[Group, ...]:
    return tuple(Group(one.n, None, None, None, mean, sd) for one, (mean, sd) in zip(means, values, strict=True))


def _every(means: tuple[Mean, ...]) -> list[tuple[tuple[float, float], ...]]:
    """Mean and SD of every group: the middle and the ends of what they stand for."""
    ends = [product(_three(one.mean), _three(one.sd, floor=0.0)) for one in means]
    every = [tuple(one) for one in product(*ends)]
    if (same := _in_common(means)) is not None:  # means that are printed like these can be equal
        every.append(tuple((same, one.sd.value) for one in means))
    return every


def _three(one: Printed, *, floor: float = -math.inf) -> tuple[float, float, float]:
    return max(floor, one.ends[0]), one.value, one.ends[1]


def _in_common(means: tuple[Mean, ...]) -> float | None:
    """A value that both means are printed for (of one mean: 0, its null); None when there is none."""
    ends = [one.mean.ends for one in means] + ([(0.0, 0.0)] if len(means) == 1 else [])
    low, high = max(low for low, _ in ends), min(high for _, high in ends)
    return (low + high) / 2 if low <= high else None
