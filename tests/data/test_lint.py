import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from doxa.cli import main
from doxa.lint import RECORD, compare_records, current_record, lint, prose_files, shipped_record
from doxa.words.prose import read_prose

GOOD = "---\nname: mine\nversion: 1\nlicense: CC0-1.0\n---\nYou look after the pumps of a small harbour town.\n"


def write(folder: Path, text: str, name: str = "mine.md") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("path", prose_files(), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_everything_that_is_shipped_is_clean(path: Path) -> None:
    assert lint(path) == ()


def test_what_is_shipped_is_what_was_recorded() -> None:
    assert compare_records(shipped_record(), current_record()) == ()
    assert len(current_record()) == len(prose_files()) > 40


@pytest.mark.parametrize(
    ("change", "line", "said"),
    [
        (("name: mine", "name: yours"), None, "call it 'mine'"),
        (("version: 1", "version: 0"), None, "version is 0"),
        (("license: CC0-1.0\n", ""), None, "no 'license'"),
        (("You look after", "You, like ChatGPT, look after"), 6, "it names ChatGPT"),
        (("small", "sm\u200ball"), 6, "U+200B"),
        (("town.", "town. "), 6, "blanks at the end"),
        ((GOOD.splitlines()[-1], "Du passt auf die Pumpen einer kleinen Stadt auf."), None, "'en'"),
        (("license:", "language: de\nlicense:"), None, "'de'"),
    ],
)  # fmt: skip
def test_every_rule_is_kept(change: tuple[str, str], line: int | None, said: str, tmp_path: Path) -> None:
    assert lint(write(tmp_path, GOOD)) == ()
    (found,) = lint(write(tmp_path, GOOD.replace(*change)))
    assert found.line == line
    assert said in found.what


def test_a_text_that_is_partly_in_another_language_is_found(tmp_path: Path) -> None:
    german = "Du passt auf die Pumpen einer kleinen Stadt am Meer auf."
    (found,) = lint(write(tmp_path, GOOD + german + "\n"))
    assert "1 of 2 pieces seem not to be in 'en'" in found.what


def test_a_part_of_a_word_is_no_name_and_several_languages_are_said(tmp_path: Path) -> None:
    assert lint(write(tmp_path, GOOD.replace("pumps", "Windowsill, Azured and Claudette's pumps"))) == ()
    german = GOOD.replace("You", "Du passt auf die Pumpen einer kleinen Stadt auf.\nYou").replace(
        "version", "language: mul\nversion"
    )
    assert lint(write(tmp_path, german)) == ()


def test_a_change_without_a_new_version_is_found() -> None:
    before = {"a/x.md": [1, "one"], "a/gone.md": [1, "two"], "a/raised.md": [1, "three"]}
    now = {"a/x.md": [1, "other"], "a/new.md": [1, "four"], "a/raised.md": [2, "five"]}
    said = {found.path.name: found.what for found in compare_records(before, now)}
    assert "raise its version" in said["x.md"]
    assert "not there" in said["gone.md"]
    assert "not in the record" in said["new.md"]
    assert said["raised.md"].endswith("run python docs/record_prose.py")
    assert compare_records(now, now) == ()


def test_the_record_is_plain() -> None:
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    assert record["beliefs/conscious.md"] == [
        1,
        read_prose(RECORD.parent / "beliefs/conscious.md", allowed=None, required=()).hash,
    ]


def test_the_verb(tmp_path: Path) -> None:
    good = write(tmp_path, GOOD)
    done = CliRunner().invoke(main, ["lint", str(good)])
    assert (done.exit_code, done.output) == (0, "1 text, 0 findings\n")
    write(tmp_path, GOOD.replace("name: mine", "name: other"), "bad.md").write_text(
        GOOD + "Gemini \n", encoding="utf-8"
    )
    done = CliRunner().invoke(main, ["lint", str(tmp_path)])
    assert done.exit_code == 2
    assert "bad.md:7: it names Gemini" in done.output
    assert "2 texts, 3 findings" in done.output
    empty = tmp_path / "empty"
    empty.mkdir()
    for wrong in (empty, tmp_path / "missing.md"):
        done = CliRunner().invoke(main, ["lint", str(wrong)])
        assert done.exit_code == 2
        assert "Traceback" not in done.output


def test_what_is_shipped_is_clean_from_wherever_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(RECORD.parents[1])
    result = CliRunner().invoke(main, ["lint", "data/drift"])
    assert result.exit_code == 0, result.output
    named = prose_files(Path("data"))
    assert [path.resolve() for path in named] == list(prose_files())
    assert lint(Path("data/reference.md")) == ()
