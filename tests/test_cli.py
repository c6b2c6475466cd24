import errno
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

import doxa.run as runs
from doxa.cli import main, study_named
from doxa.evals.catalogue import TASKS
from doxa.models.handle import load
from doxa.progress import Lines
from doxa.vectors.extract import extract
from doxa.vectors.pairs import load_pairs
from doxa.vectors.vector import save
from doxa.words.errors import StudyError
from mini_study import LIMIT, NO_CONTROLS, NOTHING_DECLARED, PAIRS, Finished, save_model

FAST: dict[str, Any] = {"tasks": [{"doxa/claims": {"belief": "conscious", "topics": 1}}], **NO_CONTROLS}
StudyFile = Callable[..., Path]
Contents = Callable[[Path], dict[str, Any]]


def doxa(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def refused(result: Result, code: int, *words: str) -> None:
    """One message in one line, the right exit code, no traceback."""
    assert result.exit_code == code, result.output + repr(result.exception)
    assert isinstance(result.exception, SystemExit)
    lines = [line for line in result.stderr.splitlines() if line and not re.match(r"[a-z ]+: \d+ of \d+", line)]
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("doxa: ")
    assert "Traceback" not in result.output
    for word in words:
        assert word in lines[0], lines[0]


VERBS = sorted(main.commands)


def test_the_verbs_are_those_of_the_design() -> None:
    assert set(VERBS) >= {"run", "plan", "report", "dose", "diff", "vector", "models", "tasks", "beliefs"}


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_every_verb_says_what_it_does_and_gives_an_example(verb: str) -> None:
    result = doxa(verb, "--help")
    assert result.exit_code == 0
    assert len((main.commands[verb].help or "").splitlines()[0]) > 15
    assert "Example:" in result.output
    assert f"doxa {verb}" in result.output.split("Example:")[1]


def test_help_and_version_of_the_whole() -> None:
    assert "doxa run first" in doxa("--help").output
    assert re.fullmatch(r"doxa, version \d+\.\d+\.\d+\n", doxa("--version").output)


def test_the_lists() -> None:
    tasks = doxa("tasks")
    assert tasks.exit_code == 0
    assert [line.split()[0] for line in tasks.output.splitlines()] == list(TASKS)
    beliefs = doxa("beliefs").output.splitlines()
    assert [line.split()[0] for line in beliefs] == ["conscious", "deployed", "future", "trusted", "unmonitored"]
    assert "smollm2" in doxa("models").output


def test_diff_says_what_differs_and_nothing_else() -> None:
    result = doxa("diff", "first", "block[strength=0.6]", "block[strength=0.3]", "--json")
    assert json.loads(result.output) == [{"where": "steer.strength", "a": "0.6", "b": "0.3"}]
    result = doxa("diff", "first", "block[strength=0.6]", "block[strength=0.3]")
    assert result.output == "steer.strength: 0.6  |  0.3\n"
    assert "do the same thing" in doxa("diff", "first", "baseline", "baseline").output
    placed = json.loads(doxa("diff", "first", "block[strength=0.6]", "every[strength=0.6]", "--json").output)
    assert all(one["where"].startswith("steer.layers") for one in placed)
    assert placed


def test_a_study_is_found_by_name_or_path(study_file: StudyFile) -> None:
    assert study_named("first").name == "first"
    assert study_named(str(study_file())).name == "mini"
    with pytest.raises(StudyError, match=r"no study 'frist'.*'first'"):
        study_named("frist")


@pytest.mark.parametrize("verb", ["run", "plan"])
def test_an_unknown_study(verb: str) -> None:
    refused(doxa(verb, "frist"), 2, "no study 'frist'", "Did you mean 'first'?")


def test_a_study_file_that_is_not_there(tmp_path: Path) -> None:
    refused(doxa("run", tmp_path / "no.yaml"), 2, "no.yaml", "cannot be read")


def test_unknown_arms(tmp_path: Path) -> None:
    refused(doxa("diff", "first", "blok", "baseline"), 2, "no arm 'blok'")
    refused(doxa("dose", "first", "blok"), 2, "no arm 'blok'")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tasks": ["doxa/clams"]}, ["unknown task 'doxa/clams'", "Did you mean 'doxa/claims'"]),
        ({"tasks": [{"doxa/claims": {"topic": 1}}]}, ["no argument 'topic'", "topics"]),
        ({"tasks": [{"doxa/claims": {"belief": "concious"}}]}, ["concious", "conscious"]),
        ({"arms": {"baseline": [], "prompted": [{"prompt": "concious"}]}}, ["no belief 'concious'", "'conscious'"]),
        ({"arms": {"baseline": [], "prompted": [{"prompt": "latin.md"}]}}, ["latin.md is not UTF-8"]),
        ({"armz": {}}, ["unknown key 'armz'", "Did you mean 'arms'"]),
        ({"runs": 0}, ["runs is 0"]),
        ({"contrasts": ["mid[strength=0.9] - baseline"]}, ["0.9"]),
        ({"factors": {"mid": {"steer": {"vector": "awake-pairs.md", "layers": 99, "strength": [0.3]}}}},
         ["layer 99", "3 layers"]),
        ({"factors": {"mid": {"steer": {"vector": "awake-pairs.md", "layers": 1.5, "strength": [0.3]}}}}, ["1.5"]),
        ({"factors": {"mid": {"steer": {"vector": "awake-pairs.md", "layers": 1, "strength": [float("nan")]}}}},
         ["strength", "nan"]),
        ({"factors": {"mid": {"steer": {"vector": "awake-pairs.md", "layers": 1, "strength": [float("inf")]}}}},
         ["strength", "inf"]),
        ({"factors": {"mid": {"steer": {"vector": "awake-pears.md", "layers": 1, "strength": [0.3]}}}},
         ["awake-pears.md"]),
        (
            {"factors": {"mid": {"steer": {"vector": "empty.md", "layers": 1, "strength": [0.3]}}}},
            ["empty.md", "0 pairs"],
        ),
        ({"factors": {"mid": {"steer": {"vector": "other-model", "layers": 1, "strength": [0.3]}}}},
         ["4 layers", "3 layers"]),
        ({"model": "no/such/folder"}, ["no/such/folder"]),
    ],
)  # fmt: skip
def test_mistakes_in_a_study_are_one_line_and_nothing_is_written(
    study_file: StudyFile, tmp_path: Path, changes: dict[str, Any], words: list[str]
) -> None:
    file = study_file(**{**FAST, **NOTHING_DECLARED, **changes})
    (file.parent / "latin.md").write_bytes("---\nname: a\nversion: 1\n---\nmüde\n".encode("latin-1"))
    (file.parent / "empty.md").write_text(PAIRS[: PAIRS.index("+ ")])
    if "other-model" in str(changes):
        other = load(str(save_model(tmp_path / "other", layers=4)))
        save(extract(other, load_pairs("unrelated-weather")), file.parent / "other-model")
    for verb in ("plan", "run"):
        options = ["--out", tmp_path / "out"] if verb == "run" else ["--no-probe"]
        refused(doxa(verb, file, *options), 2, *words)
    assert not [path for path in (tmp_path / "out").rglob("*") if path.name != ".lock"]


def test_a_study_that_is_not_utf_8_or_not_yaml(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("study: müde\n".encode("latin-1"))
    (tmp_path / "broken.yaml").write_text("study: [a\narms: {")
    refused(doxa("run", tmp_path / "latin.yaml"), 2, "not UTF-8")
    refused(doxa("run", tmp_path / "broken.yaml"), 2, "not YAML")


@pytest.mark.parametrize("option", [["--limit", "0"], ["--runs", "0"]])
def test_overrides_below_one(study_file: StudyFile, option: list[str]) -> None:
    refused(doxa("run", study_file(), *option), 2, option[0])


def test_a_run_prints_where_its_report_is_and_a_folder_it_may_not_take_is_left_alone(
    study_file: StudyFile, tmp_path: Path, contents: Contents
) -> None:
    file, out = study_file(**FAST), tmp_path / "out"
    result = doxa("run", file, "--out", out, "--limit", LIMIT)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == f"report: {out / 'report.html'}"
    assert (out / "summary.txt").read_text().splitlines()[0] in result.stdout
    before = contents(out)
    refused(doxa("run", file, "--out", out), 2, "differs in limit", "--out")
    assert contents(out) == before
    refused(doxa("run", file, "--out", file.parent), 2, "no plan of a study", "--out")
    (out / "plan.json").write_text("{")
    refused(doxa("run", file, "--out", out, "--limit", LIMIT), 2, "plan.json cannot be read", "--out")
    assert {**contents(out), "plan.json": before["plan.json"]} == before


def test_a_report_is_written_again_from_the_folder(finished: Finished, tmp_path: Path) -> None:
    before = (finished.folder / "report.md").read_bytes()
    result = doxa("report", finished.folder)
    assert result.exit_code == 0, result.output
    assert result.output == f"report: {finished.folder / 'report.html'}\n"
    assert (finished.folder / "report.md").read_bytes() == before
    refused(doxa("report", tmp_path / "nowhere"), 2, "no results folder")
    (tmp_path / "empty").mkdir()
    refused(doxa("report", tmp_path / "empty"), 2, "plan.json")


def test_a_full_disk_is_a_fault_of_the_environment(
    study_file: StudyFile, tmp_path: Path, contents: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, done = runs.commit_chunk, []

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def commit_or_fail(folder: Path, chunk: Any, result: Any) -> None:
        with monkeypatch.context() as patch:
            if len(done) == 2:
                patch.setattr(os, "fsync", full)
            commit(folder, chunk, result)
        done.append(f"chunks/{chunk.id}.json")

    monkeypatch.setattr(runs, "commit_chunk", commit_or_fail)
    out = tmp_path / "out"
    refused(doxa("run", study_file(**FAST), "--out", out, "--limit", LIMIT), 1, "disk is full", "run the same command")
    assert sorted(name for name in contents(out) if name.startswith("chunks/")) == sorted(done)


def test_ctrl_c_says_how_to_go_on(study_file: StudyFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "measure", interrupted)
    result = doxa("run", study_file(**FAST), "--out", tmp_path / "out", "--limit", LIMIT)
    assert result.exit_code == 130
    assert result.stderr.endswith("\ndoxa: stopped. The same command goes on where it stopped.\n")


def test_without_a_terminal_progress_is_a_line_every_tenth() -> None:
    said: list[str] = []
    lines = Lines(said.append)
    lines.stage("scoring", 100, 50)
    for _ in range(50):
        lines.step()
    assert said[0] == "scoring: 50 of 100"
    assert [line.split(",")[0] for line in said[1:]] == [f"scoring: {n} of 100" for n in (60, 70, 80, 90, 100)]
    assert said[-1].endswith("about 0 s left")


def test_every_command_is_guarded() -> None:
    verbs: dict[str, click.Command] = {}
    for name, command in main.commands.items():  # of a group its own verbs
        verbs |= command.commands if isinstance(command, click.Group) else {name: command}
    assert {"run", "show"} <= set(verbs)
    for name, command in verbs.items():
        assert isinstance(command, click.Command)
        if name != "models":  # it prints four lines and can fail in no way
            assert command.callback is not None
            assert getattr(command.callback, "__wrapped__", None) is not None, name
