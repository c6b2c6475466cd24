"""Every statistical statement of a text, and of each the claim that can be recomputed.

Found are rates with their counts, p-values, intervals, means with standard deviations, spreads (`±`), small samples,
"no significant difference", "significantly", error bars and averages. What belongs together is put together sentence by
sentence: two counts that are compared are one claim, and a p-value belongs to the claim before it. Dates, versions,
pages, sampling parameters (`top p = 0.95`) and percentages without an n are not statements.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Literal

from doxa.stats import patterns
from doxa.stats.sentences import sentences

Kind = Literal[
    "rate", "comparison", "p-value", "interval", "mean", "spread", "sample", "no difference", "significance",
    "error bars", "average",
]  # fmt: skip
FEW = 12
"""So many observations or fewer are few: what they can carry is said."""
_UNITS = {"%": "%", "p": " points"}
_NEAR = 150
_LARGEST_DAY = 31  # a larger second number is no day, so `14/520` is no date


@dataclass(frozen=True)
class Statement:
    """One statistical statement.

    Attributes:
        kind: What it states.
        text: As it is written.
        start: Its first character in the text.
        end: Behind its last one.
        sentence: Where the sentence starts and ends that it stands in.
        claim: What can be recomputed, as `parse_claim` reads it. None when too little is said for that.
        reported: The p-value that belongs to the claim, `p=.053`. None when there is none.
        questions: Names of the questions that a careful referee asks (`data/referee/questions.md`).
        n: Number of observations, where a question is about it. None otherwise.
    """

    kind: Kind
    text: str
    start: int
    end: int
    sentence: tuple[int, int]
    claim: str | None = None
    reported: str | None = None
    questions: tuple[str, ...] = ()
    n: int | None = None


@dataclass(frozen=True)
class _Part:
    """A claim in the making, with its place in the sentence."""

    kind: Kind
    start: int
    end: int
    claim: str | None
    questions: tuple[str, ...] = ()
    n: int | None = None


def find_statements(text: str) -> tuple[Statement, ...]:
    """Find the statistical statements of one paragraph, in the order of the text.

    Takes time in proportion to the length of the text, whatever it holds.

    Args:
        text: One paragraph of plain text.
    """
    tested = patterns.TESTS.search(text) is not None
    found: list[Statement] = []
    for start, end in sentences(text):
        sentence = text[start:end]
        if not patterns.TRIGGER.search(sentence):
            continue
        for part, reported in _reported(sentence, tested):
            where = (start + part.start, _closed(text, start + part.start, start + part.end))
            found.append(
                Statement(
                    kind=part.kind,
                    text=text[slice(*where)],
                    start=where[0],
                    end=where[1],
                    sentence=(start, end),
                    claim=part.claim,
                    reported=reported,
                    questions=part.questions,
                    n=part.n,
                )
            )
    return tuple(found)


def _reported(sentence: str, tested: bool) -> list[tuple[_Part, str | None]]:
    """The parts of a sentence, and of each the p-value that is reported for it."""
    claims = sorted(_claims(sentence), key=lambda part: part.start)
    ps = list(_p_values(sentence))
    of: dict[int, list[str]] = {}
    loose: list[_Part] = []
    comparable = [i for i, part in enumerate(claims) if part.kind != "rate" and part.claim is not None]
    for start, end, said in ps:
        before = [i for i in comparable if claims[i].start <= start]
        owner = comparable[0] if len(comparable) == 1 else before[-1] if before else None
        if owner is None:
            questions = (
                ("p above one",) if float(re.split("[<>=]", said)[1]) > 1 else () if tested else ("p without a test",)
            )
            loose.append(_Part("p-value", start, end, None, questions))
        else:
            of.setdefault(owner, []).append(said)
    others = [*loose, *_words(sentence, bool(ps), bool(claims))]
    parts: list[tuple[_Part, str | None]] = [(part, None) for part in others]
    # Of two p-values for one claim none is the reported one.
    parts += [(part, of[i][0] if len(of.get(i, ())) == 1 else None) for i, part in enumerate(claims)]
    return sorted(parts, key=lambda pair: (pair[0].start, pair[0].end))


def _claims(sentence: str) -> Iterator[_Part]:
    counts = list(_counts(sentence))
    taken = bytearray(len(sentence))  # 1 where something has been read
    _take(taken, ((part.start, part.end) for part in counts))
    yield from _joined(sentence, counts, "comparison")
    for pattern in (patterns.INTERVAL, patterns.BRACKETS):
        for found in pattern.finditer(sentence):
            if not _overlaps(taken, found.span()):
                part = _interval(sentence, found)
                if part is not None:
                    _take(taken, [found.span()])
                    yield part
    means = [_mean(sentence, found) for found in patterns.MEAN.finditer(sentence) if not _overlaps(taken, found.span())]
    _take(taken, ((part.start, part.end) for part in means))
    yield from _joined(sentence, means, "mean")
    spreads = [
        _spread(sentence, found) for found in patterns.SPREAD.finditer(sentence) if not _overlaps(taken, found.span())
    ]
    _take(taken, ((part.start, part.end) for part in spreads))
    yield from _joined(sentence, spreads, "mean")
    if not counts:
        yield from _rates_with_n(sentence, taken)


def _counts(sentence: str) -> Iterator[_Part]:
    """Counts such as `14/520`; `14 out of 520`; `2.7% (14/520)`."""
    candidates = [found for found in patterns.COUNT.finditer(sentence) if _is_count(sentence, found)]
    for found in candidates:
        k, n = _whole(found["k"] or found["of_k"]), _whole(found["n"] or found["of_n"])
        rate = found["before"] or found["after"]
        claim = f"{rate}% ({k}/{n})" if rate else f"{k}/{n}"
        yield _Part("rate", found.start(), found.end(), claim, n=n)


def _is_count(sentence: str, found: re.Match[str]) -> bool:
    k, n = _whole(found["k"] or found["of_k"]), _whole(found["n"] or found["of_n"])
    if found["before"] or found["after"]:
        return n > 0
    start = found.start()
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


def _joined(sentence: str, parts: list[_Part], kind: Kind) -> Iterator[_Part]:
    """Two that are compared become one claim; the others stay alone."""
    i = 0
    while i < len(parts):
        if i + 1 < len(parts):
            one, other = parts[i], parts[i + 1]
            between = sentence[one.end : other.start]
            directly = len(between) <= 40 and patterns.DIRECTLY.search(between) is not None
            alone = len(parts) == 2 and len(between) <= _NEAR and patterns.COMPARED.search(between) is not None
            if one.claim and other.claim and (directly or alone):
                paired = one.n is not None and one.n == other.n and _says(patterns.PAIRED, sentence)
                claim = f"{one.claim} vs {other.claim}{' paired' if paired else ''}"
                yield _Part(kind, one.start, other.end, claim, tuple(dict.fromkeys(one.questions + other.questions)))
                i += 2
                continue
        yield parts[i]
        i += 1


def _interval(sentence: str, found: re.Match[str]) -> _Part | None:
    value, low, high = (_number(found[name]) if found[name] else None for name in ("value", "low", "high"))
    assert low is not None
    assert high is not None
    named = "level" in found.re.groupindex
    if not named and (value is None or not low <= value <= high or "." not in found["low"] + found["high"]):
        return None  # `[3, 5]` behind a number is a citation
    if named and low > high and "-" in sentence[found.start("low") : found.end()]:
        return None
    questions = () if _says(patterns.OVER_UNITS, sentence) else ("interval without a unit",)
    start = found.start()
    level = found["level"] if named else None
    unit = _UNITS.get((found["unit"] or "").lower()[:1], "")
    before = "" if value is None else f"{_plain(found['value'])}{unit} "
    claim = f"{before}{f'{level}% CI ' if level else ''}[{_plain(found['low'])}, {_plain(found['high'])}]"
    return _Part("interval", start, found.end(), claim, questions)


def _mean(sentence: str, found: re.Match[str]) -> _Part:
    n = found["n"]
    if n is None:
        sizes = [size["n"] for size in islice(patterns.SAMPLE.finditer(sentence), 2)]
        n = sizes[0] if len(sizes) == 1 else None
    claim = f"M={_plain(found['mean'])} SD={_plain(found['sd'])} n={_whole(n)}" if n else None
    questions = () if n else ("mean without n",)
    return _Part("mean", found.start(), found.end(), claim, questions)


def _spread(sentence: str, found: re.Match[str]) -> _Part:
    named = found["kind"] is not None or _says(patterns.SPREAD_KIND, sentence)
    over = _says(patterns.OVER_UNITS, sentence)
    questions = [] if named else ["spread without a name"]
    questions += [] if over or found["n"] else ["spread without a unit"]
    kind = (found["kind"] or "").replace(".", "").upper()[:2]
    claim = None
    if kind and found["n"]:
        claim = f"M={_plain(found['mean'])} {kind}={_plain(found['spread'])} n={_whole(found['n'])}"
    return _Part("spread", found.start(), found.end(), claim, tuple(questions))


def _rates_with_n(sentence: str, taken: bytearray) -> Iterator[_Part]:
    """`2.7% vs 5.0%, n = 520 per tier`; `5.0% (n = 520)`. Which n belongs to which rate has to be clear."""
    rates = [found for found in patterns.PERCENT.finditer(sentence) if not _overlaps(taken, found.span())]
    sizes = [found for found in patterns.SAMPLE.finditer(sentence) if not _overlaps(taken, found.span())]
    if not sizes or not rates or len(rates) > 2 or len(sizes) > 2:
        return
    start, end = rates[0].start(), max(rates[-1].end(), sizes[-1].end())
    first, last = (f"{_plain(rate['rate'])}%" for rate in (rates[0], rates[-1]))
    n = [_whole(size["n"]) for size in sizes]
    if len(rates) == 1 and len(n) == 1:
        yield _Part("rate", start, end, f"{first}, n={n[0]}")
    elif len(rates) == 2 and patterns.COMPARED.search(sentence[rates[0].end() : rates[1].start()]):
        if len(n) == 1 and _says(patterns.EACH, sentence):
            yield _Part("comparison", start, end, f"{first} vs {last}, n={n[0]}")
        elif len(n) == 1:
            yield _Part("comparison", start, end, None, ("n of which arm",), n=n[0])
        elif rates[0].end() <= sizes[0].start() < rates[1].start() <= sizes[1].start():
            yield _Part("comparison", start, end, f"{first}, n={n[0]} vs {last}, n={n[1]}")


def _p_values(sentence: str) -> Iterator[tuple[int, int, str]]:
    if _says(patterns.LEGEND, sentence):
        return
    for found in patterns.P_VALUE.finditer(sentence):
        if patterns.NOT_A_P.search(sentence[max(0, found.start() - 25) : found.start()]):
            continue
        digits = found["digits"].replace("−", "-")
        power = found["power"] or found["exponent"] or ""
        raised = found["raised"] or found["superscript"] or ""
        if raised and digits != "10":
            continue
        text = f"1e{_power(raised)}" if raised else digits + (f"e{_power(power)}" if power else "")
        if "." not in digits and not power and not raised and float(digits) != 1:
            continue  # `p = 12` is a page, or a variable
        relation = found["second"] or found["relation"]
        sign = "<" if relation.startswith(("<", "≤", "\\l")) else ">" if relation.startswith((">", "≥", "\\g")) else "="
        sides = "one-sided " if _says(patterns.ONE_SIDED, sentence) else ""
        yield found.start(), found.end(), f"{sides}p{sign}{text}"


def _words(sentence: str, has_p: bool, has_claim: bool) -> Iterator[_Part]:
    """What is stated in words, or without anything that could be recomputed."""
    denied = bytearray(len(sentence))
    for found in patterns.NO_DIFFERENCE.finditer(sentence):
        span = found.span()
        _take(denied, [span])
        yield _Part("no difference", *span, None, () if _says(patterns.MARGIN, sentence) else ("no margin",))
    for found in patterns.SIGNIFICANT.finditer(sentence):
        if not _overlaps(denied, found.span()):
            questions = () if has_p or has_claim else ("significant without a number",)
            yield _Part("significance", *found.span(), None, questions)
    for found in patterns.ERROR_BARS.finditer(sentence):
        questions = () if _says(patterns.OVER_UNITS, sentence) else ("error bars without a unit",)
        yield _Part("error bars", *found.span(), None, questions)
    for found in patterns.AVERAGED.finditer(sentence):
        yield _Part("average", *found.span(), None, ("averaged",))
    for found in patterns.SAMPLE.finditer(sentence):
        if not patterns.NOT_UNITS.match(sentence, found.end()):
            n = _whole(found["n"])
            yield _Part("sample", *found.span(), None, _few(n), n)
    for found in patterns.FEW.finditer(sentence):
        n = patterns.NUMBER_WORDS.get(found["few"].lower()) or int(found["few"])
        sure = patterns.SURE_UNITS.fullmatch(found["unit"]) is not None
        if 2 <= n <= FEW and (sure or (not found["each"] and _says(patterns.MEASURED, sentence))):
            yield _Part("sample", found.start(), found.end("unit"), None, _few(n), n)


def _few(n: int) -> tuple[str, ...]:
    return ("few observations",) if 2 <= n <= FEW else ("one observation",) if n == 1 else ()


def _closed(text: str, start: int, end: int) -> int:
    """The end, behind the bracket that closes one which was opened."""
    closing = {"(": ")", "[": "]"}
    open_bracket = next((one for one in reversed(text[start:end]) if one in "()[]"), "")
    return end + 1 if text[end : end + 1] == closing.get(open_bracket) else end


@lru_cache(maxsize=64)
def _says(pattern: re.Pattern[str], sentence: str) -> bool:
    """Whether a sentence has it anywhere: looked up once, however many statements ask."""
    return pattern.search(sentence) is not None


def _take(taken: bytearray, spans: Iterable[tuple[int, int]]) -> None:
    for start, end in spans:
        taken[start:end] = b"\1" * (end - start)


def _overlaps(taken: bytearray, span: tuple[int, int]) -> bool:
    return 1 in taken[slice(*span)]


def _whole(text: str) -> int:
    word = text.lower()
    if word in ("zero", "none"):
        return 0
    return patterns.NUMBER_WORDS.get(word) or int(text.replace(",", ""))


def _plain(text: str) -> str:
    return text.replace("−", "-").replace("–", "-").replace(",", "").lstrip("+")


def _number(text: str) -> float:
    return float(_plain(text))


def _power(text: str) -> str:
    digits = text.translate(str.maketrans("⁻−–⁰¹²³⁴⁵⁶⁷⁸⁹", "---0123456789"))
    return digits.replace(" ", "")
