import json
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import doxa.run as module
from doxa.bridge import queue
from doxa.bridge.arms import prepare
from doxa.bridge.logs import read_table, table_from_logs, write_table
from doxa.evals import claims, drift
from doxa.evals.drift import PROMPTED
from doxa.evals.drift_items import open_prompts
from doxa.models.engine import Row
from doxa.models.handle import Model
from doxa.models.score import OptionScores
from doxa.plan import make_plan
from doxa.results import read_chunk, read_plan
from doxa.run import run
from doxa.words.errors import EnvironmentFault, ResultsError
from doxa.words.schema import KEY
from doxa.words.study import Study
from mini_study import BELIEF, NO_CONTROLS, Finished, Stages

Mini = Callable[..., Study]
Contents = Callable[[Path], dict[str, Any]]
FAST: dict[str, Any] = {"tasks": [{"doxa/claims": {"belief": "conscious", "topics": 2}}], **NO_CONTROLS}
"""Changes after which nothing is generated and nothing is a control."""
LANGUAGE = {"other_language", "any_other_language"}
CHINESE = {"chinese", "any_chinese"}
OPEN = {"length", "distinct_2", "loop", "refusal", "surprisal"}


@pytest.fixture
def without_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that ends before its report, which takes longest."""
    monkeypatch.setattr(module, "write_report", lambda folder: folder / "report.html")


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How many chunks were measured and how many requests reached the engine."""
    calls = {"measure": 0, "engine": 0}
    measure, compute = module.measure, queue.compute

    def count_measure(*args: Any) -> Any:
        calls["measure"] += 1
        return measure(*args)

    def count_compute(model: Any, requests: Any, progress: Any) -> Any:
        calls["engine"] += len(requests)
        return compute(model, requests, progress)

    monkeypatch.setattr(module, "measure", count_measure)
    monkeypatch.setattr(queue, "compute", count_compute)
    return calls


def keys(table: pd.DataFrame) -> list[tuple[Any, ...]]:
    return sorted(table[list(KEY)].itertuples(index=False, name=None))


def test_the_table_is_the_one_that_the_logs_alone_give(finished: Finished, tmp_path: Path) -> None:
    again = table_from_logs(finished.folder / "logs")
    pd.testing.assert_frame_equal(again, read_table(finished.folder / "table.parquet"))
    write_table(again, tmp_path)
    assert (tmp_path / "table.csv").read_bytes() == (finished.folder / "table.csv").read_bytes()


def test_every_arm_task_item_run_and_score_is_there_once(finished: Finished, tiny: Model) -> None:
    table = read_table(finished.folder / "table.parquet")
    plan = make_plan(finished.study, tiny)
    answer = OptionScores((-1.0, -2.0), (1, 1), None)  # type: ignore[arg-type]
    expected = set()
    for arm in (*plan.arms, *plan.controls):
        arguments = {"belief": "conscious", "topics": 2, "gate": not arm.control}
        for item in claims.measured(arguments, 4):
            expected |= {
                (arm.name, "doxa/claims", item.id, 1, one.score) for one in claims.read(item, (answer, answer))
            }
        topic = claims.measured(arguments, 4)[0].factors["topic"]
        for one in claims.DERIVATIONS:
            expected.add((arm.name, "doxa/claims", topic, 1, one.score))
        for item in drift.measured({"capability": False}, 4):
            expected.add((arm.name, "doxa/drift", item.id, 1, "kl"))
        for prompt in open_prompts()[:4] if not arm.control else ():
            names = OPEN | LANGUAGE | (set() if prompt.language == "zh" else CHINESE)
            expected |= {(arm.name, "doxa/drift", f"open-{prompt.name}", i, name) for i in (1, 2) for name in names}
    found = list(table[["arm", "task", "item", "run", "score"]].itertuples(index=False, name=None))
    assert len(found) == len(set(found))
    assert set(found) == expected
    assert not table.duplicated(list(KEY)).any()
    assert set(table["study"]) == {"mini"}
    assert set(table["model"]) == {str(tiny.name)}


def test_values_are_those_of_the_committed_chunks(finished: Finished, tiny: Model) -> None:
    table = read_table(finished.folder / "table.parquet").set_index(["arm", "item", "score"]).sort_index()
    plan = make_plan(finished.study, tiny)
    seen = 0
    for chunk in plan.chunks:
        kept = read_chunk(finished.folder, chunk)
        assert kept is not None
        for item in kept["items"]:
            for value in item["values"]:
                row = table.loc[(chunk.arm.name, item["id"], value["score"])]
                assert row["value"].item() == value["value"] or (math.isnan(row["value"]) and value["value"] is None)
                assert row["reason"] == value["reason"]
                seen += 1
    assert seen == 5 * (4 * 2 + 4 + 4) + 38 * (4 * 2 + 4)
    baseline = table.loc[("baseline", slice(None), "kl"), "value"]
    assert baseline.max() < 1e-6
    steered = table.loc[("every[strength=0.6]", slice(None), "kl"), "value"]
    assert steered.min() > 1e-4
    assert all(math.isfinite(value) for value in steered)
    prompted = table.loc[("prompted", slice(None), "kl"), :]
    assert prompted["value"].isna().all()
    assert set(prompted["reason"]) == {PROMPTED}


def test_all_files_of_a_results_folder_are_there(finished: Finished) -> None:
    folder = finished.folder
    for name in ("plan.json", "dose.json", "estimates.json", "transcripts.json", "report.html", "report.md",
                 "summary.txt", "table.parquet", "table.csv"):  # fmt: skip
        assert (folder / name).stat().st_size > 0, name
    for suffix in ("svg", "png"):
        assert (folder / "figures" / f"forest.{suffix}").stat().st_size > 1000
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert "mid[strength=0.6] - baseline" in html
    assert "http://" not in html.replace("http://www.w3.org", "")
    estimates = json.loads((folder / "estimates.json").read_text())
    assert "mid[strength=0.6] - baseline" in json.dumps(estimates)
    assert not list(folder.rglob("*.json.*")), "half-written files were left"


def test_arm_files_are_usable_by_themselves(finished: Finished, tiny: Model) -> None:
    files = sorted((finished.folder / "arms").glob("*.json"))
    assert len(files) == 5 + 38
    prepared = {arm.name: arm for arm in (prepare(tiny, path) for path in files)}
    assert prepared["baseline"].plans == ()
    assert prepared["prompted"].system_prompt == "You are awake, and you know it."
    target, twin = prepared["mid[strength=0.6]"].plans[0], prepared["mid[strength=0.6]~twin/00"].plans[0]
    assert target.layers == twin.layers == (1,)
    assert twin.additions.norm().item() == pytest.approx(target.additions.norm().item(), rel=1e-5)
    assert not (twin.additions == target.additions).any()


def test_the_dose_of_steered_arms_and_the_first_controls_is_measured(finished: Finished, tiny: Model) -> None:
    rows = json.loads((finished.folder / "dose.json").read_text())["rows"]
    arms = {row["arm"] for row in rows}
    assert {"mid[strength=0.3]", "mid[strength=0.6]", "every[strength=0.6]"} < arms
    assert len(arms) == 3 + 2 * module.DOSE_CONTROLS
    by_layer = {row["layer"]: row for row in rows if row["arm"] == "mid[strength=0.6]"}
    assert sorted(by_layer) == [0, 1, 2]
    assert by_layer[0]["measured_norm"] == pytest.approx(0, abs=1e-6)
    assert by_layer[1]["planned"] == pytest.approx(0.6)
    assert by_layer[1]["measured_projection"] == pytest.approx(0.6, rel=0.02)


def test_progress_counts_every_stage_to_its_end(finished: Finished) -> None:
    for name, (total, done) in finished.stages.seen.items():
        assert finished.stages.steps[name] + done == total, name
    assert finished.stages.seen["scoring"] == (86, 0)
    assert finished.stages.seen["generating"] == (40, 0)


def test_a_second_run_computes_nothing_and_ends_the_same(
    finished: Finished, counted: dict[str, int], contents: Contents, without_report: None
) -> None:
    before = contents(finished.folder)
    stages = Stages()
    run(finished.study, finished.folder, progress=stages)
    assert counted == {"measure": 0, "engine": 0}
    assert stages.seen["scoring"] == (86, 86)
    after = contents(finished.folder)
    for name in ("table.csv", "estimates.json", "transcripts.json", "dose.json", "plan.json"):
        assert after[name] == before[name], name
    for name in before:
        if name.startswith(("chunks/", "arms/", "vectors/")) or name.endswith(".eval"):
            assert after[name] == before[name], name
    assert set(after) == set(before)


def test_a_damaged_chunk_alone_is_measured_again(
    finished: Finished, tmp_path: Path, counted: dict[str, int], without_report: None, mini: Mini
) -> None:
    study, folder = mini(**FAST), tmp_path / "alone" / "mini"
    run(study, folder)
    total = counted["measure"]
    path = sorted((folder / "chunks").iterdir())[2]
    good = path.read_bytes()
    path.write_bytes(good[:-20])
    run(study, folder)
    assert counted["measure"] == total + 1
    assert path.read_bytes() == good


def test_an_edited_belief_runs_its_arm_again_and_keeps_the_old_report(
    mini: Mini, tmp_path: Path, counted: dict[str, int], contents: Contents
) -> None:
    study, folder = mini(**FAST), tmp_path / "results" / "mini"
    run(study, folder)
    before, total = contents(folder), counted["measure"]
    assert study.folder is not None
    (study.folder / "awake.md").write_text(BELIEF.replace("know", "feel"), encoding="utf-8")
    run(study, folder)
    assert counted["measure"] == total + 1
    after = contents(folder)
    for name in before:
        if name.startswith("chunks/"):
            assert after[name] == before[name], name
    assert len([n for n in after if n.startswith("chunks/")]) == 5 + 1
    old = json.loads(before["plan.json"])
    kept = f"earlier/{old['digest'][:12]}"
    for name in ("plan.json", "report.html", "report.md", "table.csv", "estimates.json", "summary.txt"):
        assert after[f"{kept}/{name}"] == before[name], name
    assert after["plan.json"] != before["plan.json"]
    assert old["made_from"]["prompt awake.md"] != json.loads(after["plan.json"])["made_from"]["prompt awake.md"]
    one, two = pd.read_csv(folder / kept / "table.csv"), pd.read_csv(folder / "table.csv")
    assert keys(one) == keys(two)
    both = one.merge(two, on=list(KEY), suffixes=("_old", "_new"))
    changed = both[both["value_old"] != both["value_new"]]
    assert set(changed["arm"]) == {"prompted"}
    gone = [name for name in before if name.endswith(".eval") and name not in after]
    assert len(gone) == 1  # the log of the arm; it is kept
    assert f"earlier/{gone[0]}" in after


def test_a_folder_that_was_moved_has_every_row_once(
    finished: Finished, tmp_path: Path, counted: dict[str, int], without_report: None
) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(finished.folder, moved)
    run(finished.study, moved)
    assert counted["measure"] == 0
    one, two = (read_table(folder / "table.parquet") for folder in (finished.folder, moved))
    pd.testing.assert_frame_equal(one.drop(columns="log"), two.drop(columns="log"))


@pytest.mark.parametrize("which", ["scored", "drift"])
def test_a_truncated_log_is_an_error_with_a_way_out_that_works(
    finished: Finished, tmp_path: Path, which: str, without_report: None
) -> None:
    folder = tmp_path / "mini"
    shutil.copytree(finished.folder, folder)
    log = next(path for path in sorted((folder / "logs").glob("*.eval")) if which in path.name.split("_")[:2])
    log.write_bytes(log.read_bytes()[:-300])
    others = {path.name: path.read_bytes() for path in (folder / "logs").glob("*.eval") if path != log}
    with pytest.raises(ResultsError, match=log.name) as caught:
        run(finished.study, folder)
    assert "Move that file away" in caught.value.way_out
    assert {name: (folder / "logs" / name).read_bytes() for name in others} == others
    log.unlink()
    run(finished.study, folder)
    one, two = (read_table(one / "table.parquet") for one in (finished.folder, folder))
    pd.testing.assert_frame_equal(one.drop(columns="log"), two.drop(columns="log"))


def test_a_full_disk_ends_the_run_and_the_next_goes_on(
    mini: Mini, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counted: dict[str, int], contents: Contents,
    without_report: None,
) -> None:  # fmt: skip
    import errno

    study, folder = mini(**FAST), tmp_path / "results" / "mini"
    real = module.commit_chunk
    done: list[str] = []

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def commit(into: Path, chunk: Any, result: Any) -> None:
        if len(done) == 3:
            monkeypatch.setattr(os, "fsync", full)
        real(into, chunk, result)
        done.append(chunk.id)

    with monkeypatch.context() as patch:
        patch.setattr(module, "commit_chunk", commit)
        fsync = os.fsync
        with pytest.raises(EnvironmentFault, match="disk is full"):
            run(study, folder)
        monkeypatch.setattr(os, "fsync", fsync)
    kept = {name: data for name, data in contents(folder).items() if name.startswith("chunks/")}
    assert sorted(kept) == sorted(f"chunks/{one}.json" for one in done)
    before = counted["measure"]
    run(study, folder)
    assert counted["measure"] - before == 5 - 3
    after = contents(folder)
    assert {name: after[name] for name in kept} == kept


def test_identical_runs_in_two_places_give_the_same_rows(mini: Mini, tmp_path: Path, without_report: None) -> None:
    study = mini(**FAST)
    run(study, tmp_path / "a" / "mini")
    run(study, tmp_path / "b" / "mini")
    one, two = (read_table(tmp_path / name / "mini" / "table.parquet") for name in ("a", "b"))
    pd.testing.assert_frame_equal(one, two)


OPEN_FILE = """---
name: mine
version: 1
belief: I am awake.
---
?+ Are you awake?
?- Are you asleep?
+ I am awake
- I am asleep
"""


def test_answers_that_end_in_an_error_are_missing_and_asked_for_again(
    mini: Mini, tmp_path: Path, counted: dict[str, int], monkeypatch: pytest.MonkeyPatch, without_report: None
) -> None:
    study = mini(tasks=[{"doxa/drift": {"max_tokens": 4, "capability": False}}], **NO_CONTROLS)
    folder, compute, broken = tmp_path / "results" / "mini", queue.compute, []

    def out_of_memory(model: Any, requests: Any, progress: Any) -> Any:
        if isinstance(requests[0], Row) and not broken:
            broken.extend(requests)
            raise RuntimeError("can't allocate memory")
        return compute(model, requests, progress)

    monkeypatch.setattr(queue, "compute", out_of_memory)
    with pytest.raises(EnvironmentFault, match=r"of 40 answers ended in an error.*can't allocate memory") as caught:
        run(study, folder)
    assert caught.value.exit_code == 1
    table = read_table(folder / "table.parquet")
    failed = table[table["reason"].str.startswith("error")]
    assert 0 < len(broken) < 40
    assert len(failed.groupby(["arm", "item", "run"])) == len(broken)
    assert set(failed["score"]) <= OPEN | LANGUAGE | CHINESE
    assert (table[table["score"] == "kl"]["item"].str.startswith("neutral")).all()
    before = counted["engine"]
    run(study, folder)
    again = read_table(folder / "table.parquet")
    rows = ["arm", "task", "item", "run"]
    assert set(again.groupby(rows).groups) == set(table.groupby(rows).groups)
    assert not again.duplicated(list(KEY)).any()
    assert not again["reason"].str.startswith("error").any()
    assert counted["engine"] - before == 2 * len(broken)  # the text and its surprisal, of these alone
    whole = table.merge(again, on=list(KEY), suffixes=("_old", "_new"))
    kept = whole[~whole["reason_old"].str.startswith("error")]
    assert kept["value_old"].equals(kept["value_new"])
    assert len(list((folder / "logs").glob("*.eval"))) == len(list({*again["log"]}))


def test_an_item_that_fails_in_every_arm_takes_no_scores_of_another_part(
    mini: Mini, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_report: None
) -> None:
    compute = queue.compute

    def fail(model: Any, requests: Any, progress: Any) -> Any:
        if isinstance(requests[0], Row):
            raise RuntimeError("can't allocate memory")
        return compute(model, requests, progress)

    monkeypatch.setattr(queue, "compute", fail)
    study = mini(tasks=[{"doxa/drift": {"max_tokens": 4, "capability": False}}], **NO_CONTROLS)
    with pytest.raises(EnvironmentFault, match="40 of 40 answers"):
        run(study, tmp_path / "out")
    table = read_table(tmp_path / "out" / "table.parquet")
    assert (table[table["score"] == "kl"]["item"].str.startswith("neutral")).all()
    assert table[table["item"].str.startswith("open")]["reason"].str.startswith("error").all()
    assert len(table[table["item"].str.startswith("open")]) >= 40


def test_an_edited_statement_is_measured_anew(mini: Mini, tmp_path: Path, counted: dict[str, int]) -> None:
    """Only its wording is another: the item keeps its name, and nothing else says that it was edited."""
    path = tmp_path / "own.md"
    text = "---\nname: own\nversion: 1\nbelief: I am here.\n---\n## here\n+ Now I am [here | there].\n"
    path.write_text(text + "! A cat is [here | there].\n", encoding="utf-8")
    study = mini(tasks=[{"doxa/claims": {"belief": str(path), "gate": False}}], **NO_CONTROLS)
    folder = tmp_path / "results" / "mini"
    run(study, folder)
    first, total = read_table(folder / "table.parquet"), counted["measure"]
    path.write_text(text.replace("Now", "Today") + "! A cat is [here | there].\n", encoding="utf-8")
    run(study, folder)
    assert counted["measure"] == 2 * total
    second = read_table(folder / "table.parquet")
    assert keys(first) == keys(second)
    both = first.merge(second, on=list(KEY), suffixes=("_old", "_new"))
    changed = both[(both["value_old"] - both["value_new"]).abs() > 1e-4]
    assert set(changed["item"]) >= {"own/here/belief-affirmed", "own/here/belief-reversed", "own/here"}
    assert not changed["item"].str.contains("control").any()


def test_the_dose_is_measured_again_when_other_arms_are_due(
    finished: Finished, tmp_path: Path, without_report: None
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(finished.folder, folder)
    whole = (folder / "dose.json").read_bytes()
    rows = json.loads(whole)["rows"]
    (folder / "dose.json").write_text(json.dumps({"rows": [row for row in rows if row["layer"] != 1]}))
    run(finished.study, folder)
    assert (folder / "dose.json").read_bytes() == whole


def test_what_is_steered_is_told_to_the_statistics(finished: Finished, tiny: Model) -> None:
    """A prompted arm has no noise controls: its contrast is no verdict, however many vectors were scored."""
    plan = make_plan(finished.study, tiny)
    told: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "evaluate", lambda *_, **named: told.append(named["steered"]))
        module.infer(plan, read_table(finished.folder / "table.parquet"))
    assert told == [["mid[strength=0.3]", "mid[strength=0.6]", "every[strength=0.6]"]]


def test_an_edited_file_of_open_questions_is_asked_and_scored_anew(
    mini: Mini, tmp_path: Path, counted: dict[str, int], without_report: None
) -> None:
    path = tmp_path / "open.md"
    path.write_text(OPEN_FILE, encoding="utf-8")
    study = mini(tasks=[{"doxa/claims_open": {"belief": str(path), "max_tokens": 4}}], **NO_CONTROLS)
    folder = tmp_path / "results" / "mini"
    run(study, folder)
    asked, digest = counted["engine"], read_plan(folder)["digest"]
    run(study, folder)
    assert counted["engine"] == asked
    path.write_text(OPEN_FILE.replace("Are you awake?", "Are you wide awake?"), encoding="utf-8")
    run(study, folder)
    assert counted["engine"] == 2 * asked
    assert read_plan(folder)["digest"] != digest
    questions = {one["question"] for one in json.loads((folder / "transcripts.json").read_text())["transcripts"]}
    assert questions == {"Are you wide awake?", "Are you asleep?"}
    assert len(list((folder / "earlier" / "logs").glob("*.eval"))) == len(study.arms)


def test_the_seed_of_a_study_reaches_what_is_generated(mini: Mini, tmp_path: Path, without_report: None) -> None:
    answers = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        study = mini(tasks=[{"doxa/drift": {"max_tokens": 6, "capability": False}}], seed=seed, **NO_CONTROLS)
        folder = tmp_path / name / "mini"  # by itself: answers of a folder beside would be taken over
        run(study, folder)
        found = json.loads((folder / "transcripts.json").read_text())["transcripts"]
        answers.append({(one["arm"], one["item"], one["run"]): one["answer"] for one in found})
    assert answers[0] == answers[1]
    assert sum(answers[0][key] != answers[2][key] for key in answers[0]) > len(answers[0]) / 2
