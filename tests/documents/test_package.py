import io
import sys
import zipfile
from pathlib import Path

import pytest

from doxa.documents import package
from doxa.documents.package import open_docx
from doxa.documents.word import read_word
from doxa.words.errors import DocumentError, EnvironmentFault
from papers import paper, saved, with_parts

ENTITIES = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "{0}"><!ENTITY b "&a;&a;">]>'
    '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:r><w:t>&b;</w:t>'
    "</w:r></w:p></w:body></w:document>"
)
UTF_7 = ENTITIES.format("lol").replace('"1.0"', '"1.0" encoding="UTF-7"').replace("<!", "+ADwAIQ-").encode()


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return saved(paper("It was 14/520."), tmp_path / "paper.docx")


def test_a_document_opens(whole: Path) -> None:
    assert [one.passage.text for one in read_word(open_docx(whole)).passages] == ["It was 14/520."]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"not a zip", "cannot be read as a Word document"),
        (b"PK\x03\x04 broken", "cannot be read as a Word document"),
        (bytes.fromhex("d0cf11e0a1b11ae1") + b"\0" * 600, "has a password, or is in the old .doc format"),
    ],
)
def test_what_is_no_document(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.docx"
    path.write_bytes(content)
    with pytest.raises(DocumentError, match=message):
        open_docx(path)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"word/document.xml": b"<w:document"}, "cannot be read"),
        ({"word/document.xml": b"<a/>"}, "cannot be read"),
        ({"word/document.xml": b""}, "cannot be read"),
        ({"[Content_Types].xml": b"<Types/>"}, "cannot be read"),
        ({"word/document.xml": ENTITIES.format("lol").encode()}, "declares a document type"),
        ({"word/document.xml": ENTITIES.format("lol").encode("utf-16")}, "declares a document type"),
        ({"word/document.xml": UTF_7}, "declares a document type"),
    ],
)
def test_broken_and_hostile_parts(whole: Path, parts: dict[str, bytes], message: str) -> None:
    with pytest.raises(DocumentError, match=message):
        open_docx(with_parts(whole, parts))


def test_broken_footnotes(tmp_path: Path) -> None:
    path = saved(paper("text", notes={2: "note"}), tmp_path / "paper.docx")
    with pytest.raises(DocumentError, match="cannot be read"):
        open_docx(with_parts(path, {"word/footnotes.xml": b"<w:footnotes>"}))


@pytest.mark.parametrize("size", range(100, 30_000, 3_000))
def test_a_file_cut_short_is_one_sentence(whole: Path, size: int) -> None:
    whole.write_bytes(whole.read_bytes()[:size])
    with pytest.raises(DocumentError, match="cannot be read"):
        open_docx(whole)


def test_another_zip_is_no_document(tmp_path: Path) -> None:
    path = tmp_path / "x.docx"
    with zipfile.ZipFile(path, "w") as other:
        other.writestr("hello.txt", "hello")
    with pytest.raises(DocumentError, match="cannot be read"):
        open_docx(path)


def test_what_unpacks_to_too_much_is_not_unpacked(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = with_parts(whole, {"word/media/zeros.bin": b"\0" * (8 << 20)})
    assert bomb.stat().st_size < 1 << 20
    open_docx(bomb)
    monkeypatch.setattr(package, "MAX_UNPACKED", 1 << 20)
    with pytest.raises(DocumentError, match="when it is unpacked"):
        open_docx(bomb)


@pytest.mark.parametrize(("limit", "most"), [("MAX_XML", 10), ("MAX_PARTS", 2), ("MAX_FILE", 10)])
def test_every_cap_holds(whole: Path, monkeypatch: pytest.MonkeyPatch, limit: str, most: int) -> None:
    monkeypatch.setattr(package, limit, most)
    with pytest.raises(DocumentError, match="at most"):
        open_docx(whole)


def test_a_size_that_is_a_lie_is_not_believed(whole: Path) -> None:
    """A part that unpacks to more than its entry says is an error, not a bomb."""
    with_parts(whole, {"word/media/zeros.bin": b"\0" * 1_000_000})
    data = bytearray(whole.read_bytes())
    for signature, at in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        place = data.rindex(signature)
        data[place + at : place + at + 4] = (10).to_bytes(4, "little")
    whole.write_bytes(data)
    with zipfile.ZipFile(io.BytesIO(bytes(data))) as lie:
        assert lie.getinfo("word/media/zeros.bin").file_size == 10
        with pytest.raises(zipfile.BadZipFile):
            lie.read("word/media/zeros.bin")


def test_missing_files_and_folders(tmp_path: Path) -> None:
    for path, message in ((tmp_path / "none.docx", "is missing"), (tmp_path, "is a folder")):
        with pytest.raises(DocumentError, match=message):
            open_docx(path)


def test_without_python_docx_the_extra_is_named(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "docx.document", None)
    with pytest.raises(EnvironmentFault, match=r"pip install 'doxa\[docx\]'"):
        open_docx(whole)


def test_a_part_under_another_name_declares_no_document_type_either(whole: Path) -> None:
    with zipfile.ZipFile(whole) as old:
        types, top = old.read("[Content_Types].xml"), old.read("_rels/.rels")
    parts = {
        "[Content_Types].xml": types.replace(b"/word/document.xml", b"/word/document.bin"),
        "_rels/.rels": top.replace(b"word/document.xml", b"word/document.bin"),
        "word/document.bin": ENTITIES.format("lol").encode(),
    }
    with pytest.raises(DocumentError, match=r"document\.bin in .* declares a document type"):
        open_docx(with_parts(whole, parts))
