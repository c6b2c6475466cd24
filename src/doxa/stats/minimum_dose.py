"""At which strength a behaviour begins: the minimum effective dose, as an interval between strengths that were tested.

The threshold is the smallest strength at which the rate of a behaviour lies at least `margin` above the rate without
the intervention. Of n tested strengths d₁ < ... < dₙ, one of n + 1 statements is true (a partition):

    Hₖ      above dₖ₋₁ and at most dₖ:       the rates at d₁ ... dₖ₋₁ lie below the margin, the rate at dₖ does not
    Hₙ₊₁    above dₙ, or nowhere:            all rates lie below it

Each is tested by itself at the whole error: only one is true, so nothing is corrected for their number. The interval
reaches from the first that is not rejected to the last. Hₖ says something about k rates, and each of these statements
has a one-sided p (`margin.py`). Those that were shown to hold (by a p up to SHOWN of their contrary) cannot be what is
wrong with Hₖ and are set aside; of the s that are left the smallest p counts s times (Bonferroni).

*Why so.* A curve that rises through the margin leaves one rate or two in doubt, which are then tested at nearly the
whole error, where a correction for all strengths tests each at a tenth of it. Where several rates lie at the margin all
of them are counted. Setting aside what was shown is the first of the two steps of a test of several inequalities.

*What is assumed.* That where the rate lies below the margin at two neighbouring strengths it does so between them.
Nothing rests on a rate that only grows (texts that have fallen apart have no language), on a shape of the curve, or on
independent answers of an item. The interval is no narrower than the distance of two neighbouring strengths, and its
upper end is open where no strength was shown to reach the margin.

*How wide it is* is held against oracles who see the same draws and answer in tested strengths too (`switches.py` among
the benchmarks): who knows the noise, as oracles of other planted responders do, and who knows the curve but for its
beginning. Beside the first it is 1 to 1.2 times as wide (`docs/coverage.md`), and 1.4 to 1.9 times where a curve hardly
passes the margin. Who knows how steep a curve is can be much narrower where it is shallow: no study knows that.

After Hsu and Berger 1999, Journal of the American Statistical Association 94, 468: dose-response without multiplicity
adjustment; Finner and Strassburger 2002, Annals of Statistics 30, 1194: the partitioning principle; Romano, Shaikh and
Wolf 2014, Econometrica 82, 1979: a practical two-step method for testing moment inequalities.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from doxa.stats.margin import Sides

LEVEL = 0.95
MARGIN = 0.2
"""One answer in five more than without."""
SHOWN = 0.025
"""One-sided p up to which a statement about one rate counts as shown."""


@dataclass(frozen=True)
class MinimumDose:
    """Where a behaviour begins.

    Attributes:
        low: The threshold lies above this strength; 0 when it may lie below the smallest.
        high: The threshold is at most this strength; None when the largest was not shown to reach the margin.
        doses: The strengths that were tested.
        margin: What counts as begun.
        level: Confidence level of the interval from `low` to `high`.
    """

    low: float
    high: float | None
    doses: tuple[float, ...]
    margin: float
    level: float


def minimum_dose(
    doses: Sequence[float], sides: Sequence[Sides], *, margin: float = MARGIN, level: float = LEVEL
) -> MinimumDose:
    """The interval of the minimum effective dose.

    Args:
        doses: Strengths above 0, ascending.
        sides: Of every strength, the tests of its rate minus the rate without the intervention against the margin.
        margin: Above 0 and below 1: what `sides` were tested against.
        level: Confidence level.

    Raises:
        ValueError: When doses do not ascend from above 0, there is not one test for each, or the margin is not between
            0 and 1.
    """
    if not doses or list(doses) != sorted(set(doses)) or doses[0] <= 0 or not 0 < margin < 1:
        raise ValueError(f"doses {list(doses)}, margin {margin:g}: strengths above 0 that ascend, a margin of 0 to 1")
    if len(sides) != len(doses):
        raise ValueError(f"{len(sides)} tests of {len(doses)} doses: one for each")
    ps = [_p(sides, place) for place in range(len(doses) + 1)]
    kept = [place for place, p in enumerate(ps) if p > 1 - level] or [ps.index(max(ps))]
    low = doses[kept[0] - 1] if kept[0] else 0.0
    high = doses[kept[-1]] if kept[-1] < len(doses) else None
    return MinimumDose(low, high, tuple(doses), margin, level)


def _p(sides: Sequence[Sides], place: int) -> float:
    """Of "the threshold lies between the strength before this place and the one at it"."""
    stated = [(one.above, one.below) for one in sides[:place]]  # p against a rate below the margin, and for it
    stated += [(one.below, one.above) for one in sides[place : place + 1]]
    against = [wrong for wrong, right in stated if right > SHOWN]
    return min(1.0, len(against) * min(against)) if against else 1.0
