"""Recompute a published claim."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from scipy import special

from doxa.claims.base_rates import base_curve
from doxa.claims.check_interval import stated_alone, stated_beside
from doxa.claims.check_means import (
    correlated_of,
    group_of_mean,
    interval_of_means,
    intervals_by_method_of_means,
    power_of_means,
    tests_of_means,
)
from doxa.claims.check_rates import (
    group_of,
    intervals_by_method,
    intervals_of_one,
    intervals_of_two,
    mcnemar_of,
    most_discordant,
    pairing_of,
    tests_of_one,
    tests_of_two,
)
from doxa.claims.checked import Bounds, Check, Equivalence, Group, Kind, Pairing, Stated, check_to_json
from doxa.claims.claims import Claim
from doxa.claims.findings import FEW, findings
from doxa.claims.stated import Mean, Printed, Proportion, ReportedP
from doxa.planning.checks import MOST
from doxa.planning.planned import POWER, effect_of, power_of
from doxa.planning.rates import PairedRates, TwoRates
from doxa.stats.controls import ALPHA
from doxa.words.errors import ClaimError

__all__ = ["check_claim", "check_to_json", "findings"]


def check_claim(claim: Claim) -> Check:
    """Recompute a claim: which tests give the reported value, the honest interval, and what the numbers can carry.

    Args:
        claim: What `doxa.claims.claims.parse_claim` reads.

    Raises:
        ClaimError: When a margin is given and there is no difference that it could be about.
    """
    if claim.margin is not None and (len(claim.groups) == 1 or claim.gap is not None):
        raise ClaimError(
            "a margin beside a single value, or a difference without its rates",
            expected="two groups, or an interval of their difference",
            way_out="Leave --margin out, or give both groups",
        )
    first = claim.groups[0] if claim.groups else None
    if isinstance(first, Proportion):
        return _check_rates(claim, tuple(one for one in claim.groups if isinstance(one, Proportion)))
    if isinstance(first, Mean):
        return _check_means(claim, tuple(one for one in claim.groups if isinstance(one, Mean)))
    empty = _empty(claim)
    if claim.gap is not None:
        gap = claim.gap
        return replace(
            empty,
            kind="gap of rates",
            difference=gap.gap.value,
            curve=base_curve(abs(gap.gap.value), gap.n, gap.m, own=None, reported=_exact(claim.reported)),
            stated=None if claim.interval is None else stated_alone(claim.interval, claim.reported, claim.level),
        )
    assert claim.interval is not None
    stated = stated_alone(claim.interval, claim.reported, claim.level)
    return replace(empty, stated=stated, equivalence=_equivalence_of_interval(claim.margin, stated))


def _check_rates(claim: Claim, stated: tuple[Proportion, ...]) -> Check:
    groups = tuple(group for one in stated if (group := group_of(one)) is not None)
    if len(groups) < len(stated):
        missing = tuple(_no_count(one) for one in stated if not one.counts)
        kind: Kind = "two rates" if len(stated) == 2 else "one rate"
        return replace(_empty(claim), kind=kind, inferred=True, tables=0, contradictions=missing)
    contradictions = tuple(_contradiction(one) for one in stated if one.contradicts)
    inferred = any(one.events is None for one in stated)
    tables = 1
    for one in groups:
        assert one.fewest is not None
        assert one.most is not None
        tables *= one.most - one.fewest + 1
    empty = replace(_empty(claim), groups=groups, tables=tables, inferred=inferred, contradictions=contradictions)
    if len(groups) == 1:
        intervals = intervals_of_one(groups[0], claim.level)
        found = replace(
            empty,
            kind="one rate",
            tests=tests_of_one(groups[0], claim.reported),
            tried=tables,
            intervals=intervals,
        )
        return _with_interval(found, claim, partial(intervals_by_method, groups), groups[0].value)
    a, b = groups
    tests, tried = tests_of_two((a, b), claim.reported)
    intervals = intervals_of_two((a, b), claim.level)
    pairing = None if claim.paired is False else pairing_of((a, b), claim.reported, claim.level)
    if claim.paired:
        intervals = (most_discordant((a, b), claim.level), *intervals)
    if claim.paired and pairing is not None:
        tests = (mcnemar_of(pairing, claim.reported), *tests)
    lower, upper = sorted((a, b), key=lambda one: one.value)
    gap = upper.value - lower.value
    # The normal approximation of the power does not hold for few, and more than planning knows need no planning.
    planned = min(lower.n, upper.n) > FEW and max(lower.n, upper.n) <= MOST
    design = TwoRates(lower.value, upper.n, lower.n) if planned and not claim.paired else None
    found = replace(
        empty,
        kind="two rates",
        difference=a.value - b.value,
        tests=tests,
        tried=tried,
        intervals=intervals,
        power=None if design is None or gap == 0 else power_of(design, gap),
        detectable=effect_of(design, POWER) if design is not None else _of_pairs(pairing, lower.n) if planned else None,
        pairing=pairing,
        curve=base_curve(gap, lower.n, upper.n, own=lower.value, reported=_exact(claim.reported))
        if 0 < gap < 1
        else None,
        equivalence=_equivalence_of_rates(claim, (a, b)),
    )
    by_method = partial(intervals_by_method, groups, paired=claim.paired is not False)
    return _with_interval(found, claim, by_method, a.value - b.value)


def _check_means(claim: Claim, stated: tuple[Mean, ...]) -> Check:
    groups = tuple(group_of_mean(one) for one in stated)
    intervals = _marked(interval_of_means(groups, claim.level), claim)
    by_method = partial(intervals_by_method_of_means, stated)
    empty = replace(
        _empty(claim), groups=groups, tests=tests_of_means(stated, claim.reported), intervals=intervals, kind="one mean"
    )
    if len(groups) == 1:
        return _with_interval(empty, claim, by_method, groups[0].value)
    a, b = groups
    power, detectable = power_of_means((a, b), paired=bool(claim.paired))
    found = replace(
        empty,
        kind="two means",
        difference=a.value - b.value,
        power=None if a.value == b.value else power,
        detectable=detectable,
        correlated=None if claim.paired is False else correlated_of((a, b), claim.reported),
        equivalence=_equivalence(claim.margin, _marked(interval_of_means(groups, 1 - 2 * ALPHA), claim)),
    )
    return _with_interval(found, claim, by_method, a.value - b.value)


def _marked(intervals: tuple[Bounds, ...], claim: Claim) -> tuple[Bounds, ...]:
    """Pairs need their correlation; without it there is the interval of unpaired groups, which says so."""
    if not claim.paired:
        return intervals
    return tuple(replace(one, method=f"{one.method}, as if unpaired") for one in intervals)


def _empty(claim: Claim) -> Check:
    reported = claim.reported
    return Check(
        claim=claim.text,
        kind="interval",
        groups=(),
        difference=None,
        inferred=False,
        tables=None,
        tried=None,
        contradictions=(),
        reported=None if reported is None else reported.words,
        reported_value=None if reported is None else reported.value,
        reported_relation=None if reported is None else reported.relation,
        paired=claim.paired,
        tests=(),
        intervals=(),
        stated=None,
        power=None,
        detectable=None,
        pairing=None,
        correlated=None,
        curve=None,
        equivalence=None,
        level=claim.level,
    )


def _with_interval(
    check: Check, claim: Claim, by_method: Callable[[float], dict[str, list[Bounds]]], difference: float
) -> Check:
    if claim.interval is None:
        return check
    intervals = by_method(claim.interval.level or claim.level)
    return replace(check, stated=stated_beside(claim.interval, intervals, difference, claim.level))


def _no_count(one: Proportion) -> str:
    assert one.rate is not None
    below = int(one.n * one.rate.value)
    around = ", ".join(f"{k:,} is {_exactly(k / one.n, one.rate)}" for k in (below, below + 1) if k <= one.n)
    return (
        f"No count of {one.n:,} rounds to {100 * one.rate.value:g} %: {around}. Its n is another one, or it is an "
        "average over runs or groups; nothing can be recomputed from it."
    )


def _contradiction(one: Proportion) -> str:
    assert one.events is not None
    assert one.rate is not None
    exact = _exactly(one.events / one.n, one.rate)
    return f"{one.events:,}/{one.n:,} is {exact}, which does not round to the {100 * one.rate.value:g} % beside it."


def _exactly(share: float, stated: Printed) -> str:
    """A share in percent with two more decimals than the stated one, so that it shows which way it rounds."""
    decimals = max(0, round(-math.log10(200 * stated.half))) + 2
    return f"{100 * share:.{min(decimals, 12)}f} %"


def _of_pairs(pairing: Pairing | None, n: int) -> float | None:
    """The smallest difference that is found with as many discordant pairs as are possible."""
    if pairing is None:
        return None
    return effect_of(PairedRates((pairing.most.more + pairing.most.less) / n, n), POWER)


def _equivalence_of_rates(claim: Claim, groups: tuple[Group, Group]) -> Equivalence | None:
    level = 1 - 2 * ALPHA
    bounds = most_discordant(groups, level) if claim.paired else intervals_of_two(groups, level)[0]
    return _equivalence(None if claim.margin is None else claim.margin / 100, (bounds,))


def _equivalence_of_interval(margin: float | None, stated: Stated) -> Equivalence | None:
    """The 90 % interval that follows from a printed one, as for a normal distribution."""
    if margin is None or stated.se is None or stated.value is None:
        return None
    half = float(special.ndtri(1 - ALPHA)) * stated.se
    bounds = Bounds("from the printed one", stated.value - half, stated.value + half, 1 - 2 * ALPHA)
    return _equivalence(margin if stated.unit == "plain" else margin / 100, (bounds,))


def _equivalence(margin: float | None, bounds: tuple[Bounds, ...]) -> Equivalence | None:
    if margin is None or not bounds:
        return None
    return Equivalence(margin, bounds[0], bool(-margin < bounds[0].low and bounds[0].high < margin))


def _exact(reported: ReportedP | None) -> float | None:
    return reported.value if reported is not None and reported.relation == "=" and reported.sides != 1 else None
