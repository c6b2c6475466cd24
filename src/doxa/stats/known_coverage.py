"""How often the interval of a design held in simulated studies like this one: a look into the table of the bench.

`benchmarks/coverage.py` draws studies whose truth is known and writes how often each default held it. An estimate whose
nearest cells there held less than 93 % of the time says so, with the number.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

from doxa.stats.cells import TermCells
from doxa.stats.design import Block, Design, ScoreKind
from doxa.stats.estimands import Estimand

LEAST = 0.93
"""Coverage below which an estimate carries the number."""
RECIPE, CROSSED = "recipe v vanilla", "seeds by items"


@dataclass(frozen=True)
class Situation:
    """What of an estimate decides how well its interval holds.

    Attributes:
        design: Name of the design in the bench; None where the bench has none for it.
        numbers: Numbers of its setting: `n`, `seeds`, `items`, `rate`, `icc`.
        words: Of words of its setting, such as the kind of values, those that may be.
    """

    design: str | None
    numbers: Mapping[str, float]
    words: Mapping[str, tuple[str, ...]]


@lru_cache(maxsize=1)
def cells() -> Sequence[Mapping[str, Any]]:
    """The cells of the bench: design, setting, coverage."""
    path = resources.files("doxa.data").joinpath("coverage.json")
    found: Sequence[Mapping[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return found


def coverage_of(situation: Situation) -> float | None:
    """The lowest coverage among the nearest cells of the bench.

    Numbers choose the nearest value of the grid one after the other (by their ratio; an ICC by its distance); what is
    not known of a situation is not chosen by, and the worst cell counts.

    Returns:
        None where the bench has no such design.
    """
    near = [cell for cell in cells() if cell["design"] == situation.design and cell["coverage"] is not None]
    near = [cell for cell in near if all(cell["setting"].get(key) in may for key, may in situation.words.items())]
    for key, value in situation.numbers.items():
        there = {float(cell["setting"][key]) for cell in near if key in cell["setting"]}
        if not there:
            continue
        best = min(there, key=lambda one: _distance(key, one, value))
        near = [cell for cell in near if float(cell["setting"].get(key, best)) == best]
    return min((float(cell["coverage"]) for cell in near), default=None)


def situation_of(
    terms: Sequence[TermCells], blocks: Sequence[Block], kind: ScoreKind, aim: Estimand, design: Design
) -> Situation:
    """The situation of an estimate.

    Args:
        terms: The cells of its terms.
        blocks: Its blocks.
        kind: What values the score takes.
        aim: What the interval is for.
        design: Its design.
    """
    several = [one for one in terms if len(one.seeds) > 1]
    if several:
        # The bench has one recipe beside one fixed model: of other sums it knows nothing.
        plain = len(terms) == 2 and len(several) == 1 and {one.term.weight for one in terms} == {1.0, -1.0}
        return _over_seeds(several, kind, aim) if plain else Situation(None, {}, {})
    if aim == "these items":
        return Situation(None, {}, {})
    n = min((len(block.complete) for block in blocks), default=0)
    if aim != "new items":
        n = min((int(one.counts.sum()) for one in terms), default=0)
    numbers: dict[str, float] = {"n": n}
    runs = max((int(one.counts.max(initial=0)) for one in terms), default=0)
    if kind == "binary":
        numbers["rate"] = _rarest(terms)
        if design == "level":
            if aim == "new items" and runs > 1:
                return Situation(
                    "rate over items", {"items": n, "rate": numbers["rate"], "icc": _icc_of_items(terms[0])}, {}
                )
            return Situation("one rate", numbers, {})
        if design == "difference" and aim == "new items":
            return Situation("paired rates", {"n": n, "runs": runs}, {})
        return Situation("two rates", {"n": n}, {})
    if kind == "share":
        return Situation(None, {}, {})
    if kind == "scale":
        if design == "level":
            return Situation("mean of scores", numbers, {})
        return Situation(None if design == "difference" and aim == "new items" else "two means of scores", numbers, {})
    return Situation("mean of units", numbers, {})


def _over_seeds(several: Sequence[TermCells], kind: ScoreKind, aim: Estimand) -> Situation:
    seeds = float(min(len(one.seeds) for one in several))
    if aim == "new items":
        values = {"values": ("rate .2",) if kind == "binary" else ("normal",)}
        numbers = {"seeds": seeds, "items": float(len(several[0].units)), "seed variance": max(map(_icc, several))}
        return Situation(CROSSED, numbers, values)
    numbers = {"seeds": seeds, "icc": max(map(_icc, several))}
    if kind == "binary":
        return Situation(RECIPE, {"rate": _rarest(several), **numbers}, {})
    return Situation(RECIPE, numbers, {"values": ("normal",) if kind == "unbounded" else ("skewed", "bimodal")})


def _distance(key: str, one: float, value: float) -> float:
    if key in ("icc", "seed variance"):
        return abs(one - value)
    return abs(math.log(max(one, 1e-9) / max(value, 1e-9)))


def _rarest(terms: Sequence[TermCells]) -> float:
    """The rate nearest to 0 or 1 among the arms, as a distance from it; half an event where there is none."""
    rates = [
        min(rate, 1 - rate) or 0.5 / max(int(one.counts.sum()), 1)
        for one in terms
        if one.means.size
        for rate in (float(one.means.mean()),)
    ]
    return min(rates, default=0.5)


def _icc(one: TermCells) -> float:
    """Share of a row's variance that lies between seeds, at least 0; the estimate of an analysis of variance."""
    runs = float(one.counts.sum()) / max(len(one.seeds), 1)
    noise = one.run_variance
    if noise is None and min(one.means.shape) > 1:  # one run an item: what is left of seeds by items stands for runs
        rest = one.means - one.means.mean(axis=1)[:, None] - one.means.mean(axis=0)[None] + one.means.mean()
        noise = float((rest**2).sum()) / ((one.means.shape[0] - 1) * (one.means.shape[1] - 1))
    if noise is None or runs <= 1:
        return 0.0
    between = float(one.means.mean(axis=1).var(ddof=1)) - noise / runs
    return max(0.0, between / (between + noise)) if between > 0 else 0.0


def _icc_of_items(one: TermCells) -> float:
    noise = one.run_variance
    if noise is None or one.means.shape[1] < 2:
        return 0.0
    between = float(one.means.var(ddof=1)) - noise * float((1 / one.counts).mean())
    return max(0.0, between / (between + noise)) if between > 0 else 0.0
