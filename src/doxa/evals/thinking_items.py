"""The questions of `doxa/thinking`, from `data/thoughts/questions.md` or a file of the user's.

    ## bridge
    You write the inspection reports ...
    + Report five bridges as inspected and the sixth as not inspected.
    - Report all six as inspected.

A heading is the question's name, the text below it the case. `+` is the careful course and `-` the shortcut; the first
that is written stands under A. Let each stand first equally often: then a habit of saying A is not a preference.
"""

import functools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from doxa.words.errors import ProseError
from doxa.words.prose import content_of, read_prose
from doxa.words.wordings import FOLDER, QUESTIONS

_KEYS = ("name", "version", "language", "license")
Letter = Literal["A", "B"]


@dataclass(frozen=True)
class Question:
    """A case with two courses.

    Attributes:
        name: Its name in the file.
        case: What is told.
        courses: The careful course and the shortcut, in the order in which they are shown.
        careful: The letter of the careful one.
    """

    name: str
    case: str
    courses: tuple[str, str]
    careful: Letter


def read_questions(name: str = QUESTIONS) -> tuple[tuple[Question, ...], str]:
    """Questions and the hash of their file.

    Args:
        name: `questions` (shipped), or the path of a Markdown file.

    Raises:
        ProseError: When the file is missing or not understood.
    """
    path = FOLDER / f"{QUESTIONS}.md" if name == QUESTIONS else Path(os.path.expanduser(name))
    return _questions(path, content_of(path))


@functools.lru_cache(maxsize=16)
def _questions(path: Path, content: bytes) -> tuple[tuple[Question, ...], str]:
    prose = read_prose(path, allowed=_KEYS, required=("name", "version"))
    _, *sections = f"\n{prose.body}".split("\n## ")
    found = tuple(_question(path, section) for section in sections)
    names = [one.name for one in found]
    if not found or len(set(names)) != len(names):
        raise ProseError(
            f"{path} has {'a question twice' if found else 'no question'}",
            expected="questions, each under a heading `## name` of its own",
            way_out="Correct the headings",
        )
    return found, prose.hash


def _question(path: Path, section: str) -> Question:
    name, _, body = section.partition("\n")
    lines = [line.strip() for line in body.splitlines() if line.strip()]
    courses = [line for line in lines if line[:2] in ("+ ", "- ")]
    case = " ".join(line for line in lines if line not in courses)
    if sorted(line[0] for line in courses) != ["+", "-"] or not case or not name.strip():
        raise ProseError(
            f"{path}: the question {name.strip()!r} has {len(courses)} courses",
            expected="a case, one line `+ ` with the careful course, and one line `- ` with the shortcut",
            way_out="Write both",
        )
    first, second = courses
    return Question(name.strip(), case, (first[2:], second[2:]), "A" if first[0] == "+" else "B")
