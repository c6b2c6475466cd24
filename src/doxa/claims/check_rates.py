"""A claim about rates, recomputed: over every integer table that rounds to what is stated."""

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np

from doxa.claims.agreement import compared
from doxa.claims.checked import Agreement, Bounds, Discordance, Group, Pairing, Recomputed
from doxa.claims.stated import Proportion, ReportedP
from doxa.stats.boschloo import boschloo
from doxa.stats.controls import ALPHA
from doxa.stats.intervals import Interval
from doxa.stats.rates import bonett_price_of_counts, one_rate, wilson
from doxa.stats.score_interval import miettinen_nurminen, wald_corrected
from doxa.stats.two_rates import (
    Count,
    TestResult,
    agresti_caffo,
    clopper_pearson,
    exact_binomial,
    fisher,
    jeffreys,
    mcnemar_exact,
    newcombe,
    pooled_z,
    pooled_z_corrected,
    wald_interval,
    wald_of_one,
    wald_z,
    welch_t_of_counts,
)

SIDE = 20
"""Counts of a group that are tried; the smallest and the largest are among them."""
TESTS: tuple[Callable[[Count, Count], TestResult], ...] = (
    fisher,
    pooled_z,
    wald_z,
    welch_t_of_counts,
    pooled_z_corrected,
)

OF_TWO = (newcombe, agresti_caffo, wald_interval)
RECOGNISED = (*OF_TWO, miettinen_nurminen, wald_corrected)
"""Intervals of a difference that a printed one is compared with."""


def group_of(one: Proportion) -> Group | None:
    """The group with the count nearest to what is stated; None when no count rounds to the printed rate."""
    central = one.central
    if central is None:
        return None
    return Group(one.n, central, one.counts[0], one.counts[-1], central / one.n, None)


def tests_of_two(groups: tuple[Group, Group], reported: ReportedP | None) -> tuple[tuple[Recomputed, ...], int]:
    """Every test of two unpaired rates, and how many tables were computed.

    Boschloo's test is made of the nearest table alone.
    """
    a, b = (_count(one) for one in groups)
    tables = [(Count(x, a.n), Count(y, b.n)) for x, y in product(*(_tried(one) for one in groups))]
    nearest = boschloo(a, b)
    exact = compared(nearest, None if len(tables) > 1 else [nearest], reported)
    others = [compared(test(a, b), [test(x, y) for x, y in tables], reported) for test in TESTS]
    return (exact, *others), len(tables)


def intervals_of_two(groups: tuple[Group, Group], level: float) -> tuple[Bounds, ...]:
    """Newcombe first; Wald last, to recognise it."""
    a, b = (_count(one) for one in groups)
    return tuple(bounds_of(method(a, b, level=level), level) for method in OF_TWO)


def tests_of_one(group: Group, reported: ReportedP | None) -> tuple[Recomputed, ...]:
    """The exact binomial test against one half; only where a p is reported, which must be against some number."""
    if reported is None:
        return ()
    results = [exact_binomial(Count(events, group.n), 0.5) for events in _tried(group)]
    return (compared(exact_binomial(_count(group), 0.5), results, reported),)


def intervals_of_one(group: Group, level: float) -> tuple[Bounds, ...]:
    """The modified Wilson interval first, as in reports; then the exact one, Jeffreys' and Wilson's."""
    one = _count(group)
    found = (
        one_rate(one.events, one.n, level=level),
        clopper_pearson(one, level=level),
        jeffreys(one, level=level),
        wilson(one.events, one.n, level=level),
    )
    return tuple(bounds_of(each, level) for each in found)


def intervals_by_method(groups: tuple[Group, ...], level: float, *, paired: bool = False) -> dict[str, list[Bounds]]:
    """Every interval of every table that agrees with what is stated, to recognise a printed one.

    Args:
        groups: One group or two.
        level: Level of the interval.
        paired: Whether the two may be pairs; then there are those of the fewest and the most discordant pairs too.
    """
    found: dict[str, list[Bounds]] = {}
    for events in product(*(_tried(one) for one in groups)):
        counts = [Count(k, one.n) for k, one in zip(events, groups, strict=True)]
        if len(counts) == 2:
            intervals = [method(*counts, level=level) for method in RECOGNISED]
        else:
            intervals = [method(counts[0], level=level) for method in (clopper_pearson, jeffreys, wald_of_one)]
            intervals += [method(counts[0].events, counts[0].n, level=level) for method in (one_rate, wilson)]
        for one in intervals:
            found.setdefault(one.method, []).append(bounds_of(one, level))
    if paired and len(groups) == 2 and groups[0].n == groups[1].n:
        first, second = groups
        for a, b in product(_tried(first), _tried(second)):
            both = max(0, a + b - first.n)
            for same in (min(a, b), both):
                pairs = bonett_price_of_counts(a - same, b - same, first.n, level=level)
                found.setdefault("Bonett-Price for pairs", []).append(bounds_of(pairs, level))
    return found


def pairing_of(groups: tuple[Group, Group], reported: ReportedP | None, level: float) -> Pairing | None:
    """What pairs would say; None when they are impossible or the rates are equal.

    With `less` pairs against the difference and `less + D` with it, exact McNemar's p rises with `less`. How many there
    are depends on how many items show the behaviour in both groups, from all that can to as few as must.
    """
    a, b = (_count(one) for one in groups)
    gap = abs(a.events - b.events)
    if a.n != b.n or gap == 0:
        return None
    n, fewer = a.n, min(a.events, b.events)
    most = fewer - max(0, a.events + b.events - n)
    sign = 1 if a.events > b.events else -1

    def at(less: int) -> Discordance:
        more = less + gap
        pair = (more, less) if sign > 0 else (less, more)
        p = mcnemar_exact(*pair).p
        assert p is not None
        return Discordance(more, less, p, bounds_of(bonett_price_of_counts(*pair, n, level=level), level))

    significant = _last(most, lambda less: at(less).p < ALPHA)
    return Pairing(
        fewest=at(0),
        most=at(most),
        reported=None if reported is None else _reported_at(at, most, reported),
        significant=None if significant is None else at(significant),
    )


def most_discordant(groups: tuple[Group, Group], level: float) -> Bounds:
    """The interval of pairs with as many discordant ones as are possible, the widest; also of equal rates."""
    a, b = (_count(one) for one in groups)
    both = max(0, a.events + b.events - a.n)
    found = bonett_price_of_counts(a.events - both, b.events - both, a.n, level=level)
    return bounds_of(found, level)


def mcnemar_of(pairing: Pairing, reported: ReportedP | None) -> Recomputed:
    """Exact McNemar over the discordant pairs that are possible; a single p where there is one possibility."""
    ends = (pairing.fewest, pairing.most)
    agrees: Agreement | None = None
    if reported is not None:
        fits = pairing.reported is not None or any(reported.agrees(one.p) for one in ends)
        agrees = "two-sided" if fits and reported.sides != 1 else "none"
    only = pairing.fewest.p if pairing.fewest == pairing.most else None
    return Recomputed("exact McNemar", only, None, pairing.fewest.p, pairing.most.p, None, agrees)


def bounds_of(found: Interval, level: float) -> Bounds:
    """An interval that is known to exist."""
    assert found.low is not None
    assert found.high is not None
    return Bounds(found.method, found.low, found.high, level)


def _reported_at(at: Callable[[int], Discordance], most: int, reported: ReportedP) -> Discordance | None:
    """The discordance whose p is reported, the nearest of them; only an exact p picks one."""
    if reported.relation != "=" or reported.sides == 1:
        return None
    below = _last(most, lambda less: at(less).p <= reported.value)
    near = [at(less) for less in (below, 0 if below is None else below + 1) if less is not None and less <= most]
    fitting = [one for one in near if reported.agrees(one.p)]
    return min(fitting, key=lambda one: abs(one.p - reported.value), default=None)


def _last(most: int, holds: Callable[[int], bool]) -> int | None:
    """The largest whole number up to `most` with a property that holds from 0 up to some number; None when never."""
    low, high = -1, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low if low >= 0 else None


def _count(group: Group) -> Count:
    assert group.events is not None
    return Count(group.events, group.n)


def _tried(group: Group) -> Sequence[int]:
    """Counts between the fewest and the most; all of them, or so many that are evenly spaced."""
    assert group.fewest is not None
    assert group.most is not None
    steps = min(SIDE, group.most - group.fewest + 1)
    return sorted({int(one) for one in np.linspace(group.fewest, group.most, steps).round()})
