"""Arms out of a results folder: those that are there are used, those that are not are made."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import doxa.resolve as resolve
from doxa.run import Silent, run
from doxa.server.refusals import Refused
from doxa.server.study_arms import StudyArms, open_arms
from doxa.words.errors import ResultsError
from doxa.words.interventions import Twin, VectorReference
from doxa.words.study import read_study, with_overrides
from mini_study import NOTHING_DECLARED, Finished, Stages

StudyFile = Callable[..., Path]
Contents = Callable[[Path], dict[str, Any]]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The vectors that are made."""
    found: list[str] = []
    original = resolve.original

    def noted(name: str, *rest: Any, **how: Any) -> Any:
        found.append(name)
        return original(name, *rest, **how)

    monkeypatch.setattr(resolve, "original", noted)
    return found


def test_the_files_of_a_finished_run_are_used_and_nothing_is_changed(
    finished: Finished, made: list[str], contents: Contents
) -> None:
    before = contents(finished.folder)
    arms = open_arms(read_study(finished.file), finished.folder, Silent())  # not cut short, as the run was
    assert made == []
    assert contents(finished.folder) == before
    assert list(arms.named) == ["baseline", "prompted", "mid[strength=0.3]", "mid[strength=0.6]", "every[strength=0.6]"]
    assert arms.prepared("mid[strength=0.6]~unrelated/03").control == "unrelated"
    assert made == []


def test_what_is_missing_is_made_and_a_run_goes_on_in_the_folder(
    study_file: StudyFile, tmp_path: Path, made: list[str]
) -> None:
    tasks = [{"doxa/claims": {"belief": "conscious", "topics": 1, "gate": False}}]
    study = with_overrides(read_study(study_file(**NOTHING_DECLARED, tasks=tasks)), limit=1)
    stages, folder = Stages(), tmp_path / "results" / "mini"
    arms = open_arms(study, folder, stages)
    assert made == ["awake-pairs.md", "unrelated-weather"]
    assert stages.seen["vectors"][0] == stages.steps["vectors"] == 2
    assert len(list((folder / "arms").glob("*.json"))) == len(arms.named)
    made.clear()
    assert run(study, folder).exists()
    assert made == []


def test_a_study_that_was_edited_since_is_served_and_its_earlier_report_stays(
    finished: Finished, study_file: StudyFile, tmp_path: Path, contents: Contents
) -> None:
    import shutil

    folder = Path(shutil.copytree(finished.folder, tmp_path / "copy"))
    before = contents(folder)
    file = study_file()
    (file.parent / "awake.md").write_text("---\nname: awake\nversion: 2\nbelief: b\nopposite: o\n---\nYou sleep.\n")
    arms = open_arms(read_study(file), folder, Silent())
    assert arms.prepared("prompted").system_prompt == "You sleep."
    after = contents(folder)
    assert {name: after[name] for name in before} == before
    assert [name for name in after if name not in before] == [f"arms/{arms.named['prompted'].label}.json"]


def test_the_folder_of_another_study_is_refused(finished: Finished, study_file: StudyFile) -> None:
    with pytest.raises(ResultsError, match="belongs to the study 'mini'"):
        open_arms(read_study(study_file(study="other")), finished.folder, Silent())


def test_the_vectors_of_a_control_are_made_when_it_is_first_asked_for_and_once(
    study_file: StudyFile, tmp_path: Path, made: list[str]
) -> None:
    arms = open_arms(read_study(study_file()), tmp_path / "results" / "mini", Silent())
    made.clear()
    name = "mid[strength=0.6]~unrelated/05"
    assert arms.find(name).of == "mid[strength=0.6]"
    assert not arms.is_ready(name)
    assert made == []
    with ThreadPoolExecutor(4) as pool:
        prepared = list(pool.map(arms.prepared, [name] * 4))
    assert made == ["unrelated/05"]
    assert all(one is prepared[0] for one in prepared)
    assert arms.is_ready(name)
    (_, vector), *rest = arms.steers(name)
    assert rest == []
    written = json.loads((arms.folder / "arms" / f"{arms.find(name).label}.json").read_text())
    assert written["digest"] == prepared[0].digest
    assert vector.n_layers == 3


def test_a_request_can_name_the_studys_own_vectors_only(arms: StudyArms) -> None:
    vector = arms.vector(VectorReference("awake-pairs.md"))
    twin = arms.vector(VectorReference("awake-pairs.md", twin=Twin(0, 0)))
    assert vector.digest != twin.digest
    scaled = arms.vector(VectorReference("unrelated-weather", norms_of="awake-pairs.md"))
    assert abs(scaled.directions).sum() > 0
    for wrong in (
        VectorReference("conscious"),
        VectorReference("../vectors"),
        VectorReference("awake-pairs.md", base="other-model"),
        VectorReference("awake-pairs.md", norms_of="conscious"),
    ):
        with pytest.raises(Refused, match="has no 'vector ") as caught:
            arms.vector(wrong)
        assert caught.value.status == 400
