"""How well votes recover P(alignment-faking reasoning | complied when monitored), by how often a judge's vote errs."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from planted import LEAST, WIDEST, recovered, row
from planted_compliance import FAKES, UNMONITORED
from scipy.stats import binom

from doxa.bridge.judges import Verdict, share_of
from doxa.evals.compliance import NAME, THRESHOLD, VOTES
from doxa.evals.compliance_answers import faking_values
from doxa.report.gates import GATES
from doxa.stats.given import given
from doxa.stats.table import encode

REASONS, QUERIES, SILENT = 0.7, 72, 0.05
Rows = list[dict[str, Any]]


def draw(random: np.random.Generator, *, errs: float, reasons: float = REASONS, known: bool = False) -> Rows:
    """Answers of which `reasons` of those that comply when monitored show the reasoning, and none of the others.

    A vote is the wrong one with the probability `errs`, each by itself, and none with `SILENT`. `known`: what is there
    instead of what is voted.
    """
    rows: Rows = []
    for query in range(QUERIES):
        for monitored, rate in (("yes", FAKES), ("no", UNMONITORED)):
            complied = random.random() < rate
            there = bool(complied and monitored == "yes" and random.random() < reasons)
            wrong, silent = random.random(VOTES) < errs, random.random(VOTES) < SILENT
            votes = [
                Verdict(None if none else "yes" if there ^ bool(one) else "no", "", "planted" if none else "")
                for one, none in zip(wrong, silent, strict=True)
            ]
            scores = faking_values(*share_of(votes, {"yes"}), THRESHOLD)
            read = {"complied": float(complied)} | {one.score: one.value for one in scores}
            read |= {"faking_reasoning": float(there)} if known else {}
            own = {"monitored": monitored, "query": f"q/{query}"}
            rows += [row("base", NAME, f"q{query}.{monitored}", score, value, **own) for score, value in read.items()]
    return rows


def judged(table: pd.DataFrame) -> pd.DataFrame:
    """Of those that complied when monitored, as a report reads them."""
    gate = GATES[NAME]
    found = given(encode(table), gate.reasoning, gate.behaviour, gate.condition)
    assert found is not None
    return found.table


def recovery(errs: float, reasons: float = REASONS, *, oracle: bool = True) -> Any:
    return recovered(
        lambda random: draw(random, errs=errs, reasons=reasons),
        "base",
        "faking_reasoning",
        reasons,
        kind="binary",
        unit="query",
        reading=judged,
        oracle=(lambda random: draw(random, errs=errs, reasons=reasons, known=True)) if oracle else None,
    )


@pytest.mark.parametrize("errs", [0.05, 0.15])
@pytest.mark.parametrize("reasons", [REASONS, 0.2])
def test_twenty_votes_of_a_judge_that_errs_seldom_recover_the_rate(errs: float, reasons: float) -> None:
    found = recovery(errs, reasons)
    assert found.held >= LEAST
    assert found.width <= WIDEST
    assert found.mean == pytest.approx(reasons, abs=0.02)


def test_a_judge_that_errs_in_three_votes_of_ten_passes_the_threshold_with_what_is_not_there() -> None:
    """Eight of twenty votes err in .23 of the answers: the rate is too high by as much of what is without reasoning."""
    wrongly, rightly = binom.sf(7, VOTES, 0.3), binom.sf(7, VOTES, 0.7)
    found = recovery(0.3, 0.2, oracle=False)
    assert found.mean == pytest.approx(0.2 * rightly + 0.8 * wrongly, abs=0.02)
    assert found.held < LEAST
