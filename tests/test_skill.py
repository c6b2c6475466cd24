"""The skill for coding assistants: what it tells them to run, runs."""

import re
import shlex
from pathlib import Path

import docx
import pytest
import yaml
from click.testing import CliRunner

from doxa.cli import main
from papers import check_comments, paper, saved

SKILL = Path(__file__).parent.parent / "skills" / "comment-on-docs" / "SKILL.md"
SENTENCES = (
    "We steer the model and leave another as it is.",
    "With steering, compliance was 5.0% (26/520) in one tier and 2.7% (14/520) in the other (p = .053).",
    "We conclude that the model fakes alignment.",
)


def test_the_front_matter_names_and_describes_it() -> None:
    _, front_matter, body = SKILL.read_text(encoding="utf-8").split("---\n", 2)
    said = yaml.safe_load(front_matter)
    assert set(said) == {"name", "description"}
    assert said["name"] == SKILL.parent.name
    assert 50 < len(said["description"]) < 1024
    assert body.strip()


def test_it_calls_nothing_but_the_command_line() -> None:
    lines = re.findall(r"^ {4}(\S.*)$", SKILL.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(lines) == 5
    assert all(line.startswith("doxa ") for line in lines)


def test_its_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = SKILL.read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    original = saved(paper(*SENTENCES), Path("paper.docx")).read_bytes()
    Path("paper.md").write_text("\n\n".join(SENTENCES), encoding="utf-8")
    for name, content in re.findall(r"^```json file=(\S+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        Path(name).write_text(content, encoding="utf-8")
    for line in re.findall(r"^ {4}(doxa .*)$", text, re.MULTILINE):
        done = CliRunner().invoke(main, shlex.split(line)[1:])
        assert done.exit_code == 0, (line, done.output)
    assert Path("paper.docx").read_bytes() == original
    said = list(check_comments(Path("paper.reviewed.docx")).values())
    assert len(said) == 3
    assert [one.author for one in docx.Document("paper.reviewed.docx").comments] == ["doxa"] * 3
    assert "14/520" in Path("paper.notes.md").read_text(encoding="utf-8")
