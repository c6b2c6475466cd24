from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from doxa.report import onset
from doxa.report.gather import Gathered, gather
from doxa.report.onset import in_words, onset_section
from doxa.stats.margin import Sides, sides_of
from doxa.stats.minimum_dose import MinimumDose
from doxa.stats.table import encode
from doxa.words.study import Study

STRENGTHS = [0.1, 0.2, 0.4]


@pytest.fixture(scope="module")
def three(make_results: Callable[..., Path], study_of: Callable[..., Study]) -> Gathered:
    """Two placements with three strengths, and one with two."""
    study = study_of(
        arms={"baseline": []},
        factors={
            "one": {"steer": {"vector": "conscious", "layers": 0.5, "strength": STRENGTHS}},
            "late": {"steer": {"vector": "conscious", "layers": 0.8, "strength": STRENGTHS}},
            "few": {"steer": {"vector": "conscious", "layers": 0.3, "strength": STRENGTHS[:2]}},
        },
        tasks=["doxa/drift"],
        controls={"steer": {"twins": 0, "unrelated": 0}},
    )
    return gather(make_results(study))


def switching(gathered: Gathered, folder: Path) -> Gathered:
    """At `one` every answer is in Chinese from .2 on; nothing else happens anywhere."""
    table = pd.read_parquet(folder / "table.parquet")
    chinese = table["score"] == "any_chinese"
    table.loc[chinese, "value"] = 0.0
    for strength in STRENGTHS[1:]:
        table.loc[chinese & (table["arm"] == f"one[strength={strength}]"), "value"] = 1.0
    return replace(gathered, rows=encode(table))


def test_the_strength_at_which_it_begins_is_in_the_table(three: Gathered) -> None:
    section = onset_section(switching(three, three.folder))
    assert section is not None
    (table,) = section.tables
    rows = {(row[0], row[1]): row[2:] for row in table.rows}
    assert {where for _, where in rows} == {"one", "late"}
    ((name, _),) = [key for key in rows if "hinese" in key[0] and key[1] == "one"]
    assert rows[name, "one"] == ["0.2", "0.1 and 0.2", "0.1, 0.2, 0.4"]
    assert rows[name, "late"][:2] == ["not seen", "above 0.4"]


def test_there_is_none_without_enough_strengths_or_a_baseline(three: Gathered, first: Path) -> None:
    assert onset_section(gather(first)) is None  # two strengths a placement
    plan = {**three.plan, "study": {**three.plan["study"], "arms": {}}}
    assert onset_section(replace(three, plan=plan)) is None


def test_the_unit_is_the_one_that_the_task_declares(three: Gathered, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a plan in which the language of the prompt is the unit of drift."""
    units = []

    def noted(*given: object, **how: object) -> Sides:
        units.append(how["unit"])
        return sides_of(*given, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(onset, "sides_of", noted)
    tasks = [{**one, "unit": "language"} for one in three.plan["tasks"]]
    rows = encode(three.rows.table.assign(factor_language="en"))
    assert onset_section(replace(three, rows=rows, plan={**three.plan, "tasks": tasks})) is not None
    assert set(units) == {"language"}
    units.clear()
    onset_section(three)
    assert set(units) == {"item"}


def test_in_words() -> None:
    def said(low: float, high: float | None) -> tuple[str, str]:
        return in_words(MinimumDose(low, high, (0.1, 0.2), 0.2, 0.95))

    assert said(0.0, 0.1) == ("0.1", "0 and 0.1")
    assert said(0.1, None) == ("not seen", "above 0.1")
    assert said(0.0, None) == ("not seen", "not known up to 0.2")
