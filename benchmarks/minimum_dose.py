"""Does the interval of where a behaviour begins hold, and how wide is it? By curve, and where it is hardest to hold.

    python benchmarks/minimum_dose.py [--draws 1000] [--write]

Five strengths, 15 items with two answers each, half of the answers at the largest strength without a value: as in the
study `language`. Widths are beside those of oracles on the same draws (`switches.py`). In the second table rates lie
exactly at the margin, where errors are made, and answers of an item are alike in several ways. A minute on one core.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from page import written
from scipy.special import ndtr, ndtri
from switches import BASE, STRENGTHS, Curve, curve_oracle, holds, noise_oracle, width

from doxa.stats.margin import UNKNOWN, paired_sides
from doxa.stats.minimum_dose import MARGIN, MinimumDose, minimum_dose
from doxa.words.store import stream

PAGE = Path(__file__).parent.parent / "docs" / "coverage.md"
BEGIN, END = "<!-- thresholds: written by benchmarks/minimum_dose.py -->", "<!-- end of thresholds -->"
ITEMS, RUNS, BROKEN = 15, 2, 0.5
SPREAD = 0.05
"""Standard deviation between items of a rate that is neither small nor large."""
FEWEST = 6

Answers = Float[np.ndarray, "arms items runs"]

CURVES = {
    "at once": [Curve("at once", begins) for begins in (0.15, 0.3, 0.6)],
    "steep": [Curve("even", begins, 8) for begins in (0.09, 0.2, 0.5)],
    "gradual": [Curve("even", begins, 4) for begins in (0.1, 0.15, 0.25, 0.35, 0.5)],
    "early": [Curve("early", begins, 2) for begins in (0.1, 0.2, 0.3)],
    "late": [Curve("late", begins, 2) for begins in (0.1, 0.2, 0.3, 0.5)],
    "to a plateau of .7": [Curve("even", begins, 4, 0.7) for begins in (0.1, 0.2, 0.3)],
    "shallow": [Curve("even", begins, 2) for begins in (0.1, 0.2, 0.3, 0.5)],
    "to a plateau of .5": [Curve("even", begins, 4, 0.5) for begins in (0.1, 0.2, 0.3)],
}


@dataclass(frozen=True)
class Alike:
    """How answers of an item are alike.

    Attributes:
        own: Share of answers that an item's own threshold decides: then its answers are the same, and grow together.
        spread: Share of the variance on the probit scale that lies between items, in all arms alike.
        items: How many.
        runs: Answers of each.
        base: The rate without an intervention.
    """

    own: float = 0.0
    spread: float = 0.0
    items: int = ITEMS
    runs: int = RUNS
    base: float = BASE


ALIKE = {
    "independent answers": Alike(),
    "thresholds of items decide": Alike(own=1.0),
    "thresholds of items decide half": Alike(own=0.5),
    "items differ": Alike(spread=0.5),
    "items differ, .3 without": Alike(spread=0.6, base=0.3),
    "items differ, 40 items with one answer": Alike(spread=0.5, items=40, runs=1),
    "items differ, 15 items with 5 answers": Alike(spread=0.3, runs=5),
    "items differ, 6 items with 20 answers": Alike(spread=0.3, items=6, runs=20),
    "8 items, whose thresholds decide": Alike(own=1.0, items=8),
}
LESS = 1e-6
AT = {
    "the first": ((0.2, 0.5, 0.9, 0.9, 0.9), 0.04),
    "the one where it begins": ((0.0, 0.02, 0.2, 0.8, 0.9), 0.15),
    "the one before": ((0.0, 0.03, 0.2 - LESS, 0.8, 0.9), 0.3),
    "two before": ((0.0, 0.2 - LESS, 0.2 - LESS, 0.9, 0.9), 0.3),
    "it and two before": ((0.0, 0.2 - LESS, 0.2 - LESS, 0.2, 0.9), 0.3),
    "the last": ((0.0, 0.0, 0.0, 0.02, 0.2), 0.7),
    "all, and none begins": ((0.2 - LESS,) * 5, 1.5),
}
"""Rates beyond the one without an intervention, and a threshold that they have: which rates lie at the margin."""


def interval(answers: Answers) -> MinimumDose:
    """Of answers of 0 or 1, or NaN; the first arm is without the intervention."""
    runs = np.sum(~np.isnan(answers), axis=2).astype(float)
    rates = np.nansum(answers, axis=2) / np.maximum(runs, 1)
    sides = []
    for arm in range(1, len(answers)):
        both = (runs[[arm, 0]] > 0).all(axis=0)
        known = both.sum() >= FEWEST
        sides.append(paired_sides(rates[[arm, 0]][:, both], runs[[arm, 0]][:, both], MARGIN) if known else UNKNOWN)
    return minimum_dose(STRENGTHS, sides)


def drawn(generator: np.random.Generator, rates: Float[np.ndarray, " arms"], how: Alike) -> Answers:
    """Answers of all arms, of items that are alike in some way."""
    shape = (len(rates), how.items, how.runs)
    probit = ndtri(rates)[:, None] - np.sqrt(how.spread) * generator.normal(size=how.items)
    chance = ndtr(probit / np.sqrt(1 - how.spread)) if how.spread else np.repeat(rates[:, None], how.items, axis=1)
    decided = (generator.random(how.items) < rates[:, None]).astype(float)
    chance = how.own * decided + (1 - how.own) * chance
    return broken(generator, (generator.random(shape) < chance[:, :, None]).astype(float))


def of_curve(generator: np.random.Generator, curve: Curve) -> Answers:
    """Answers of all arms, of items that differ a little where the rate is neither small nor large."""
    rates = np.concatenate([[BASE], curve.rate(np.array(STRENGTHS))])[:, None]
    differs = generator.normal(0, SPREAD, ITEMS) * ((rates > 0.1) & (rates < 0.9))
    return broken(
        generator, (generator.random((len(rates), ITEMS, RUNS)) < (rates + differs)[:, :, None]).astype(float)
    )


def broken(generator: np.random.Generator, answers: Answers) -> Answers:
    """Answers, half of which have no value at the largest strength."""
    answers[-1][generator.random(answers.shape[1:]) < BROKEN] = np.nan
    return answers


def by_curve(name: str, curve: Curve, draws: int) -> str:
    """A row of the first table."""
    generator = stream("minimum dose", name, f"{curve.begins:g}")
    found, noise, based, shape = [], [], [], []
    for _ in range(draws):
        answers = of_curve(generator, curve)
        found.append(interval(answers))
        counts = np.nansum(answers, axis=(1, 2)), np.sum(~np.isnan(answers), axis=(1, 2)).astype(float)
        noise.append(noise_oracle(*counts))
        based.append(noise_oracle(*counts, BASE))
        shape.append(curve_oracle(*counts, curve))
    each = (found, noise, based, shape)
    held = [f"{np.mean([holds(one, curve.threshold) for one in intervals]):.3f}" for intervals in each]
    own, *oracles = [float(np.mean([width(one) for one in intervals])) for intervals in each]
    wide = [f"{own / other:.2f}" for other in oracles]
    wide[0] = f"**{wide[0]}**" if own > 1.2 * oracles[0] else wide[0]
    ends = [f"{np.mean([one.high is None for one in intervals]):.3f}" for intervals in each[:2]]
    seen = " ".join(f"{rate:.2f}" for rate in curve.rate(np.array(STRENGTHS)))
    return f"| {' | '.join([name, f'{curve.threshold:.3f}', seen, *held[:2], held[3], *wide, *ends])} |"


def at_the_margin(name: str, how: Alike, draws: int) -> str:
    """A row of the second table."""
    cells = []
    for where, (beyond, truth) in AT.items():
        generator = stream("minimum dose", name, where)
        rates = np.clip(np.concatenate([[0.0], beyond]) + how.base, 0, 0.95)
        held = float(np.mean([holds(interval(drawn(generator, rates, how)), truth) for _ in range(draws)]))
        cells.append(f"**{held:.3f}**" if held < 0.93 else f"{held:.3f}")
    return f"| {name} | {' | '.join(cells)} |"


def tables(draws: int, curves: Mapping[str, list[Curve]]) -> str:
    """Both tables as Markdown."""
    head = ["curve", "threshold", "rates at the strengths", "coverage", "of the noise oracle", "of the curve oracle"]
    head += ["width, noise oracle = 1", "who knows the baseline too = 1", "curve oracle = 1", "open ends"]
    head += ["of the noise oracle"]
    first = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for name, each in curves.items():
        for curve in each:
            first.append(by_curve(name, curve, draws))
            print(first[-1], flush=True)
    second = [f"| rates at the margin: | {' | '.join(AT)} |", "|" + "---|" * (len(AT) + 1)]
    for name, how in ALIKE.items():
        second.append(at_the_margin(name, how, draws))
        print(second[-1], flush=True)
    return "\n".join([*first, "", *second])


def main() -> None:
    """Draw, print, and write the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    text = tables(options.draws, CURVES)
    if options.write:
        written(PAGE, BEGIN, END, f"\n{text}\n")


if __name__ == "__main__":
    main()
