"""Every statistical statement of a text, and of each the claim that can be recomputed.

Found are rates with their counts, p-values, intervals, means with standard deviations, spreads (`±`), small samples,
"no significant difference", "significantly", error bars and averages. What belongs together is put together sentence by
sentence: two counts that are compared are one claim, and a p-value belongs to the claim before it. Dates, versions,
pages, sampling parameters (`top p = 0.95`) and percentages without an n are not statements.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from doxa.claims import patterns
from doxa.claims.sentences import sentences
from doxa.claims.stated_claims import Kind, Part, claims_in, overlaps, says, take, whole

FEW = 12
"""So many observations or fewer are few: what they can carry is said."""


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


def _reported(sentence: str, tested: bool) -> list[tuple[Part, str | None]]:
    """The parts of a sentence, and of each the p-value that is reported for it."""
    claims = sorted(claims_in(sentence), key=lambda part: part.start)
    ps = list(_p_values(sentence))
    of: dict[int, list[str]] = {}
    loose: list[Part] = []
    comparable = [i for i, part in enumerate(claims) if _has_null(part)]
    for start, end, said in ps:
        before = [i for i in comparable if claims[i].start <= start]
        owner = comparable[0] if len(comparable) == 1 else before[-1] if before else None
        if owner is None:
            questions = (
                ("p above one",) if float(re.split("[<>=]", said)[1]) > 1 else () if tested else ("p without a test",)
            )
            loose.append(Part("p-value", start, end, None, questions))
        else:
            of.setdefault(owner, []).append(said)
    others = [*loose, *_words(sentence, bool(ps), bool(claims))]
    parts: list[tuple[Part, str | None]] = [(part, None) for part in others]
    # Of two p-values for one claim none is the reported one.
    parts += [(part, of[i][0] if len(of.get(i, ())) == 1 else None) for i, part in enumerate(claims)]
    return sorted(parts, key=lambda pair: (pair[0].start, pair[0].end))


def _has_null(part: Part) -> bool:
    """Whether a p beside it is about it; what one rate or mean is tested against is not said."""
    return part.claim is not None and (part.kind not in ("rate", "mean", "spread") or " vs " in part.claim)


def _p_values(sentence: str) -> Iterator[tuple[int, int, str]]:
    if says(patterns.LEGEND, sentence):
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
        sides = "one-sided " if says(patterns.ONE_SIDED, sentence) else ""
        yield found.start(), found.end(), f"{sides}p{sign}{text}"


def _words(sentence: str, has_p: bool, has_claim: bool) -> Iterator[Part]:
    """What is stated in words, or without anything that could be recomputed."""
    denied = bytearray(len(sentence))
    for found in patterns.NO_DIFFERENCE.finditer(sentence):
        span = found.span()
        take(denied, [span])
        yield Part("no difference", *span, None, () if says(patterns.MARGIN, sentence) else ("no margin",))
    for found in patterns.SIGNIFICANT.finditer(sentence):
        if not overlaps(denied, found.span()):
            questions = () if has_p or has_claim else ("significant without a number",)
            yield Part("significance", *found.span(), None, questions)
    for found in patterns.ERROR_BARS.finditer(sentence):
        if says(patterns.DRAWN, sentence) and not patterns.NO_BARS.search(sentence[: found.start()][-60:]):
            questions = () if says(patterns.OVER_UNITS, sentence) else ("error bars without a unit",)
            yield Part("error bars", *found.span(), None, questions)
    for found in patterns.AVERAGED.finditer(sentence):
        yield Part("average", *found.span(), None, ("averaged",))
    for found in patterns.SAMPLE.finditer(sentence):
        if not patterns.NOT_UNITS.match(sentence, found.end()):
            n = whole(found["n"])
            yield Part("sample", *found.span(), None, _few(n), n)
    for found in patterns.FEW.finditer(sentence):
        n = patterns.NUMBER_WORDS.get(found["few"].lower()) or int(found["few"])
        sure = patterns.SURE_UNITS.fullmatch(found["unit"]) is not None
        if 2 <= n <= FEW and (sure or (not found["each"] and says(patterns.MEASURED, sentence))):
            yield Part("sample", found.start(), found.end("unit"), None, _few(n), n)


def _few(n: int) -> tuple[str, ...]:
    return ("few observations",) if 2 <= n <= FEW else ("one observation",) if n == 1 else ()


def _closed(text: str, start: int, end: int) -> int:
    """The end, behind the bracket that closes one which was opened."""
    closing = {"(": ")", "[": "]"}
    open_bracket = next((one for one in reversed(text[start:end]) if one in "()[]"), "")
    return end + 1 if text[end : end + 1] == closing.get(open_bracket) else end


def _power(text: str) -> str:
    digits = text.translate(str.maketrans("⁻−–⁰¹²³⁴⁵⁶⁷⁸⁹", "---0123456789"))
    return digits.replace(" ", "")
