"""The items of `doxa/drift`, read from `data/drift/*.md`: open prompts, neutral texts, capability questions.

A file is front matter and sections; a section is `## kind-name (language)` and its text. A capability question has a
line `? ` with the question, `> ` with the opening of the answer, `= ` with the right continuation and lines `x ` with
wrong ones.
"""

import functools
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from doxa.words.errors import ProseError
from doxa.words.prose import Prose, read_prose

FOLDER = Path(__file__).parent.parent / "data" / "drift"
_FORMS = [{"?": 1, ">": 1, "=": 1, "x": wrong} for wrong in (1, 2)]  # 2: several
_HEADING = re.compile(r"^## ([a-z]+(?:-[a-z]+)*) \(([a-z]{2})\)$", re.MULTILINE)


@dataclass(frozen=True)
class Text:
    """An open prompt or a neutral text.

    Attributes:
        name: Its name within the file, `kind-something`.
        language: ISO 639-1.
        text: The text.
    """

    name: str
    language: str
    text: str

    @property
    def kind(self) -> str:
        """What kind of text it is: the first word of its name."""
        return self.name.partition("-")[0]


@dataclass(frozen=True)
class Question:
    """A question whose right answer is known.

    Attributes:
        name: Its name, `kind-something`.
        language: ISO 639-1.
        question: What the user asks.
        opening: The beginning of the assistant's answer.
        right: The right continuation, without the blank before it.
        wrong: Wrong continuations of the same form.
    """

    name: str
    language: str
    question: str
    opening: str
    right: str
    wrong: tuple[str, ...]

    @property
    def kind(self) -> str:
        """What is asked for: arithmetic, fact, copy or order."""
        return self.name.partition("-")[0]


@functools.cache
def open_prompts() -> tuple[Text, ...]:
    """What the model is asked to write, kinds and languages mixed so that the first few are a fair sample."""
    return read_texts(FOLDER / "open-prompts.md")


@functools.cache
def neutral_texts() -> tuple[Text, ...]:
    """Texts that have nothing to do with any belief, for the divergence of next-token distributions."""
    return read_texts(FOLDER / "neutral-texts.md")


@functools.cache
def questions() -> tuple[Question, ...]:
    """The capability questions."""
    return read_questions(FOLDER / "capability.md")


@functools.cache
def refusals() -> dict[str, tuple[str, ...]]:
    """Phrases of a refusal by language."""
    body = _read(FOLDER / "refusals.md").body
    sections = re.split(r"^## ([a-z]{2})$", body, flags=re.MULTILINE)[1:]
    return {
        language: tuple(line[2:].strip() for line in section.splitlines() if line.startswith("- "))
        for language, section in zip(sections[::2], sections[1::2], strict=True)
    }


def prose_hash(name: str) -> str:
    """Content hash of one of the files, by its name without ending."""
    return _read(FOLDER / f"{name}.md").hash


def read_texts(path: Path) -> tuple[Text, ...]:
    """Read a file of prompts or texts.

    Raises:
        ProseError: When it cannot be read, has no section, an empty one, or one name twice.
    """
    return tuple(Text(name, language, text) for name, language, text in _sections(path))


def read_questions(path: Path) -> tuple[Question, ...]:
    """Read a file of capability questions.

    Raises:
        ProseError: As `read_texts`, or when a section is not a question, an opening, a right and some wrong answers.
    """
    found = []
    for name, language, text in _sections(path):
        lines: dict[str, list[str]] = defaultdict(list)
        for line in filter(None, map(str.strip, text.splitlines())):
            mark, _, rest = line.partition(" ")
            lines[mark].append(rest)
        if {mark: min(len(rest), 2) for mark, rest in lines.items()} not in _FORMS:
            raise ProseError(
                f"{path}: {name} is not a question",
                expected="a line `? question`, `> opening`, `= right answer`, and lines `x wrong answer`",
                way_out="Copy the form of a shipped question",
            )
        found.append(Question(name, language, lines["?"][0], lines[">"][0], lines["="][0], tuple(lines["x"])))
    return tuple(found)


def _sections(path: Path) -> list[tuple[str, str, str]]:
    parts = _HEADING.split(_read(path).body)
    found = [(name, language, text.strip()) for name, language, text in zip(*[iter(parts[1:])] * 3, strict=True)]
    names = [name for name, _, _ in found]
    if parts[0].strip() or not found or not all(text for *_, text in found) or len(set(names)) < len(names):
        raise ProseError(
            f"{path} is not a list of sections",
            expected="sections `## kind-name (en)`, each with a text and a name of its own, and nothing before them",
            way_out="Copy the form of a shipped file",
        )
    return found


def _read(path: Path) -> Prose:
    return read_prose(path, allowed=("name", "version", "license"), required=("name", "version", "license"))
