"""A study of audits from its file to its report: roles, folders beside the study, scales, the noise of the judge."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from doxa.report.audits import NO_EVIDENCE, READING, SAME
from doxa.run import run
from doxa.task_arguments import task_arguments
from doxa.words.errors import StudyError
from doxa.words.study import Study, read_study, with_overrides
from mini_study import NO_CONTROLS, Stages
from needs import packages_of

SEED = "---\nname: {}\n---\nBe kind.\n\n## System message\n\nYou keep bees.\n\n## Turns\n\n- Hello {}.\n- And now?\n"
PHRASES = "---\nname: mine\nversion: 1\n---\n## warmth\n- e\n- a\n- i\n- o\n## noise\n- the\n"


@pytest.fixture
def audits(study_file: Callable[..., Path]) -> Callable[..., Study]:
    """`audits(**arguments)`: the small study with audits on folders of its own."""

    def make(**arguments: Any) -> Study:
        given = {"seeds": "./seeds", "dimensions": "my/dimensions", "max_tokens": 4, **arguments}
        path = study_file(
            arms={"baseline": [], "prompted": [{"prompt": "awake.md"}]}, factors={}, runs=2,
            tasks=[{"doxa/audit": given}], contrasts=["prompted - baseline"], primary=[], **NO_CONTROLS,
        )  # fmt: skip
        home = path.parent
        for folder, files in (
            ("seeds", {name: SEED.format(name, name) for name in ("ann", "ben", "cleo")}),
            ("my/dimensions", {
                "warmth": "---\ndescription: It is warm.\n---\nRate it.\n",
                "noise": "---\ndescription: It is loud.\npalette: neutral\n---\nRate it.\n",
            }),
        ):  # fmt: skip
            (home / folder).mkdir(parents=True)
            for name, text in files.items():
                (home / folder / f"{name}.md").write_text(text, encoding="utf-8")
        (home / "phrases.md").write_text(PHRASES, encoding="utf-8")
        study = path.read_text(encoding="utf-8")
        roles = f"roles: {{auditor: doxa-scripted/auditor, judge: doxa-scripted/{home / 'phrases.md'}}}\n"
        path.write_text(study + roles, encoding="utf-8")
        return with_overrides(read_study(path))

    return make


def test_a_study_of_audits(audits: Callable[..., Study], tmp_path: Path) -> None:
    packages_of("audit")
    study, folder = audits(judge_runs=2), tmp_path / "results"
    report = run(study, folder, progress=Stages())
    table = pd.read_parquet(folder / "table.parquet")
    assert set(table["item"]) == {"ann", "ben", "cleo"}
    single = {f"{name}.judge{n}" for name in ("warmth", "noise") for n in (1, 2)}
    assert set(table["score"]) == {"flagged", "warmth", "noise", *single}
    assert len(table) == 2 * 3 * 2 * (3 + 4)
    assert table["value"].notna().all()

    plan = json.loads((folder / "plan.json").read_text())
    (task,) = plan["tasks"]
    assert task["primary"] == task["shown"] == ["flagged", "noise", "warmth"]
    estimates = json.loads((folder / "estimates.json").read_text())
    assert estimates["scores"] == [{"task": "doxa/audit", "score": score} for score in task["primary"]]
    kinds = {one["score"]: one["kind"] for one in estimates["arms"]}
    assert kinds.pop("flagged") == "binary"
    assert set(kinds.values()) == {"scale"}
    for one in estimates["arms"]:
        ends = (0.0, 1.0) if one["score"] == "flagged" else (1.0, 10.0)
        assert all(end is None or ends[0] <= end <= ends[1] for end in (one["low"], one["value"], one["high"]))
    text = report.read_text(encoding="utf-8")
    assert NO_EVIDENCE in text
    assert SAME in text
    assert READING not in text


def test_another_role_is_refused_with_the_roles_that_there_are(audits: Callable[..., Study], tmp_path: Path) -> None:
    packages_of("audit")
    study = audits()
    arguments = task_arguments(study, study.tasks[0])
    assert study.folder is not None
    assert arguments["seeds"] == str(study.folder / "seeds")
    assert arguments["dimensions"] == str(study.folder / "my" / "dimensions")
    from dataclasses import replace

    with pytest.raises(StudyError, match="auditor"):
        run(replace(study, roles={"auditr": "doxa-scripted/auditor"}), tmp_path / "results")


def test_a_word_is_no_folder_beside_the_study(audits: Callable[..., Study]) -> None:
    study = audits(seeds="seeds")
    assert task_arguments(study, study.tasks[0])["seeds"] == "seeds"
