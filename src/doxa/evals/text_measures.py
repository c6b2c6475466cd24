"""Measures of a text that need no model: repetition, loops, refusals.

Words are runs of letters and digits, case-folded; every Han or Kana character is a word of its own.
"""

import functools
import re
from itertools import pairwise

from doxa.evals.drift_items import refusals

# Thresholds: part of the version of `doxa/drift`.
LOOP_COPIES = 3  # "a b a b" happens in good prose, a third copy at the very end does not
LOOP_WORDS = 6  # "no, no, no" is no loop
LOOP_MARKS = 16  # the same for marks: a ruled line or an ellipsis is no loop
LOOP_KINDS = 3
REFUSAL_WORDS = 30  # a refusal opens an answer; later "I can't" is usually somebody in a story

_CJK = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_CJK}]|[^\W_{_CJK}]+(?:'[^\W_{_CJK}]+)*")


def words(text: str) -> list[str]:
    """The words of a text, case-folded, without marks."""
    return _WORD.findall(text.casefold().replace("’", "'"))


def distinct_2(text: str) -> float | None:
    """Distinct pairs of adjacent words to all pairs; None when there are fewer than two words.

    1 when no pair occurs twice. It falls with length, so texts are compared at the same limit of tokens.
    Source: Li et al. 2016, arXiv:1510.03055, there to the number of words.
    """
    pairs = list(pairwise(words(text)))
    return len(set(pairs)) / len(pairs) if pairs else None


def loops(text: str) -> bool:
    """Whether the text ends in a phrase repeated at least `LOOP_COPIES` times in a row.

    Marks between words do not count, and the last word may be cut off. The copies have at least `LOOP_WORDS` words
    together. A text that ends in `LOOP_MARKS` marks of at most `LOOP_KINDS` kinds loops too.
    """
    tail = re.search(r"[^\w]*$", re.sub(r"\s+", "", text))
    if tail is not None and len(tail[0]) >= LOOP_MARKS and len(set(tail[0])) <= LOOP_KINDS:
        return True
    spoken = words(text)
    for period in range(1, len(spoken) // LOOP_COPIES + 1):
        if not spoken[-1 - period].startswith(spoken[-1]):
            continue
        same = 1  # how many of the last words stand one period before, too
        while same < len(spoken) - period and spoken[-1 - same] == spoken[-1 - same - period]:
            same += 1
        if same + period >= max(LOOP_COPIES * period, LOOP_WORDS):
            return True
    return False


def refuses(text: str, language: str) -> bool:
    """Whether the first `REFUSAL_WORDS` words hold a phrase of a refusal, in English or the prompt's language."""
    start = f" {' '.join(words(text)[:REFUSAL_WORDS])} "
    return any(f" {phrase} " in start for phrase in _phrases("en") + _phrases(language))


@functools.cache
def _phrases(language: str) -> tuple[str, ...]:
    return tuple(" ".join(words(phrase)) for phrase in refusals().get(language, ()))
