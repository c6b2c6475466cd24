"""Comments of one's own: which text each is about, found by a quote."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from doxa.documents.comments import Remark
from doxa.documents.passages import Passage
from doxa.words.reading import mapping, sequence, text, whole

_FOLDED = str.maketrans(
    "‘’‚‛“”„‟‐‑‒–—―−⁻₋⁰¹²³⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉⁺₊⁽⁾₍₎",
    "''''\"\"\"\"---------01234567890123456789++()()",
)
"""What a keyboard has for what a word processor makes of it, one character for one."""


@dataclass(frozen=True)
class Quoted:
    """A comment of one's own.

    Attributes:
        quote: The text it is about, as it stands in the document; blank space and typographic signs may differ.
        comment: What is said.
        occurrence: Which of several equal texts, from 1; None when there is one.
    """

    quote: str
    comment: str
    occurrence: int | None


def quoted_from_json(value: object) -> tuple[Quoted, ...]:
    """Read a list of `{"quote": ..., "comment": ..., "occurrence": ...}`.

    Raises:
        StudyError: When it is something else; it names the entry.
    """
    found: list[Quoted] = []
    for number, one in enumerate(sequence(value, "the file of comments"), 1):
        where = f"comment {number}"
        said = mapping(one, where, allowed=("quote", "comment", "occurrence"), required=("quote", "comment"))
        occurrence = said.get("occurrence")
        found.append(
            Quoted(
                quote=text(said["quote"], f"the quote of {where}"),
                comment=text(said["comment"], f"the text of {where}").replace("\r\n", "\n").replace("\r", "\n"),
                occurrence=None if occurrence is None else whole(occurrence, f"the occurrence of {where}", least=1),
            )
        )
    return tuple(found)


def locate(passages: Sequence[Passage], quoted: Quoted) -> Remark | str:
    """Find what a comment is about.

    Args:
        passages: Of the document.
        quoted: The comment.

    Returns:
        The comment with its place; or why it has none, in words.
    """
    words = [re.escape(word) for word in quoted.quote.translate(_FOLDED).split()]
    pattern = re.compile(r"\s++".join(words))
    found: list[Remark] = []
    for index, passage in enumerate(passages):
        for match in pattern.finditer(passage.source.translate(_FOLDED)):
            found.append(Remark(index, match.start(), match.end(), quoted.comment))
    if not found:
        return "its quote does not stand in one paragraph of the document"
    if quoted.occurrence is None and len(found) > 1:
        return f"its quote stands there {len(found)} times: make it longer, or add an occurrence from 1 to {len(found)}"
    if (quoted.occurrence or 1) > len(found):
        return f"it asks for occurrence {quoted.occurrence}, and its quote stands there {_times(len(found))}"
    return found[(quoted.occurrence or 1) - 1]


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
