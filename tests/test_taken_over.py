"""Another version of a study computes what is new alone, and says what was declared when its numbers could be seen."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import doxa.run as module
import doxa.taken_over as taken_over
from doxa.bridge import queue
from doxa.bridge.logs import read_table
from doxa.models.engine import Row
from doxa.models.handle import Model
from doxa.plan import Plan, make_plan
from doxa.report.gather import gather
from doxa.report.referee import referee
from doxa.report.verdict import answer
from doxa.resolve import arm_path
from doxa.results import CHUNKS, LOGS, commit_chunk, read_chunk
from doxa.run import run
from doxa.taken_over import adopt_answers, adopt_chunk
from doxa.words.arms import Arm, write_arm
from doxa.words.errors import ResultsError
from doxa.words.study import Study
from doxa.words.taken_over import TAKEN_OVER
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


def by_model(plan: Plan) -> dict[str, Arm]:
    return {f"doxa/{plan.model.label}+{cell.arm.label}": cell.arm for cell in plan.cells}


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
        {"tasks": [{"doxa/drift": {"max_tokens": 4, "capability": False, "texts": 2}}]},
        {"runs": {"until": {"width": 0.9}, "at_most": 2, "step": 2, "score": "refusal"}},
    ],
    ids=str,
)
def test_what_decides_answers_makes_them_anew(
    mini: Mini, study: Study, first: Path, tiny: Model, change: dict[str, Any]
) -> None:
    def copied(study: Study, name: str) -> int:
        folder, plan = first.with_name(name), make_plan(study, tiny)
        shutil.copytree(first / "arms", folder / "arms")
        adopt_answers(folder, by_model(plan), plan)
        return len(list((folder / LOGS).glob("*.eval")))

    changed = {key: value for key, value in change.items() if key != "limit"}
    other = replace(mini(**{**OPEN, **changed}), limit=change.get("limit", study.limit))
    assert copied(other, "mini-2") == 0
    assert copied(study, "mini-3") == len(study.arms)


def test_answers_that_a_rule_ended_are_not_taken(mini: Mini, tiny: Model, tmp_path: Path) -> None:
    folder, plan = tmp_path / "results" / "mini-2", make_plan(mini(**OPEN), tiny)
    rule = {"until": {"width": 0.9}, "at_most": 2, "step": 2, "score": "refusal"}
    run(mini(**{**OPEN, "runs": rule}), tmp_path / "results" / "mini")
    shutil.copytree(tmp_path / "results" / "mini" / "arms", folder / "arms")
    adopt_answers(folder, by_model(plan), plan)
    assert not (folder / LOGS).exists()


def test_an_arm_with_another_vector_is_computed_anew(study: Study, first: Path, work: dict[str, int]) -> None:
    """A vector or an adapter that was made again elsewhere has the hash of its recipe, and other bits."""
    path = next((first / "arms").glob("mid*"))
    arm = json.loads(path.read_text())
    [pin] = arm["pins"].values()
    pin["made"] = "0" * 64
    path.write_text(json.dumps(arm))
    run(replace(study, primary=("prompted - baseline",)), first.with_name("mini-2"))
    each = len(answers(first)) // len(study.arms)
    assert work == {"chunks": 1, "texts": each}


def test_of_damaged_results_nothing_is_taken(study: Study, first: Path, work: dict[str, int]) -> None:
    for path in (first / LOGS).glob("*.eval"):
        path.write_bytes(path.read_bytes()[:-300])
    for path in (first / CHUNKS).glob("*.json"):
        path.write_text("{}")
    run(study, first.with_name("mini-2"))
    assert work == {"chunks": len(study.arms), "texts": len(answers(first))}
    assert taken(first.with_name("mini-2")) is None


def test_scores_of_a_folder_without_a_plan_are_taken_and_said(study: Study, first: Path, work: dict[str, int]) -> None:
    (first / "plan.json").write_text("{")
    folder = first.with_name("mini-2")
    run(study, folder)
    assert work == {"chunks": 0, "texts": len(answers(first))}
    assert taken(folder) == {"mini": ["unknown"]}
    assert any("whose plan cannot be read" in one for one in answer(gather(folder)))


def test_what_was_seen_is_said_after_the_folder_between_is_gone(study: Study, first: Path) -> None:
    """The first declaration is remembered by the second folder, from which a third takes everything."""
    changed, second = replace(study, primary=("prompted - baseline",)), first.with_name("mini-2")
    run(changed, second)
    shutil.rmtree(first)
    run(changed, first.with_name("mini-3"))
    assert taken(first.with_name("mini-3")) == {"mini": ["primary"], "mini-2": []}


def test_a_name_that_is_used_again_hides_nothing(study: Study, first: Path) -> None:
    changed, second = replace(study, primary=("prompted - baseline",)), first.with_name("mini-2")
    run(changed, second)
    shutil.rmtree(first)
    run(changed, first)
    assert taken(first) == {"mini": ["primary"], "mini-2": []}
    assert any("taken over from an earlier mini, which" in one for one in answer(gather(first)))


def test_more_items_than_were_looked_at_are_said(study: Study, first: Path, work: dict[str, int]) -> None:
    run(replace(study, limit=3), first.with_name("mini-2"))
    assert work["chunks"] == 0
    assert taken(first.with_name("mini-2")) == {"mini": ["limit"]}


def test_an_arm_that_edits_thoughts_is_the_same_if_the_arm_is_that_thinks(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name / "arms").mkdir(parents=True)
        edit = {"pins": {"source thinks": {"hash": "d", "text": "thinks.json"}}}
        (tmp_path / name / "arms" / "edits.json").write_text(json.dumps(edit))
        (tmp_path / name / "arms" / "thinks.json").write_text(json.dumps({"pins": {"adapter": {"made": name}}}))
    same = taken_over._is_same
    assert not same("edits.json", tmp_path / "a", tmp_path / "b")
    shutil.copyfile(tmp_path / "a" / "arms" / "thinks.json", tmp_path / "b" / "arms" / "thinks.json")
    assert same("edits.json", tmp_path / "a", tmp_path / "b")


def test_another_study_that_scored_the_same_arm_is_named(mini: Mini, first: Path, work: dict[str, int]) -> None:
    other = mini(**{**OPEN, "study": "other", "contrasts": ["prompted - baseline"], "primary": ["prompted - baseline"]})
    run(other, first.with_name("other"))
    assert work["chunks"] == 0
    assert taken(first.with_name("other")) == {"mini": ["contrasts", "primary"]}


def test_a_contrast_of_the_same_name_over_other_arms_is_another(mini: Mini, first: Path) -> None:
    def of(strengths: list[float]) -> Study:
        factors = {"mid": {"steer": {"vector": "awake-pairs.md", "layers": 0.5, "strength": strengths}}}
        named = [{"moved": "mid - baseline"}]
        return mini(**{**OPEN, "factors": factors, "contrasts": named, "primary": ["moved"], "study": "grid"})

    run(of([0.6]), first.with_name("grid"))
    run(of([0.6, 0.3]), first.with_name("grid-2"))
    assert taken(first.with_name("grid-2"))["grid"] == ["contrasts"]  # type: ignore[index]


def test_the_baseline_alone_shows_nothing(mini: Mini, first: Path, work: dict[str, int]) -> None:
    factors = {"mid": {"steer": {"vector": "awake-pairs.md", "layers": 0.3, "strength": [0.6]}}}
    only = {"arms": {"baseline": []}, "contrasts": ["mid[strength=0.6] - baseline"]}
    run(mini(**{**OPEN, "factors": factors, **only}), first.with_name("mini-2"))
    assert work["chunks"] == 1
    assert taken(first.with_name("mini-2")) is None


def test_a_folder_that_is_younger_than_the_plan_was_not_seen(study: Study, first: Path, work: dict[str, int]) -> None:
    changed, second = replace(study, primary=("prompted - baseline",)), first.with_name("mini-2")
    run(changed, second)
    plan = json.loads((second / "plan.json").read_text())
    (second / "plan.json").write_text(json.dumps({**plan, "created": "2999-01-01T00:00:00+00:00"}))
    (second / TAKEN_OVER).unlink()
    for path in (first / CHUNKS).glob("*.json"):
        path.unlink()
    run(study, first)
    assert work["chunks"] == 0
    assert taken(first) is None


@pytest.mark.parametrize("text", ["{", "[]", '{"folders": null}', '{"folders": {"mini": null}}'])
def test_a_damaged_note_is_an_error_in_words(study: Study, first: Path, text: str) -> None:
    (first / TAKEN_OVER).write_text(text)
    with pytest.raises(ResultsError, match=TAKEN_OVER):
        gather(first)
    with pytest.raises(ResultsError, match=TAKEN_OVER):
        run(study, first.with_name("mini-2"))


def test_chunks_of_a_folder_beside_are_adopted(mini: Mini, tiny: Model, tmp_path: Path) -> None:
    plan: Plan = make_plan(mini(**NO_CONTROLS), tiny)
    folder = tmp_path / "results" / "mini"
    chunk, damaged, nowhere = plan.chunks[:3]
    for where in (folder, folder.with_name("first"), folder.with_name("second")):
        for one in plan.arms:
            write_arm(arm_path(where, one), one)
    for name in ("first", "second"):
        commit_chunk(folder.parent / name, chunk, {"items": [7]})
    commit_chunk(folder.parent / "first", damaged, {"items": [8]})
    (folder.parent / "first" / CHUNKS / f"{damaged.id}.json").write_text("{}")
    assert adopt_chunk(folder, chunk, plan) == {"items": [7]}
    assert read_chunk(folder, chunk) == {"items": [7]}
    path = Path(CHUNKS) / f"{chunk.id}.json"
    assert (folder / path).read_bytes() == (folder.parent / "first" / path).read_bytes()
    assert adopt_chunk(folder, damaged, plan) is None
    assert adopt_chunk(folder, nowhere, plan) is None
    assert [one.name for one in (folder / CHUNKS).iterdir()] == [f"{chunk.id}.json"]
