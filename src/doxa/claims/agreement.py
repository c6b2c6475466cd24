"""Whether a test gives the reported value: over every number that is printed like the stated ones."""

from collections.abc import Sequence

from doxa.claims.checked import Agreement, Recomputed
from doxa.claims.stated import ReportedP
from doxa.stats.two_rates import TestResult


def compared(
    central: TestResult, others: Sequence[TestResult] | None, reported: ReportedP | None, *, between: bool = False
) -> Recomputed:
    """A test of the numbers nearest to what is stated, with its range over all that agree with it.

    Args:
        central: The test of the nearest numbers.
        others: The test of every number that agrees, or of their extremes; None when that was not computed.
        reported: The reported p-value.
        between: Whether everything between the smallest and the largest p is possible too: numbers that are measured,
            not counted.
    """
    every = [central] if others is None else list(others)
    found = [one.p for one in every if one.p is not None]
    agrees = None if reported is None or not found else _agreement(every, reported, between)
    if agrees != "two-sided" and others is None:
        agrees = None  # other numbers that are printed like these may give it
    return Recomputed(
        name=central.name,
        p=central.p,
        one_sided=central.one_sided,
        lowest=min(found) if found and others is not None else None,
        highest=max(found) if found and others is not None else None,
        reason=central.reason,
        agrees=agrees,
    )


def _agreement(results: Sequence[TestResult], reported: ReportedP, between: bool) -> Agreement:
    """Whether one of the results is the reported p, taken two-sided first.

    A claim that says how many sides its test has is compared with those alone. A p that exceeds a bound one-sided
    exceeds it two-sided as well.
    """
    two = reported_among([one.p for one in results if one.p is not None], reported, between=between)
    one_sided = reported_among(
        [one.one_sided for one in results if one.one_sided is not None], reported, between=between
    )
    if two and reported.sides != 1:
        return "two-sided"
    return "one-sided" if one_sided and reported.sides != 2 else "none"


def reported_among(p: Sequence[float], reported: ReportedP, *, between: bool) -> bool:
    """Whether a reported p is one of several, or lies between them."""
    if any(reported.agrees(one) for one in p):
        return True
    return between and bool(p) and reported.relation == "=" and min(p) < reported.value < max(p)
