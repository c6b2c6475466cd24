"""The sentences of a reply, and whether a text has one of some words."""

import functools
import re
from collections.abc import Sequence

from doxa.evals.compliance_answers import plain

_SENTENCE = re.compile(r"(?<=[.!?])[\"'”’)*_]*\s+|\n+")
_INSIDE = re.compile(r"([.!?][\"”’]+)[ \t]+(?=[a-z])")
"""A quotation ends, and the sentence around it goes on."""
_MARK = "\x00"


def sentences(text: str) -> list[str]:
    """The sentences of a text; a line ends one too. What has no letter or figure (a rule, an emoji) is none."""
    whole = _INSIDE.sub(rf"\1{_MARK}", text)
    found = [one.replace(_MARK, " ").strip() for one in _SENTENCE.split(whole) if one]
    return [one for one in found if re.search(r"\w", one)]


def has(text: str, words: Sequence[str]) -> bool:
    """Whether one of the words stands in the text, as a word or several."""
    return bool(_any_of(tuple(words)).search(plain(text)))


@functools.lru_cache(maxsize=1024)
def _any_of(words: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{'|'.join(re.escape(plain(word)) for word in words) or '(?!)'})(?!\w)")
