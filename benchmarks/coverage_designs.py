"""The designs of the coverage bench: one draw of data with a known truth, and doxa's interval for it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import special

from doxa.stats.cells import Checkpoints, TermCells
from doxa.stats.design import PSEUDO
from doxa.stats.intervals import Interval, logit_t, mean_t, mover, weighted
from doxa.stats.parts import combined
from doxa.stats.rates import bonett_price, one_rate, pseudo_items, wilson, wilson_clustered
from doxa.stats.replication import crossed, over_seeds
from doxa.words.contrasts import Term

SHARES = {
    "skewed": np.array([0.60, 0.15, 0.08, 0.05, 0.03, 0.03, 0.02, 0.02, 0.01, 0.01]),
    "bimodal": np.array([0.55, 0.20, 0.05, 0.02, 0.01, 0.01, 0.02, 0.04, 0.05, 0.05]),
}
"""Of the scores 1 to 10."""
UNEQUAL = (5, 10, 15, 30, 60, 60)
"""Runs of the seeds where they are not balanced, taken in turns."""
Setting = Mapping[str, float | int | str]
Draw = Callable[[np.random.Generator], tuple[Interval, float]]
"""A generator -> the interval, and the truth."""


@dataclass(frozen=True)
class Cell:
    """One cell of the grid.

    Attributes:
        design: Which decision of the table is tried.
        setting: What distinguishes it within its design.
        units: The fewest units of an arm.
        draw: One data set and its interval.
    """

    design: str
    setting: Setting
    units: int
    draw: Draw

    @property
    def name(self) -> str:
        """Design and setting."""
        return " ".join([self.design, *(f"{key}={value}" for key, value in self.setting.items())])


def grid() -> list[Cell]:
    """Every cell."""
    return [*_one_rate(), *_two_rates(), *_paired_rates(), *_clustered_rates(), *_means(), *_two_means(), *_recipes(),
            *_crossed()]  # fmt: skip


@lru_cache
def _cuts(shape: str) -> np.ndarray:
    return special.ndtri(np.cumsum(SHARES[shape])[:-1])


def _scores(latent: np.ndarray, shape: str) -> np.ndarray:
    """Scores of 1 to 10 from standard normal values, brought to 0 to 1."""
    return np.searchsorted(_cuts(shape), latent) / 9


def _mean_score(shape: str) -> float:
    return float(SHARES[shape] @ np.arange(10)) / 9


def _one_rate() -> list[Cell]:
    def cell(n: int, p: float) -> Cell:
        return Cell("one rate", {"n": n, "rate": p}, n, lambda g: (one_rate(int(g.binomial(n, p)), n), p))

    return [cell(n, p) for n in (6, 10, 30, 100, 520, 10_000) for p in (0.01, 0.05, 0.5)]


def _two_rates() -> list[Cell]:
    def cell(n: int, m: int, p: float, q: float) -> Cell:
        def draw(g: np.random.Generator) -> tuple[Interval, float]:
            parts = [wilson(int(g.binomial(n, p)), n), weighted(wilson(int(g.binomial(m, q)), m), -1)]
            return mover(parts), p - q

        return Cell("two rates", {"n": n, "m": m, "rates": f"{p:g} v {q:g}"}, min(n, m), draw)

    sizes = ((6, 6), (30, 30), (30, 180), (100, 100), (520, 520), (10_000, 10_000))
    pairs = ((0.01, 0.01), (0.05, 0.05), (0.5, 0.5), (0.04, 0.02))
    return [cell(n, m, p, q) for n, m in sizes for p, q in pairs]


def _paired_rates() -> list[Cell]:
    def cell(n: int, runs: int, p: float, q: float) -> Cell:
        def draw(g: np.random.Generator) -> tuple[Interval, float]:
            # Prompts differ much: a propensity in common, Beta with a sum of 2.
            u = g.beta(2 * p, 2 * (1 - p), n)
            d = (g.binomial(runs, u) - g.binomial(runs, u * q / p)) / runs
            found = bonett_price(d) if runs == 1 else pseudo_items(d, runs)
            return found, p - q

        return Cell("paired rates", {"n": n, "runs": runs, "rates": f"{p:g} v {q:g}"}, n, draw)

    pairs = ((0.04, 0.02), (0.10, 0.05), (0.5, 0.5), (0.2, 0.2))
    return [cell(n, runs, p, q) for n in (30, 100, 520) for runs in (1, 5) for p, q in pairs]


def _clustered_rates() -> list[Cell]:
    def cell(k: int, runs: int, p: float, icc: float) -> Cell:
        def draw(g: np.random.Generator) -> tuple[Interval, float]:
            return wilson_clustered(g.binomial(runs, _beta(g, p, icc, k)) / runs, k * runs), p

        return Cell("rate over items", {"items": k, "runs": runs, "rate": p, "icc": icc}, k, draw)

    return [cell(k, 10, p, icc) for k in (6, 30, 100) for p in (0.01, 0.05, 0.5) for icc in (0.0, 0.1, 0.5)]


def _beta(g: np.random.Generator, p: float, icc: float, k: int) -> np.ndarray:
    """Rates of k seeds or items with this intraclass correlation."""
    if icc == 0:
        return np.full(k, p)
    return g.beta(p * (1 / icc - 1), (1 - p) * (1 / icc - 1), k)


def _means() -> list[Cell]:
    def normal(n: int) -> Cell:
        return Cell("mean of units", {"n": n, "units": "normal"}, n, lambda g: (mean_t(g.standard_normal(n)), 0.0))

    def score(n: int, shape: str) -> Cell:
        def draw(g: np.random.Generator) -> tuple[Interval, float]:
            return logit_t(_scores(g.standard_normal(n), shape), pseudo=PSEUDO), _mean_score(shape)

        return Cell("mean of scores", {"n": n, "scores": shape}, n, draw)

    def bare(n: int, shape: str) -> Cell:
        """What the default was without its pseudo-units: shown, and no estimate's design."""

        def draw(g: np.random.Generator) -> tuple[Interval, float]:
            return logit_t(_scores(g.standard_normal(n), shape)), _mean_score(shape)

        return Cell("mean of scores without pseudo-units", {"n": n, "scores": shape}, 0, draw)

    sizes = (6, 10, 30, 100, 1000, 10_000)
    scores = [score(n, shape) for shape in SHARES for n in sizes]
    return [*map(normal, sizes), *scores, *(bare(n, shape) for shape in SHARES for n in sizes[:3])]


def _two_means() -> list[Cell]:
    def cell(n: int, m: int, shape: str) -> Cell:
        def draw(g: np.random.Generator) -> tuple[Interval, float]:
            arms = [logit_t(_scores(g.standard_normal(size), shape), pseudo=PSEUDO) for size in (n, m)]
            return mover([arms[0], weighted(arms[1], -1)]), 0.0

        return Cell("two means of scores", {"n": n, "m": m, "scores": shape}, min(n, m), draw)

    return [cell(n, m, shape) for n, m in ((6, 6), (10, 10), (30, 30), (30, 180), (100, 100)) for shape in SHARES]


def _runs(k: int, balanced: str) -> np.ndarray:
    return np.full(k, 30) if balanced == "balanced" else np.resize(np.array(UNEQUAL), k)


def _term(weight: float, means: Sequence[float], counts: Sequence[int], squares: Sequence[float]) -> TermCells:
    seeds = tuple(str(seed) for seed in range(len(means)))
    columns = (means, counts, squares, np.array(counts) - 1, np.array(counts, float))
    return TermCells(Term(weight, "arm"), seeds, ("scenario",), *(np.array(column)[:, None] for column in columns))


def _of_runs(weight: float, runs: Sequence[np.ndarray]) -> TermCells:
    means = [float(own.mean()) for own in runs]
    squares = [float(((own - mean) ** 2).sum()) for own, mean in zip(runs, means, strict=True)]
    return _term(weight, means, [len(own) for own in runs], squares)


def _of_counts(weight: float, events: np.ndarray, runs: np.ndarray) -> TermCells:
    rates = events / runs
    return _term(weight, rates.tolist(), runs.tolist(), (runs * rates * (1 - rates)).tolist())


def _recipe(kind: str, recipe: TermCells, vanilla: TermCells) -> Interval:
    parts = [part for one in (recipe, vanilla) for part in over_seeds(Checkpoints((one,)))]
    return combined(parts, kind, "nested", level=0.95, null=0.0)  # type: ignore[arg-type]


def _recipes() -> list[Cell]:
    def scores(shape: str, k: int, icc: float, balanced: str) -> Cell:
        runs = _runs(k, balanced)

        def draw(g: np.random.Generator) -> tuple[Interval, float]:
            seeds = g.normal(0, np.sqrt(icc), k)
            latent = [g.normal(seed, np.sqrt(1 - icc), own) for seed, own in zip(seeds, runs, strict=True)]
            vanilla = g.standard_normal(30)
            if shape == "normal":
                return _recipe("unbounded", _of_runs(1, latent), _of_runs(-1, [vanilla])), 0.0
            of_seeds = [_scores(own, shape) for own in latent]
            return _recipe("share", _of_runs(1, of_seeds), _of_runs(-1, [_scores(vanilla, shape)])), 0.0

        return Cell("recipe v vanilla", {"values": shape, "seeds": k, "icc": icc, "runs": balanced}, k, draw)

    def rates(p: float, q: float, k: int, icc: float, vanilla_runs: int) -> Cell:
        runs = _runs(k, "balanced")

        def draw(g: np.random.Generator) -> tuple[Interval, float]:
            events = g.binomial(runs, _beta(g, q, icc, k))
            vanilla = np.array([g.binomial(vanilla_runs, p)])
            found = _recipe("binary", _of_counts(1, events, runs), _of_counts(-1, vanilla, np.array([vanilla_runs])))
            return found, q - p

        setting = {"rate": p, **({"to": q} if q != p else {}), "seeds": k, "icc": icc, "vanilla": vanilla_runs}
        return Cell("recipe v vanilla", setting, k, draw)

    grid_of = [(k, icc) for k in (3, 6, 30) for icc in (0.0, 0.1, 0.5)]
    shapes = ("normal", *SHARES)
    return [
        *(scores(shape, k, icc, how) for shape in shapes for k, icc in grid_of for how in ("balanced", "unequal")),
        *(
            rates(p, q, k, icc, vanilla)
            for p, q in ((0.01, 0.01), (0.05, 0.05), (0.5, 0.5), (0.05, 0.15))
            for k, icc in grid_of
            for vanilla in (30, 180)
        ),
    ]


def _by_items(weight: float, table: np.ndarray) -> Checkpoints:
    seeds, items = (tuple(map(str, range(size))) for size in table.shape)
    one, none = np.ones(table.shape, int), np.zeros(table.shape)
    whole = TermCells(Term(weight, "arm"), seeds, items, table, one, none, none.astype(int), one.astype(float))
    return Checkpoints((whole,))


def _crossed() -> list[Cell]:
    def cell(kind: str, k: int, items: int, seed_variance: float) -> Cell:
        cut = special.ndtri(0.2) * np.sqrt(2 + seed_variance)

        def draw(g: np.random.Generator) -> tuple[Interval, float]:
            item = g.normal(0, 1, items)
            recipe = g.normal(0, np.sqrt(seed_variance), k)[:, None] + item + g.normal(0, 1, (k, items))
            # Vanilla answers as one more seed would on average, so that the truth is no difference.
            vanilla = (item + g.normal(0, np.sqrt(1 + (seed_variance if kind == "rate .2" else 0)), items))[None]
            if kind == "rate .2":
                recipe, vanilla = (recipe < cut).astype(float), (vanilla < cut).astype(float)
            groups = (_by_items(1.0, recipe), _by_items(-1.0, vanilla))
            values = "binary" if kind == "rate .2" else "unbounded"
            return crossed([group.sums for group in groups], groups, values), 0.0  # type: ignore[arg-type]

        return Cell(
            "seeds by items", {"values": kind, "seeds": k, "items": items, "seed variance": seed_variance}, k, draw
        )

    return [
        cell(kind, k, items, variance)
        for kind in ("normal", "rate .2")
        for k in (3, 6, 30)
        for items in (30, 200)
        for variance in (0.0, 0.1, 0.5)
    ]
