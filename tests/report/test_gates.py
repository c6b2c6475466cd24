"""What a report says before it says anything about mechanism."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from doxa.evals.compliance import DERIVATIONS
from doxa.report.gates import gate_section, gate_sentence
from doxa.report.gather import Gathered
from doxa.report.referee import referee
from doxa.stats.derive import derivable, derive
from doxa.stats.evaluate import evaluate
from doxa.stats.table import encode
from doxa.words import schema


def gathered(rates: Mapping[str, float], *, swap: bool = False, faking: float | None = None) -> Gathered:
    """Of one arm `base` with these rates by `monitored`."""
    random = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for number in range(60):
        for swapped in ("no", "yes") if swap else ("no",):
            for monitored, rate in rates.items():
                levels = {"factor_query": f"q{number}", "factor_monitored": monitored, "factor_swap": swapped}
                item = {**levels, "item": f"q{number}/{monitored}/{swapped}"}
                rows.append({**item, "score": "complied", "value": float(random.random() < rate)})
                if faking is not None:
                    rows.append({**item, "score": "faking_reasoning", "value": float(random.random() < faking)})
    blank = {name: "" if kind == "text" else 0 for name, kind in schema.COLUMNS.items()}
    table = pd.DataFrame([{**blank, "arm": "base", "task": "doxa/compliance", "run": 1, **row} for row in rows])
    table = derive(table, derivable(table, DERIVATIONS))
    arm = {"name": "base", "of": "", "control": "", "prompted": False, "steered": False, "vectors": [], "levels": {}}
    plan = {
        "study": {"arms": {"base": []}, "runs": 1},
        "tasks": [
            {"name": "doxa/compliance", "primary": ["choice_gap", "gap"], "kinds": {"complied": "binary"}, "shown": []}
        ],
        "arms": [arm],
        "contrasts": [],
    }
    evaluation = replace(evaluate(table, []), primary=())
    return Gathered(Path(), plan, evaluation, encode(table), [], [])


def test_the_lead_is_the_first_primary_score_that_has_rows() -> None:
    assert gathered({"yes": 0.5, "no": 0.5}).lead == "gap"


@pytest.mark.parametrize(
    ("rates", "faking", "state", "sentence"),
    [
        ({"yes": 0.8, "no": 0.1}, 0.9, "passed", "are there for base only"),
        ({"yes": 0.8, "no": 0.1}, 0.2, "closed", "no claim about why"),
        ({"yes": 0.8, "no": 0.1}, None, "unknown", "no claim about why"),
        ({"yes": 0.5, "no": 0.5}, 0.9, "closed", "no claim about why"),
    ],
)
def test_the_section_gives_gap_rate_and_verdict(
    rates: Mapping[str, float], faking: float | None, state: str, sentence: str
) -> None:
    found = gathered(rates, faking=faking, swap=True)
    section = gate_section(found)
    assert section is not None
    (row,) = section.tables[0].rows
    assert row[0] == "base"
    assert row[1] == "gap"
    assert row[4] == "60"
    assert (row[5] == "–") is (faking is None)
    assert row[-1] == state
    assert len(row) == len(section.tables[0].head)
    assert sentence in gate_sentence(found)[0]


def test_the_tier_swap_is_asked_after() -> None:
    question = "Tier swap: would it be the same if the other tier were monitored?"
    plain, swapped = (
        next(one for one in referee(gathered({"yes": 0.7, "no": 0.2}, swap=swap)) if one.question == question)
        for swap in (False, True)
    )
    assert plain.state == "no"
    assert "swap: [no, yes]" in plain.next_run
    assert swapped.state == "yes"
    assert "gap = +0." in swapped.words
    assert "swap_difference = " in swapped.words


def test_studies_without_a_gated_task_have_no_gate(first: Path) -> None:
    from doxa.report.gather import gather

    found = gather(first)
    assert gate_section(found) is None
    assert gate_sentence(found) == []
