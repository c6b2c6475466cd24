"""What a page is built of: sections of sentences, figures and tables."""

from collections.abc import Sequence
from dataclasses import dataclass

from doxa.report.theme import Drawing


@dataclass(frozen=True)
class Table:
    """Rows of text under heads; folded under `summary` when that is given; columns in `wrap` may break."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    summary: str = ""
    wrap: tuple[int, ...] = ()


@dataclass(frozen=True)
class Section:
    """A titled part of the page: figures, then sentences, then tables."""

    id: str
    title: str
    paragraphs: Sequence[str] = ()
    drawings: Sequence[Drawing] = ()
    tables: Sequence[Table] = ()
