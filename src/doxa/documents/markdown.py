"""Passages of a Markdown or a text file: code, front matter, comments, addresses and marks are no prose.

Only what matters for finding statements is understood of Markdown. Nothing is removed: it is replaced by as many
blanks, so that every position in a passage is a position in the file.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from doxa.documents.passages import Passage
from doxa.words.errors import DocumentError
from doxa.words.text_file import read_text_file

MAX_BYTES = 32 << 20

_FENCE = re.compile(r" {0,3}(?P<fence>`{3,}|~{3,})")
_NEW = re.compile(r"\s{0,12}(?:#{1,6}\s|[-*+]\s|\d{1,9}[.)]\s|\|)|\s{0,3}(?:={2,}|-{2,})\s*$")
_ONE_LINE = re.compile(r"\s{0,3}(?:#{1,6}\s|={2,}\s*$|-{2,}\s*$)")
_LIST = re.compile(r"\s{0,12}(?:[-*+]|\d{1,9}[.)])\s")
_RULE = re.compile(r"[\s|:=*_-]{1,400}$")
_NOT_PROSE = re.compile(
    r"(?P<ticks>`{1,3})(?!`)[^`]{1,400}(?P=ticks)(?!`)"  # code
    r"|\]\([^()\s]{0,2000}(?:\s\"[^\"\n]{0,200}\")?\)|\]\[[^\]\n]{0,100}\]"  # where a link goes
    r"|(?:https?://|www\.|doi:|arXiv:)[^\s)>\]]{1,2000}"
    r"|</?[A-Za-z][^<>\n]{0,400}>"
    r"|^\s{0,3}\[[^\]\n]{1,100}\]:\s.*$"
    r"|^\s{0,3}(?:#{1,6}|>|[-*+]|\d{1,9}[.)])\s"
    r"|(?<!\d)\*{1,3}|\*{1,3}(?!\d)|(?<!\w)_{1,3}(?=\S)|(?<=\S)_{1,3}(?!\w)|\$|\\(?=[^\w\s])|^>\s?",  # emphasis
    re.MULTILINE,
)
_ADDRESS = re.compile(r"(?:https?://|www\.|doi:|arXiv:)[^\s)>\]]{1,2000}")


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        DocumentError: When it is not there, too large, or not UTF-8.
    """
    return read_text_file(path, MAX_BYTES, "a document", DocumentError)


def markdown_passages(text: str) -> tuple[Passage, ...]:
    """Paragraphs, headings, list items and table cells of a Markdown file, without its code and front matter."""
    found: list[Passage] = []
    for line, source in _blocks(text):
        if source.lstrip().startswith("|"):
            found += _cells(source, line)
        elif not _RULE.match(source):
            found.append(Passage(_prose(source), source, f"line {line}", line))
    return tuple(found)


def text_passages(text: str) -> tuple[Passage, ...]:
    """Paragraphs of a plain text, which blank lines separate."""
    found: list[Passage] = []
    lines: list[str] = []
    for number, line in enumerate([*text.split("\n"), ""], 1):
        if line.strip():
            lines.append(line)
        elif lines:
            source = "\n".join(lines)
            first = number - len(lines)
            found.append(Passage(_ADDRESS.sub(_blank, source), source, f"line {first}", first))
            lines = []
    return tuple(found)


def _blocks(text: str) -> Iterator[tuple[int, str]]:
    """Number of the first line, and the lines, of everything that is not code."""
    held: list[str] = []
    first, fence, in_list, whole = 1, "", False, False
    written = text.split("\n")
    lines = [*_without_comments(text).split("\n"), ""]
    for number in range(_behind_front_matter(written) + 1, len(lines) + 1):
        line = lines[number - 1]
        mark = _FENCE.match(line)
        if fence:
            closes = mark is not None and mark["fence"].startswith(fence) and not line[mark.end() :].strip()
            fence = "" if closes else fence
            continue
        indented = not held and not in_list and "".join(written[number - 1 : number]).startswith(("    ", "\t"))
        ends = whole or mark is not None or not line.strip() or indented or _NEW.match(line)
        if ends and held:
            yield first, "\n".join(held)
            held = []
        if mark is not None:
            fence = mark["fence"]
        elif line.strip() and not indented:
            in_list = _LIST.match(line) is not None or (in_list and (line[0].isspace() or bool(held)))
            first = first if held else number
            held.append(line)
            whole = _ONE_LINE.match(line) is not None


def _behind_front_matter(lines: list[str]) -> int:
    if lines[0].rstrip() != "---":
        return 0
    return next((i + 1 for i, line in enumerate(lines[1:200], 1) if line.rstrip() in ("---", "...")), 0)


def _cells(source: str, line: int) -> Iterator[Passage]:
    for row, written in enumerate(source.split("\n"), line):
        for cell in re.split(r"(?<!\\)\|", written):
            if cell.strip() and not _RULE.match(cell):
                yield Passage(_prose(cell), cell, f"line {row}", row)


def _prose(source: str) -> str:
    return _NOT_PROSE.sub(_blank, source)


def _without_comments(text: str) -> str:
    """The text with blanks for `<!-- ... -->`; one that is never closed is none."""
    parts, place = [], 0
    while (start := text.find("<!--", place)) >= 0 and (end := text.find("-->", start + 4)) >= 0:
        parts += [text[place:start], re.sub(r"[^\n]", " ", text[start : end + 3])]
        place = end + 3
    return "".join([*parts, text[place:]])


def _blank(found: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", found[0])
