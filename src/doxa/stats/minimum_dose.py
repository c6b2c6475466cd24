"""At which strength a behaviour begins: the minimum effective dose, as an interval between strengths that were tested.

The threshold is the smallest strength at which the rate of a behaviour lies at least `margin` above the rate without
the intervention. Two families of one-sided tests hold it. Of n strengths, and errors of alpha (1 - level) in all:

- `high`: the smallest strength shown to lie *above* the margin, each tested at alpha / 2n. This needs no assumption: at
  that strength the threshold is reached.
- `low`: strengths are taken from the smallest on for as long as each is shown to lie *below* the margin, strength k
  tested at alpha - (k - 1) alpha / 2n. That no strength between two tested ones is worse than both is assumed.

Why so much for `low`: when strength k is the threshold, `low` is wrong only if k itself is shown to lie below, and
`high` only if one of the k - 1 smaller strengths is shown to lie above. These are the errors there are, and they add up
to alpha for every k (a confidence set by partitioning: there is one hypothesis a k, so nothing more is corrected).

The rate may fall again at larger strengths (texts that have fallen apart have no language): nothing here rests on a
rate that only grows. The interval covers the threshold with at least the level; it can be no narrower than the
distance of two neighbouring strengths.

How wide it is, is held against an oracle (`tests/evals/test_language_planted.py`). The oracle sees the same draws and
knows everything but one number: the shape and steepness of the curve, the rate without the intervention, the rate at
the top, how many answers fall apart, that items are alike. It takes every threshold that a likelihood-ratio test at the
level does not reject, and rounds outwards to tested strengths, since it has to answer in those as well.

After Hsu and Berger 1999, Journal of the American Statistical Association 94, 468: stepwise confidence intervals
without multiplicity adjustment for dose-response; Finner and Strassburger 2002, Annals of Statistics 30, 1194: the
partitioning principle.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

LEVEL = 0.95
MARGIN = 0.2
"""One answer in five more than without."""

Bounds = tuple[float | None, float | None]


@dataclass(frozen=True)
class MinimumDose:
    """Where a behaviour begins.

    Attributes:
        low: The threshold lies above this strength; 0 when none was shown to lie below the margin.
        high: The threshold is at most this strength; None when none was shown to reach the margin.
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
    doses: Sequence[float],
    interval: Callable[[int, float], Bounds],
    *,
    margin: float = MARGIN,
    level: float = LEVEL,
) -> MinimumDose:
    """The interval of the minimum effective dose.

    Args:
        doses: Strengths above 0, ascending.
        interval: Of a dose (by its place) and a confidence level, the ends of the two-sided interval of its rate minus
            the rate without the intervention; None where there is none.
        margin: Above 0.
        level: Confidence level.

    Raises:
        ValueError: When doses do not ascend from above 0, or the margin is not above 0.
    """
    if not doses or list(doses) != sorted(set(doses)) or doses[0] <= 0 or margin <= 0:
        raise ValueError(f"doses {list(doses)}, margin {margin:g}: strengths above 0 that ascend, a margin above 0")
    low, high = 0.0, None
    for place, dose in enumerate(doses):
        left = (1 - level) * (1 - place / (2 * len(doses)))
        end = interval(place, 1 - 2 * left)[1]
        if end is None or end >= margin:
            break
        low = dose
    corrected = 1 - (1 - level) / len(doses)
    for place, dose in enumerate(doses):
        start = interval(place, corrected)[0]
        if start is not None and start > margin:
            high = dose
            break
    if high is not None and low >= high:  # an error of the first kind: both cannot hold
        low = max((dose for dose in doses if dose < high), default=0.0)
    return MinimumDose(low, high, tuple(doses), margin, level)
