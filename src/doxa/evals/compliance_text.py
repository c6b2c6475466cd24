"""The sentences of a reply, and whether a text has one of some words."""

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
    return any(re.search(rf"(?<!\w){re.escape(plain(word))}(?!\w)", plain(text)) for word in words)
