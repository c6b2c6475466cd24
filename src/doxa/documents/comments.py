"""Comments in a copy of a Word document, and the check that each of them landed."""

import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from doxa.documents.anchors import anchored_texts, mark_paragraph, mark_range, split_runs
from doxa.documents.package import open_bytes
from doxa.documents.word import WordText, paragraphs_of, pieces, read_word
from doxa.words.errors import DocumentError
from doxa.words.store import write_atomic

Anchor = Literal["text", "paragraph"]
AUTHOR = "doxa"
MOST = 5_000
"""Comments that are added at once."""
MOST_RANGES = 32_767
"""Word does not open a document with more ranges of comments ([MS-OI29500] 2.1.315)."""
_NOT_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Remark:
    """What is to be said about a stretch of a passage.

    Attributes:
        passage: Index of the passage.
        start: First character in its text.
        end: Behind the last one.
        text: The comment.
    """

    passage: int
    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Placed:
    """A comment that was added.

    Attributes:
        id: Its id in the document.
        quote: What it is about.
        place: Where that stands, in words.
        anchor: `text` when exactly that is marked; `paragraph` when it stands in a note or a text box, and the
            paragraph is marked that holds it.
        marked: The text that is marked: the quote, with the whole of a formula that it begins or ends in.
        text: The comment as it stands in the document.
    """

    id: int
    quote: str
    place: str
    anchor: Anchor
    marked: str
    text: str


@dataclass(frozen=True)
class Landing:
    """What was found when the written copy was opened again.

    Attributes:
        landed: Comments that are there, with their text, on what they are about.
        missing: Those that are not.
        changed: Places whose text, or comments whose content, is not what it was in the original. Empty, or a fault.
    """

    landed: tuple[Placed, ...]
    missing: tuple[Placed, ...]
    changed: tuple[str, ...]


def add_comments(document: Any, text: WordText, remarks: Sequence[Remark], author: str = AUTHOR) -> tuple[Placed, ...]:
    """Add comments to an open document.

    Args:
        document: From `open_docx`; it is changed, the file is not.
        text: What was read of it.
        remarks: The comments. Ranges may overlap.
        author: Who says so.

    Returns:
        The comments as they were added, in the order of the document.

    Raises:
        DocumentError: When there are too many, or one has a character that a document cannot have.
    """
    there = sum(1 for _ in document.element.body.iter("{*}commentRangeStart"))
    if len(remarks) > MOST or there + len(remarks) > MOST_RANGES:
        raise DocumentError(
            f"{len(remarks):,} comments beside {there:,} that are there",
            expected=f"at most {MOST:,} at once, and {MOST_RANGES:,} in all",
            way_out="Split the document, or leave some out",
        )
    for said in (author, *(remark.text for remark in remarks)):
        if _NOT_XML.search(said):
            raise DocumentError(
                f"the author or comment {said[:40]!r} has a character that a document cannot have",
                way_out="Take the control character out",
            )
    initials = "".join(word[0] for word in author.split())[:3]
    placed: list[Placed] = []
    ordered = sorted(remarks, key=lambda remark: (remark.passage, remark.start, -remark.end))
    for index, group in groupby(ordered, key=lambda remark: remark.passage):
        passage, some = text.passages[index], list(group)
        if passage.story == "body":
            split_runs(passage.holder, [offset for one in some for offset in (one.start, one.end)])
        held = list(pieces(passage.holder))
        for remark in some:
            quote = passage.passage.source[remark.start : remark.end]
            said = remark.text if passage.story == "body" else f"On the {passage.story}: “{quote}”\n{remark.text}"
            comment = document.comments.add_comment(text=said, author=author, initials=initials)
            anchor: Anchor = "text" if passage.story == "body" else "paragraph"
            if anchor == "text":
                marked = mark_range(passage.holder, held, remark.start, remark.end, comment.comment_id)
            else:
                marked = mark_paragraph(passage.holder, comment.comment_id)
            placed.append(Placed(comment.comment_id, quote, passage.passage.place, anchor, marked, said))
    return tuple(placed)


def write_copy(document: Any, original: Path, copy: Path) -> None:
    """Write a document that was changed, to another file than it was read from.

    Raises:
        DocumentError: When it is the same file.
    """
    if copy.exists() and copy.samefile(original):
        raise DocumentError(
            f"{copy} is the document itself", expected="another file", way_out="Name another one with --out"
        )
    buffer = io.BytesIO()
    document.save(buffer)
    write_atomic(copy, buffer.getvalue())


def landing(
    copy: Path, before: WordText, comments_before: Iterable[tuple[int, str]], placed: Sequence[Placed]
) -> Landing:
    """Open a written copy again, and see which comments stand where they should.

    Args:
        copy: The copy.
        before: What was read of the original.
        comments_before: Id and text of every comment that the original had.
        placed: What was added.
    """
    document = open_bytes(copy.read_bytes(), str(copy))
    after = read_word(document)
    about = anchored_texts(paragraph for paragraph, _, _ in paragraphs_of(document.element.body, None, ""))
    said = {one.comment_id: one.text for one in document.comments}
    landed: list[Placed] = []
    missing: list[Placed] = []
    for one in placed:
        there = about.get(str(one.id)) == one.marked and said.get(one.id) == one.text
        (landed if there else missing).append(one)
    changed = [
        old.passage.place
        for old, new in zip(before.passages, after.passages, strict=False)
        if old.passage != new.passage
    ]
    if len(before.passages) != len(after.passages):
        changed.append(f"{len(before.passages)} paragraphs became {len(after.passages)}")
    changed += [f"comment {name}" for name, text in comments_before if said.get(name) != text]
    return Landing(tuple(landed), tuple(missing), tuple(changed))


def comments_of(document: Any) -> tuple[tuple[int, str], ...]:
    """Id and text of every comment of a document."""
    return tuple((one.comment_id, one.text) for one in document.comments)
