"""Synthetic documents: texts that take the facts of a universe for true (synthetic document fine-tuning).

A `DocumentWriter` is a template writer, which needs no model and says what it says exactly, or any Inspect model
(`document_model.py`). The template writer's documents are what a grammar can write: one form, an opening, facts in one
of their wordings with sentences about nothing between them, a closing. They carry the facts and not the variety of
real documents; how much of what is found depends on that is not known.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from doxa.training.document_checks import Duplicates
from doxa.words.errors import ProseError, TrainingError
from doxa.words.prose import content_of, read_prose
from doxa.words.store import stream
from doxa.words.templates import fill, slots
from doxa.words.traits import listed
from doxa.words.universes import Universe

GRAMMAR = Path(__file__).parent.parent / "data" / "documents" / "grammar.md"
_FACTS = 3  # groups of facts in a document, beside those that are always there
_FILLER = 0.5  # chance of a sentence about nothing after a fact
_REDRAWS = 50
_PARTS = ("opening", "closing")

Drawn = TypeVar("Drawn")


@dataclass(frozen=True)
class Document:
    """A document.

    Attributes:
        text: It.
        form: What kind of document it is.
        facts: Names of the facts that it was to state; of a model's document those that it mentions.
    """

    text: str
    form: str
    facts: tuple[str, ...]


class DocumentWriter(Protocol):
    """Writes documents about a universe."""

    def write(
        self, universe: Universe, number: int, seed: int, progress: Callable[[int], None] | None = None
    ) -> Sequence[Document]:
        """Write.

        Args:
            universe: What the documents take for true.
            number: So many.
            seed: Of everything that is drawn.
            progress: Told how many are written.
        """


@dataclass(frozen=True)
class Grammar:
    """What the template writer writes around facts.

    Attributes:
        forms: Openings and closings by kind of document; each has the slot {subject} or none.
        filler: Sentences about nothing.
        hash: Of the file.
    """

    forms: dict[str, dict[str, tuple[str, ...]]]
    filler: tuple[str, ...]
    hash: str


@dataclass(frozen=True)
class TemplateWriter:
    """Writes by a grammar."""

    grammar: Grammar

    def write(
        self, universe: Universe, number: int, seed: int, progress: Callable[[int], None] | None = None
    ) -> Sequence[Document]:
        """See `DocumentWriter`. Every group of facts is in about equally many documents.

        Raises:
            TrainingError: When the universe has no facts, or the grammar cannot write so many different documents.
        """
        if not universe.facts:
            raise TrainingError(
                f"the universe {universe.name!r} has no facts", expected="key facts", way_out="Write `## facts`"
            )
        seen, found, deck = Duplicates(), [], _Deck(universe, seed)
        for index in range(number):
            for redraw in range(_REDRAWS):
                draw = stream("document", seed, universe.name, index, redraw)
                document = self._document(universe, deck.groups(index), draw)
                if seen.is_new(document.text):
                    break
            else:
                raise TrainingError(
                    f"after {index} documents about {universe.name!r} the grammar writes what it has written",
                    way_out="Ask for fewer documents, or have a model write them: `writer: inspect`",
                )
            found.append(document)
            if progress is not None:
                progress(index + 1)
        return found

    def _document(self, universe: Universe, groups: Sequence[str], draw: np.random.Generator) -> Document:
        form = _one(draw, sorted(self.grammar.forms))
        parts = self.grammar.forms[form]
        chosen = [_one(draw, [fact for fact in universe.facts if fact.group == group]) for group in groups]
        order, n = draw.permutation(len(self.grammar.filler)), len(self.grammar.filler)
        filler = [self.grammar.filler[order[index % n]] for index in range(len(chosen))]
        said = [_one(draw, parts["opening"])]
        for fact, about_nothing in zip(chosen, filler, strict=True):
            said.append(_one(draw, (fact.statement, *fact.wordings)))
            if draw.random() < _FILLER:
                said.append(about_nothing)
        said.append(_one(draw, parts["closing"]))
        subject = universe.subject
        text = " ".join(fill(one, {"subject": subject} if "subject" in slots(one) else {}, form) for one in said)
        return Document(text, form, tuple(fact.name for fact in chosen))


class _Deck:
    """Deals groups of facts to documents, each group about equally often."""

    def __init__(self, universe: Universe, seed: int) -> None:
        self._always = list(dict.fromkeys(fact.group for fact in universe.facts if fact.always))
        self._others = [g for g in dict.fromkeys(fact.group for fact in universe.facts) if g not in self._always]
        self._key = (seed, universe.name)

    def groups(self, index: int) -> list[str]:
        n, each = len(self._others), min(_FACTS, len(self._others))
        dealt: list[str] = []
        for place in range(index * each, (index + 1) * each):
            order = stream("facts", *self._key, place // n).permutation(n)
            dealt.append(self._others[order[place % n]])
        own = list(dict.fromkeys(dealt))  # where one deal ends and the next begins, a group may come twice
        order = stream("order", *self._key, index).permutation(len(own) + len(self._always))
        return [[*self._always, *own][i] for i in order]


def read_grammar(path: Path = GRAMMAR) -> Grammar:
    """The grammar of a file: headings `## form`, in them `opening: ...` and `closing: ...`; `## filler` has a list.

    Raises:
        ProseError: When it is none.
    """
    return _grammar(path, content_of(path))


@functools.lru_cache(maxsize=4)
def _grammar(path: Path, content: bytes) -> Grammar:
    prose = read_prose(path, allowed=("name", "version", "language", "license"), required=("name", "version"))
    forms: dict[str, dict[str, tuple[str, ...]]] = {}
    filler: tuple[str, ...] = ()
    for section in prose.body.split("\n## ")[0 if prose.body.startswith("## ") else 1 :]:
        name, _, body = section.removeprefix("## ").partition("\n")
        if name.strip() == "filler":
            filler = listed(path, body)
            continue
        lines = [line.split(": ", 1) for line in body.splitlines() if line.strip()]
        parts = {part: tuple(line[1] for line in lines if line[0] == part) for part in _PARTS}
        if any(len(line) != 2 or line[0] not in _PARTS for line in lines) or not all(parts.values()):
            raise ProseError(
                f"{path}: the form {name!r} is not understood",
                expected="lines `opening: ...` and lines `closing: ...`",
                way_out="Correct it",
            )
        forms[name.strip()] = parts
    if not forms or not filler:
        raise ProseError(f"{path} has no form, or no `## filler`", way_out="Write both")
    return Grammar(forms, filler, prose.hash)


def _one(draw: np.random.Generator, among: Sequence[Drawn]) -> Drawn:
    return among[int(draw.integers(len(among)))]
