import json
from pathlib import Path

import docx
import pytest
from click.testing import CliRunner, Result

from doxa.cli import main
from papers import check_comments, paper, paragraph, run, saved

CLAIM = "It was 26/520 in one tier and 14/520 in the other (p = .053)."


def check(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["check", *arguments])


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_word_document_gets_a_commented_copy() -> None:
    original = saved(paper(CLAIM, "It was averaged over three seeds."), Path("paper.docx")).read_bytes()
    done = check("paper.docx")
    assert done.exit_code == 0, done.output
    assert "2 comments landed: 2 on their text; 0 missing" in done.output
    assert "Fisher exact (.0749)" in done.output
    assert Path("paper.docx").read_bytes() == original
    first, second = check_comments(Path("paper.commented.docx")).values()
    assert ".0749" in first
    assert "averag" in second


def test_a_commented_copy_is_not_written_over() -> None:
    saved(paper(CLAIM), Path("paper.docx"))
    assert check("paper.docx").exit_code == 0
    again = check("paper.docx")
    assert again.exit_code == 2
    assert "is there already" in again.output
    assert check("paper.docx", "--out", "paper.commented.docx").exit_code == 0
    for wrong in ("paper.docx", "notes.md", "notes"):
        assert check("paper.docx", "--out", wrong).exit_code == 2


def test_a_text_gets_notes_that_are_written_anew() -> None:
    Path("paper.md").write_text(CLAIM, encoding="utf-8")
    assert check("paper.md").exit_code == 0
    first = Path("paper.notes.md").read_text(encoding="utf-8")
    assert check("paper.md").exit_code == 0
    assert Path("paper.notes.md").read_text(encoding="utf-8") == first
    Path("paper.notes.md").write_text("mine", encoding="utf-8")
    assert check("paper.md").exit_code == 2
    assert Path("paper.notes.md").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("name", ["paper.md", "paper.docx", "paper.txt"])
def test_json_writes_nothing_and_has_the_text(name: str, folder: Path) -> None:
    if name.endswith(".docx"):
        saved(paper(CLAIM), Path(name))
    else:
        Path(name).write_text(CLAIM, encoding="utf-8")
    done = check(name, "--json")
    said = json.loads(done.output)
    assert [one["text"] for one in said["text"]] == [CLAIM]
    assert [one["quote"] for one in said["findings"]] == [CLAIM]
    assert said["findings"][0]["statements"] == [
        {
            "kind": "comparison",
            "text": "26/520 in one tier and 14/520",
            "claim": "26/520 vs 14/520",
            "reported": "p=.053",
        }
    ]
    assert (said["statements"], said["recomputed"], said["written"], said["landed"]) == (1, 1, None, None)
    assert [path.name for path in folder.iterdir()] == [name]


def test_what_is_not_read_is_said() -> None:
    document = paper(CLAIM)
    document.sections[0].header.paragraphs[0].text = "14/520"
    saved(document, Path("paper.docx"))
    assert "not read: 1 header or footer" in check("paper.docx").output


@pytest.mark.parametrize("name", ["paper.docx", "paper.md", "paper.txt"])
def test_a_document_without_statements(name: str) -> None:
    if name.endswith(".docx"):
        saved(paper(), Path(name))
    else:
        Path(name).write_text("", encoding="utf-8")
    done = check(name)
    assert done.exit_code == 0
    assert "0 statistical statements, 0 recomputed; 0 sentences with notes" in done.output


def test_a_footnote_and_a_tracked_change() -> None:
    mark = '<w:r><w:footnoteReference w:id="2"/></w:r>'
    inserted = f'<w:ins w:id="9" w:author="A" w:date="2026-01-01T00:00:00Z">{run("26/520 vs 14/520.")}</w:ins>'
    saved(paper(paragraph(run("It was ") + inserted + mark), notes={2: "There was no significant difference."}),
          Path("paper.docx"))  # fmt: skip
    done = check("paper.docx")
    assert (
        "2 comments landed: 1 on their text, 1 on the paragraph that holds a note or text box; 0 missing" in done.output
    )
    assert len(list(docx.Document("paper.commented.docx").comments)) == 2


@pytest.mark.parametrize("content", [b"", b"hello", bytes.fromhex("d0cf11e0a1b11ae1") + b"\0" * 512])
def test_a_broken_document_is_one_sentence(content: bytes) -> None:
    Path("paper.docx").write_bytes(content)
    done = check("paper.docx")
    assert done.exit_code == 2
    assert done.output.startswith("doxa: paper.docx ")
    assert len(done.output.strip().splitlines()) == 1


def test_terminal_escapes_are_not_obeyed() -> None:
    Path("paper.txt").write_text("It was \x1b[31m14/520\x07.", encoding="utf-8")
    done = check("paper.txt")
    assert "\x1b" not in done.output
    assert "\x07" not in done.output
