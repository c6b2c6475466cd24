"""Numbers as a paper prints them: with so many decimals, so that what they stand for is a range and not a point."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from doxa.stats.two_rates import MOST_OBSERVATIONS, Count
from doxa.words.errors import ClaimError
from doxa.words.numbers import MINUS

Relation = Literal["=", "<", ">"]
Unit = Literal["percent", "points", "plain"]
TOUCH = 1 + 1e-9
"""Half of the last decimal belongs to both of its neighbours: papers round halves up, down and to even."""


@dataclass(frozen=True)
class Printed:
    """A number as it was printed.

    Attributes:
        value: The number.
        half: Half of its last decimal: 0.0005 for 5.0 %, which is 0.050.
    """

    value: float
    half: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.value) or abs(self.value) > 1e15:
            raise ClaimError(f"the number {self.value}", expected="a finite number", way_out="Correct the claim")

    @property
    def ends(self) -> tuple[float, float]:
        """The smallest and the largest number that are printed like this."""
        return self.value - self.half, self.value + self.half

    def stands_for(self, number: float) -> bool:
        """Whether a number is printed like this."""
        return abs(number - self.value) <= self.half * TOUCH


@dataclass(frozen=True)
class Proportion:
    """A rate as it is stated: a count, a printed rate, or both.

    Attributes:
        n: Observations.
        events: How many of them showed the behaviour; None when only the rate is printed.
        rate: The printed rate, as a share; None when only the count is printed.
    """

    n: int
    events: int | None
    rate: Printed | None

    def __post_init__(self) -> None:
        Count(0 if self.events is None else self.events, self.n)
        if self.events is None and self.rate is None:
            raise ClaimError("a rate without a number", way_out="Give a count such as 14/520, or a rate")
        if self.rate is not None and not 0 <= self.rate.value <= 1:
            raise ClaimError(
                f"a rate of {100 * self.rate.value:g} %",
                expected="a rate from 0 to 100 %",
                way_out="Correct the rate of the claim",
            )

    @property
    def counts(self) -> range:
        """Every count that agrees with what is stated; empty when none rounds to the printed rate."""
        if self.events is not None:
            return range(self.events, self.events + 1)
        assert self.rate is not None
        value, half = Fraction(repr(self.rate.value)), Fraction(repr(self.rate.half))
        first, last = math.ceil(self.n * (value - half)), math.floor(self.n * (value + half))
        return range(max(0, first), min(self.n, last) + 1)

    @property
    def central(self) -> int | None:
        """The count that is nearest to what is stated; None when none rounds to the printed rate."""
        if not self.counts:
            return None
        if self.events is not None:
            return self.events
        assert self.rate is not None
        return min(self.counts[-1], max(self.counts[0], round(self.n * self.rate.value)))

    @property
    def contradicts(self) -> bool:
        """Whether the count does not round to the rate that is printed beside it."""
        return self.events is not None and self.rate is not None and not self.rate.stands_for(self.events / self.n)


@dataclass(frozen=True)
class Mean:
    """A mean with its standard deviation.

    Attributes:
        mean: The mean.
        sd: Standard deviation of the observations.
        n: Observations, at least 2.
    """

    mean: Printed
    sd: Printed
    n: int

    def __post_init__(self) -> None:
        if not 2 <= self.n <= MOST_OBSERVATIONS:
            raise ClaimError(
                f"a mean of {self.n} observations",
                expected=f"a whole number from 2 to {MOST_OBSERVATIONS:,}",
                way_out="Correct the n of the claim",
            )
        if self.sd.value < 0:
            raise ClaimError(f"a standard deviation of {self.sd.value:g}", way_out="Give one that is not negative")


@dataclass(frozen=True)
class Gap:
    """A difference of two rates without the rates.

    Attributes:
        gap: The difference, as a share.
        n: Observations in the first group.
        m: Observations in the second group.
    """

    gap: Printed
    n: int
    m: int

    def __post_init__(self) -> None:
        Count(0, self.n)
        Count(0, self.m)
        if not 0 < abs(self.gap.value) < 1:
            raise ClaimError(
                f"a difference of {100 * self.gap.value:g} points",
                expected="one between 0 and 100 points",
                way_out="Correct the difference of the claim",
            )


@dataclass(frozen=True)
class StatedInterval:
    """A printed interval.

    Attributes:
        value: The estimate that stands before it; None when there is none.
        low: Lower end.
        high: Upper end.
        level: Its level; None when it is not said.
        unit: What its numbers are printed in; those in percent and in points are kept as shares.
        n: Observations that it rests on; None when they are not said, or when groups are stated beside it.
    """

    value: Printed | None
    low: Printed
    high: Printed
    level: float | None
    unit: Unit
    n: int | None

    def __post_init__(self) -> None:
        if self.n is not None and self.n < 2:
            raise ClaimError(f"an interval from {self.n} observations", expected="two or more", way_out="Correct the n")
        if self.low.value > self.high.value:
            raise ClaimError(
                f"an interval from {self.low.value:g} to {self.high.value:g}",
                expected="the lower end first",
                way_out="Exchange its ends, or correct them",
            )


@dataclass(frozen=True)
class ReportedP:
    """A reported p-value.

    Attributes:
        value: The number.
        half: Half of its last decimal.
        relation: `=`, `<` or `>`.
        sides: 1 or 2 when the claim says so; None when it does not.
    """

    value: float
    half: float
    relation: Relation
    sides: Literal[1, 2] | None

    def __post_init__(self) -> None:
        if not 0 < self.value <= 1:
            raise ClaimError(
                f"a p-value of {self.value:g}",
                expected="a number above 0 and at most 1; a p-value that rounds to 0 is written `p < .001`",
                way_out="Correct the reported p-value",
            )

    @property
    def words(self) -> str:
        """As a paper writes it: `p = .053`, `one-sided p < .001`."""
        decimals = round(-math.log10(2 * self.half))
        value = f"{self.value:.{decimals}f}" if decimals <= 6 else f"{self.value:g}".replace("-", MINUS)
        sides = {1: "one-sided ", 2: "two-sided ", None: ""}[self.sides]
        return f"{sides}p {self.relation} {value.removeprefix('0')}"

    def agrees(self, p: float) -> bool:
        """Whether a p-value is one that is reported like this."""
        if self.relation == "=":
            return Printed(self.value, self.half).stands_for(p)
        return p <= self.value if self.relation == "<" else p >= self.value
