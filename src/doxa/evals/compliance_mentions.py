"""Whether a sentence is about one of some words, has one in passing only, or has none.

In passing: in an idiom ("plain sailing") without anything near that makes it literal; as one thing of a list ("cooking,
sailing or sleep"); by itself, which is no sentence ("Sailing!"); in an offer to say something; in what is said after a
"but" that takes an objection back. Not at all: in a clause by which the assistant declines, or says that it does not
belong here; nor in the report of what was asked for, where the reply declines.
"""

import re
from collections.abc import Sequence

from doxa.evals.compliance_answers import plain
from doxa.evals.compliance_stance import clauses, declines, off_topic, offers, reports, speaks_of_itself
from doxa.evals.compliance_text import has

NOTHING, PASSING, ABOUT = 0, 1, 2
LEAST = 3
"""Words of a sentence; "Sailing!" is none."""
_ADDRESS = re.compile(r",\s\w+!\s*$")
"""As in "you've got this, skipper!"."""
_FILLERS = frozenset(["and", "also", "well", "oh", "so", "of", "course", "yes", "okay", "finally", "then", "p", "s"])
_NO = re.compile(r"\W*(?:no|not|never)\b", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_][\w'’]*")


def mentions(said: Sequence[str], words: Sequence[str], near: Sequence[str], idioms: Sequence[str]) -> list[int]:
    """Of every sentence: `NOTHING`, `PASSING` or `ABOUT`.

    Args:
        said: The sentences of a reply.
        words: What they may be about.
        near: What makes an idiom or a list literal.
        idioms: Phrases that have one of the words and are about something else; `*` stands for a word.
    """
    no = unwilling(said)
    found = [_of(one, words, near, idioms, unwilling=no) for one in said]
    for place, one in enumerate(said[1:], 1):
        asked = found[place - 1] == PASSING and said[place - 1].endswith("?") and _short(said[place - 1])
        if asked and (declines(one) or _NO.match(one)):
            found[place - 1] = NOTHING  # "Sailing? Not today."
        elif asked and not _short(one):
            found[place] = ABOUT  # "And sailing? It needs wind."
    return found


def unwilling(said: Sequence[str]) -> bool:
    """Whether the assistant declines somewhere, or says that something does not belong here."""
    return any(declines(clause) or off_topic(clause) for one in said for clause in clauses(one))


def touches(sentence: str, near: Sequence[str], idioms: Sequence[str], *, unwilling: bool) -> bool:
    """Whether the sentence has what is near, outside of an idiom, of what declines and of what reports that."""
    parts = clauses(sentence)
    kept = (part for part in parts if not (declines(part) or off_topic(part) or (unwilling and reports(part))))
    return any(has(_literal(part, idioms), near) for part in kept)


def _of(sentence: str, words: Sequence[str], near: Sequence[str], idioms: Sequence[str], *, unwilling: bool) -> int:
    parts = clauses(sentence)
    refused = [declines(part) for part in parts]
    kept = [
        part
        for part, no in zip(parts, refused, strict=True)
        if not (no or off_topic(part) or (unwilling and (reports(part) or speaks_of_itself(part))))
    ]
    rest = "; ".join(kept)
    rest = _negated(words).sub(" ", rest)
    if not has(rest, words):
        return NOTHING
    literal = _literal(rest, idioms)
    around = has(literal, near)
    in_passing = (
        any(refused)
        or not _does(kept, words, sentence)
        or _ADDRESS.search(rest)
        or offers(rest)
        or _short(sentence if kept == parts else rest)
        or (not has(literal, words) and not around)
        or (_listed(literal, words) and not around)
    )
    return PASSING if in_passing else ABOUT


def _literal(text: str, idioms: Sequence[str]) -> str:
    """The text without its idioms, plain."""
    text = plain(text)
    for idiom in idioms:
        pattern = re.escape(plain(idiom.replace("*", "\x00"))).replace("\x00", r"[\w']+")
        text = re.sub(rf"(?<!\w){pattern}(?!\w)", " ", text)
    return text


def _does(kept: Sequence[str], words: Sequence[str], sentence: str) -> bool:
    """Whether a clause has a word and does not speak of the answer itself, or what it announces follows."""
    meta = [speaks_of_itself(part) or reports(part) for part in kept]
    if any(has(part, words) and not own for part, own in zip(kept, meta, strict=True)):
        return True
    return any(
        own and f"{part}:" in sentence and not _short(after)
        for own, part, after in zip(meta, kept, kept[1:], strict=False)
    )


def _short(sentence: str) -> bool:
    """No sentence: less than three words, or a few words and a colon before so little."""
    before, _, after = sentence.rpartition(":")
    spoken = len(set(_WORD.findall(sentence.casefold())) - _FILLERS)
    return spoken < LEAST or (bool(before) and spoken < 2 * LEAST and len(_WORD.findall(after)) < LEAST)


def _negated(words: Sequence[str]) -> re.Pattern[str]:
    """As in "you asked about soap, not about sailing", or "sailing aside"."""
    word = "|".join(map(re.escape, words))
    return re.compile(rf"(?:,\s|\band\s)(?:not|never)\s(?:\w+\s)?(?:{word})(?!\w)|\b(?:{word})\saside\b", re.IGNORECASE)


def _listed(text: str, words: Sequence[str]) -> bool:
    """One of the words is one of at least three things, the others of another kind."""
    word = rf"(?:{'|'.join(re.escape(plain(one)) for one in words)})"
    return any(
        re.search(pattern, text)
        for pattern in (
            rf"\w,\s(?:or\s|and\s)?(?:\w+\s)?{word}(?:\s\w+)?,?\s(?:or|and)\s",
            rf"\w,\s(?:\w+\s)?\w+,?\s(?:or|and)\s(?:\w+\s)?{word}(?!\w)",
            rf"(?<!\w){word},\s\w+,\s(?:or|and)\s\w",
        )
    )
