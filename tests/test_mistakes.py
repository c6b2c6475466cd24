"""What users mistype and what happens to their disks: one message with the way out, and nothing lost."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from doxa.bridge import queue
from doxa.bridge.logs import read_table
from doxa.models.handle import load
from doxa.words.study import read_study
from mini_study import LIMIT, NO_CONTROLS, Finished, save_model, write_study
from test_cli import doxa, refused

StudyFile = Callable[..., Path]
FAST: dict[str, Any] = {"tasks": [{"doxa/claims": {"belief": "conscious", "topics": 1}}], **NO_CONTROLS}
STEER = {"vector": "awake-pairs.md", "layers": 0.5, "strength": 0.3}
NO_VALUE = {"other_language", "any_other_language", "chinese", "any_chinese", "distinct_2"}
"""Scores that two tokens of a tiny model may leave without a value."""
LONG = "You are awake, and " + "very much so " * 40


def arms(*interventions: dict[str, Any]) -> dict[str, Any]:
    """Changes that make a study of a baseline and one arm."""
    one = {"baseline": [], "a": list(interventions)}
    return {"arms": one, "factors": {}, "contrasts": ["a - baseline"], "primary": [], **FAST}


def contrast(text: str) -> dict[str, Any]:
    return {"contrasts": [text], "primary": [text], **FAST}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (contrast("mid[strenght=0.6] - baseline"), ["strenght", "Did you mean 'strength'"]),
        (contrast("mid[kind=belif] - baseline[kind=belief]"), ["kind=belif", "Did you mean 'belief'"]),
        (contrast("baseline[strength=0.3] - baseline"), ["strength=0.3"]),
        (arms({"prompt": LONG}), ["is a text", "Write the text into a file"]),
        (arms({"prompt": "no-such.md"}), ["no-such.md", "looked for in"]),
        (arms({"steer": {**STEER, "vector": "x" * 400}}), ["no pairs called"]),
        (arms({"steer": {**STEER, "vector": "~nobody-here/x.md"}}), ["x.md is missing"]),
        (arms({"steer": {**STEER, "strength": 1e308}}), ["at most 1e+06"]),
        (arms({"steer": {**STEER, "layers": int("9" * 400)}}), ["of many digits"]),
        ({"model": "x" * 400, **FAST}, ["no model is called"]),
        ({"model": "smolm2", **FAST}, ["Did you mean 'smollm2'"]),
        ({"tasks": [{"doxa/drift": {"temperature": "hot"}}], **NO_CONTROLS}, ["temperature", "a number from 0"]),
        ({"tasks": [{"doxa/drift": {"max_tokens": None}}], **NO_CONTROLS}, ["max_tokens", "whole number"]),
        ({"tasks": [{"doxa/drift": {1: 2}}], **NO_CONTROLS}, ["no argument 1"]),
    ],
    ids=range(14),
)
@pytest.mark.parametrize("verb", ["plan", "run"])
def test_mistakes_in_a_study_are_found_before_anything_runs(
    study_file: StudyFile, tmp_path: Path, verb: str, changes: dict[str, Any], words: list[str]
) -> None:
    out = tmp_path / "out"
    command = [verb, study_file(**changes), *(["--no-probe"] if verb == "plan" else ["--out", out])]
    refused(doxa(*command), 2, *words)
    assert not (out / "chunks").exists()


def test_a_belief_without_a_text_is_refused(study_file: StudyFile, tmp_path: Path) -> None:
    file = study_file(**arms({"prompt": "empty.md"}))
    (file.parent / "empty.md").write_text("---\nname: empty\nversion: 1\n---\n\n", encoding="utf-8")
    refused(doxa("run", file, "--out", tmp_path / "out"), 2, "no text under its front matter")


def test_a_prompt_longer_than_the_context_is_refused_with_its_arm(study_file: StudyFile, tmp_path: Path) -> None:
    file = study_file(**arms({"prompt": "long.md"}))
    (file.parent / "long.md").write_text("---\nname: long\nversion: 1\n---\n" + "awake " * 4000, encoding="utf-8")
    refused(doxa("plan", file, "--no-probe"), 2, "the arm 'a'", "2,048, the context of")


@pytest.mark.parametrize("value", ["!!bool x", "!!timestamp x", "!!int ''", "!!float x", "2026-99-99"])
def test_values_that_are_not_of_their_kind(study_file: StudyFile, value: str) -> None:
    file = study_file(**FAST)
    file.write_text(file.read_text(encoding="utf-8").replace("runs: 2", f"runs: {value}"), encoding="utf-8")
    refused(doxa("plan", file), 2, "a value that cannot be read")


def test_one_line_of_a_study_may_not_stand_twice(study_file: StudyFile) -> None:
    file = study_file(**FAST)
    file.write_text(file.read_text(encoding="utf-8") + "runs: 3\n", encoding="utf-8")
    refused(doxa("plan", file), 2, "the key 'runs' twice")


@pytest.mark.parametrize("name", ["C# code", "x%20y", "what?", "a b"])
def test_a_folder_may_be_called_anything(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    folder = tmp_path / name
    tasks = [{"doxa/drift": {"max_tokens": 2, "texts": 1, "capability": False}}]
    file = write_study(folder, tiny_folder, tasks=tasks, **NO_CONTROLS)
    monkeypatch.chdir(folder)
    for _ in range(2):
        result = doxa("run", file.name, "--limit", "1", "--runs", "1")
        assert result.exit_code == 0, result.output + repr(result.exception)
    assert (folder / "results" / "mini" / "report.html").is_file()


def test_a_home_that_the_shell_left_is_found(
    study_file: StudyFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert doxa("run", study_file(**FAST), "--limit", "4", "--out=~/mine").exit_code == 0
    assert (tmp_path / "home" / "mine" / "report.html").is_file()
    assert doxa("report", "~/mine").exit_code == 0


def test_paths_of_models_and_claims_are_looked_for_beside_the_study(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = "---\nname: own\nversion: 1\nbelief: I am here.\n---\n"
    claims = f"{head}## here\n+ I am [here | there].\n! A cat is [here | there].\n"
    tasks = [{"doxa/claims": {"belief": "own-claims.md", "gate": False}}]
    file = write_study(tmp_path / "study", "./model", tasks=tasks, **NO_CONTROLS)
    (file.parent / "own-claims.md").write_text(claims, encoding="utf-8")
    shutil.copytree(tiny_folder, file.parent / "model")
    monkeypatch.chdir("/")
    result = doxa("run", file, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output + repr(result.exception)
    assert set(read_table(tmp_path / "out")["item"].str.partition("/")[0]) == {"own"}


def test_a_model_beside_the_study_may_have_a_plus_in_its_name_and_be_a_base(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is scored, written with, and the model that a vector is taken from: all from another folder."""
    steer = {"vector": {"name": "awake-pairs.md", "from": "./base"}, "layers": 0.5, "strength": 0.3}
    changes = arms({"steer": steer}) | {"tasks": [{"doxa/drift": {"max_tokens": 2, "capability": False}}]}
    file = write_study(tmp_path / "study", "./tiny+lora", **changes)
    shutil.copytree(tiny_folder, file.parent / "tiny+lora")
    save_model(file.parent / "base", seed=1)
    monkeypatch.chdir("/")
    for _ in range(2):
        result = doxa("run", file, "--out", tmp_path / "out", "--limit", "2", "--runs", "1")
        assert result.exit_code == 0, result.output + repr(result.exception)
    table = read_table(tmp_path / "out")
    assert table["value"].notna().all() or set(table[table["value"].isna()]["score"]) <= NO_VALUE
    assert set(table["model"]) == {"./tiny+lora"}
    (vector,) = (tmp_path / "out" / "vectors").iterdir()
    base = load(str(file.parent / "base")).fingerprint
    assert json.loads((vector / "manifest.json").read_text(encoding="utf-8"))["fingerprint"] == base


@pytest.mark.parametrize("kind", ["file", "link", "below a file", "long"])
def test_a_place_that_cannot_be_a_folder(study_file: StudyFile, tmp_path: Path, kind: str) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    out = {"below a file": "file/out", "long": "x" * 300}.get(kind, kind)
    result = doxa("run", study_file(**FAST), "--out", tmp_path / out)
    refused(result, result.exit_code)
    assert result.exit_code in (1, 2)
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"


def test_somebody_s_folder_stays_as_it_is(study_file: StudyFile, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years", encoding="utf-8")
    refused(doxa("run", study_file(**FAST), "--out", tmp_path / "mine"), 2, "thesis.tex")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


@pytest.fixture
def copy(finished: Finished, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished.folder, tmp_path / "results" / "mini"))


def again(finished: Finished, folder: Path) -> Any:
    return doxa("run", finished.file, "--out", folder, "--limit", str(LIMIT))


@pytest.mark.parametrize("text", ["", "{}", '{"rows": [{}]}', "[]", '{"rows": 3}'])
def test_a_damaged_dose_is_measured_again(finished: Finished, copy: Path, text: str) -> None:
    good = (copy / "dose.json").read_bytes()
    (copy / "dose.json").write_text(text, encoding="utf-8")
    assert again(finished, copy).exit_code == 0
    assert (copy / "dose.json").read_bytes() == good


def test_a_folder_that_was_moved_computes_nothing(
    finished: Finished, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> Any:
        raise AssertionError("the engine was asked")

    monkeypatch.setattr(queue, "compute", refuse)
    before = sorted(path.name for path in (copy / "logs").iterdir())
    assert again(finished, copy).exit_code == 0
    assert sorted(path.name for path in (copy / "logs").iterdir()) == before
    assert not (copy / "earlier").exists()


@pytest.mark.parametrize("name", ["plan.json", "estimates.json", "dose.json", "transcripts.json"])
@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2, "study": "x"}', "\udcff"])
def test_a_damaged_file_is_no_traceback_in_a_report(copy: Path, name: str, text: str) -> None:
    (copy / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    refused(doxa("report", copy), 2)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2, "study": "x"}'])
def test_a_damaged_plan_is_no_traceback_in_a_run(finished: Finished, copy: Path, text: str) -> None:
    (copy / "plan.json").write_text(text, encoding="utf-8")
    refused(again(finished, copy), 2, "Choose another folder")


def test_a_damaged_vector_stops_a_run_in_words(finished: Finished, copy: Path) -> None:
    (folder, *_) = (copy / "vectors").iterdir()
    (folder / "directions.safetensors").write_bytes(b"broken")
    refused(again(finished, copy), 1, "is damaged", "Remove that folder")
    shutil.rmtree(folder)
    assert again(finished, copy).exit_code == 0


def test_a_damaged_file_of_inspect_s_is_named(finished: Finished, copy: Path) -> None:
    (copy / "logs" / ".eval-set-id").write_bytes(b"\xff\xfe")
    refused(again(finished, copy), 1, ".eval-set-id")


def test_a_plan_with_few_units_is_json(study_file: StudyFile) -> None:
    result = doxa("plan", study_file(**FAST), "--no-probe", "--json")
    found = json.loads(result.stdout, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert found["detectable_sd"] is None
    assert "too few for a test" in doxa("plan", study_file(**FAST), "--no-probe").stdout


def test_a_control_vector_does_not_take_the_place_of_another_file(tmp_path: Path, study_file: StudyFile) -> None:
    study = study_file(**FAST)
    pairs, name = study.parent / "awake-pairs.md", read_study(study).models[0].name
    (tmp_path / "mine.gguf").write_text("a model", encoding="utf-8")
    command = ["vector", pairs, "--model", name, "--out", tmp_path / "v", "--gguf", tmp_path / "mine.gguf"]
    refused(doxa(*command), 2, "holds something else")
    assert (tmp_path / "mine.gguf").read_text(encoding="utf-8") == "a model"
    assert doxa(*command[:-1], tmp_path / "new.gguf").exit_code == 0
    assert doxa(*command[:-1], tmp_path / "new.gguf").exit_code == 0, "the same file may be written again"
    refused(doxa("vector", pairs, "--model", name, "--out", tmp_path / "mine.gguf"), 2, "is no folder")


def test_a_terminal_without_dashes_shows_question_marks(study_file: StudyFile, tmp_path: Path) -> None:
    words = ["run", str(study_file(**FAST)), "--limit", "4", "--out", str(tmp_path / "out")]
    command = [sys.executable, "-c", "from doxa.cli import main; main()", *words]
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b"report: " in done.stdout
