"""What was found about a claim: plain data, and as JSON."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from doxa.claims.stated import Unit

Kind = Literal["two rates", "one rate", "gap of rates", "two means", "one mean", "interval"]
Agreement = Literal["two-sided", "one-sided", "none"]


@dataclass(frozen=True)
class Group:
    """One group as it was computed with.

    Attributes:
        n: Observations.
        events: The count, nearest to the printed rate where it is inferred; None for means.
        fewest: The smallest count that agrees with what is stated; None for means.
        most: The largest one.
        value: Rate as a share, or mean.
        sd: Standard deviation; None for rates.
    """

    n: int
    events: int | None
    fewest: int | None
    most: int | None
    value: float
    sd: float | None


@dataclass(frozen=True)
class Recomputed:
    """One test of the claim's numbers.

    Attributes:
        name: Name of the test.
        p: Two-sided p-value of the numbers nearest to what is stated; None where the test does not exist, or depends on
            what is not stated (the discordant pairs): then there is a smallest and a largest one.
        one_sided: The p-value in the direction of the difference.
        lowest: Smallest two-sided p over all numbers that agree with what is stated; None where that was not computed.
        highest: Largest one.
        reason: Why there is no p-value.
        agrees: Whether the reported value is its two-sided or its one-sided p; None when none is reported, or it is not
            known.
    """

    name: str
    p: float | None
    one_sided: float | None
    lowest: float | None
    highest: float | None
    reason: str | None
    agrees: Agreement | None


@dataclass(frozen=True)
class Bounds:
    """An interval of the difference, or of the single value."""

    method: str
    low: float
    high: float
    level: float


@dataclass(frozen=True)
class Discordance:
    """What pairs would say if so many of them differed.

    Attributes:
        more: Pairs that differ in the direction of the difference.
        less: Pairs that differ in the other.
        p: Exact McNemar.
        bounds: Bonett-Price interval of the difference.
    """

    more: int
    less: int
    p: float
    bounds: Bounds


@dataclass(frozen=True)
class Pairing:
    """Two rates of the same items: how much depends on the pairs, which a claim of two rates does not give.

    Attributes:
        fewest: The fewest discordant pairs that are possible.
        most: The most.
        reported: Those at which exact McNemar gives the reported p; None when it never does, or none is reported.
        significant: The most discordant ones with p below .05; None when there are none.
    """

    fewest: Discordance
    most: Discordance
    reported: Discordance | None
    significant: Discordance | None


@dataclass(frozen=True)
class Correlated:
    """Two means of the same items: the paired t at a correlation of the two.

    Attributes:
        correlations: Correlations over items.
        p: The p-value at each.
        reported: The correlation at which p is the reported one; None when there is none.
    """

    correlations: tuple[float, ...]
    p: tuple[float, ...]
    reported: float | None


@dataclass(frozen=True)
class Curve:
    """The p-value against the base rate, for the same gap and the same n.

    Attributes:
        gap: Difference of the rates, as a share.
        n: Observations of the group with the lower rate.
        m: Observations of the other.
        base: Lower rates, ascending.
        p: Test to p-values, one for every base; None where a test does not exist.
        own: The claim's own base rate; None when only the gap is stated.
        needed: The base rate at which the pooled z gives the reported p; None when none does.
    """

    gap: float
    n: int
    m: int
    base: tuple[float, ...]
    p: dict[str, tuple[float | None, ...]]
    own: float | None
    needed: float | None


@dataclass(frozen=True)
class Stated:
    """What a printed interval says by itself.

    Attributes:
        low: Its lower end, as a share where it is printed in percent or points.
        high: Its upper end.
        unit: What it is printed in.
        level: Its level, stated or assumed.
        assumed: Whether the level was assumed.
        value: The estimate before it, or its middle.
        se: Standard error by a normal distribution: its width over 2 z. None next to groups, which say more.
        n: Observations that it rests on; None when they are not said.
        p: p-value against 0 from it.
        p_by_t: The same if it was made with t and n - 1 degrees of freedom; None without n.
        lowest: Smallest p over the numbers that are printed like these.
        highest: Largest.
        agrees: Whether the reported p is one of them; None when none is reported.
        outside: Whether the estimate lies outside.
        lopsided: Whether the estimate is further from the middle than rounding explains.
        methods: Methods that give this interval for the stated groups; None without groups.
        compared: All methods that were compared; None without groups.
    """

    low: float
    high: float
    unit: Unit
    level: float
    assumed: bool
    value: float | None
    se: float | None
    n: int | None
    p: float | None
    p_by_t: float | None
    lowest: float | None
    highest: float | None
    agrees: bool | None
    outside: bool
    lopsided: bool
    methods: tuple[str, ...] | None
    compared: tuple[str, ...] | None


@dataclass(frozen=True)
class Equivalence:
    """Whether "no difference" may be said: the 90 % interval against a margin that was given (two one-sided tests)."""

    margin: float
    bounds: Bounds
    holds: bool


@dataclass(frozen=True)
class Check:
    """A claim, recomputed.

    Attributes:
        claim: The claim as it was read.
        kind: What is stated.
        groups: The groups as they were computed with.
        difference: First minus second, as a share or in the units of the score; None for a single value.
        inferred: Whether a count was inferred from a printed rate.
        tables: Integer tables that agree with what is stated; None without rates.
        tried: How many of them were computed.
        contradictions: What in the claim does not fit together, in words.
        reported: The reported p in words; None when there is none.
        reported_value: Its number.
        reported_relation: `=`, `<` or `>`.
        paired: Whether the groups are paired; None when it is not said.
        tests: All tests; those that fit the design first.
        intervals: All intervals; the one to be used first.
        stated: The printed interval.
        power: Probability that a study of this size finds a difference as large, if it is the true one.
        detectable: The smallest difference found in 80 of 100 such studies.
        pairing: What pairs would say; None where they are impossible or excluded.
        correlated: The same for means.
        curve: p against the base rate.
        equivalence: Whether "no difference" may be said; None without a margin.
        level: Level of the intervals.
    """

    claim: str
    kind: Kind
    groups: tuple[Group, ...]
    difference: float | None
    inferred: bool
    tables: int | None
    tried: int | None
    contradictions: tuple[str, ...]
    reported: str | None
    reported_value: float | None
    reported_relation: Literal["=", "<", ">"] | None
    paired: bool | None
    tests: tuple[Recomputed, ...]
    intervals: tuple[Bounds, ...]
    stated: Stated | None
    power: float | None
    detectable: float | None
    pairing: Pairing | None
    correlated: Correlated | None
    curve: Curve | None
    equivalence: Equivalence | None
    level: float


def check_to_json(check: Check, findings: Sequence[str]) -> dict[str, Any]:
    """A check and its findings as JSON: missing numbers are null."""
    return {**asdict(check), "findings": list(findings)}
