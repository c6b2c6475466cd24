"""A passage: one paragraph of a document, whatever the document is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Passage:
    """One paragraph, heading, list item, table cell or footnote.

    Attributes:
        text: What is read. As long as `source`, with blanks in place of what is not prose (code, addresses, marks).
        source: What stands in the document.
        place: Where it stands, in words: `line 12`, `paragraph 4`, `footnote 2`.
        line: Number of its first line, from 1; None in documents without lines.
    """

    text: str
    source: str
    place: str
    line: int | None = None
