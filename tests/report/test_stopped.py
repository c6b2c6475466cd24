import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from doxa.report.gather import Gathered, gather
from doxa.report.page import write_report
from doxa.report.stopped import MEANS, NOT_FIXED, WIDTHS, stopped, stopping_section
from doxa.report.verdict import answer
from doxa.stats.stopping import Look, Quantity, look_to_json
from doxa.words.errors import ResultsError
from doxa.words.study import Study

RULE = "until the 95 % confidence sequence of block - baseline on loop of doxa/drift leaves 0 out"
SOME = Quantity("block - baseline", 0.3123, 0.0412, 0.5511, 480, 0, "beta-binomial sequence", "differs")


@pytest.fixture(scope="module")
def folder(make_results: Callable[..., Path], study_of: Callable[..., Study]) -> Path:
    """A small study's results, without a report."""
    steer = {"steer": {"vector": "conscious", "layers": 0.5, "strength": 0.6}}
    study = study_of(
        arms={"baseline": [], "block": [steer]},
        tasks=["doxa/claims", "doxa/drift"],
        contrasts=["block - baseline"],
        controls={"steer": {"twins": 0, "unrelated": 0}},
    )
    return make_results(study)


@pytest.fixture
def stopping(folder: Path) -> Callable[..., Gathered]:
    """A gathered folder whose runs ended by a rule."""

    def make(*looks: Look, decides: bool = True, met: bool = True, runs: Any = None) -> Gathered:
        small = gather(folder)
        found = {"digest": "x", "rule": RULE, "decides": decides, "task": "doxa/drift", "score": "loop"}
        found |= {"at_most": 40, "met": met, "looks": [look_to_json(one) for one in looks]}
        plan = {**small.plan, "study": {**small.plan["study"], "runs": runs or {"until": "decided"}}}
        return replace(small, plan=plan, stopping=found if looks else None)

    return make


def test_a_fixed_number_of_runs_is_not_spoken_of(stopping: Callable[..., Gathered]) -> None:
    fixed = stopping(runs=4)
    assert stopped(fixed) == []
    assert stopping_section(fixed) is None


def test_a_decision_says_when_by_what_and_that_a_sequence_was_used(stopping: Callable[..., Gathered]) -> None:
    found = stopping(Look(10, (replace(SOME, answer=""),)), Look(20, (SOME,)))
    said = stopped(found)
    assert said == [
        f"Stopped after 20 runs of at most 40: {RULE}.",
        "block - baseline on loop: +0.312 [0.0412, 0.551] by the beta-binomial sequence (480 rows): differs from 0.",
        NOT_FIXED,
    ]
    assert answer(found)[-3:] == said
    section = stopping_section(found)
    assert section is not None
    assert [row[0] for row in section.tables[0].rows] == ["10", "20"]
    assert [row[-1] for row in section.tables[0].rows] == ["not enough", "differs"]


def test_a_width_says_that_it_saw_widths_only(stopping: Callable[..., Gathered]) -> None:
    narrow = replace(SOME, name="block", answer="narrow", method="Wilson")
    assert stopped(stopping(Look(20, (narrow,)), decides=False)) == [
        f"Stopped after 20 runs of at most 40: {RULE}.",
        WIDTHS,
    ]
    mean = replace(narrow, method="t over items")
    assert stopped(stopping(Look(20, (narrow, mean)), decides=False))[-1] == MEANS


def test_the_most_without_an_answer_says_what_was_not_enough(stopping: Callable[..., Gathered]) -> None:
    open_ = replace(SOME, answer="", missing=3)
    unknown = replace(
        SOME, name="every - baseline", value=None, low=None, high=None, answer="", why="no value of every"
    )
    said = stopped(stopping(Look(40, (open_, unknown)), met=False))
    assert said[0] == f"All 40 runs were made, and the rule was not met: {RULE}."
    assert "480 rows, 3 more missing): not enough." in said[1]
    assert said[2] == "every - baseline on loop: no value of every."


def test_a_step_that_ended_in_errors_is_not_called_the_end(stopping: Callable[..., Gathered]) -> None:
    assert "which was not looked at" in stopped(stopping())[0]
    (said,) = stopped(stopping(Look(10, (replace(SOME, answer=""),)), met=False))
    assert said.startswith("Not finished: after 10 runs of at most 40 the rule was not met")


def test_the_report_shows_the_looks_and_a_command_without_a_number_of_runs(folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(folder, tmp_path / "small"))
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    plan["study"]["runs"] = {"until": "decided", "at_most": 40, "step": 10, "margin": None, "score": None}
    (folder / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    found = {"digest": "x", "rule": RULE, "decides": True, "task": "doxa/drift", "score": "loop", "at_most": 40}
    found |= {"met": True, "looks": [look_to_json(Look(20, (SOME,)))]}
    (folder / "stopping.json").write_text(json.dumps(found), encoding="utf-8")
    write_report(folder)
    for name in ("report.html", "report.md", "summary.txt"):
        assert "Stopped after 20 runs of at most 40" in (folder / name).read_text(encoding="utf-8"), name
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "When the runs were stopped" in page
    assert "<pre>doxa run small</pre>" in page
    (folder / "stopping.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ResultsError, match="lacks rule"):
        gather(folder)
