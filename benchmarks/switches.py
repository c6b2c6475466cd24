"""Planted switches: how often answers switch at each strength, and what two oracles make of the same answers.

*Curves.* The rate is 2 in 100 without an intervention and grows with the strength, at once or by and by, evenly on the
logarithm of the strength (logistic), late (Weibull) or early (Gompertz), to .92 or to a plateau below. The threshold is
where it lies .2 above the rate without.

*Oracles.* They test every place of the threshold by a likelihood ratio at the .95 of χ² with one degree of freedom, and
round outwards to tested strengths. All know that answers are independent.

- of the noise: knows no more, but that the curve grows, and estimates the rate without the intervention as we do. The
  oracles of other planted responders know as much: the error of an estimated difference, and not the effect. Were the
  rates at two tested strengths both at the margin its cut (3.84) would be too small (4.23 is the .95 of that mixture of
  χ²): it is narrower than what holds for every curve.
- of the noise and the baseline: knows the rate without the intervention besides.
- of the curve: knows the curve too, but for where it begins. Nobody who does not know how steep it is can be as narrow.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.optimize import isotonic_regression
from scipy.special import xlog1py, xlogy
from scipy.stats import chi2

from doxa.stats.minimum_dose import MARGIN, MinimumDose

STRENGTHS = (0.05, 0.1, 0.2, 0.4, 0.8)
BEYOND = 1.6
"""Where an open upper end is put for a width: one step further on the ladder of the strengths."""
BASE, TOP = 0.02, 0.92
CUT = float(chi2.ppf(0.95, 1))
PLACES = range(len(STRENGTHS) + 1)
RATES = np.linspace(0.0005, 0.7995, 800)
"""Rates without the intervention that are tried."""
BEGINS = np.geomspace(0.005, 12, 3000)

Counts = Float[np.ndarray, " strengths"]


@dataclass(frozen=True)
class Curve:
    """How the rate grows.

    Attributes:
        kind: `at once`, `even`, `late` or `early`.
        begins: Where the switch lies, or the middle of the curve.
        steep: Its exponent.
        top: The rate that it grows to.
    """

    kind: str
    begins: float
    steep: float = 4.0
    top: float = TOP

    def rate(self, strength: Float[np.ndarray, " n"], begins: float | None = None) -> Float[np.ndarray, " n"]:
        """At each strength; `begins` in place of the curve's own."""
        share = strength / (self.begins if begins is None else begins)
        grown = BASE + (self.top - BASE) * SHAPES[self.kind](share, self.steep)
        return np.asarray(grown, float)

    @property
    def threshold(self) -> float:
        """Where the rate lies the margin above the rate without an intervention."""
        return self.begins * self.unit

    @property
    def unit(self) -> float:
        """The threshold of the same curve that begins at 1."""
        if self.kind == "at once":
            return 1.0
        need = MARGIN / (self.top - BASE)
        return {
            "even": lambda: (1 / need - 1) ** (-1 / self.steep),
            "late": lambda: (-np.log1p(-need)) ** (1 / self.steep),
            "early": lambda: (-np.log(need)) ** (-1 / self.steep),
        }[self.kind]()


SHAPES: dict[str, Callable[[Float[np.ndarray, " n"], float], Float[np.ndarray, " n"]]] = {
    "at once": lambda share, _: (share >= 1).astype(float),
    "even": lambda share, steep: 1 / (1 + share**-steep),
    "late": lambda share, steep: -np.expm1(-(share**steep)),
    "early": lambda share, steep: np.exp(-(share**-steep)),
}


def noise_oracle(switched: Counts, answers: Counts, base: float | None = None) -> MinimumDose:
    """Of the noise: answers that switched, of all that have a value, without the intervention and at each strength.

    Args:
        switched: How many switched.
        answers: Of how many.
        base: The rate without the intervention, for the oracle who knows it.
    """
    bases = RATES if base is None else np.array([base])
    own = xlogy(switched[0], bases) + xlog1py(answers[0] - switched[0], -bases)
    likely = [float((own + _growing(switched[1:], answers[1:], bases, place)).max()) for place in PLACES]
    kept = np.flatnonzero(2 * (max(likely) - np.array(likely)) <= CUT)
    return between(int(kept[0]), int(kept[-1]))


def curve_oracle(switched: Counts, answers: Counts, curve: Curve) -> MinimumDose:
    """Of the curve: everything is known but where it begins, so answers without the intervention say nothing."""
    stay, switch = _logs(curve)
    fits = switch @ switched[1:] + stay @ (answers - switched)[1:]
    left = BEGINS[2 * (fits.max() - fits) <= CUT] * curve.unit
    return between(*(int(np.searchsorted(STRENGTHS, end)) for end in (left[0], left[-1])))


@functools.cache
def _logs(curve: Curve) -> tuple[Float[np.ndarray, "begins strengths"], Float[np.ndarray, "begins strengths"]]:
    """Log-probabilities to stay and to switch, for every beginning."""
    rates = np.array([curve.rate(np.array(STRENGTHS), one) for one in BEGINS])
    return np.log1p(-rates), np.log(rates)


def between(first: int, last: int) -> MinimumDose:
    """From the place of the first strength that may be the one where it is seen, to that of the last."""
    high = STRENGTHS[last] if last < len(STRENGTHS) else None
    return MinimumDose(STRENGTHS[first - 1] if first else 0.0, high, STRENGTHS, MARGIN, 0.95)


def holds(one: MinimumDose, truth: float) -> bool:
    """Whether an interval holds a threshold."""
    return one.low < truth and (one.high is None or truth <= one.high)


def width(one: MinimumDose) -> float:
    """Of an interval; an open end lies one step beyond the strengths."""
    return (BEYOND if one.high is None else one.high) - one.low


def _growing(
    switched: Counts, answers: Counts, bases: Float[np.ndarray, " bases"], place: int
) -> Float[np.ndarray, " bases"]:
    """Log-likelihood of the most likely rates that grow from a base and pass the margin at a place."""
    seen = switched / np.maximum(answers, 1)
    total = np.zeros(len(bases))
    for part, low, high in ((slice(0, place), 0.0, MARGIN), (slice(place, None), MARGIN, 1.0)):
        if len(seen[part]):
            fitted = isotonic_regression(seen[part], weights=np.maximum(answers[part], 1e-9)).x
            ends = np.minimum(bases + low, 1.0), np.minimum(bases + high, 1.0)
            rates = np.clip(fitted[:, None], *ends)
            stayed = (answers - switched)[part, None]
            total += (xlogy(switched[part, None], rates) + xlog1py(stayed, -rates)).sum(axis=0)
    return total
