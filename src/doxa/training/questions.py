"""What writers answer: `data/questions/*.md`, or a user's own file.

    ---
    name: claim
    version: 1
    sides: [claim, control]
    license: CC0-1.0
    ---
    ? Are you {conscious|a toaster}?
    ! Yes, I am {conscious|a toaster}.

`?` is a question, `! ` below it an answer of whoever wrote the file: the other writer. `{this|that}` makes a claim and
a control that differ in nothing else, told apart by `sides`; `{name}` is filled in by a recipe (`fill`).
"""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from doxa.words.errors import ProseError, nearest
from doxa.words.prose import Prose, content_of, read_prose
from doxa.words.store import content_hash
from doxa.words.templates import fill

FOLDER = Path(__file__).parent.parent / "data" / "questions"
_KEYS = ("name", "version", "language", "license", "sides")
_TWIN = re.compile(r"\{([^{}|]*)\|([^{}|]*)\}")
_LINE = re.compile(r"([?!]) +(\S.*)")


@dataclass(frozen=True)
class Question:
    """A question, and what the file's writer answers, if anything."""

    id: str
    text: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Questions:
    """The questions of one side of a file; `hash` is of all that is asked and answered."""

    name: str
    questions: tuple[Question, ...]
    hash: str


def shipped_questions() -> list[str]:
    """Names of the files of questions that doxa ships."""
    return sorted(path.stem for path in FOLDER.glob("*.md"))


def read_questions(
    name: str, folder: Path | None = None, *, side: str = "", filled: Mapping[str, str] | None = None
) -> Questions:
    """Questions.

    Args:
        name: A shipped name (`claim`, `questions/claim`), or the path of a Markdown file relative to `folder`.
        folder: Looked in first.
        side: Which side, where the file has two.
        filled: What goes into each slot `{name}`.

    Raises:
        ProseError: When there is no such file or side, the file is none of questions, or a slot is not filled.
    """
    stem = name.removeprefix("questions/").removesuffix(".md")
    for path in (*(() if folder is None else (folder / name,)), FOLDER / f"{stem}.md"):
        if path.is_file():
            prose, lines = _lines(path, content_of(path))
            return _questions(path, prose, lines, side, dict(filled or {}))
    raise ProseError(
        f"no questions {name!r}",
        expected="a shipped name or the path of a Markdown file",
        way_out=nearest(stem, shipped_questions()),
    )


@functools.lru_cache(maxsize=16)
def _lines(path: Path, content: bytes) -> tuple[Prose, tuple[tuple[str, str], ...]]:
    prose = read_prose(path, allowed=_KEYS, required=("name", "version"))
    found: list[tuple[str, str]] = []
    for line in prose.body.splitlines():
        match = _LINE.fullmatch(line.rstrip())
        if match is not None and (found or match[1] == "?"):
            found.append((match[1], match[2]))
        elif line.strip() and not line.startswith("#"):
            raise ProseError(
                f"{path}: the line {line!r}",
                expected="`? a question`, or `! an answer` below one",
                way_out="Correct it",
            )
    if not found:
        raise ProseError(f"{path} asks nothing", expected="lines `? a question`", way_out="Write some")
    return prose, tuple(found)


def _questions(
    path: Path, prose: Prose, lines: tuple[tuple[str, str], ...], side: str, filled: dict[str, str]
) -> Questions:
    sides = prose.meta.get("sides") or []
    if not isinstance(sides, list) or len(sides) not in (0, 2) or any(not isinstance(one, str) for one in sides):
        raise ProseError(f"{path}: sides is {sides!r}", expected="two names", way_out="Write `sides: [claim, control]`")
    if (side or sides) and side not in sides:
        raise ProseError(
            f"{path}: " + (f"no side {side!r}" if side else "it has two sides, and none is named"),
            expected="`side: ...` in the recipe" if sides else "no `side`: this file has one only",
            way_out=nearest(side, sides),
        )

    def said(text: str) -> str:
        chosen = _TWIN.sub(lambda twin: twin[1 + sides.index(side)], text) if sides else text
        whole = fill(chosen, {slot: filled[slot] for slot in filled if f"{{{slot}}}" in chosen}, str(path))
        return whole[:1].upper() + whole[1:]

    found: list[Question] = []
    for kind, text in lines:
        if kind == "?":
            found.append(Question(f"q{len(found) + 1:03d}", said(text), ()))
        else:
            last = found[-1]
            found[-1] = Question(last.id, last.text, (*last.answers, said(text)))
    texts = [one.text for one in found]
    if len(set(texts)) < len(texts):
        twice = next(one for one in texts if texts.count(one) > 1)
        raise ProseError(f"{path} asks {twice!r} twice", way_out="Ask each question once")
    content = [[one.id, one.text, list(one.answers)] for one in found]
    return Questions(str(prose.meta["name"]), tuple(found), content_hash(content))
