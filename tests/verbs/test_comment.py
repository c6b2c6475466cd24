import json
from pathlib import Path

import docx
import pytest
from click.testing import CliRunner, Result

from doxa.cli import main
from papers import check_comments, paper, saved


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    saved(paper("The cat sat. The dog sat.", "Nothing else."), Path("paper.docx"))
    return tmp_path


def comment(comments: object, *arguments: str) -> Result:
    Path("comments.json").write_text(json.dumps(comments), encoding="utf-8")
    given = ["comment", "paper.docx", "comments.json", "--out", "out.docx", *arguments]
    return CliRunner().invoke(main, given)


def test_comments_land() -> None:
    original = Path("paper.docx").read_bytes()
    done = comment(
        [{"quote": "cat sat", "comment": "Where?\nWhen?"}, {"quote": "sat", "occurrence": 2, "comment": "Why?"}],
        "--author", "A. Name",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "2 comments landed: 2 on their text; 0 missing" in done.output
    assert Path("paper.docx").read_bytes() == original
    assert list(check_comments(Path("out.docx")).values()) == ["Where?When?", "Why?"]
    assert [(one.author, one.initials) for one in docx.Document("out.docx").comments] == [("A. Name", "AN")] * 2


def test_what_does_not_land_is_listed_and_the_rest_is_written() -> None:
    done = comment(
        [{"quote": "cat", "comment": "a"}, {"quote": "cow", "comment": "b"}, {"quote": "sat", "comment": "c"}]
    )
    assert done.exit_code == 2
    assert "comment 2 did not land (cow): its quote does not stand" in done.output
    assert "comment 3 did not land (sat): its quote stands there 2 times" in done.output
    assert len(check_comments(Path("out.docx"))) == 1


def test_an_author_that_cannot_be_written() -> None:
    done = comment([{"quote": "cat", "comment": "a"}], "--author", "\x1b[31m")
    assert done.exit_code == 2
    assert "character that a document cannot have" in done.output


def test_json() -> None:
    done = comment([{"quote": "cat", "comment": "a"}, {"quote": "cow", "comment": "b"}], "--json")
    said = json.loads(done.output)
    assert (done.exit_code, said["asked"], said["landed"], said["written"]) == (2, 2, 1, "out.docx")
    assert said["not_landed"][0]["comment"] == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", "is not JSON"),
        ("", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("{}", "the file of comments is {}"),
        ('[{"quote": "cat", "comment": "\\u0000"}]', "character that a document cannot have"),
        ('[{"quote": "cat", "comment": "\\ud800"}]', "character that a document cannot have"),
    ],
)
def test_wrong_files_are_one_sentence(content: str, message: str) -> None:
    Path("comments.json").write_text(content, encoding="utf-8")
    done = CliRunner().invoke(main, ["comment", "paper.docx", "comments.json", "--out", "out.docx"])
    assert done.exit_code == 2, done.output
    assert message in done.output
    assert not Path("out.docx").exists()


def test_the_document_itself_is_never_the_copy() -> None:
    original = Path("paper.docx").read_bytes()
    Path("comments.json").write_text('[{"quote": "cat", "comment": "a"}]', encoding="utf-8")
    for out in ("paper.docx", "./paper.docx", "out.txt"):
        done = CliRunner().invoke(main, ["comment", "paper.docx", "comments.json", "--out", out])
        assert done.exit_code == 2, done.output
    assert Path("paper.docx").read_bytes() == original


def test_missing_files() -> None:
    for document, comments in (("none.docx", "comments.json"), ("paper.docx", "none.json")):
        Path("comments.json").write_text("[]", encoding="utf-8")
        done = CliRunner().invoke(main, ["comment", document, comments, "--out", "out.docx"])
        assert done.exit_code == 2
        assert "is missing" in done.output
