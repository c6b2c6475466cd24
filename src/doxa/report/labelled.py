"""A judge held against labels, in words and as JSON."""

from collections.abc import Mapping
from typing import Any

from doxa.stats.agreement import Agreement
from doxa.stats.intervals import Interval
from doxa.words.numbers import counted, interval, number, percent


def agreement_words(found: Agreement) -> str:
    """`they agree in 92 % (95 % interval 83 % to 97 %); kappa 0.81 [0.66, 0.91]`."""
    if found.observed.value is None:
        return "there is nothing to compare"
    low, high = found.observed.low, found.observed.high
    said = f"they agree in {percent(found.observed.value)}"
    if low is not None and high is not None:
        said += f" (95 % interval {percent(low)} to {percent(high)})"
    kappa = found.kappa
    if kappa.value is None:
        return f"{said}, and only one answer was given: kappa says nothing"
    return f"{said}; kappa {number(kappa.value)} {interval(kappa.low, kappa.high)}"


def bias_words(bias: Interval) -> str:
    """What the judge's errors are worth."""
    if bias.value is None:
        return "some verdict has no label here: label more rows"
    return f"{number(bias.value, sign=True)} {interval(bias.low, bias.high)}"


def agreement_to_json(found: Agreement) -> dict[str, Any]:
    """Agreement as JSON."""
    return {
        "n": found.n,
        "answers": list(found.answers),
        "shares": found.shares.tolist(),
        "observed": interval_to_json(found.observed),
        "kappa": interval_to_json(found.kappa),
    }


def interval_to_json(found: Interval) -> dict[str, Any]:
    """An interval as JSON."""
    return {"value": found.value, "low": found.low, "high": found.high, "se": found.se, "method": found.method}


def judges_words(judges: Mapping[tuple[str, str], Agreement]) -> list[str]:
    """Every two judges."""
    return [
        f"{first} and {second}, {counted(one.n, 'row')}: {agreement_words(one)}."
        for (first, second), one in judges.items()
    ]
