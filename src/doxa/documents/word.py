"""Passages of a .docx: paragraphs, table cells, text boxes, footnotes and endnotes, with what carries each character.

The text is what the document says when all tracked changes are accepted: insertions are in it, deletions are not.
Hidden text, field codes and what other comments say are not in it. Raised and lowered digits are written as such (a
footnote number behind `14/520` must not become 5203).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from doxa.documents.passages import Passage

Element = Any
"""An lxml element; python-docx is not typed."""

WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_NOTES = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/"
_PASSED_OVER = {f"{WORD}{tag}" for tag in ("del", "moveFrom", "pPr", "rPr", "sdtPr", "txbxContent", "rt")} | {
    f"{_MC}Fallback"
}
_SYMBOLS = {"F0B1": "±", "F0A3": "≤", "F0B3": "≥", "F02D": "−", "F0B4": "×", "F063": "χ", "F073": "σ", "F06D": "μ"}
_RAISED = str.maketrans("0123456789-−+()", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁻⁺⁽⁾")
_LOWERED = str.maketrans("0123456789-−+()", "₀₁₂₃₄₅₆₇₈₉₋₋₊₍₎")

Story = Literal["body", "text box", "footnote", "endnote"]


@dataclass(frozen=True)
class Piece:
    """Some characters of a paragraph and the element that carries them.

    Attributes:
        start: First character in the paragraph's text.
        text: The characters.
        carrier: The run (`w:r`) or the formula (`m:oMath`).
        node: The element in the run that has them (`w:t`, `w:tab`, ...); the formula itself for a formula.
    """

    start: int
    text: str
    carrier: Element
    node: Element

    @property
    def end(self) -> int:
        """Behind its last character."""
        return self.start + len(self.text)


@dataclass(frozen=True)
class WordPassage:
    """A paragraph of a Word document.

    Attributes:
        passage: Its text and place.
        story: Which of the document's texts it belongs to.
        holder: The paragraph of the body that a comment on it can be anchored in: itself in the body, otherwise the one
            with the text box, or with the mark of the note.
    """

    passage: Passage
    story: Story
    holder: Element


@dataclass(frozen=True)
class WordText:
    """What was read of a document.

    Attributes:
        passages: In the order of the document; notes follow the paragraph that refers to them.
        unread: What was not read, in words: `1 header or footer`, `3 pictures`.
    """

    passages: tuple[WordPassage, ...]
    unread: tuple[str, ...]


def read_word(document: Any) -> WordText:
    """Read the passages of an open document.

    Args:
        document: From `open_docx`.
    """
    body = document.element.body
    notes = {kind: _notes(document, kind) for kind in ("footnote", "endnote")}
    found: list[WordPassage] = []
    for number, (paragraph, holder, place) in enumerate(paragraphs_of(body, None, "paragraph"), 1):
        where = f"{place}, paragraph {number}" if place != "paragraph" else f"paragraph {number}"
        found += _passage(paragraph, holder, "text box" if holder is not paragraph else "body", where)
        for kind, texts in notes.items():
            for mark in _kept(paragraph, f"{WORD}{kind}Reference"):
                for one in texts.pop(mark.get(f"{WORD}id"), ()):
                    found += _passage(
                        one, holder, "footnote" if kind == "footnote" else "endnote", f"{kind} of {where}"
                    )
    return WordText(tuple(found), _unread(document))


def pieces(paragraph: Element) -> Iterator[Piece]:
    """The characters of a paragraph with their carriers, in order, tracked changes accepted."""
    start = 0
    for carrier, node, text in _carried(paragraph):
        yield Piece(start, text, carrier, node)
        start += len(text)


def _carried(element: Element) -> Iterator[tuple[Element, Element, str]]:
    for child in element:
        tag = child.tag
        if tag == f"{WORD}r":
            yield from _of_run(child)
        elif tag == f"{_M}oMath":
            yield child, child, _formula(child)
        elif isinstance(tag, str) and tag not in _PASSED_OVER:
            yield from _carried(child)


def _formula(element: Element) -> str:
    """The text of a formula, with a bar where a fraction has one and a mark where an exponent stands."""
    if element.tag == f"{_M}t":
        return element.text or ""
    parts = [_formula(child) for child in element if isinstance(child.tag, str)]
    mark = {f"{_M}f": "/", f"{_M}sSup": "^"}.get(element.tag, "")
    return mark.join(part for part in parts if part) if mark else "".join(parts)


def _of_run(run: Element) -> Iterator[tuple[Element, Element, str]]:
    properties = run.find(f"{WORD}rPr")
    if properties is not None and _on(properties.find(f"{WORD}vanish")):
        return
    height = None if properties is None else properties.find(f"{WORD}vertAlign")
    table = {"superscript": _RAISED, "subscript": _LOWERED}.get("" if height is None else height.get(f"{WORD}val", ""))
    for node in run:
        text = _character(node)
        if text:
            yield run, node, text.translate(table) if table else text


def _character(node: Element) -> str:
    tag = node.tag
    if tag == f"{WORD}t":
        return node.text or ""
    if tag == f"{WORD}sym":
        return _SYMBOLS.get(node.get(f"{WORD}char", "").upper(), "\N{OBJECT REPLACEMENT CHARACTER}")
    return {f"{WORD}tab": "\t", f"{WORD}br": "\n", f"{WORD}cr": "\n", f"{WORD}noBreakHyphen": "-"}.get(tag, "")


def _on(switch: Element | None) -> bool:
    return switch is not None and switch.get(f"{WORD}val", "1") not in ("0", "false", "off")


def _passage(paragraph: Element, holder: Element, story: Story, where: str) -> Iterator[WordPassage]:
    text = "".join(piece.text for piece in pieces(paragraph))
    if text.strip():
        yield WordPassage(Passage(text, text, where), story, holder)


def paragraphs_of(element: Element, holder: Element | None, place: str) -> Iterator[tuple[Element, Element, str]]:
    """Every paragraph with the one of the body that holds it; those in text boxes follow the one they hang on."""
    for child in element:
        tag = child.tag
        if not isinstance(tag, str) or tag in (f"{_MC}Fallback", f"{WORD}del", f"{WORD}moveFrom"):
            continue
        if tag == f"{WORD}p":
            yield child, child if holder is None else holder, place
            yield from paragraphs_of(child, child if holder is None else holder, "text box")
        else:
            yield from paragraphs_of(child, holder, "table" if tag == f"{WORD}tbl" else place)


def _kept(element: Element, tag: str) -> Iterator[Element]:
    for child in element:
        if child.tag == tag:
            yield child
        elif isinstance(child.tag, str) and child.tag not in _PASSED_OVER:
            yield from _kept(child, tag)


def _notes(document: Any, kind: str) -> dict[str, list[Element]]:
    """Paragraphs of every footnote or endnote by its id; python-docx keeps these parts as bytes."""
    from docx.oxml.parser import parse_xml

    found: dict[str, list[Element]] = {}
    for relation in document.part.rels.values():
        if not relation.is_external and relation.reltype == f"{_NOTES}{kind}s":
            for note in parse_xml(relation.target_part.blob).iter(f"{WORD}{kind}"):
                if note.get(f"{WORD}type") in (None, "normal"):
                    found[note.get(f"{WORD}id")] = [one for one, _, _ in paragraphs_of(note, None, kind)]
    return found


def _unread(document: Any) -> tuple[str, ...]:
    body = document.element.body
    edges = {
        relation.target_part.partname: relation.target_part.element
        for relation in document.part.rels.values()
        if not relation.is_external and relation.reltype in (f"{_NOTES}header", f"{_NOTES}footer")
    }
    written = [name for name, edge in edges.items() if any((one.text or "").strip() for one in edge.iter(f"{WORD}t"))]
    counts = (
        (len(written), "header or footer", "headers and footers"),
        (sum(1 for _ in body.iter(f"{_A}blip")), "picture", "pictures"),
        (sum(1 for _ in body.iter(f"{WORD}altChunk", f"{WORD}object")), "embedded document", "embedded documents"),
    )
    return tuple(f"{count} {one if count == 1 else many}" for count, one, many in counts if count)
