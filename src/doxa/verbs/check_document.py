"""`doxa check FILE`: the statistical statements of a document, and what a careful referee says of each."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from doxa.documents.comments import Landing, Remark, add_comments, comments_of, landing, write_copy
from doxa.documents.markdown import markdown_passages, read_text, text_passages
from doxa.documents.notes_page import MADE_BY, notes_page
from doxa.documents.package import open_docx
from doxa.documents.passages import Passage
from doxa.documents.review import Finding, Review, review, stating_sentences
from doxa.documents.word import read_word
from doxa.progress import shown_progress
from doxa.words.errors import DocumentError, EnvironmentFault, nearest
from doxa.words.numbers import counted
from doxa.words.store import write_atomic

LONG = 20
"""Sentences with statements from which on the progress is shown."""
ENDINGS = (".docx", ".md", ".txt")


def check_document(path: Path, out: Path | None, as_json: bool) -> None:
    """Find and recompute every statistical statement of a document, and write what is to be said about it.

    A .docx is never changed: a copy with native comments is written beside it. For .md and .txt the notes are written
    into a Markdown file. With `as_json` everything is printed for a program, and nothing written unless `out` is named.

    Args:
        path: The document: .docx, .md or .txt.
        out: The file to write; by default `NAME.commented.docx` or `NAME.notes.md` beside the document.
        as_json: Whether to print JSON.

    Raises:
        DocumentError: When the document cannot be read, or the file to write is there already.
        EnvironmentFault: When python-docx is not installed, or a comment did not land.
    """
    ending = path.suffix.lower()
    if ending == ".docx":
        _check_word(path, out, as_json)
    elif ending in ENDINGS:
        written = _target(path, out, "notes.md", own=MADE_BY) if out is not None or not as_json else None
        text = read_text(path)
        passages = text_passages(text) if ending == ".txt" else markdown_passages(text)
        found = _reviewed(passages)
        if written is not None:
            write_atomic(written, notes_page(path.name, found))
        _print(found, passages, (), None, written, as_json)
    else:
        raise DocumentError(
            f"{path} ends with {ending!r}", expected=" or ".join(ENDINGS), way_out=nearest(ending, ENDINGS)
        )


def _check_word(path: Path, out: Path | None, as_json: bool) -> None:
    written = _target(path, out, "commented.docx", own=None) if out is not None or not as_json else None
    document = open_docx(path)
    text = read_word(document)
    passages = [one.passage for one in text.passages]
    found = _reviewed(passages)
    landed: Landing | None = None
    if written is not None:
        before = comments_of(document)
        remarks = [_remark(one) for one in found.findings]
        placed = add_comments(document, text, remarks)
        write_copy(document, path, written)
        landed = landing(written, text, before, placed)
    _print(found, passages, text.unread, landed, written, as_json)
    if landed is not None:
        complain(landed, written)


def _remark(found: Finding) -> Remark:
    return Remark(found.sentence.passage, found.sentence.start, found.sentence.end, "\n".join(found.notes))


def complain(landed: Landing, written: Path | None) -> None:
    """Say so when a written copy is not what it should be.

    Raises:
        EnvironmentFault: When a comment is missing in it, or its text is not the original's.
    """
    if landed.missing or landed.changed:
        raise EnvironmentFault(
            f"{len(landed.missing)} comments did not land in {written}, and {len(landed.changed)} places changed",
            expected="every comment, and the text of the original",
            way_out="Do not use that file; the original is as it was",
        )


def _reviewed(passages: Sequence[Passage]) -> Review:
    sentences = stating_sentences(passages)
    if len(sentences) < LONG:
        return review(sentences, lambda: None)
    with shown_progress() as progress:
        progress.stage("sentences", len(sentences))
        return review(sentences, progress.step)


def _target(path: Path, out: Path | None, ending: str, own: str | None) -> Path:
    """The file to write: what was named, or a new one beside the document, or notes of ours that are there already."""
    if out is not None:
        if out.exists() and out.samefile(path):
            raise DocumentError(f"{out} is the document itself", expected="another file", way_out="Name another one")
        last = f".{ending.rpartition('.')[2]}"
        if out.suffix.lower() != last:
            raise DocumentError(
                f"{out} is no {last}", expected=f"the name of a {last}", way_out=f"--out {out.stem}{last}"
            )
        return out
    target = path.with_name(f"{path.stem}.{ending}")
    if target.exists() and not (own is not None and target.read_text("utf-8", "replace").startswith(own)):
        raise DocumentError(
            f"{target} is there already",
            expected="a free name",
            way_out=f"Remove it, or name a file: --out {target.name}",
        )
    return target


def _print(
    found: Review,
    passages: Sequence[Passage],
    unread: Sequence[str],
    landed: Landing | None,
    written: Path | None,
    as_json: bool,
) -> None:
    if as_json:
        said = _facts(found, unread, landed, written)
        said["text"] = [{"place": one.place, "text": one.source} for one in passages]
        click.echo(json.dumps(said, indent=1, allow_nan=False))
        return
    for one in found.findings:
        click.echo(f"{one.sentence.place}: {visible(one.sentence.quote)}")
        for note in one.notes:
            click.echo(f"    - {note}")
        click.echo("")
    click.echo(found.in_words)
    if found.read_to is not None:
        click.echo(f"not read further than {found.read_to}: more notes than anybody reads")
    if unread:
        click.echo(f"not read: {', '.join(unread)}")
    if landed is not None:
        click.echo(landed_in_words(landed))
    if written is not None:
        click.echo(f"written: {written}")


def landed_in_words(landed: Landing) -> str:
    """How many comments are where in a written copy."""
    on_text = sum(one.anchor == "text" for one in landed.landed)
    on_paragraph = len(landed.landed) - on_text
    also = f", {on_paragraph} on the paragraph that holds a note or text box" if on_paragraph else ""
    return (
        f"{counted(len(landed.landed), 'comment')} landed: {on_text} on their text{also}; {len(landed.missing)} missing"
    )


def visible(text: str) -> str:
    """A quote on one line, without the characters that a terminal obeys."""
    return "".join(one if one.isprintable() else "�" for one in " ".join(text.split()))


def _facts(found: Review, unread: Sequence[str], landed: Landing | None, written: Path | None) -> dict[str, Any]:
    return {
        "statements": found.statements,
        "recomputed": found.recomputed,
        "read_to": found.read_to,
        "not_read": list(unread),
        "findings": [
            {
                "place": one.sentence.place,
                "quote": one.sentence.quote,
                "notes": list(one.notes),
                "statements": [
                    {"kind": said.kind, "text": said.text, "claim": said.claim, "reported": said.reported}
                    for said in one.sentence.statements
                ],
            }
            for one in found.findings
        ],
        "landed": None if landed is None else len(landed.landed),
        "missing": None if landed is None else [one.quote for one in landed.missing],
        "written": None if written is None else str(written),
    }
