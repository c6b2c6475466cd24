"""The same answers by doxa and by its peers. `measure.py` runs one of them in a process of its own.

A way is a generator that marks its parts: before its first `yield` stands what it is given (the table, and what is
imported), up to the second what has to be prepared for the call (names coded, arms aligned: by the fastest means), and
behind that the call itself. It ends with the answer.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from stats_peers.data import Data

DRAWS = 1000
EXACT, MONTE_CARLO = 1e-9, 0.1
"""Relative distance of a standard error from doxa's. Of 1000 draws its standard deviation is .022."""


@dataclass(frozen=True)
class Answer:
    """What a way found.

    Attributes:
        value: The estimate.
        se: Its standard error; None where the way has none.
        p: Its p-value, where that is what is asked.
    """

    value: float
    se: float | None = None
    p: float | None = None


Steps = Iterator[Answer | None]


@dataclass(frozen=True)
class Way:
    """A way to an answer.

    Attributes:
        steps: The generator.
        packages: Whose versions count.
        apart: Whether it needs the environment of the peers.
        error: How far its standard error may be from doxa's, relatively; None: it is of something else.
    """

    steps: Callable[[Data], Steps]
    packages: tuple[str, ...] = ("numpy",)
    apart: bool = False
    error: float | None = EXACT


def _doxa(kind: str, contrast: str, estimand: str | None = None, shuffled: bool = False) -> Callable[[Data], Steps]:
    def steps(data: Data) -> Steps:
        from scipy import special

        from doxa.stats.estimate import estimate

        table = data.shuffled.table if shuffled else data.table
        yield None
        yield None
        found = estimate(table, contrast, "score", kind=kind, estimand=estimand)
        # A rate's observations are fewer by (z/t)², so that Wilson's interval is one of t: without that, as others.
        shrunk = special.ndtri(0.975) / special.stdtrit(found.df, 0.975) if kind == "binary" else 1.0
        yield Answer(found.value, found.se * shrunk)

    return steps


def _evaluate(data: Data) -> Steps:
    from doxa.stats.evaluate import evaluate
    from doxa.words.contrasts import contrast_of

    table, contrast = data.table, contrast_of("block - baseline", ["baseline", "block"])
    yield None
    yield None
    found = evaluate(table, [contrast]).estimates[0]
    yield Answer(found.value, found.se)


def _coded(frame: pd.DataFrame, unit: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return pd.factorize(frame["arm"], sort=True)[0], pd.factorize(frame[unit])[0], frame["value"].to_numpy()


def _aligned(frame: pd.DataFrame, unit: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The values of both arms, row by row of the same item, run and seed, and the unit of these rows."""
    arm, item, value = _coded(frame, "item")
    order = np.lexsort((frame["run"], frame["seed"], item, arm))
    first, second = value[order].reshape(2, -1)
    own = item if unit == "item" else frame[unit].to_numpy()
    return first, second, own[order][: len(first)]


def _codes(data: Data) -> Steps:
    """The bare formula in numpy."""
    frame = data.frame
    yield None
    arm, item, value = _coded(frame, "item")
    yield None
    cell, items = 2 * item + arm, int(item.max()) + 1
    means = (np.bincount(cell, weights=value) / np.bincount(cell)).reshape(items, 2)
    units = means[:, 1] - means[:, 0]
    yield Answer(float(units.mean()), float(units.std(ddof=1) / np.sqrt(items)))


def _statsmodels(unit: str, difference: bool = True) -> Callable[[Data], Steps]:
    def steps(data: Data) -> Steps:
        from statsmodels.regression.linear_model import OLS

        frame = data.frame
        yield None
        arm, group, value = _coded(frame, unit)
        columns = np.column_stack([np.ones(len(value)), arm]) if difference else np.ones((len(value), 1))
        yield None
        found = OLS(value, columns).fit(cov_type="cluster", cov_kwds={"groups": group})
        # It multiplies the variance by (N - 1)/(N - K), which the others do not.
        rows, terms = columns.shape
        yield Answer(float(found.params[-1]), float(found.bse[-1]) * ((rows - terms) / (rows - 1)) ** 0.5)

    return steps


def _errorbars(unit: str) -> Callable[[Data], Steps]:
    def steps(data: Data) -> Steps:
        from errorbars.compare import paired_compare

        frame = data.frame
        yield None
        first, second, group = _aligned(frame, unit)
        yield None
        found = paired_compare(second, first, clusters=group)
        yield Answer(found.mean_diff, found.se_clustered)

    return steps


def _errorbars_rate(data: Data) -> Steps:
    from errorbars import cluster_robust_se

    frame = data.frame
    yield None
    _, item, value = _coded(frame, "item")
    yield None
    yield Answer(float(value.mean()), cluster_robust_se(value, item))


def _evalstats(data: Data) -> Steps:
    import warnings

    import evalstats
    from scipy import special

    warnings.simplefilter("ignore")  # that scores have no bounds, which is so
    frame, items = data.frame, int(data.item.max()) + 1
    yield None
    frame = frame.drop(columns="seed").rename(columns={"arm": "model", "value": "score"})
    yield None
    found = evalstats.compare(evalstats.load_from(frame), factors="model", baseline="baseline")
    pair = found.to_dict()["pairwise"][0]
    sign = 1.0 if pair["a"] == "block" else -1.0
    yield Answer(sign * pair["diff"], (pair["ci_high"] - pair["ci_low"]) / 2 / special.stdtrit(items - 1, 0.975))


def _scipy(over: str) -> Callable[[Data], Steps]:
    def steps(data: Data) -> Steps:
        from scipy import stats

        frame = data.frame
        yield None
        first, second, item = _aligned(frame, "item")
        units = second - first
        if over == "items":
            units = np.bincount(item, weights=units) / np.bincount(item)
        yield None
        batch = max(1, 10_000_000 // len(units))  # more would take gigabytes
        found = stats.bootstrap((units,), np.mean, n_resamples=DRAWS, method="percentile", batch=batch, rng=7)
        yield Answer(float(units.mean()), float(found.standard_error))

    return steps


def _mcnemar(by: str) -> Callable[[Data], Steps]:
    def steps(data: Data) -> Steps:
        first, second = data.value.reshape(2, -1)
        if by == "doxa":
            from doxa.stats.rates import bonett_price
        elif by == "statsmodels":
            from statsmodels.stats.contingency_tables import mcnemar
        else:
            from errorbars.compare import mcnemar_exact
        yield None
        yield None
        value = float(second.mean() - first.mean())
        if by == "doxa":
            yield Answer(value, p=bonett_price(second - first).p)
        elif by == "statsmodels":
            table = np.bincount((2 * first + second).astype(np.int64), minlength=4).reshape(2, 2)
            yield Answer(value, p=float(mcnemar(table, exact=True).pvalue))
        else:
            yield Answer(value, p=mcnemar_exact(first, second).p_value)

    return steps


DOXA, BARE = "doxa", "numpy, no checks"
WAYS: Mapping[str, Mapping[str, Way]] = {
    "paired": {
        DOXA: Way(_doxa("unbounded", "block - baseline")),
        "doxa, rows shuffled": Way(_doxa("unbounded", "block - baseline", shuffled=True)),
        "doxa, `evaluate`": Way(_evaluate),
        BARE: Way(_codes),
        "statsmodels": Way(_statsmodels("item"), ("statsmodels",)),
        "errorbars": Way(_errorbars("item"), ("errorbars",), apart=True),
        "evalstats": Way(_evalstats, ("evalstats",), apart=True),
        "scipy, items drawn": Way(_scipy("items"), ("scipy",), error=MONTE_CARLO),
        "scipy, rows drawn": Way(_scipy("rows"), ("scipy",), error=None),
    },
    "rate": {
        DOXA: Way(_doxa("binary", "baseline")),
        "statsmodels": Way(_statsmodels("item", difference=False), ("statsmodels",)),
        "errorbars": Way(_errorbars_rate, ("errorbars",), apart=True),
    },
    "recipe": {
        DOXA: Way(_doxa("unbounded", "block - baseline", "the recipe, over seeds")),
        "statsmodels": Way(_statsmodels("seed"), ("statsmodels",)),
        "errorbars": Way(_errorbars("seed"), ("errorbars",), apart=True),
    },
    "pairs": {
        DOXA: Way(_mcnemar("doxa")),
        "statsmodels": Way(_mcnemar("statsmodels"), ("statsmodels",)),
        "errorbars": Way(_mcnemar("errorbars"), ("errorbars",), apart=True),
    },
}
"""By design and name."""
