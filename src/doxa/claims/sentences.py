"""Sentences of a paragraph, by rules that need no model and take time in proportion to the text.

A full stop ends a sentence when blank space and something like a beginning follow, unless an abbreviation or an initial
stands before it ("vs. 5.0 %", "p. 12", "Fig. 3", "et al. (2024)"). A sentence is cut after `LONGEST` characters: what
looks at a whole sentence for every number in it stays linear, whatever is sent.
"""

import re
from collections.abc import Iterator

LONGEST = 1000
"""Characters of a sentence at most."""

_STOP = re.compile(r"[.!?][\"'”’)\]]{0,3}(?=\s)")
_WORD_BEFORE = re.compile(r"([^\W\d_]+(?:\.[^\W\d_]+)*)$")
_ABBREVIATION = re.compile(
    r"al|approx|app|ca|cf|ch|dr|eds?|e\.g|eqs?|etc?|figs?|i\.e|incl|max|min|mrs?|ms|nos?|pp?|prof|refs?|resp|s\.[de]|"
    r"sect?|st|suppl|tab|v|viz|vol|vs|w\.r\.t",
    re.IGNORECASE,
)
_NEXT = re.compile(r"\s{1,8}[\"'“‘(\[*_]{0,3}(.?)", re.DOTALL)


def sentences(text: str) -> Iterator[tuple[int, int]]:
    """Where each sentence of a paragraph starts and ends, without blank space around it.

    Args:
        text: One paragraph.

    Yields:
        Positions in `text`: of the first character, and behind the last one.
    """
    start = 0
    for stop in _STOP.finditer(text):
        if _ends(text, stop):
            yield from _pieces(text, start, stop.end())
            start = stop.end()
    yield from _pieces(text, start, len(text))


def _ends(text: str, stop: re.Match[str]) -> bool:
    following = _NEXT.match(text, stop.end())
    first = following[1] if following else ""
    if first.islower():
        return False
    if stop[0] != ".":
        return True
    before = _WORD_BEFORE.search(text[max(0, stop.start() - 12) : stop.start()])
    if before is None:
        return True
    word = before[1]
    single = len(word) == 1 and not (text[stop.start() - 2 : stop.start() - 1].isdigit())
    return not (_ABBREVIATION.fullmatch(word) or single)


def _pieces(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    while end - start > LONGEST:
        cut = text.rfind(" ", start + LONGEST // 2, start + LONGEST)
        cut = start + LONGEST if cut < 0 else cut
        yield start, cut
        start = cut
        while start < end and text[start].isspace():
            start += 1
    if start < end:
        yield start, end
