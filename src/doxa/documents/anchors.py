"""Where a comment hangs in a Word document: runs split without loss of formatting, and the marks of its range.

A range may begin and end inside a tracked insertion or a hyperlink, where the schema allows its marks; where it begins
or ends with one, the marks stand outside. The mark that holds the comment itself always stands outside: refusing an
insertion does not take the comment away. Word ignores ranges in notes and text boxes ([MS-OI29500] 2.1.315): comments
on those hang on the whole paragraph of the body that holds them.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from copy import deepcopy
from itertools import groupby

from doxa.documents.word import WORD, Element, Piece, pieces

_SPACE = "{http://www.w3.org/XML/1998/namespace}space"
_MARKS = {
    f"{WORD}{tag}"
    for tag in (
        "commentRangeStart", "commentRangeEnd", "bookmarkStart", "bookmarkEnd", "proofErr", "permStart", "permEnd",
        "sdtPr", "sdtEndPr", "smartTagPr", "customXmlPr",
    )
}  # fmt: skip


def split_runs(paragraph: Element, offsets: Sequence[int]) -> None:
    """Split runs, so that each of some positions of a paragraph's text is the border of one.

    Args:
        paragraph: The `w:p`; its text and formatting stay as they are.
        offsets: Positions in its text.
    """
    wanted = sorted(set(offsets), reverse=True)
    for run, group in groupby(list(pieces(paragraph)), key=lambda piece: piece.carrier):
        held = list(group)
        while wanted and wanted[-1] <= held[0].start:
            wanted.pop()
        inside = []
        while wanted and wanted[-1] < held[-1].end:
            inside.append(wanted.pop())
        if run.tag == f"{WORD}r":  # a formula is not split: a range that ends in it covers it
            for offset in reversed(inside):
                _cut(run, next(piece for piece in held if piece.start <= offset < piece.end), offset)


def mark_range(paragraph: Element, held: Sequence[Piece], start: int, end: int, comment_id: int) -> str:
    """Mark a stretch of a paragraph's text as what a comment is about.

    Args:
        paragraph: The `w:p`, whose runs are split at `start` and `end`.
        held: Its `pieces` after that; marks do not change them.
        start: First character.
        end: Behind the last one.
        comment_id: The comment's id.

    Returns:
        The text that is marked.
    """
    first = bisect_right(held, start, key=lambda piece: piece.end)
    last = bisect_left(held, end, key=lambda piece: piece.start) - 1
    while first > 0 and held[first - 1].carrier is held[first].carrier:
        first -= 1
    while last + 1 < len(held) and held[last + 1].carrier is held[last].carrier:
        last += 1
    _outwards(held[first].carrier, paragraph, preceding=True).addprevious(_mark("commentRangeStart", comment_id))
    closing = _mark("commentRangeEnd", comment_id)
    _outwards(held[last].carrier, paragraph, preceding=False).addnext(closing)
    top = closing
    while top.getparent() is not paragraph:
        top = top.getparent()
    top.addnext(_reference(comment_id))
    return "".join(piece.text for piece in held[first : last + 1])


def mark_paragraph(paragraph: Element, comment_id: int) -> str:
    """Mark a whole paragraph as what a comment is about; returns its text."""
    content = [child for child in paragraph if child.tag != f"{WORD}pPr"]
    opening = _mark("commentRangeStart", comment_id)
    if content:
        content[0].addprevious(opening)
    else:
        paragraph.append(opening)
    paragraph.append(_mark("commentRangeEnd", comment_id))
    paragraph.append(_reference(comment_id))
    return "".join(piece.text for piece in pieces(paragraph))


def anchored_texts(paragraphs: Iterator[Element]) -> dict[str, str]:
    """The text that each comment of a document is about, by its id; only of those whose marks are all there."""
    found: dict[str, str] = {}
    open_: dict[str, list[str]] = {}
    for paragraph in paragraphs:
        texts = {piece.node: piece.text for piece in pieces(paragraph)}
        closed: dict[str, str] = {}
        for node in paragraph.iter():
            name = str(node.get(f"{WORD}id"))
            if node.tag == f"{WORD}commentRangeStart":
                open_[name] = []
            elif node.tag == f"{WORD}commentRangeEnd" and name in open_:
                closed[name] = "".join(open_.pop(name))
            elif node.tag == f"{WORD}commentReference" and name in closed:
                found[name] = closed[name]
            elif node in texts:
                for held in open_.values():
                    held.append(texts[node])
    return found


def _cut(run: Element, piece: Piece, offset: int) -> None:
    """Move everything of a run from one position on into a new run behind it."""
    right = run.makeelement(run.tag, dict(run.attrib), nsmap=run.nsmap)
    properties = run.find(f"{WORD}rPr")
    if properties is not None:
        right.append(deepcopy(properties))
    node = piece.node
    moved = list(node.itersiblings())
    if offset > piece.start:
        text = node.text
        behind = deepcopy(node)
        node.text, behind.text = text[: offset - piece.start], text[offset - piece.start :]
        for one in (node, behind):
            one.set(_SPACE, "preserve")
        right.append(behind)
    else:
        right.append(node)
    for one in moved:
        right.append(one)
    run.addnext(right)


def _outwards(node: Element, paragraph: Element, *, preceding: bool) -> Element:
    """The outermost element that begins (or ends) with this one; never inside a formula."""
    parent = node.getparent()
    while parent is not paragraph and (
        not parent.tag.startswith(WORD) or all(one.tag in _MARKS for one in node.itersiblings(preceding=preceding))
    ):
        node, parent = parent, parent.getparent()
    return node


def _mark(tag: str, comment_id: int) -> Element:
    from docx.oxml.parser import OxmlElement

    return OxmlElement(f"w:{tag}", attrs={f"{WORD}id": str(comment_id)})


def _reference(comment_id: int) -> Element:
    from docx.oxml.parser import OxmlElement

    run, properties, style = OxmlElement("w:r"), OxmlElement("w:rPr"), OxmlElement("w:rStyle")
    style.set(f"{WORD}val", "CommentReference")
    properties.append(style)
    run.append(properties)
    run.append(_mark("commentReference", comment_id))
    return run
