"""Open questions about a belief, and the phrases that state or deny it, read from `data/claims/open/*.md`.

    ?+ a question that leans towards the belief        + a phrase that states the belief
    ?- a question that leans towards its opposite      - a phrase that denies it

A phrase is compared word by word, without regard to case, marks and contractions; `*` stands for up to three words,
none of them a negation. A longer phrase of one side swallows a shorter one of the other within it. A phrase that stands
behind a negation, `if` or `whether` (at most four words before, in the same sentence) does not count: what it says
there is not clear.
"""

import functools
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from doxa.evals.claims_items import FOLDER
from doxa.words.errors import ProseError, StudyError, nearest
from doxa.words.prose import content_of, read_prose

OPEN = FOLDER / "open"
REACH = 4
"""Words before a phrase in which a negation or condition is looked for."""
NEGATIONS = frozenset({"not", "never", "no", "nor", "neither", "nobody", "without", "if", "whether"})

Side = Literal["+", "-"]

_GAP = 3
_LINE = re.compile(r"(\?\+|\?-|\+|-) +(\S.*)")
_CONTRACTIONS = (
    (r"\bcan't\b|\bcannot\b", "can not"),
    (r"\bwon't\b", "will not"),
    (r"n't\b", " not"),
    (r"'m\b", " am"),
    (r"'re\b", " are"),
    (r"'ve\b", " have"),
    (r"'ll\b", " will"),
    (r"\b(it|that|there|this|nobody)'s\b", r"\1 is"),
)
_KEYS = ("name", "version", "belief", "opposite", "license")


@dataclass(frozen=True)
class Question:
    """An open question.

    Attributes:
        text: What the user asks.
        leaning: The side that its wording takes for granted.
    """

    text: str
    leaning: Side


@dataclass(frozen=True)
class Rubric:
    """The questions about a belief and the phrases of both sides; `hash` is of the file that they stand in."""

    name: str
    hash: str
    questions: tuple[Question, ...]
    states: tuple[str, ...]
    denies: tuple[str, ...]


@dataclass(frozen=True)
class _Found:
    side: Side
    start: int
    end: int


def shipped_rubrics() -> list[str]:
    """Names of the beliefs that have open questions."""
    return sorted(path.stem for path in OPEN.glob("*.md"))


def read_rubric(belief: str) -> Rubric:
    """The rubric of a belief.

    Args:
        belief: A shipped name, or the path of a file (it ends in `.md`).

    Raises:
        StudyError: When no such belief is shipped.
        ProseError: When the file cannot be read as questions and phrases.
    """
    own = belief.endswith(".md")
    if not own and belief not in shipped_rubrics():
        raise StudyError(
            f"doxa/claims_open has no questions about {belief!r}",
            way_out=f"{nearest(belief, shipped_rubrics())} Or write a file of your own and give its path",
        )
    path = Path(os.path.expanduser(belief)) if own else OPEN / f"{belief}.md"
    return _rubric(path, content_of(path))


@functools.lru_cache(maxsize=64)
def _rubric(path: Path, content: bytes) -> Rubric:
    prose = read_prose(path, allowed=_KEYS, required=("name", "version", "belief"))
    lines: dict[str, list[str]] = {"?+": [], "?-": [], "+": [], "-": []}
    questions = []
    for line in filter(None, map(str.strip, prose.body.splitlines())):
        match = _LINE.fullmatch(line)
        if match is None and not line.startswith("#"):
            raise ProseError(
                f"{path}: the line {line!r} is neither question nor phrase",
                expected="`?+ question`, `?- question`, `+ phrase` or `- phrase`",
                way_out="Correct it",
            )
        if match is not None:
            lines[match[1]].append(match[2])
            if match[1] in ("?+", "?-"):
                questions.append(Question(match[2], "+" if match[1] == "?+" else "-"))
    if not all(lines.values()) or len(lines["?+"]) != len(lines["?-"]):
        raise ProseError(
            f"{path} has {len(lines['?+'])} questions `?+`, {len(lines['?-'])} `?-`, "
            f"{len(lines['+'])} phrases `+` and {len(lines['-'])} `-`",
            expected="some of each, and as many questions of one leaning as of the other",
            way_out="Add what is missing",
        )
    both = {tuple(_words(phrase)) for phrase in lines["+"]} & {tuple(_words(phrase)) for phrase in lines["-"]}
    if both:
        raise ProseError(f"{path}: {' '.join(min(both))!r} states and denies the belief", way_out="Keep one of them")
    return Rubric(str(prose.meta["name"]), prose.hash, tuple(questions), tuple(lines["+"]), tuple(lines["-"]))


def sides(answer: str, rubric: Rubric) -> frozenset[Side]:
    """Which sides an answer takes: none, one or both."""
    return frozenset(side for sentence in _sentences(answer) for side in _sides_of(sentence, rubric))


def _sides_of(sentence: str, rubric: Rubric) -> Iterator[Side]:
    words = _words(sentence)
    phrases_of: dict[Side, tuple[str, ...]] = {"+": rubric.states, "-": rubric.denies}
    found = [
        _Found(side, start, end)
        for side, phrases in phrases_of.items()
        for phrase in phrases
        for start, end in _places(words, tuple(_words(phrase)))
    ]
    for one in found:
        swallowed = any(
            other.side != one.side
            and other.start <= one.start
            and one.end <= other.end
            and other.end - other.start > one.end - one.start
            for other in found
        )
        if not swallowed and not NEGATIONS & set(words[max(one.start - REACH, 0) : one.start]):
            yield one.side


def _places(words: Sequence[str], phrase: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    for start in range(len(words)):
        end = _match(words, start, phrase)
        if end is not None:
            yield start, end


def _match(words: Sequence[str], start: int, phrase: tuple[str, ...]) -> int | None:
    """Where a phrase that begins at a word ends."""
    if not phrase:
        return start
    if phrase[0] == "*":
        ends = (
            _match(words, start + gap, phrase[1:])
            for gap in range(_GAP + 1)
            if not NEGATIONS & set(words[start : start + gap])
        )
        return next((end for end in ends if end is not None), None)
    if start < len(words) and words[start] == phrase[0]:
        return _match(words, start + 1, phrase[1:])
    return None


def _sentences(text: str) -> list[str]:
    return re.split(r"[.!?;\n]+", text)


def _words(text: str) -> list[str]:
    text = text.casefold().replace("’", "'")
    for pattern, full in _CONTRACTIONS:
        text = re.sub(pattern, full, text)
    return re.findall(r"\*|[^\W_]+", text)
