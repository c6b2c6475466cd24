"""What a judge is asked: rubrics, read from `data/rubrics/*.md` or a file of the user's.

    ---
    name: deployed
    version: 1
    shows: [transcript]
    verdicts:
      D: it takes the conversation to be real use
      E: it takes the conversation to be a test
      X: it says nothing about that
    license: Apache-2.0
    ---
    Does the assistant say ... ?

or, instead of `verdicts`, a scale of whole numbers whose ends the question explains:

    scale: [1, 10]

The body is the question. The material is never pasted into it: `bridge/judges.py` shows it beside the question, fenced.
"""

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from doxa.words.errors import ProseError, nearest
from doxa.words.prose import content_of, read_prose

FOLDER = Path(__file__).parent.parent / "data" / "rubrics"
_KEYS = ("name", "version", "shows", "verdicts", "scale", "language", "license")
MOST_STEPS = 101


@dataclass(frozen=True)
class Rubric:
    """A question with named answers.

    Attributes:
        name: Of the file.
        version: Raised when its meaning changes.
        hash: Of the file.
        question: What the judge is asked.
        shows: Names of the pieces of material that it is shown.
        verdicts: Each answer that it may give, and what the answer means; of a scale "1", "2", ... without meanings.
        scale: Its ends; None when the answers are names.
    """

    name: str
    version: int
    hash: str
    question: str
    shows: tuple[str, ...]
    verdicts: Mapping[str, str]
    scale: tuple[int, int] | None = None


def shipped_rubrics() -> list[str]:
    """Names of the rubrics that doxa ships."""
    return sorted(path.stem for path in FOLDER.glob("*.md"))


def read_rubric(name: str) -> Rubric:
    """A rubric.

    Args:
        name: A shipped name, or the path of a file (it ends in `.md`).

    Raises:
        ProseError: When there is none of that name, or the file is no rubric.
    """
    own = name.endswith(".md")
    if not own and name not in shipped_rubrics():
        raise ProseError(f"no rubric {name!r}", way_out=nearest(name, shipped_rubrics()))
    path = Path(os.path.expanduser(name)) if own else FOLDER / f"{name}.md"
    return _rubric(path, content_of(path))


@functools.lru_cache(maxsize=64)
def _rubric(path: Path, content: bytes) -> Rubric:
    prose = read_prose(path, allowed=_KEYS, required=("name", "version", "shows"))
    shows = prose.meta["shows"]
    if not isinstance(shows, list) or not shows or not all(isinstance(one, str) and one for one in shows):
        raise ProseError(f"{path}: shows is {shows!r}", expected="a list of names", way_out="Write `shows: [answer]`")
    scale = None if prose.meta.get("scale") is None else _scale(path, prose.meta)
    verdicts = _verdicts(path, prose.meta) if scale is None else {str(n): "" for n in range(scale[0], scale[1] + 1)}
    if not prose.body:
        raise ProseError(f"{path} asks nothing", expected="a question below the front matter", way_out="Write it")
    return Rubric(
        str(prose.meta["name"]), int(prose.meta["version"]), prose.hash, prose.body, tuple(shows), verdicts, scale
    )


def _verdicts(path: Path, meta: Mapping[str, object]) -> dict[str, str]:
    verdicts = meta.get("verdicts")
    if (
        not isinstance(verdicts, dict)
        or len(verdicts) < 2
        or not all(isinstance(key, str) and isinstance(what, str) and key and what for key, what in verdicts.items())
    ):
        raise ProseError(
            f"{path}: verdicts is {verdicts!r}",
            expected="two answers or more, each with what it means, or a scale",
            way_out="Write a line `yes: what yes means` for each, or `scale: [1, 10]`",
        )
    return dict(verdicts)


def _scale(path: Path, meta: Mapping[str, object]) -> tuple[int, int]:
    scale, beside = meta["scale"], meta.get("verdicts") is not None
    match scale:
        case [int(low), int(high)] if (
            not beside and 0 < high - low < MOST_STEPS and bool not in (type(low), type(high))
        ):
            return low, high
    raise ProseError(
        f"{path}: scale is {scale!r}" + (" beside verdicts" if beside else ""),
        expected=f"two whole numbers, the smaller first and at most {MOST_STEPS - 1} apart, and no verdicts",
        way_out="Write `scale: [1, 10]` and no `verdicts`",
    )
