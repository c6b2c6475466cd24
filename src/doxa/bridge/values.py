"""One Inspect score as values with reasons: missing is a value, never a zero (law 6)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from inspect_ai.scorer import CORRECT, INCORRECT, NOANSWER, PARTIAL, Score

_WORDS = {CORRECT: 1.0, PARTIAL: 0.5, INCORRECT: 0.0}
_YES_NO = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
_SHOWN = 60


@dataclass(frozen=True)
class SampleScore:
    """A score of a sample: its value, or why it has none."""

    score: str
    value: float | None
    reason: str = ""


def scores_of(scorer: str, score: Score, *, plain: bool) -> list[SampleScore]:
    """Take an Inspect score apart.

    Numbers, truth values and Inspect's letters become numbers as Inspect's own `value_to_float` has it; what that would
    turn into 0 without an answer (its letter N) or with a warning is missing here.

    Args:
        scorer: Name of the scorer.
        score: What it gave; a mapping is one score per key.
        plain: Whether the keys of a mapping are the names of the scores, as in our logs; `scorer/key` otherwise.
    """
    reasons = (score.metadata or {}).get("reasons", {})
    reasons = reasons if isinstance(reasons, Mapping) else {}
    fallback = score.reason or "no value"
    if not isinstance(score.value, Mapping):
        return [_score(scorer, score.value, str(reasons.get(scorer, fallback)))]
    prefix = "" if plain else f"{scorer}/"
    return [
        _score(f"{prefix}{key}", score.value.get(key), str(reasons.get(key, fallback)))
        for key in dict.fromkeys([*score.value, *map(str, reasons)])
    ]


def _score(name: str, value: object, reason: str) -> SampleScore:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return SampleScore(name, None, reason)
    if isinstance(value, str):
        return _from_text(name, value, reason)
    if not isinstance(value, int | float):
        return SampleScore(name, None, f"a {type(value).__name__}, not a number")
    return _finite(name, float(value), str(value))


def _from_text(name: str, text: str, reason: str) -> SampleScore:
    if text == NOANSWER:
        return SampleScore(name, None, "no answer")
    if text in _WORDS:
        return SampleScore(name, _WORDS[text])
    if text.lower() in _YES_NO:
        return SampleScore(name, _YES_NO[text.lower()])
    try:
        value = float(text)
    except ValueError:
        shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
        return SampleScore(name, None, f"not a number: {shown!r}" if text.strip() else reason)
    return SampleScore(name, None, reason) if math.isnan(value) else _finite(name, value, text)


def _finite(name: str, value: float, shown: str) -> SampleScore:
    if math.isfinite(value):
        return SampleScore(name, value)
    return SampleScore(name, None, f"not finite: {shown[:_SHOWN]}")
