"""The test of two independent rates: Boschloo's where it can be computed, the pooled z beyond."""

from collections.abc import Sequence
from dataclasses import replace

from doxa.stats.boschloo import boschloo
from doxa.stats.intervals import Interval
from doxa.stats.two_rates import Count, pooled_z

MOST_FOR_BOSCHLOO = 2000
"""Observations of both arms together, beyond which the pooled z is as good."""


def with_exact_test(found: Interval, counts: Sequence[Count], weights: Sequence[float]) -> Interval:
    """The same interval with the p of the test, where it is a plain difference of two rates.

    Args:
        found: Their interval.
        counts: Of the two rates.
        weights: Opposite ones for a difference; anything else keeps its own p.

    Source: Boschloo 1970; the decision table of `doxa.stats.design`.
    """
    if len(weights) != 2 or weights[0] != -weights[1]:
        return found
    few = sum(one.n for one in counts) <= MOST_FOR_BOSCHLOO
    tried = boschloo(*counts) if few else pooled_z(*counts)
    if tried.p is None:
        return replace(found, p=1.0 if counts[0].rate == counts[1].rate else None)
    return replace(found, p=tried.p, method=f"{found.method}, {'Boschloo' if few else 'pooled z'}")
