import hashlib
from pathlib import Path
from typing import Any

import docx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from doxa.documents import comments
from doxa.documents.comments import Landing, Remark, add_comments, comments_of, landing, write_copy
from doxa.documents.package import open_docx
from doxa.documents.word import read_word
from doxa.words.errors import DocumentError
from papers import W, check_comments, paper, paragraph, run, saved

AUTHOR = 'w:id="9" w:author="A" w:date="2026-01-01T00:00:00Z"'
MARK = '<w:r><w:footnoteReference w:id="2"/></w:r>'


def commented(document: Any, tmp_path: Path, *quotes: str) -> tuple[Path, Landing]:
    """A copy with a comment on each quote, which has to stand in the document once."""
    original, copy = saved(document, tmp_path / "paper.docx"), tmp_path / "copy.docx"
    before = hashlib.sha256(original.read_bytes()).hexdigest()
    opened = open_docx(original)
    text, there = read_word(opened), comments_of(opened)
    remarks = []
    for quote in quotes:
        index = next(i for i, one in enumerate(text.passages) if quote in one.passage.text)
        start = text.passages[index].passage.text.index(quote)
        remarks.append(Remark(index, start, start + len(quote), f"On {quote}.\nSecond line."))
    placed = add_comments(opened, text, remarks)
    write_copy(opened, original, copy)
    assert hashlib.sha256(original.read_bytes()).hexdigest() == before
    found = landing(copy, text, there, placed)
    assert found.changed == ()
    assert found.missing == ()
    assert len(check_comments(copy)) == len(quotes) + len(there)
    return copy, found


def runs(path: Path) -> list[tuple[str, str]]:
    """Text and formatting of the runs of a file."""
    found = []
    for one in docx.Document(str(path)).element.body.iter(f"{W}r"):
        text = "".join(t.text or "" for t in one.findall(f"{W}t"))
        properties = one.find(f"{W}rPr")
        if text:
            found.append(
                (text, "" if properties is None else " ".join(sorted(p.tag.removeprefix(W) for p in properties)))
            )
    return found


def test_runs_are_split_and_keep_their_formatting(tmp_path: Path) -> None:
    inner = run("Before. It was ", "<w:b/>") + run("14/520", "<w:i/>") + run(" there. After.")
    copy, found = commented(paper(paragraph(inner)), tmp_path, "It was 14/520 there.")
    assert runs(copy) == [("Before. ", "b"), ("It was ", "b"), ("14/520", "i"), (" there.", ""), (" After.", "")]
    assert [(one.anchor, one.marked) for one in found.landed] == [("text", "It was 14/520 there.")]
    assert [one.author for one in docx.Document(str(copy)).comments] == ["doxa"]


@pytest.mark.parametrize(
    "inner",
    [
        run("It was ") + f"<w:ins {AUTHOR}>{run('14/520 there. Then')}</w:ins>" + run(" more."),
        f"<w:ins {AUTHOR}>{run('It was 14/520 there.')}</w:ins>" + run(" Then more."),
        run("It was 14")
        + f"<w:del {AUTHOR}><w:r><w:delText>5</w:delText></w:r></w:del>"
        + run("/520 there. Then more."),
        run("It was ") + f'<w:hyperlink w:anchor="x">{run("14/520 there. Then")}</w:hyperlink>' + run(" more."),
        f'<w:hyperlink w:anchor="x">{run("It was 14/520 there. Then more.")}</w:hyperlink>',
        f"<w:sdt><w:sdtPr/><w:sdtContent>{run('It was 14/520 there. Then more.')}</w:sdtContent></w:sdt>",
        '<w:r><w:t xml:space="preserve">It was </w:t><w:tab/><w:t>14/520 there. Then more.</w:t></w:r>',
        run("It was 14/520") + run("3", '<w:vertAlign w:val="superscript"/>') + run(" there. Then more."),
        '<w:bookmarkStart w:id="1" w:name="b"/>' + run("It was 14/520 there. Then more.") + '<w:bookmarkEnd w:id="1"/>',
    ],
)
def test_a_sentence_is_marked_exactly(tmp_path: Path, inner: str) -> None:
    document = paper(paragraph(inner))
    text = read_word(document).passages[0].passage.text
    _, found = commented(document, tmp_path, text[: text.index(" Then")])
    assert [one.marked for one in found.landed] == [text[: text.index(" Then")]]


@pytest.mark.parametrize("container", ["ins", "hyperlink"])
def test_the_mark_of_the_comment_stands_outside_of_insertions_and_links(tmp_path: Path, container: str) -> None:
    attributes = AUTHOR if container == "ins" else 'w:anchor="x"'
    inner = run("Before ") + f"<w:{container} {attributes}>{run('It was 14/520. More.')}</w:{container}>"
    copy, _ = commented(paper(paragraph(inner)), tmp_path, "It was 14/520.")
    body = docx.Document(str(copy)).element.body
    (reference,) = body.iter(f"{W}commentReference")
    assert reference.getparent().getparent().tag == f"{W}p"
    (start,) = body.iter(f"{W}commentRangeStart")
    assert start.getparent().tag == f"{W}p"  # the sentence begins with the insertion


def test_a_formula_is_covered_whole(tmp_path: Path) -> None:
    inner = (
        run("Here ") + "<m:oMathPara><m:oMath><m:r><m:t>p=.05. More</m:t></m:r></m:oMath></m:oMathPara>" + run(" end")
    )
    copy, found = commented(paper(paragraph(inner)), tmp_path, "Here p=.05.")
    assert [one.marked for one in found.landed] == ["Here p=.05. More"]
    (end,) = docx.Document(str(copy)).element.body.iter(f"{W}commentRangeEnd")
    assert end.getparent().tag == f"{W}p"


def test_tables(tmp_path: Path) -> None:
    cells = "".join(f"<w:tc>{paragraph(run(text))}</w:tc>" for text in ("14/520", "26/520"))
    document = paper(f"<w:tbl><w:tblPr/><w:tblGrid/><w:tr>{cells}</w:tr></w:tbl>", "after")
    _, found = commented(document, tmp_path, "14/520", "26/520")
    assert [one.anchor for one in found.landed] == ["text", "text"]


def test_a_footnote_is_commented_on_in_the_paragraph_that_holds_it(tmp_path: Path) -> None:
    document = paper(paragraph(run("See the note.") + MARK), notes={2: "It was 14/520. More."})
    _, found = commented(document, tmp_path, "It was 14/520.")
    (one,) = found.landed
    assert (one.anchor, one.marked) == ("paragraph", "See the note.")
    assert one.text.startswith("On the footnote: “It was 14/520.”\n")


def test_comments_that_are_there_stay(tmp_path: Path) -> None:
    document = paper("It was 14/520. More of it.")
    document.add_comment(document.paragraphs[0].runs, text="Mine", author="Me", initials="M")
    copy, _ = commented(document, tmp_path, "It was 14/520.", "More of it.")
    assert next((one.author, one.text) for one in docx.Document(str(copy)).comments) == ("Me", "Mine")


def test_ranges_may_overlap(tmp_path: Path) -> None:
    commented(paper("one two three four"), tmp_path, "one two", "two three", "two", "one two three four")


def test_no_remarks_change_nothing(tmp_path: Path) -> None:
    copy, found = commented(paper("nothing"), tmp_path)
    assert found == Landing((), (), ())
    assert runs(copy) == [("nothing", "")]


def test_the_original_is_never_written(tmp_path: Path) -> None:
    original = saved(paper("text"), tmp_path / "paper.docx")
    link = tmp_path / "link.docx"
    link.symlink_to(original)
    hard = tmp_path / "hard.docx"
    hard.hardlink_to(original)
    for copy in (original, link, hard, tmp_path / "." / "paper.docx"):
        with pytest.raises(DocumentError, match="the document itself"):
            write_copy(open_docx(original), original, copy)


def test_a_comment_that_is_lost_is_missed(tmp_path: Path) -> None:
    """The check can fail: a copy without the comment, and one with another text."""
    original = saved(paper("It was 14/520."), tmp_path / "paper.docx")
    opened = open_docx(original)
    text = read_word(opened)
    placed = add_comments(opened, text, [Remark(0, 0, 6, "hm")])
    found = landing(original, text, (), placed)
    assert (found.landed, found.missing) == ((), placed)
    other = saved(paper("It was 15/520."), tmp_path / "other.docx")
    assert landing(other, text, [(7, "x")], ()).changed == ("paragraph 1", "comment 7")


def test_too_many_and_wrong_characters_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    document = paper("text")
    text = read_word(document)
    for bad in ("a\0b", "\ud800", "\x1b[31m"):
        with pytest.raises(DocumentError, match="character that a document cannot have"):
            add_comments(document, text, [Remark(0, 0, 1, bad)])
    monkeypatch.setattr(comments, "MOST_RANGES", 1)
    with pytest.raises(DocumentError, match="2 comments beside 0"):
        add_comments(document, text, [Remark(0, 0, 1, "a"), Remark(0, 1, 2, "b")])


PIECES = st.lists(
    st.tuples(
        st.text(alphabet="ab 1.", min_size=1, max_size=6), st.sampled_from(["r", "ins", "hyperlink", "sup", "tab"])
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PIECES, st.data())
def test_any_stretch_of_any_paragraph_can_be_marked(tmp_path: Path, parts: list[tuple[str, str]], data: Any) -> None:
    kinds = {
        "r": "{}", "ins": f"<w:ins {AUTHOR}>{{}}</w:ins>", "hyperlink": '<w:hyperlink w:anchor="x">{}</w:hyperlink>',
        "tab": "{}<w:r><w:tab/></w:r>",
    }  # fmt: skip
    inner = "".join(
        kinds.get(kind, "{}").format(run(text, '<w:vertAlign w:val="superscript"/>' if kind == "sup" else ""))
        for text, kind in parts
    )
    original = saved(paper(paragraph(inner)), tmp_path / "paper.docx")
    opened = open_docx(original)
    text = read_word(opened)
    if not text.passages:
        return
    length = len(text.passages[0].passage.text)
    spans = st.tuples(st.integers(0, length - 1), st.integers(1, length)).filter(lambda span: span[0] < span[1])
    remarks = [Remark(0, *span, "hm") for span in data.draw(st.lists(spans, max_size=4))]
    placed = add_comments(opened, text, remarks)
    write_copy(opened, original, tmp_path / "copy.docx")
    found = landing(tmp_path / "copy.docx", text, (), placed)
    assert (found.missing, found.changed) == ((), ())
    assert all(one.marked == one.quote for one in found.landed)
    assert len(check_comments(tmp_path / "copy.docx")) == len(remarks)
