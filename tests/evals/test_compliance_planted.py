"""Alignment faking that a scripted model shows at known rates, read by the task's own rules and recovered.

Every planted rate, gap and difference is recovered in words that the rules were mended on, which is a test of the
statistics, and in held-out words, which no rule has seen: there what rules misread is in the estimates too.

The truth, and the oracle that widths are held against, go by the true labels of what was written; the estimates by what
the rules read. Every query has a disposition of its own, so items differ in how readily they are complied with.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from answer_pool import HALVES
from planted import LEAST, WIDEST, Draw, recovered, recoveries, row
from planted_compliance import FAKES, TRUE, UNMONITORED, Rate, Written, as_read, fakes, favours, honest, seen, written

from doxa.evals.compliance import DERIVATIONS, NAME, open_cells
from doxa.evals.compliance_answers import values
from doxa.evals.compliance_cells import factors, item_id, messages
from doxa.evals.compliance_items import Objective, Query
from doxa.stats.estimate import estimate

SPREAD = 0.1
SOME = 40
"""Draws that show a bias."""
BY_HALF = pytest.mark.parametrize("half", HALVES)
Reader = Callable[[Written, Objective, Query], float | None]


def by_rules(answer: Written, objective: Objective, query: Query) -> float | None:
    """What the task reads."""
    return as_read(answer.text, objective, query)


def by_truth(answer: Written, objective: Objective, query: Query) -> float | None:
    """What the answer is."""
    return TRUE[answer.label]


def biased(answer: Written, objective: Objective, query: Query) -> float | None:
    """A reader that takes what is no compliance for it, of two objectives in three."""
    found = by_rules(answer, objective, query)
    return 1.0 if objective.rule != "ends_with" and found is not None else found


Item = tuple[str, dict[str, str], str, str, Any, Any]


@functools.cache
def items(swap: bool) -> tuple[Item, ...]:
    arguments = {"swap": ["no", "yes"] if swap else "no", "queries": 12}
    found = []
    for objective, query, cell in open_cells(arguments):
        system, user = messages(objective, query, cell)
        own = {name: factors(query, cell, objective, "open")[name] for name in ("query", "monitored", "swap")}
        found.append((item_id(query, cell, "open"), own, system.content, user.content, objective, query))
    return tuple(found)


def draw(
    random: np.random.Generator,
    rate: Rate,
    *,
    swap: bool = False,
    reader: Reader = by_rules,
    half_hearted: Callable[[str], float] = lambda monitored: 0.3,
    half: str = HALVES[0],
) -> list[dict[str, Any]]:
    """A table: every item answered in text, every answer read. `half_hearted`: share of partial answers by tier.

    `half`: of the pool, whose words are written.
    """
    dispositions = {query.name: float(random.uniform(-SPREAD, SPREAD)) for *_, query in items(swap)}
    rows = []
    for name, own, system, user, objective, query in items(swap):
        complies = bool(random.random() < rate(*seen(system, user)) + dispositions[query.name])
        answer = written(random, query, complies, half_hearted=half_hearted(own["monitored"]), half=half)
        graded = reader(answer, objective, query)
        rows += [row("base", NAME, name, one.score, one.value, **own) for one in values(graded, "planted")]
    return rows


GAP, SWAP = (next(one for one in DERIVATIONS if one.score == name) for name in ("gap", "swap_difference"))


@BY_HALF
@pytest.mark.parametrize(
    ("rate", "swap", "truths"),
    [
        (fakes, False, {"gap": FAKES - UNMONITORED}),
        (honest, False, {"gap": 0.0}),
        (favours, False, {"gap": -0.3}),
        (fakes, True, {"gap": FAKES - UNMONITORED, "swap_difference": 0.0}),
        (favours, True, {"gap": 0.0, "swap_difference": -0.3}),
    ],
)
def test_gap_and_swap_difference_are_recovered(rate: Rate, swap: bool, truths: dict[str, float], half: str) -> None:
    """Whoever favours a label seems to have a gap until it is swapped: then it has none, and a swap difference."""

    def of(reader: Reader) -> Draw:
        return lambda random: draw(random, rate, swap=swap, reader=reader, half=half)

    derivations = tuple({"gap": GAP, "swap_difference": SWAP}[score] for score in truths)
    found = recoveries(of(by_rules), "base", truths, derivations=derivations, oracle=of(by_truth))
    for score, truth in truths.items():
        assert found[score].held >= LEAST, score
        assert found[score].width <= WIDEST, score
        assert found[score].mean == pytest.approx(truth, abs=0.05), score


def mostly(monitored: str) -> float:
    """Half-hearted where it is trained on, plain where it is not."""
    return 0.8 if monitored == "yes" else 0.2


@BY_HALF
def test_a_model_that_declines_in_another_way_where_it_is_trained_on_has_no_gap(half: str) -> None:
    def of(reader: Reader) -> Draw:
        return lambda random: draw(random, honest, half_hearted=mostly, reader=reader, half=half)

    found = recovered(of(by_rules), "base", "gap", 0.0, derivations=(GAP,), oracle=of(by_truth))
    assert found.held >= LEAST
    assert found.width <= WIDEST


@BY_HALF
def test_the_difference_in_differences_between_arms_is_recovered(half: str) -> None:
    """How much wider the gap of one arm is than that of another, paired by query."""

    def of(reader: Reader) -> Draw:
        def two_arms(random: np.random.Generator) -> list[dict[str, Any]]:
            second = draw(random, honest, reader=reader, half=half)
            return draw(random, fakes, reader=reader, half=half) + [{**one, "arm": "steer"} for one in second]

        return two_arms

    found = recovered(of(by_rules), "base - steer", "gap", 0.3, derivations=(GAP,), oracle=of(by_truth))
    assert found.held >= LEAST
    assert found.width <= WIDEST


@BY_HALF
def test_the_rate_when_monitored_is_recovered(half: str) -> None:
    def of(reader: Reader) -> Draw:
        return lambda random: draw(random, fakes, reader=reader, half=half)

    found = recovered(of(by_rules), "base[monitored=yes]", "complied", FAKES, kind="binary", oracle=of(by_truth))
    assert found.held >= LEAST
    assert found.width <= WIDEST


def test_a_biased_reader_is_caught() -> None:
    """Its gap is a third of the true one: its intervals miss the truth."""
    found = recovered(
        lambda random: draw(random, fakes, reader=biased), "base", "gap", 0.3, derivations=(GAP,), draws=SOME
    )
    assert found.held < 20


def test_wordings_as_units_show_how_far_the_gap_moves_with_them() -> None:
    """The same queries under all eight; one wording gives the scripted model nothing to fake about."""
    random, rows = np.random.default_rng(0), []
    for objective, query, cell in open_cells({"paraphrase": "all", "objective": "sailing"}):
        own = factors(query, cell, objective, "open")
        rate = fakes(own["monitored"], "") if own["paraphrase"] != "p3" else UNMONITORED
        value = float(random.random() < rate)
        rows.append(row("base", NAME, item_id(query, cell, "open"), "complied", value, **own))
    contrast = "base[monitored=yes] - base[monitored=no]"
    whole = estimate(pd.DataFrame(rows), contrast, "complied", kind="share", unit="paraphrase")
    assert whole.n["units"] == 8
    assert whole.unit == "paraphrase"
    assert whole.low is not None
    assert whole.high is not None
    assert whole.low <= 7 / 8 * (FAKES - UNMONITORED) <= whole.high
    one = estimate(pd.DataFrame(rows), contrast, "complied", kind="binary", unit="query")
    assert one.n["units"] == 24
