import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inspect_ai.log import read_eval_log

from doxa.bridge.logs import table_from_logs
from doxa.models.handle import Model
from doxa.plan import Plan, make_plan
from doxa.results import read_chunk
from doxa.scored_logs import scored_groups, write_group
from doxa.words.study import Study
from mini_study import Finished

Mini = Callable[..., Study]


@pytest.fixture
def plan(finished: Finished, tiny: Model) -> Plan:
    return make_plan(finished.study, tiny)


@pytest.fixture
def done(finished: Finished, plan: Plan) -> dict[str, Any]:
    return {chunk.id: read_chunk(finished.folder, chunk) for chunk in plan.chunks}


def test_one_log_for_each_named_arm_and_one_for_each_control_family(plan: Plan) -> None:
    groups = scored_groups(plan)
    assert len(groups) == 2 * (5 + 2)
    assert len({group.file for group in groups}) == len(groups)
    assert [chunk.id for group in groups for chunk in group.chunks] != []
    assert sorted(chunk.id for group in groups for chunk in group.chunks) == sorted(c.id for c in plan.chunks)
    for group in groups:
        assert len({chunk.task for chunk in group.chunks}) == 1
        families = {(chunk.arm.of, chunk.arm.control) for chunk in group.chunks}
        assert len(families) == 1
        assert len({chunk.arm.name for chunk in group.chunks}) == (19 if families.pop()[1] else 1)


def test_the_name_of_a_log_changes_with_its_chunks_only(mini: Mini, tiny: Model) -> None:
    study = mini()
    assert study.folder is not None
    before = {group.label: group.file for group in scored_groups(make_plan(study, tiny))}
    assert before == {group.label: group.file for group in scored_groups(make_plan(study, tiny))}
    belief = study.folder / "awake.md"
    belief.write_text(belief.read_text(encoding="utf-8") + "You look around.\n", encoding="utf-8")
    after = {group.file for group in scored_groups(make_plan(study, tiny))}
    assert all(not file.startswith("scored_0-doxa-claims_prompted") for file in after & set(before.values()))
    assert len(set(before.values()) - after) == 1


def test_a_log_written_again_has_the_same_content(plan: Plan, done: dict[str, Any], tmp_path: Path) -> None:
    """Inspect's archive notes when it was written, to two seconds; what is in it does not."""
    group = scored_groups(plan)[0]
    contents = []
    for name in ("a.eval", "b.eval"):
        write_group(tmp_path / name, plan, group, done, "2026-01-02T03:04:05+00:00")
        with zipfile.ZipFile(tmp_path / name) as archive:
            contents.append({member: archive.read(member) for member in archive.namelist()})
        time.sleep(2.1)
    assert contents[0]
    assert contents[0] == contents[1]


def test_inspect_reads_what_was_asked_and_measured(plan: Plan, done: dict[str, Any], tmp_path: Path) -> None:
    group = next(one for one in scored_groups(plan) if one.chunks[0].arm.name == "mid[strength=0.6]")
    (chunk,) = group.chunks
    write_group(tmp_path / "log.eval", plan, group, done, "2026-01-02T03:04:05+00:00")
    log = read_eval_log(tmp_path / "log.eval")
    assert log.status == "success"
    assert log.eval.created.startswith("2026-01-02T03:04:05")
    assert log.eval.model.startswith("doxa/")
    assert log.samples is not None
    samples = {sample.id: sample for sample in log.samples}
    assert len(samples) == len(log.samples)
    assert set(samples) == {item.id for item in chunk.items}
    first = samples[chunk.items[0].id]
    assert [message.text for message in first.input if not isinstance(message, str)] == [
        message.content for message in chunk.items[0].prompts[0]
    ]
    assert first.choices == list(chunk.items[0].options[0])


def test_the_table_of_a_control_log_tells_its_arms_apart(plan: Plan, done: dict[str, Any], tmp_path: Path) -> None:
    group = next(one for one in scored_groups(plan) if one.label.endswith("~twin"))
    write_group(tmp_path / "log.eval", plan, group, done, "2026-01-02T03:04:05+00:00")
    table = table_from_logs(tmp_path / "log.eval")
    assert set(table["arm"]) == {f"mid[strength=0.6]~twin/{j:02d}" for j in range(19)}
    assert set(table["of"]) == {"mid[strength=0.6]"}
    assert set(table["control"]) == {"twin"}
    scored = table[table["score"] == "log_odds"].set_index(["arm", "item"])["value"]
    for chunk in group.chunks:
        for item in done[chunk.id]["items"]:
            assert scored[chunk.arm.name, item["id"]] == item["values"][0]["value"]
