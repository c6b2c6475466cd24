import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from doxa.models.handle import Model
from doxa.plan import Plan, make_plan
from doxa.results import (
    CHUNKS,
    archive_logs,
    commit_chunk,
    held,
    open_folder,
    read_chunk,
    read_plan,
)
from doxa.words.errors import EnvironmentFault, ResultsError
from doxa.words.study import Study
from mini_study import BELIEF, NO_CONTROLS

Mini = Callable[..., Study]
Contents = Callable[[Path], dict[str, Any]]


@pytest.fixture
def plan(mini: Mini, tiny: Model) -> Plan:
    return make_plan(mini(**NO_CONTROLS), tiny)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "results" / "mini"


def begin(folder: Path, plan: Plan) -> None:
    """A folder in which something was made of the plan."""
    open_folder(folder, plan)
    commit_chunk(folder, plan.chunks[0], {"chunk": plan.chunks[0].id})


def refuses(folder: Path, plan: Plan, contents: Contents, words: str) -> None:
    before = contents(folder)
    with pytest.raises(ResultsError, match=words) as caught:
        open_folder(folder, plan)
    assert caught.value.exit_code == 2
    assert "--out" in caught.value.way_out
    assert contents(folder) == before


def test_an_empty_folder_becomes_this_study_s(folder: Path, plan: Plan) -> None:
    created = open_folder(folder, plan)
    written = read_plan(folder)
    assert written["digest"] == plan.digest
    assert written["created"] == created
    assert written["study"]["study"] == "mini"


def test_the_time_of_the_folder_stays_the_first_one(folder: Path, plan: Plan) -> None:
    open_folder(folder, plan)
    path = folder / "plan.json"
    path.write_text(path.read_text().replace(json.loads(path.read_text())["created"], "2020-01-01T00:00:00+00:00"))
    assert open_folder(folder, plan) == "2020-01-01T00:00:00+00:00"
    assert read_plan(folder)["created"] == "2020-01-01T00:00:00+00:00"


def test_a_foreign_folder_is_left_alone(folder: Path, plan: Plan, contents: Contents) -> None:
    folder.mkdir(parents=True)
    (folder / "thesis.tex").write_text("Years of work")
    refuses(folder, plan, contents, r"thesis\.tex.*no plan")


def test_what_a_killed_first_write_left_does_not_lock_the_folder_out(folder: Path, plan: Plan) -> None:
    folder.mkdir(parents=True)
    (folder / ".plan.json.x1y2z3").write_text("{")
    (folder / ".lock").touch()
    open_folder(folder, plan)
    assert read_plan(folder)["digest"] == plan.digest


def test_another_study_s_folder_is_left_alone(
    folder: Path, plan: Plan, mini: Mini, tiny: Model, contents: Contents
) -> None:
    begin(folder, plan)
    refuses(folder, make_plan(mini(study="other", **NO_CONTROLS), tiny), contents, "belongs to the study 'mini'")


def test_results_of_other_weights_are_left_alone(folder: Path, plan: Plan, tiny: Model, contents: Contents) -> None:
    begin(folder, plan)
    refuses(folder, make_plan(plan.study, replace(tiny, fingerprint="f" * 64)), contents, "differs in model")


@pytest.mark.parametrize("change", [{"runs": 3}, {"seed": 5}, {"question": "Another?"}, {"primary": []}])
def test_an_older_version_of_the_study_is_left_alone_and_the_difference_named(
    folder: Path, plan: Plan, mini: Mini, tiny: Model, contents: Contents, change: dict[str, Any]
) -> None:
    begin(folder, plan)
    (key,) = change
    refuses(folder, make_plan(mini(**NO_CONTROLS, **change), tiny), contents, f"differs in {key}")


@pytest.mark.parametrize("text", ["{", "[]", "", '{"format": 1', '{"format": 2}'])
def test_a_damaged_plan_is_an_error_with_a_way_out(folder: Path, plan: Plan, contents: Contents, text: str) -> None:
    open_folder(folder, plan)
    (folder / "plan.json").write_text(text)
    refuses(folder, plan, contents, "cannot be read")


def test_a_plan_that_is_not_text_is_an_error(folder: Path, plan: Plan, contents: Contents) -> None:
    open_folder(folder, plan)
    (folder / "plan.json").write_bytes(b"\xff\xfe\x00")
    refuses(folder, plan, contents, "cannot be read")


def test_another_format_is_an_error(folder: Path, plan: Plan, contents: Contents) -> None:
    open_folder(folder, plan)
    written = json.loads((folder / "plan.json").read_text())
    (folder / "plan.json").write_text(json.dumps({**written, "format": 99}))
    refuses(folder, plan, contents, "format 99")


def edited(plan: Plan, tiny: Model) -> Plan:
    assert plan.study.folder is not None
    (plan.study.folder / "awake.md").write_text(BELIEF.replace("know", "feel"), encoding="utf-8")
    return make_plan(plan.study, tiny)


def fill(folder: Path) -> None:
    for name in ("report.html", "report.md", "table.csv", "summary.txt", "dose.json", "estimates.json"):
        (folder / name).write_text(f"old {name}")
    (folder / "figures").mkdir()
    (folder / "figures" / "forest.svg").write_text("old figure")


def test_after_an_edit_the_old_report_is_kept_with_what_it_was_made_from(folder: Path, plan: Plan, tiny: Model) -> None:
    open_folder(folder, plan)
    fill(folder)
    old = (folder / "plan.json").read_bytes()
    new = edited(plan, tiny)
    open_folder(folder, new)
    kept = folder / "earlier" / plan.digest[:12]
    assert (kept / "plan.json").read_bytes() == old
    for name in ("report.html", "report.md", "table.csv", "dose.json", "estimates.json", "summary.txt"):
        assert (kept / name).read_text() == f"old {name}"
        assert not (folder / name).exists()
    assert (kept / "figures" / "forest.svg").read_text() == "old figure"
    mine, theirs = read_plan(folder)["made_from"], json.loads(old)["made_from"]
    assert {name for name in mine if mine[name] != theirs[name]} == {"prompt awake.md"}


@pytest.mark.parametrize("moves", range(7))
def test_a_kill_in_the_middle_of_keeping_the_old_report_loses_nothing(
    folder: Path, plan: Plan, tiny: Model, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    import doxa.results as module

    open_folder(folder, plan)
    fill(folder)
    new = edited(plan, tiny)
    real, done = module.shutil.move, []

    def move(source: Path, target: Path) -> None:
        if len(done) == moves:
            raise SystemExit("killed")
        done.append(source)
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(module.shutil, "move", move)
        with pytest.raises(SystemExit):
            open_folder(folder, new)
    open_folder(folder, new)
    kept = folder / "earlier" / plan.digest[:12]
    assert (kept / "report.html").read_text() == "old report.html"
    assert (kept / "figures" / "forest.svg").read_text() == "old figure"
    assert read_plan(kept)["digest"] == plan.digest
    assert read_plan(folder)["digest"] == new.digest


def test_a_plan_that_did_not_change_moves_nothing(folder: Path, plan: Plan) -> None:
    open_folder(folder, plan)
    fill(folder)
    open_folder(folder, plan)
    assert (folder / "report.html").read_text() == "old report.html"
    assert not (folder / "earlier").exists()


def test_chunks_come_back_as_committed(folder: Path, plan: Plan) -> None:
    chunk, other = plan.chunks[:2]
    commit_chunk(folder, chunk, {"items": [{"value": 0.1}]})
    assert read_chunk(folder, chunk) == {"items": [{"value": 0.1}]}
    assert read_chunk(folder, other) is None


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"{}", b"\xff\xff", None])
def test_a_damaged_chunk_is_not_there(folder: Path, plan: Plan, damage: bytes | None) -> None:
    chunk = plan.chunks[0]
    commit_chunk(folder, chunk, {"items": [{"value": 0.1}]})
    path = folder / CHUNKS / f"{chunk.id}.json"
    path.write_bytes(path.read_bytes().replace(b"0.1", b"0.2") if damage is None else damage)
    assert read_chunk(folder, chunk) is None


def test_a_full_disk_leaves_the_committed_chunk(
    folder: Path, plan: Plan, contents: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    chunk = plan.chunks[0]
    commit_chunk(folder, chunk, {"items": [1]})
    before = contents(folder)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EnvironmentFault, match="disk is full"):
        commit_chunk(folder, chunk, {"items": [2]})
    assert contents(folder) == before


def test_a_folder_in_which_nothing_was_made_is_as_old_as_its_study(folder: Path, plan: Plan) -> None:
    old = "2020-01-01T00:00:00+00:00"

    def aged() -> None:
        (folder / "plan.json").write_text(json.dumps({**read_plan(folder), "created": old}))

    open_folder(folder, plan)
    aged()
    assert open_folder(folder, plan) == old
    other = replace(plan, study=replace(plan.study, primary=()))
    assert open_folder(folder, other) > old
    aged()
    commit_chunk(folder, plan.chunks[0], {"items": [7]})
    assert open_folder(folder, other) == old


def test_logs_that_the_plan_no_longer_has_are_moved_away_not_deleted(folder: Path) -> None:
    (folder / "logs").mkdir(parents=True)
    for name in ("kept.eval", "old.eval", "eval-set.json"):
        (folder / "logs" / name).write_text(name)
    archive_logs(folder, {"kept.eval"})
    assert sorted(one.name for one in (folder / "logs").iterdir()) == ["eval-set.json", "kept.eval"]
    assert (folder / "earlier" / "logs" / "old.eval").read_text() == "old.eval"


def test_two_runs_at_once_are_one_too_many(folder: Path) -> None:
    with held(folder):
        with pytest.raises(EnvironmentFault, match="another run is writing") as caught, held(folder):
            pass
        assert caught.value.exit_code == 1
        assert "--out" in caught.value.way_out
    with held(folder):  # after it has ended the folder is free
        pass


def test_a_plan_of_which_nothing_was_made_does_not_claim_the_folder(
    folder: Path, plan: Plan, mini: Mini, tiny: Model
) -> None:
    """A mistake that shows after the plan was written: the corrected study may have the folder."""
    open_folder(folder, plan)
    corrected = make_plan(mini(runs=3, **NO_CONTROLS), tiny)
    open_folder(folder, corrected)
    assert read_plan(folder)["digest"] == corrected.digest
