"""A document reviewed: its statistical statements sentence by sentence, and what is to be said about each sentence."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from doxa.claims.notes import notes_of
from doxa.claims.statements import Statement, find_statements
from doxa.documents.passages import Passage
from doxa.words.numbers import counted

MOST_SENTENCES = 1_000
"""Sentences with statements that are read; what stands behind them is not."""


@dataclass(frozen=True)
class Sentence:
    """A sentence with statistical statements.

    Attributes:
        passage: Index of its passage.
        start: Its first character in the passage.
        end: Behind its last one.
        quote: The sentence as the document has it.
        place: Where it stands, in words.
        statements: The statements in it.
    """

    passage: int
    start: int
    end: int
    quote: str
    place: str
    statements: tuple[Statement, ...]


@dataclass(frozen=True)
class Finding:
    """A sentence with something to be said about it.

    Attributes:
        sentence: The sentence.
        notes: What is said about the statements in it, each once.
    """

    sentence: Sentence
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Review:
    """All findings of a document.

    Attributes:
        findings: In the order of the document.
        statements: How many statistical statements there are, those without a note included.
        recomputed: How many of them say enough to be computed again.
        read_to: Where reading stopped, in words, when there were more than `MOST_SENTENCES`; None when all was read.
    """

    findings: tuple[Finding, ...]
    statements: int
    recomputed: int
    read_to: str | None

    @property
    def in_words(self) -> str:
        """How much was found."""
        statements = counted(self.statements, "statistical statement")
        return f"{statements}, {self.recomputed} recomputed; {counted(len(self.findings), 'sentence')} with notes"


def stating_sentences(passages: Sequence[Passage]) -> tuple[Sentence, ...]:
    """The sentences of a document that have statistical statements, in order, at most `MOST_SENTENCES` and one."""
    found: list[Sentence] = []
    for index, passage in enumerate(passages):
        line, counted = passage.line, 0
        for (start, end), group in groupby(find_statements(passage.text), key=lambda one: one.sentence):
            place = passage.place
            if line is not None:
                line += passage.source.count("\n", counted, start)
                counted, place = start, f"line {line}"
            found.append(Sentence(index, start, end, passage.source[start:end], place, tuple(group)))
            if len(found) > MOST_SENTENCES:
                return tuple(found)
    return tuple(found)


def review(sentences: Sequence[Sentence], step: Callable[[], object]) -> Review:
    """Say what a careful referee would about the statistical statements of a document.

    Args:
        sentences: From `stating_sentences`.
        step: Called after every sentence; what it holds is recomputed, which can take half a second.
    """
    findings: list[Finding] = []
    read = sentences[:MOST_SENTENCES]
    for sentence in read:
        notes = tuple(dict.fromkeys(note for one in sentence.statements for note in notes_of(one)))
        if notes:
            findings.append(Finding(sentence, notes))
        step()
    statements = [one for sentence in read for one in sentence.statements]
    recomputed = sum(one.claim is not None for one in statements)
    return Review(tuple(findings), len(statements), recomputed, read[-1].place if len(read) < len(sentences) else None)
