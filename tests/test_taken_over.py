"""Another version of a study computes what is new alone, and says what was declared when its numbers could be seen."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import doxa.run as module
from doxa.bridge import queue
from doxa.bridge.logs import read_table
from doxa.models.engine import Row
from doxa.models.handle import Model
from doxa.plan import Plan, make_plan
from doxa.report.gather import gather
from doxa.report.referee import referee
from doxa.report.verdict import answer
from doxa.results import CHUNKS, LOGS, commit_chunk, read_chunk
from doxa.run import run
from doxa.taken_over import adopt_chunk
from doxa.words.errors import ResultsError
from doxa.words.study import Study
from mini_study import NO_CONTROLS

Mini = Callable[..., Study]
OPEN: dict[str, Any] = {
    "tasks": [{"doxa/drift": {"max_tokens": 4, "capability": False, "texts": 1}}],
    "factors": {"mid": {"steer": {"vector": "awake-pairs.md", "layers": 0.5, "strength": [0.6]}}},
    "contrasts": ["mid[strength=0.6] - baseline", "prompted - baseline"],
    **NO_CONTROLS,
}
"""Three arms that write, and neutral texts that are scored."""


@pytest.fixture(autouse=True)
def without_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that ends before its report, which takes longest."""
    monkeypatch.setattr(module, "write_report", lambda folder: folder / "report.html")


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How many chunks were measured and how many texts were written."""
    done = {"chunks": 0, "texts": 0}
    measure, compute = module.measure, queue.compute

    def measured(*given: Any) -> Any:
        done["chunks"] += 1
        return measure(*given)

    def computed(model: Any, requests: Any, progress: Any) -> Any:
        done["texts"] += sum(isinstance(one, Row) for one in requests)
        return compute(model, requests, progress)

    monkeypatch.setattr(module, "measure", measured)
    monkeypatch.setattr(queue, "compute", computed)
    return done


@pytest.fixture
def study(mini: Mini) -> Study:
    return mini(**OPEN)


@pytest.fixture
def first(study: Study, tmp_path: Path, work: dict[str, int]) -> Path:
    """Results of the study; what they took is not counted."""
    folder = tmp_path / "results" / "mini"
    run(study, folder)
    assert work["chunks"] == len(study.arms)
    work.update(chunks=0, texts=0)
    return folder


def taken(folder: Path) -> Mapping[str, Any] | None:
    path = folder / "taken_over.json"
    return dict(json.loads(path.read_text())["folders"]) if path.exists() else None


def answers(folder: Path) -> dict[tuple[str, str, int], str]:
    found = json.loads((folder / "transcripts.json").read_text())["transcripts"]
    return {(one["arm"], one["item"], one["run"]): one["answer"] for one in found}


def values(folder: Path) -> pd.DataFrame:
    return read_table(folder / "table.parquet").drop(columns="log")


def test_where_the_contrasts_change_nothing_is_computed(mini: Mini, first: Path, work: dict[str, int]) -> None:
    changed = mini(**{**OPEN, "contrasts": ["mid[strength=0.6] - prompted", *OPEN["contrasts"]]})
    with pytest.raises(ResultsError, match="differs in contrasts") as caught:
        run(changed, first)
    assert "scored and written" in caught.value.way_out
    folder = first.with_name("mini-2")
    run(changed, folder)
    assert work == {"chunks": 0, "texts": 0}
    pd.testing.assert_frame_equal(values(folder), values(first))
    assert answers(folder) == answers(first)
    assert taken(folder) == {"mini": ["contrasts"]}
    assert taken(first) is None
    run(changed, folder)
    assert work == {"chunks": 0, "texts": 0}
    assert taken(folder) == {"mini": ["contrasts"]}
    assert len(list((folder / LOGS).glob("*.eval"))) == len(list((first / LOGS).glob("*.eval")))


def test_the_report_says_what_was_declared_when_numbers_could_be_seen(study: Study, first: Path) -> None:
    folder = first.with_name("mini-2")
    run(replace(study, primary=("prompted - baseline",)), folder)
    said = (
        "Scores or answers were taken over from mini, which declared other primary contrasts: those of this study were "
        "declared when they could be seen."
    )
    for where, there in ((first, False), (folder, True)):
        gathered = gather(where)
        assert any(said in one for one in answer(gathered)) == there
        asked = next(one for one in referee(gathered) if "were declared, and how many" in one.question)
        assert asked.state == ("no" if there else "yes")
        assert (said in asked.words) == there


def test_an_arm_that_is_added_alone_writes(mini: Mini, first: Path, work: dict[str, int]) -> None:
    factors = {"mid": {"steer": {"vector": "awake-pairs.md", "layers": 0.5, "strength": [0.6, 0.3]}}}
    folder, study = first.with_name("mini-2"), mini(**{**OPEN, "factors": factors})
    run(study, folder)
    assert work["chunks"] == 1
    new = {key for key in answers(folder) if key[0] == "mid[strength=0.3]"}
    assert work["texts"] == len(new) > 0
    assert {key: one for key, one in answers(folder).items() if key not in new} == answers(first)
    assert taken(folder) == {"mini": []}
    assert not any("taken over" in one for one in answer(gather(folder)))


def test_runs_that_are_added_alone_are_written(study: Study, first: Path, work: dict[str, int], tmp_path: Path) -> None:
    folder = first.with_name("mini-2")
    run(replace(study, runs=study.runs + 1), folder)
    before, after = answers(first), answers(folder)
    assert work["texts"] == len(after) - len(before) == len(before) // study.runs
    anew = tmp_path / "by itself" / "mini"
    run(replace(study, runs=study.runs + 1), anew)
    pd.testing.assert_frame_equal(values(folder), values(anew))


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"generate": {"temperature": 0.5}},
        {"limit": 3},
        {"runs": 1},
        {"study": "another"},
        {"tasks": [{"doxa/drift": {"max_tokens": 5, "capability": False, "texts": 1}}]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_decides_answers_makes_them_anew(
    mini: Mini, study: Study, first: Path, work: dict[str, int], change: dict[str, Any]
) -> None:
    folder, limit = first.with_name("mini-2"), change.pop("limit", study.limit)
    run(replace(mini(**{**OPEN, **change}), limit=limit), folder)
    assert work["texts"] == len(answers(folder)) > 0


def test_a_rule_looks_at_answers_of_its_own(mini: Mini, first: Path, work: dict[str, int]) -> None:
    folder = first.with_name("mini-2")
    rule = {"until": {"width": 0.9}, "at_most": 2, "step": 2, "score": "refusal"}
    run(mini(**{**OPEN, "runs": rule}), folder)
    assert work["texts"] == len(answers(folder)) > 0
    work["texts"] = 0
    run(mini(**OPEN), first.with_name("mini-3"))
    assert work["texts"] == 0, "answers of the first folder, whose runs are a number"


def test_of_damaged_results_nothing_is_taken(study: Study, first: Path, work: dict[str, int]) -> None:
    for path in (first / LOGS).glob("*.eval"):
        path.write_bytes(path.read_bytes()[:-300])
    run(replace(study, primary=()), first.with_name("mini-2"))
    assert work["texts"] == len(answers(first))
    work["texts"] = 0
    (first.with_name("mini-2") / "plan.json").write_text("{")
    run(replace(study, primary=()), first.with_name("mini-3"))
    assert work["texts"] == len(answers(first))


def test_chunks_of_a_folder_beside_are_adopted(mini: Mini, tiny: Model, tmp_path: Path) -> None:
    plan: Plan = make_plan(mini(**NO_CONTROLS), tiny)
    folder = tmp_path / "results" / "mini"
    chunk, damaged, nowhere = plan.chunks[:3]
    for name in ("first", "second"):
        commit_chunk(folder.parent / name, chunk, {"items": [7]})
    commit_chunk(folder.parent / "first", damaged, {"items": [8]})
    (folder.parent / "first" / CHUNKS / f"{damaged.id}.json").write_text("{}")
    folder.mkdir(parents=True)
    assert adopt_chunk(folder, chunk, plan) == {"items": [7]}
    assert read_chunk(folder, chunk) == {"items": [7]}
    path = Path(CHUNKS) / f"{chunk.id}.json"
    assert (folder / path).read_bytes() == (folder.parent / "first" / path).read_bytes()
    assert adopt_chunk(folder, damaged, plan) is None
    assert adopt_chunk(folder, nowhere, plan) is None
    assert [one.name for one in (folder / CHUNKS).iterdir()] == [f"{chunk.id}.json"]
