"""Agreement of two judges, or of a judge and labels by hand, and the bias that disagreement implies for an estimate.

**Kappa** (Cohen 1960): (p_o - p_e) / (1 - p_e), agreement beyond that of two raters who answer independently at their
own rates. Its standard error is that of Fleiss, Cohen and Everitt (1969). The usual interval of ± 1.96 of them holds
far too seldom (`python benchmarks/agreement.py`), because a judge that is mostly right leaves almost no disagreement
to estimate a spread from, and none has width 0. Here it is the middle 95 % of a Dirichlet posterior over the cells,
whose prior weighs as much as one or two labels.

**Labels by strata.** A file to label is drawn by arm and verdict, so that rare verdicts are in it. Then the verdict is
fixed by design and what is random is the label: every stratum has its own posterior and counts as much as it has rows
in the study (the double sampling of Tenenbein 1970). Kappa of the file as it is would be another number.

**Bias.** Within an arm the mean of the score minus the mean that labels would have given is estimated stratum by
stratum, so errors need not be the same in every arm: a judge that errs more often in one arm moves the difference
between arms, and that is what is asked. Rogan and Gladen's (1978) correction, which takes sensitivity and specificity
from elsewhere, is here too, for a judge whose errors were measured in another study.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import special

from doxa.stats.intervals import Interval

DRAWS = 4000
_KAPPA = "kappa, Dirichlet posterior"
_BIAS = "bias, double sampling, Dirichlet posterior"


@dataclass(frozen=True, eq=False)
class Agreement:
    """How two raters agree.

    Attributes:
        answers: Names of the answers.
        shares: Share of each pair of answers, the first rater's in rows.
        n: Pairs that it rests on.
        observed: Share of agreement.
        kappa: Agreement beyond chance; its value is None where one answer is all there is.
    """

    answers: tuple[str, ...]
    shares: Float[np.ndarray, "first second"]
    n: int
    observed: Interval
    kappa: Interval


@dataclass(frozen=True, eq=False)
class JudgedRows:
    """Rows of one arm that a judge has judged, and the labels that some of them have.

    Attributes:
        verdicts: The judge's verdict of each row.
        values: The score that was made of it.
        labels: The label by hand; "" where there is none.
    """

    verdicts: tuple[str, ...]
    values: Float[np.ndarray, " rows"]
    labels: tuple[str, ...]


def agreement(counts: Int[np.ndarray, "first second"], answers: Sequence[str], *, seed: int = 0) -> Agreement:
    """Agreement of two raters of the same things.

    Args:
        counts: How often each pair of answers was given.
        answers: Their names.
        seed: Of the posterior's draws.
    """
    table = np.asarray(counts, float)
    prior = np.full(table.shape, 1 / table.size)
    drawn = _dirichlet((table + prior).reshape(1, -1), seed).reshape(-1, *table.shape)
    n = int(table.sum())
    return _agreement(table / n if n else table, drawn, tuple(answers), n, n)


def agreement_with_labels(arms: Sequence[JudgedRows], answers: Sequence[str], *, seed: int = 0) -> Agreement:
    """Agreement of a judge and labels that were drawn by arm and verdict.

    Strata without a label are left out: the agreement is that of the others.

    Args:
        arms: The rows of each arm.
        answers: Names of the answers.
        seed: Of the posterior's draws.
    """
    strata = [one for rows in arms for one in _strata(rows, answers) if one.verdict in answers and one.counts.sum()]
    size = len(answers)
    total = sum(one.rows for one in strata)
    shares, drawn = np.zeros((size, size)), np.zeros((DRAWS, size, size))
    if strata:
        posterior = _posterior(strata, seed)
        for number, one in enumerate(strata):
            row = list(answers).index(one.verdict)
            shares[row] += one.rows / total * one.counts / one.counts.sum()
            drawn[:, row] += one.rows / total * posterior[:, number]
    n = int(sum(one.counts.sum() for one in strata))
    return _agreement(shares, drawn, tuple(answers), n, None)


def kappa_of(shares: Float[np.ndarray, "*draws first second"]) -> Float[np.ndarray, "*draws"]:
    """Cohen's kappa of tables of shares; NaN where both raters give one and the same answer always."""
    expected = (shares.sum(-1) * shares.sum(-2)).sum(-1)
    observed = np.trace(shares, axis1=-2, axis2=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(1 - expected > 1e-12, (observed - expected) / (1 - expected), np.nan))


def standard_error_of_kappa(shares: Float[np.ndarray, "first second"], n: int) -> float | None:
    """The large-sample standard error of kappa of a simple random sample.

    Source: Fleiss, Cohen and Everitt 1969, Psychological Bulletin 72, 323-327.
    """
    kappa = float(kappa_of(shares))
    if np.isnan(kappa) or n < 1:
        return None
    rows, columns = shares.sum(1), shares.sum(0)
    expected = float((rows * columns).sum())
    same = np.diag(shares)
    first = float((same * (1 - (rows + columns) * (1 - kappa)) ** 2).sum())
    others = shares - np.diag(same)
    second = (1 - kappa) ** 2 * float((others * (columns[:, None] + rows[None, :]) ** 2).sum())
    third = (kappa - expected * (1 - kappa)) ** 2
    return float(np.sqrt(max(first + second - third, 0) / n) / (1 - expected))


def implied_bias(
    terms: Sequence[tuple[float, JudgedRows]], worth: Mapping[str, float], *, seed: int = 0, level: float = 0.95
) -> Interval:
    """By how much a judge's errors move a weighted sum of arms: what was estimated minus what labels would have given.

    Args:
        terms: The weight and the rows of each arm.
        worth: The score of every label.
        seed: Of the posterior's draws.
        level: Confidence level.

    Returns:
        The bias; without an interval and a value where a stratum (the rows of one verdict in one arm) has no label.
    """
    answers = tuple(worth)
    value_of = np.array([worth[one] for one in answers])
    weighed = [(weight, rows, _strata(rows, answers)) for weight, rows in terms]
    strata = [(weight * one.rows / len(rows.values), one) for weight, rows, found in weighed for one in found]
    if not strata or any(one.counts.sum() == 0 for _, one in strata):
        return Interval(None, method=_BIAS)
    given = sum(weight * float(rows.values.mean()) for weight, rows, _ in weighed)
    labelled = sum(weight * float(one.counts @ value_of / one.counts.sum()) for weight, one in strata)
    posterior = _posterior([one for _, one in strata], seed) @ value_of
    drawn = given - posterior @ np.array([weight for weight, _ in strata])
    return _around(given - labelled, drawn, _BIAS, level)


def corrected(found: Interval, bias: Interval) -> Interval:
    """An estimate with a judge's bias taken from it; the errors of the two are independent and add up as squares.

    Source: prediction-powered inference has the same two parts (Angelopoulos and others 2023, arXiv 2301.09633); ends
    of unequal length are added as in MOVER (Zou and Donner 2008).
    """
    if found.value is None or bias.value is None:
        return Interval(None, method="corrected")
    value = found.value - bias.value
    if found.low is None or found.high is None or bias.low is None or bias.high is None:
        return Interval(value, method="corrected")
    low = value - float(np.hypot(found.value - found.low, bias.high - bias.value))
    high = value + float(np.hypot(found.high - found.value, bias.value - bias.low))
    return Interval(value, low, high, method="corrected")


def rogan_gladen(
    rate: tuple[int, int], sensitivity: tuple[int, int], specificity: tuple[int, int], *, level: float = 0.95
) -> Interval:
    """A rate corrected for a judge whose errors were measured elsewhere, and are the same here.

    (p + Sp - 1) / (Se + Sp - 1), kept within 0 and 1; the interval is that of the delta method on rates with a success
    and a failure added, as Lang and Reiczigel advise.

    Args:
        rate: Rows that the judge calls positive, and all rows.
        sensitivity: Of rows labelled positive, those that it calls so, and all.
        specificity: Of rows labelled negative, those that it calls so, and all.
        level: Confidence level.

    Returns:
        The rate; without a value when the judge is no better than chance.

    Source: Rogan and Gladen 1978, American Journal of Epidemiology 107, 71-76; Lang and Reiczigel 2014, Preventive
        Veterinary Medicine 113, 13-22.
    """
    method = "Rogan-Gladen, delta method with added counts"
    p, se, sp = (hits / n for hits, n in (rate, sensitivity, specificity))
    if se + sp <= 1:
        return Interval(None, method=method)
    value = (p + sp - 1) / (se + sp - 1)
    z = float(special.ndtri((1 + level) / 2))
    (hits, n), (yes, n_yes), (no, n_no) = rate, sensitivity, specificity
    more = n + z**2
    p, se, sp = (hits + z**2 / 2) / more, (yes + 1) / (n_yes + 2), (no + 1) / (n_no + 2)
    youden = se + sp - 1
    if youden <= 0:
        return Interval(min(max(value, 0), 1), 0.0, 1.0, method=method)
    middle = (p + sp - 1) / youden
    variance = p * (1 - p) / more
    variance += se * (1 - se) / (n_yes + 2) * middle**2 + sp * (1 - sp) / (n_no + 2) * (1 - middle) ** 2
    error = float(np.sqrt(variance)) / youden
    shift = 2 * z**2 * (middle * se * (1 - se) / (n_yes + 2) - (1 - middle) * sp * (1 - sp) / (n_no + 2))
    low, high = middle + shift - z * error, middle + shift + z * error
    value = min(max(value, 0.0), 1.0)
    return Interval(value, min(max(low, 0.0), value), max(min(high, 1.0), value), error, method=method)


@dataclass(frozen=True, eq=False)
class _Stratum:
    """Rows of one verdict in one arm: how many there are, and how often each label was given to some of them."""

    verdict: str
    rows: int
    counts: Float[np.ndarray, " answers"]


def _strata(rows: JudgedRows, answers: Sequence[str]) -> list[_Stratum]:
    found = []
    for verdict in dict.fromkeys(rows.verdicts):
        own = [label for label, given in zip(rows.labels, rows.verdicts, strict=True) if given == verdict]
        counts = np.array([own.count(answer) for answer in answers], float)
        found.append(_Stratum(verdict, len(own), counts))
    return found


def _posterior(strata: Sequence[_Stratum], seed: int) -> Float[np.ndarray, "draws strata answers"]:
    """Draws of what the labels of each stratum are; the prior's weight is shared among the strata."""
    return _dirichlet(np.stack([one.counts for one in strata]) + 1 / len(strata), seed)


def _dirichlet(alpha: Float[np.ndarray, "rows cells"], seed: int) -> Float[np.ndarray, "draws rows cells"]:
    drawn = np.random.default_rng(seed).standard_gamma(alpha, size=(DRAWS, *alpha.shape)) + 1e-300
    return np.asarray(drawn / drawn.sum(-1, keepdims=True))


def _agreement(
    shares: Float[np.ndarray, "first second"],
    drawn: Float[np.ndarray, "draws first second"],
    answers: tuple[str, ...],
    n: int,
    sampled: int | None,
) -> Agreement:
    if n == 0:
        nothing = Interval(None)
        return Agreement(answers, shares, 0, nothing, nothing)
    observed = _around(float(np.trace(shares)), np.trace(drawn, axis1=1, axis2=2), "share, Dirichlet posterior", 0.95)
    value = float(kappa_of(shares))
    if np.isnan(value):
        return Agreement(answers, shares, n, observed, Interval(None, method=_KAPPA))
    error = None if sampled is None else standard_error_of_kappa(shares, sampled)
    return Agreement(answers, shares, n, observed, _around(value, kappa_of(drawn), _KAPPA, 0.95, error))


def _around(
    value: float, drawn: Float[np.ndarray, " draws"], method: str, level: float, error: float | None = None
) -> Interval:
    """The middle of the draws; the value itself is never outside."""
    low, high = np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, min(float(low), value), max(float(high), value), error, method=method)
