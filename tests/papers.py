"""Word documents for tests, made by python-docx and by XML of our own."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import docx
from docx.opc.constants import RELATIONSHIP_TYPE
from docx.opc.packuri import PackURI
from docx.opc.part import Part
from docx.oxml.parser import parse_xml

NAMESPACES = (
    'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships" '
    'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math" '
    'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" '
    'xmlns:wps="http://schemas.microsoft.com/office/word/2010/wordprocessingShape" '
    'xmlns:v="urn:schemas-microsoft-com:vml"'
)
W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"


def run(text: str, properties: str = "") -> str:
    """The XML of a run."""
    return f'<w:r><w:rPr>{properties}</w:rPr><w:t xml:space="preserve">{text}</w:t></w:r>'


def paragraph(inner: str) -> str:
    """The XML of a paragraph."""
    return f"<w:p>{inner}</w:p>"


def paper(*paragraphs: str, notes: Mapping[int, str] | None = None) -> Any:
    """A document of paragraphs (plain text, or XML that begins with `<w:`), with footnotes by their id."""
    document = docx.Document()
    body = document.element.body
    for text in paragraphs:
        xml = text if text.startswith("<w:") else paragraph(run(text))
        close = xml.index(">") if xml[xml.index(">") - 1] != "/" else xml.index("/>")
        body.insert(len(body) - 1, parse_xml(f"{xml[:close]} {NAMESPACES}{xml[close:]}"))
    if notes is not None:
        inner = "".join(f'<w:footnote w:id="{key}">{paragraph(run(text))}</w:footnote>' for key, text in notes.items())
        first = '<w:footnote w:type="separator" w:id="-1"><w:p/></w:footnote>'
        blob = f"<w:footnotes {NAMESPACES}>{first}{inner}</w:footnotes>"
        kind = "application/vnd.openxmlformats-officedocument.wordprocessingml.footnotes+xml"
        part = Part(PackURI("/word/footnotes.xml"), kind, blob.encode(), document.part.package)
        document.part.relate_to(part, RELATIONSHIP_TYPE.FOOTNOTES)
    return document


def saved(document: Any, path: Path) -> Path:
    """The document as a file."""
    document.save(str(path))
    return path


def with_parts(path: Path, parts: Mapping[str, bytes]) -> Path:
    """A file with some of its parts replaced or added."""
    data = path.read_bytes()
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            if name not in parts:
                new.writestr(name, old.read(name))
        for name, content in parts.items():
            new.writestr(name, content)
    path.write_bytes(buffer.getvalue())
    return path


def check_comments(path: Path) -> dict[str, str]:
    """Text of every comment by its id, when the file's comments are as the standard wants them.

    Ids are unique; every comment has one range that opens before it closes, and one reference behind that, in the same
    story; nothing refers to a comment that is not there; the part is declared and related.
    """
    with zipfile.ZipFile(path) as package:
        assert len(package.namelist()) == len(set(package.namelist()))
        types = package.read("[Content_Types].xml").decode()
        relations = package.read("word/_rels/document.xml.rels").decode()
        main = parse_xml(package.read("word/document.xml"))
        if "word/comments.xml" not in package.namelist():
            return {}
        comments = parse_xml(package.read("word/comments.xml"))
    assert 'PartName="/word/comments.xml"' in types
    assert "relationships/comments" in relations
    found = {one.get(f"{W}id"): "".join(t.text or "" for t in one.iter(f"{W}t")) for one in comments}
    assert len(found) == len(list(comments))
    places: dict[str, dict[str, list[int]]] = {}
    for place, node in enumerate(main.iter()):
        if isinstance(node.tag, str) and node.tag.removeprefix(W).startswith("comment"):
            places.setdefault(node.tag.removeprefix(W), {}).setdefault(node.get(f"{W}id"), []).append(place)
            assert node.getparent().tag.startswith(W)
    for name in found:
        start, end, reference = (
            places.get(tag, {}).get(name, []) for tag in ("commentRangeStart", "commentRangeEnd", "commentReference")
        )
        assert len(start) == len(end) == len(reference) == 1, name
        assert start < end < reference
    assert all(set(one) <= set(found) for one in places.values())
    return found
