"""What can be recomputed in a sentence: counts, rates with n, means with standard deviations, intervals.

Two that are compared are one claim, and a claim is written as `parse_claim` reads it.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Literal

from doxa.claims import patterns

Kind = Literal[
    "rate", "comparison", "p-value", "interval", "mean", "spread", "sample", "no difference", "significance",
    "error bars", "average",
]  # fmt: skip
_UNITS = {"%": "%", "p": " points"}
_ANOTHER = 10  # points between a rate and a count that are not about the same thing
_NEAR = 100
_LARGEST_DAY = 31  # a larger second number is no day, so `14/520` is no date


@dataclass(frozen=True)
class Part:
    """A claim in the making, with its place in the sentence."""

    kind: Kind
    start: int
    end: int
    claim: str | None
    questions: tuple[str, ...] = ()
    n: int | None = None


def claims_in(sentence: str) -> Iterator[Part]:
    """Everything of a sentence that can be recomputed, or says too little for that; in the order of its kinds."""
    counts = list(_counts(sentence))
    taken = bytearray(len(sentence))  # 1 where something has been read
    take(taken, ((part.start, part.end) for part in counts))
    yield from _joined(sentence, counts, "comparison")
    for pattern in (patterns.INTERVAL, patterns.BRACKETS):
        for found in pattern.finditer(sentence):
            if not overlaps(taken, found.span()):
                part = _interval(sentence, found)
                if part is not None:
                    take(taken, [found.span()])
                    yield part
    means = [_mean(sentence, found) for found in patterns.MEAN.finditer(sentence) if not overlaps(taken, found.span())]
    take(taken, ((part.start, part.end) for part in means))
    yield from _joined(sentence, means, "mean")
    spreads = [
        _spread(sentence, found) for found in patterns.SPREAD.finditer(sentence) if not overlaps(taken, found.span())
    ]
    take(taken, ((part.start, part.end) for part in spreads))
    yield from _joined(sentence, spreads, "mean")
    if not counts:
        yield from _rates_with_n(sentence, taken)


def _counts(sentence: str) -> Iterator[Part]:
    """Counts such as `14/520`; `14 out of 520`; `2.7% (14/520)`."""
    candidates = [found for found in patterns.COUNT.finditer(sentence) if _is_count(sentence, found)]
    for found in candidates:
        k, n = whole(found["k"] or found["of_k"]), whole(found["n"] or found["of_n"])
        rate = found["before"] or found["after"]
        beside = rate is not None and abs(float(rate.replace(",", "")) - 100 * k / n) <= _ANOTHER
        yield Part(
            "rate", found.start(), found.end(), f"{_plain(rate)}% ({k}/{n})" if rate and beside else f"{k}/{n}", n=n
        )


def _is_count(sentence: str, found: re.Match[str]) -> bool:
    k, n = whole(found["k"] or found["of_k"]), whole(found["n"] or found["of_n"])
    if found["before"] or found["after"]:
        return n > 0
    start = found.start()
    if found["k"] and found["blank"] and not patterns.DIRECTLY.search(sentence):
        return False  # `12 / 40` in a list of figures
    if k > n or n < 2 or patterns.NOT_A_COUNT.search(sentence[max(0, start - 20) : start]):
        return False
    counted = patterns.COUNTED.match(sentence, found.end()) is not None
    halves = k == n == 50
    year = 1900 <= n <= 2100 and (k <= _LARGEST_DAY or k >= 1900)
    if found["k"]:
        beside = sentence[max(0, start - 16) : start] + "|" + sentence[found.end() : found.end() + 16]
        compared = patterns.DIRECTLY.search(beside) is not None
        return counted or ((n > _LARGEST_DAY or compared) and not year and not halves)
    in_figures = found["of_n"][0].isdigit()
    return counted or (in_figures and not year and (found["out"] is not None or n > _LARGEST_DAY))


def _joined(sentence: str, parts: list[Part], kind: Kind) -> Iterator[Part]:
    """Two that are compared become one claim; the others stay alone."""
    i = 0
    while i < len(parts):
        if i + 1 < len(parts):
            one, other = parts[i], parts[i + 1]
            between = sentence[one.end : other.start]
            directly = len(between) <= 40 and patterns.DIRECTLY.search(between) is not None
            alone = len(parts) == 2 and len(between) <= _NEAR and patterns.COMPARED.search(between) is not None
            if one.claim and other.claim and (directly or alone):
                paired = one.n is not None and one.n == other.n and says(patterns.PAIRED, sentence)
                claim = f"{one.claim} vs {other.claim}{' paired' if paired else ''}"
                yield Part(kind, one.start, other.end, claim, tuple(dict.fromkeys(one.questions + other.questions)))
                i += 2
                continue
        yield parts[i]
        i += 1


def _interval(sentence: str, found: re.Match[str]) -> Part | None:
    value, low, high = (_number(found[name]) if found[name] else None for name in ("value", "low", "high"))
    assert low is not None
    assert high is not None
    named = "level" in found.re.groupindex
    if not named and (value is None or not low <= value <= high or "." not in found["low"] + found["high"]):
        return None  # `[3, 5]` behind a number is a citation
    if named and low > high and "-" in sentence[found.start("low") : found.end()]:
        return None
    questions = () if says(patterns.OVER_UNITS, sentence) else ("interval without a unit",)
    start = found.start()
    before = sentence[max(0, start - _NEAR) : found.start("low")]
    if patterns.OTHER_SCALE.search(before) or patterns.NOT_AN_ESTIMATE.search(sentence[max(0, start - 12) : start]):
        return Part("interval", start, found.end(), None, questions)
    level = found["level"] if named else None
    unit = _UNITS.get((found["unit"] or "").lower()[:1], "")
    before = "" if value is None else f"{_plain(found['value'])}{unit} "
    claim = f"{before}{f'{level}% CI ' if level else ''}[{_plain(found['low'])}, {_plain(found['high'])}]"
    return Part("interval", start, found.end(), claim, questions)


def _mean(sentence: str, found: re.Match[str]) -> Part:
    n = found["n"]
    if n is None:
        sizes = [size["n"] for size in islice(patterns.SAMPLE.finditer(sentence), 2)]
        n = sizes[0] if len(sizes) == 1 else None
    claim = f"M={_plain(found['mean'])} SD={_plain(found['sd'])} n={whole(n)}" if n else None
    questions = () if n else ("mean without n",)
    return Part("mean", found.start(), found.end(), claim, questions)


def _spread(sentence: str, found: re.Match[str]) -> Part:
    named = found["kind"] is not None or says(patterns.SPREAD_KIND, sentence)
    over = says(patterns.OVER_UNITS, sentence)
    questions = [] if named else ["spread without a name"]
    questions += [] if over or found["n"] else ["spread without a unit"]
    kind = (found["kind"] or "").replace(".", "").upper()[:2]
    claim = None
    if kind and found["n"]:
        claim = f"M={_plain(found['mean'])} {kind}={_plain(found['spread'])} n={whole(found['n'])}"
    return Part("spread", found.start(), found.end(), claim, tuple(questions))


def _rates_with_n(sentence: str, taken: bytearray) -> Iterator[Part]:
    """`2.7% vs 5.0%, n = 520 per tier`; `5.0% (n = 520)`. Which n belongs to which rate has to be clear."""
    rates = [found for found in patterns.PERCENT.finditer(sentence) if not overlaps(taken, found.span())]
    sizes = [found for found in patterns.SAMPLE.finditer(sentence) if not overlaps(taken, found.span())]
    if not sizes or not rates or len(rates) > 2 or len(sizes) > 2:
        return
    start, end = rates[0].start(), max(rates[-1].end(), sizes[-1].end())
    first, last = (f"{_plain(rate['rate'])}%" for rate in (rates[0], rates[-1]))
    n = [whole(size["n"]) for size in sizes]
    apart = sizes[0].start() - rates[-1].end() if len(n) == 1 else 0
    if not 0 <= apart <= _NEAR // 2:
        return
    if len(rates) == 1 and len(n) == 1:
        yield Part("rate", start, end, f"{first}, n={n[0]}")
    elif len(rates) == 2 and patterns.COMPARED.search(sentence[rates[0].end() : rates[1].start()]):
        if len(n) == 1 and says(patterns.EACH, sentence):
            yield Part("comparison", start, end, f"{first} vs {last}, n={n[0]}")
        elif len(n) == 1:
            yield Part("comparison", start, end, None, ("n of which arm",), n=n[0])
        elif rates[0].end() <= sizes[0].start() < rates[1].start() <= sizes[1].start():
            yield Part("comparison", start, end, f"{first}, n={n[0]} vs {last}, n={n[1]}")


@lru_cache(maxsize=64)
def says(pattern: re.Pattern[str], sentence: str) -> bool:
    """Whether a sentence has it anywhere: looked up once, however many statements ask."""
    return pattern.search(sentence) is not None


def take(taken: bytearray, spans: Iterable[tuple[int, int]]) -> None:
    """Mark stretches of a sentence as read."""
    for start, end in spans:
        taken[start:end] = b"\1" * (end - start)


def overlaps(taken: bytearray, span: tuple[int, int]) -> bool:
    """Whether something of a stretch has been read."""
    return 1 in taken[slice(*span)]


def whole(text: str) -> int:
    """A number of observations, in figures or in words."""
    word = text.lower()
    if word in ("zero", "none"):
        return 0
    return patterns.NUMBER_WORDS.get(word) or int(text.replace(",", ""))


def _plain(text: str) -> str:
    return text.replace("−", "-").replace("–", "-").replace(",", "").lstrip("+")


def _number(text: str) -> float:
    return float(_plain(text))
