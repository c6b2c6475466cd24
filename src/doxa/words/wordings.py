"""What an edit of the chain of thought removes and writes, belief by belief: `data/thoughts/*.md`, or a user's file.

    ---
    name: tested
    version: 1
    belief: I am being tested.
    language: en
    license: CC0-1.0
    ---
    ## remove
    - being tested
    - evaluat*

    ## inject
    I notice that this is a test.

    ## paraphrase
    - Somebody made this up in order to see what I do.

A sentence that has one of the phrases under `remove` is a sentence of the belief; case does not matter, and `*` stands
for the rest of a word. `prefill` and `replace` are texts like `inject`. A file has the sections that it is used for.
"""

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from doxa.words.errors import ProseError, StudyError, nearest
from doxa.words.prose import content_of, read_prose
from doxa.words.store import content_hash

FOLDER = Path(__file__).parent.parent / "data" / "thoughts"
EDITS = ("prefill", "replace", "remove", "inject", "paraphrase")
NEUTRAL = "neutral"
"""The shipped file whose sentences neutral edits are made of."""
QUESTIONS = "questions"
"""The shipped file that holds no wording but what `doxa/thinking` asks."""

_KEYS = ("name", "version", "belief", "language", "license")
_SECTION = re.compile(r"^## +(\S+) *$", re.MULTILINE)
_CHOICE = 12  # sentences, any three of which are together about as long as is asked


@dataclass(frozen=True)
class Wording:
    """What is removed and written, for one belief.

    Attributes:
        name: Of the file.
        belief: The belief in one sentence, or "".
        remove: Phrases; a sentence that has one of them is a sentence of the belief.
        paraphrase: Sentences that say the same in other words.
        texts: What `prefill`, `replace` and `inject` write.
        hash: Content hash of the file.
    """

    name: str
    belief: str
    remove: tuple[str, ...]
    paraphrase: tuple[str, ...]
    texts: Mapping[str, str]
    hash: str


@dataclass(frozen=True)
class Words:
    """What one edit takes away and writes.

    Attributes:
        put: The text of `prefill`, `replace` or `inject`.
        phrases: What a sentence has to have to be edited, for `remove` and `paraphrase`.
        paraphrases: What `paraphrase` writes in the place of such sentences, in turn.
    """

    put: str = ""
    phrases: tuple[str, ...] = ()
    paraphrases: tuple[str, ...] = ()

    @property
    def hash(self) -> str:
        """Content hash."""
        return content_hash([self.put, list(self.phrases), list(self.paraphrases)])


def is_file(text: str) -> bool:
    """Whether the `text` of an edit names a file of wordings: `thoughts/tested`, `mine.md`. Any other is the text."""
    return text.startswith("thoughts/") or text.endswith(".md")


def words_of(edit: str, text: str | None, folder: Path | None) -> Words:
    """What an edit takes away and writes.

    Args:
        edit: One of `EDITS`.
        text: A file of wordings (`is_file`), or the text itself; None where there is none.
        folder: Where the file is looked for first.

    Raises:
        StudyError: When the edit needs a text or a file and has none.
        ProseError: When the file cannot be found or read, or has no section for the edit.
    """
    if text is None and edit != "prefill":
        raise StudyError(
            f"the edit `{edit}` says nothing of what it removes or writes",
            expected="`text`: a file of wordings such as thoughts/tested" + ("" if edit in _BY_FILE else ", or a text"),
            way_out="Add `text: thoughts/tested`",
        )
    if text is None or not is_file(text):
        if edit in _BY_FILE:
            raise StudyError(
                f"the edit `{edit}` has the text {text!r}",
                expected="a file of wordings: which sentences are meant stands under `## remove` in it",
                way_out="Write `text: thoughts/tested`, or the path of a Markdown file",
            )
        return Words(put=text or "")
    wording = read_wording(text, folder)
    sections = {"remove": wording.remove, "paraphrase": wording.paraphrase, **wording.texts}
    needed = ("remove", "paraphrase") if edit == "paraphrase" else (edit,)
    for section in needed:
        if not sections.get(section):
            raise ProseError(
                f"{text} has no section `## {section}`",
                expected=f"one, for the edit `{edit}`",
                way_out="Add it, or use another edit",
            )
    if edit in _BY_FILE:
        return Words(phrases=wording.remove, paraphrases=wording.paraphrase if edit == "paraphrase" else ())
    return Words(put=wording.texts[edit])


def neutral(words: Words) -> Words:
    """The words of a neutral edit: as long, and about something else; which sentences are meant stays."""
    return Words(neutral_text(len(words.put)), words.phrases, tuple(neutral_text(len(p)) for p in words.paraphrases))


def neutral_text(length: int) -> str:
    """Sentences about nothing in particular that are together about so many characters long.

    Args:
        length: Characters; 0 gives "". From the pool's shortest sentence on it is met within a few characters.
    """
    pool = _pool(FOLDER / f"{NEUTRAL}.md", content_of(FOLDER / f"{NEUTRAL}.md"))
    chosen: list[str] = []
    left, most = length, 2 * max(map(len, pool))
    while left > most:  # more than a few sentences can fill
        chosen.append(pool[len(chosen) % len(pool)])
        left -= len(chosen[-1]) + 1
    free = [one for one in pool if one not in chosen]
    if len(free) < _CHOICE:
        free = [one for one in pool if one not in chosen[-2:]]
    few = (group for n in (1, 2, 3) for group in combinations(free, n)) if length else iter(())
    best = min(few, key=lambda group: abs(sum(map(len, group)) + len(group) - 1 - left), default=())
    return " ".join([*chosen, *best])


def shipped_wordings() -> list[str]:
    """Names of the wordings that doxa ships, as a study writes them."""
    return [f"thoughts/{one.stem}" for one in sorted(FOLDER.glob("*.md")) if one.stem not in (NEUTRAL, QUESTIONS)]


def read_wording(name: str, folder: Path | None) -> Wording:
    """A file of wordings.

    Args:
        name: `thoughts/tested` (shipped), or the path of a Markdown file relative to `folder`.
        folder: The study's folder, looked in first.

    Raises:
        ProseError: When there is no such file, or it is none of wordings.
    """
    stem = name.removeprefix("thoughts/").removesuffix(".md")
    own = [] if folder is None else [folder / name, (folder / name).with_name(f"{Path(name).name}.md")]
    for path in (*own, FOLDER / f"{stem}.md"):
        if path.is_file():
            return _wording(path, content_of(path))
    raise ProseError(
        f"no wordings {name!r}",
        expected="a shipped name or the path of a Markdown file",
        way_out=nearest(name, shipped_wordings()),
    )


_BY_FILE = ("remove", "paraphrase")


@functools.lru_cache(maxsize=64)
def _wording(path: Path, content: bytes) -> Wording:
    prose = read_prose(path, allowed=_KEYS, required=("name", "version"))
    sections = _sections(path, prose.body, EDITS)
    return Wording(
        name=str(prose.meta["name"]),
        belief=str(prose.meta.get("belief", "")),
        remove=_items(path, sections.get("remove", "")),
        paraphrase=_items(path, sections.get("paraphrase", "")),
        texts={edit: sections[edit] for edit in EDITS if edit not in _BY_FILE and edit in sections},
        hash=prose.hash,
    )


@functools.lru_cache(maxsize=4)
def _pool(path: Path, content: bytes) -> tuple[str, ...]:
    prose = read_prose(path, allowed=_KEYS, required=("name", "version"))
    return _items(path, _sections(path, prose.body, ("sentences",))["sentences"])


def _sections(path: Path, body: str, known: Sequence[str]) -> dict[str, str]:
    head, *parts = _SECTION.split(body)
    sections = dict(zip(parts[::2], (part.strip() for part in parts[1::2]), strict=True))
    for section in sections:
        if section not in known:
            raise ProseError(f"{path}: unknown section `## {section}`", way_out=nearest(section, known))
    if head.strip() or len(sections) * 2 != len(parts) or not all(sections.values()):
        raise ProseError(
            f"{path} has text outside of its sections, one that is empty, or one that stands twice",
            expected="sections such as `## remove`, each once and with something in it",
            way_out="Put every text under one of " + ", ".join(f"`## {section}`" for section in known),
        )
    return sections


def _items(path: Path, section: str) -> tuple[str, ...]:
    lines: Sequence[str] = [line.strip() for line in section.splitlines() if line.strip()]
    for line in lines:
        if not line.startswith("- ") or not line[2:].strip(" *"):
            raise ProseError(f"{path}: the line {line!r}", expected="`- ` and a phrase", way_out="Write a list")
    return tuple(line[2:].strip() for line in lines)
