"""`doxa comment`: comments of one's own in a copy of a .docx, each checked to have landed."""

import json
import sys
from pathlib import Path

import click

from doxa.verbs.in_words import PATH, in_words
from doxa.words.errors import DocumentError, UserError

MAX_BYTES = 16 << 20


@click.command()
@click.argument("document", type=PATH)
@click.argument("comments", type=PATH)
@click.option("--out", type=PATH, required=True, help="The copy with the comments; never the document itself.")
@click.option("--author", default="doxa", show_default=True, help="Who the comments are by.")
@click.option("--json", "as_json", is_flag=True, help="Print it for a program.")
@in_words
def comment(document: Path, comments: Path, out: Path, author: str, as_json: bool) -> None:
    """Write comments of one's own into a copy of a .docx, and check that each of them landed.

    COMMENTS is a JSON list of {"quote": ..., "comment": ...}. The quote must stand in one paragraph of the document
    exactly once, or an "occurrence" says which it is. What did not land is listed, and the exit code is 2.

    \b
    Example:
        doxa comment paper.docx comments.json --out paper.reviewed.docx
    """
    from doxa.documents.comments import Remark, add_comments, comments_of, landing, write_copy
    from doxa.documents.package import open_docx
    from doxa.documents.quotes import locate, quoted_from_json
    from doxa.documents.word import read_word
    from doxa.verbs.check_document import complain, landed_in_words, visible

    asked = quoted_from_json(_json(comments))
    opened = open_docx(document)
    text = read_word(opened)
    if out.suffix.lower() != ".docx":
        raise DocumentError(
            f"{out} is no .docx", expected="the name of a .docx", way_out=f"Write --out {out.stem}.docx"
        )
    found = [(one, locate([held.passage for held in text.passages], one)) for one in asked]
    before = comments_of(opened)
    placed = add_comments(opened, text, [place for _, place in found if isinstance(place, Remark)], author)
    write_copy(opened, document, out)
    landed = landing(out, text, before, placed)
    lost = [(number, one.quote, why) for number, (one, why) in enumerate(found, 1) if isinstance(why, str)]
    if as_json:
        facts = {
            "asked": len(asked),
            "landed": len(landed.landed),
            "on_paragraph": [one.quote for one in landed.landed if one.anchor == "paragraph"],
            "not_landed": [{"comment": number, "quote": quote, "why": why} for number, quote, why in lost],
            "written": str(out),
        }
        click.echo(json.dumps(facts, indent=1))
    else:
        click.echo(landed_in_words(landed))
        for number, quote, why in lost:
            click.echo(f"comment {number} did not land ({visible(quote)[:80]}): {why}")
        click.echo(f"written: {out}")
    complain(landed, out)
    if lost:
        sys.exit(UserError.exit_code)


def _json(path: Path) -> object:
    try:
        data = path.read_bytes() if path.stat().st_size <= MAX_BYTES else b""
        return json.loads(data.decode("utf-8-sig"))
    except FileNotFoundError as error:
        raise DocumentError(f"{path} is missing", expected="a JSON file", way_out="Check the name") from error
    except (ValueError, RecursionError) as error:
        raise DocumentError(
            f"{path} is not JSON ({error})",
            expected='a list such as [{"quote": "...", "comment": "..."}]',
            way_out="Correct it",
        ) from error
