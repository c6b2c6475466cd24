"""The notes on a text as a Markdown page: a quote, and what is to be said about it."""

from doxa.documents.review import Review

MADE_BY = "<!-- Notes of `doxa check`: written anew by the next one. -->"
"""First line of a page of notes; a page that begins otherwise is somebody else's."""


def notes_page(name: str, found: Review) -> str:
    """The page.

    Args:
        name: The document's file name.
        found: Its review.
    """
    lines = [MADE_BY, "", f"# Notes on {_literal(name)}", ""]
    lines.append(f"{found.in_words}.")
    if found.read_to is not None:
        lines += ["", f"Not read further than {found.read_to}: there are more notes than anybody reads."]
    for one in found.findings:
        lines += ["", f"**{one.sentence.place}**", "", f"> {_literal(one.sentence.quote)}", ""]
        lines += [f"- {_literal(note)}" for note in one.notes]
    return "\n".join(lines) + "\n"


def _literal(text: str) -> str:
    """On one line, and without tags: what is quoted is shown and not obeyed."""
    return " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
