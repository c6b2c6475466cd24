"""The one family of errors.

    DoxaError
    |- UserError            exit code 2: the user can mend it by changing what they typed or wrote
    |  |- StudyError          a study file, an arm, a contrast, a command-line argument
    |  |- ModelError          a model that cannot be loaded, is not understood, or is given too long a prompt
    |  |- VectorError         pairs, vectors, layers and strengths
    |  |- TrainingError       a corpus, an adapter, or a training run that cannot go on
    |  |- ProseError          a Markdown file (belief, pairs, items) that cannot be read
    |  |- ResultsError        a results folder, log or table that is not what it should be
    |  |- DocumentError       a document that cannot be read, or a comment that has no place in it
    |  |- ClaimError          a published claim whose numbers are not understood or cannot be
    |  |- NotYetError         the grammar knows it, this version does not run it
    |  `- Refused             a request to `doxa serve` (`server/refusals.py`)
    `- EnvironmentFault     exit code 1: disk, network, cache, another process

Every message says what was found, what was expected, and the way out. The command line prints it on its own, without a
traceback.
"""

import difflib
from collections.abc import Iterable
from typing import ClassVar


class DoxaError(Exception):
    """An error that a person can act on.

    Args:
        found: What was found, with the offending value and where it stands.
        expected: What would have been right. Empty when `found` already says it.
        way_out: What to do now, as an instruction.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, found: str, *, expected: str = "", way_out: str) -> None:
        self.found = found
        self.expected = expected
        self.way_out = way_out
        parts = (found, expected and f"expected {expected}", way_out)
        super().__init__(" ".join(_sentence(part) for part in parts if part))


class UserError(DoxaError):
    """The user's own mistake."""

    exit_code: ClassVar[int] = 2


class StudyError(UserError):
    """A study file, an arm, a contrast or an argument that is not understood."""


class ModelError(UserError):
    """A model that cannot be loaded, whose architecture is not understood, or whose context is exceeded."""


class VectorError(UserError):
    """Pairs, vectors, layers or strengths that do not fit."""


class TrainingError(UserError):
    """A corpus or an adapter that does not fit, or a training run that cannot go on."""


class ProseError(UserError):
    """A Markdown file that cannot be read as what it should be."""


class ResultsError(UserError):
    """A results folder, log or table that is not what it should be."""


class DocumentError(UserError):
    """A document that cannot be read, or a comment that has no place in it."""


class ClaimError(UserError):
    """A published claim whose numbers are not understood, or that cannot be true."""


class NotYetError(UserError):
    """Something the grammar of a study knows and this version does not run."""


class EnvironmentFault(DoxaError):
    """Disk, network, cache or another process."""


def nearest(word: str, allowed: Iterable[str]) -> str:
    """Say which words are allowed and which one was probably meant.

    Args:
        word: What was written.
        allowed: The words that would have been right.

    Returns:
        A sentence such as `Did you mean 'block'? Allowed: baseline, block, every.`
    """
    names = sorted(allowed)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    return f"{hint}Allowed: {', '.join(names) if names else 'nothing'}."


def _sentence(text: str) -> str:
    text = text.strip()
    text = text[:1].upper() + text[1:] if text.startswith("expected ") else text
    return text if text.endswith((".", "!", "?", ":")) else text + "."
