"""The words and numbers of a claim, in order.

A line is read strictly. Every word of it must be understood, because a number that is passed over, or taken for another
one, would give a wrong answer with three decimals. No pattern repeats inside a repetition: time is linear in the text.
"""

import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal

from doxa.claims.stated import Printed
from doxa.words.errors import ClaimError

LONGEST = 500
"""Characters of a claim."""
NUMBER = r"[-+]?(?:(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+)(?:e[-+]?[0-9]{1,4})?"
IS = r"\s*(?:=|:|\bof\b|\bis\b)?\s*"
TOKENS = re.compile(
    rf"""
    (?P<ratio>\b(?:odds|risk|hazard|rate)\s+ratios?\b{IS}|\brelative\s+risks?\b{IS}|\b(?-i:OR|RR|HR|IRR)\b{IS})
    |(?P<ns>\bn\.s\.?|\bns\b|\bnot\s+(?:statistically\s+)?significant\b|\bno\s+significant\s+difference\b)
    |(?P<sides>\b(?:one|two|1|2)-?\s?(?:sided|tailed)\b)
    |\bp(?:-?\s?values?)?\s*(?P<relation>=|<=|>=|<|>|≤|≥|≈|~|:|\bof\b|\bis\b)\s*(?P<p>{NUMBER})
    |(?P<unpaired>\bunpaired\b|\bindependent\b)
    |(?P<paired>\bpaired\b|\bsame\s+(?:items|prompts|questions|scenarios)\b)
    |(?:(?P<level>[0-9]{{1,3}}(?:\.[0-9]+)?)\s*%\s*)?(?P<ci>\bci\b|\bconfidence\s+interval\b){IS}
        (?P<ci_low_bare>{NUMBER})\s*(?P<ci_unit_low_bare>%?)\s*(?:,|;|\bto\b|-)\s*(?P<ci_high_bare>{NUMBER})\s*(?P<ci_unit_bare>%?)
    |(?:(?:(?P<level_of>[0-9]{{1,3}}(?:\.[0-9]+)?)\s*%\s*)?(?:\bci\b|\bconfidence\s+interval\b){IS})?
        [\[(]\s*(?P<low>{NUMBER})\s*(?P<unit_low>%?)\s*(?:,|;|\bto\b|-)\s*(?P<high>{NUMBER})\s*(?P<unit>%?)\s*[\])]
    |(?:\bsd\b|\bs\.d\.|\bstd\b|\bstandard\s+deviation\b){IS}(?P<sd>{NUMBER})
    |(?:\bsem?\b|\bs\.e\.(?:m\.)?|\bstandard\s+error\b){IS}(?P<se>{NUMBER})
    |(?:±|\+/-)\s*(?P<either>{NUMBER})(?P<either_is>\s*(?:sd|sem?)\b)?
    |(?:\bm\b|\bmean\b|\baverage\b){IS}(?P<mean>{NUMBER})
    |\bn(?:_?[12])?\s*(?:=|:|\bof\b)\s*(?P<n>{NUMBER})(?:\s*(?:\band\b|&)\s*(?P<m>{NUMBER})(?!\s*[%/.]))?
    |(?:\bgap\b|\bdifference\b){IS}(?P<gap_in_percent>{NUMBER})\s*%(?!-?points?)
    |(?:(?:\bgap\b|\bdifference\b){IS})?(?P<gap>{NUMBER})\s*(?:percentage\s+points?|%-?points?|points?|pp)\b
    |(?P<rate_of>{NUMBER})\s*(?:%|\bpercent\b)\s*of\s+(?P<rate_n>{NUMBER})
    |(?P<events>{NUMBER})\s*(?:/|\bof\b|\bout\s+of\b)\s*(?P<of>{NUMBER})(?!\s*%)
    |(?P<rate>{NUMBER})\s*(?:%|\bpercent\b)
    |(?P<number>{NUMBER})
    |(?P<filler>(?<![a-z])vs?\.?(?![a-z])|\b(?:versus|against|compared|relative|with|to|than|and|per|each|both|in|from|for|tier|tiers|arm|arms
        |group|groups|condition|conditions|prompts|items|questions|runs|samples|episodes|scenarios|gap|difference|rate
        |rates)\b\.?)
    |(?P<space>\s+|[,;:()\[\]/=→]|-(?=\s))
    """,
    re.VERBOSE | re.IGNORECASE,
)
WAY_OUT = (
    "Write the numbers alone, such as `26/520 vs 14/520`, `5.0% vs 2.7%, n=520` or "
    "`M=5.2 SD=1.1 n=30 vs M=4.8 SD=1.3 n=28`"
)


@dataclass(frozen=True)
class Token:
    """One token, with the characters between it and the token before that has a number."""

    kind: str
    parts: dict[str, str]
    between: str


def tokens_of(text: str) -> list[Token]:
    """Every token that carries something.

    Raises:
        ClaimError: At the first characters that no pattern knows.
    """
    found: list[Token] = []
    place, last = 0, 0
    while place < len(text):
        match = TOKENS.match(text, place)
        if match is None or match.end() == place:
            raise ClaimError(f"{short(text[place:])!r} in the claim, which is not understood", way_out=WAY_OUT)
        kind = _kind(match)
        if kind not in ("filler", "space"):
            parts = {name: value for name, value in match.groupdict().items() if value is not None}
            for name in ("gap_in_percent", "either"):
                if name in parts:
                    parts[kind] = parts.pop(name)
            found.append(Token(kind, parts, text[last : match.start()]))
            last = match.end()
        place = match.end()
    return found


def _kind(match: re.Match[str]) -> str:
    groups = {name for name, value in match.groupdict().items() if value is not None}
    if groups & {"low", "ci_low_bare"}:
        return "interval"
    if "gap_in_percent" in groups:
        return "gap"
    order = ("ratio", "ns", "sides", "p", "unpaired", "paired", "sd", "se", "mean", "n", "gap", "rate_of", "events")
    kind = next((name for name in (*order, "rate", "number", "filler", "space") if name in groups), "either")
    if kind == "either" and match.group("either_is"):
        return "sd" if match.group("either_is").strip().lower() == "sd" else "se"
    return kind


def plain(text: str) -> str:
    """Typographic signs as the plain ones: minus, dashes, thin spaces, full-width characters."""
    if len(text) > LONGEST:
        raise ClaimError(
            f"a claim of {len(text):,} characters", expected=f"at most {LONGEST}", way_out="Check one claim at a time"
        )
    ranges = re.sub(r"(?<=[0-9%])\s?[\u2013\u2014](?=[0-9.])", " to ", unicodedata.normalize("NFKC", text))
    return re.sub(r"[\u2010-\u2015\u2212]", "-", ranges).replace("**", "").replace("$", "")


def printed(text: str, scale: float = 1.0) -> Printed:
    """A number with its decimals; a scale of 0.01 is percent."""
    value = Decimal(text.replace(",", ""))
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int)
    shift = 2 if scale == 0.01 else 0
    if value.adjusted() > 15:
        raise ClaimError(f"the number {short(text)}", expected="one below 10^15", way_out="Correct the claim")
    decimals = min(60, max(0, -exponent + shift))
    return Printed(float(value.scaleb(-shift)), float(f"5e-{decimals + 1}"))


def whole(text: str) -> int:
    """A count.

    Raises:
        ClaimError: When it is not a whole number, negative, or far too large.
    """
    value = Decimal(text.replace(",", ""))
    if value.adjusted() > 15 or value != value.to_integral_value() or value < 0:
        raise ClaimError(
            f"the count {short(text)}",
            expected="a whole number that is not negative, at most 1,000,000,000",
            way_out="Correct the counts of the claim",
        )
    return int(value)


def short(text: str) -> str:
    """The beginning of a text, for a message."""
    return text if len(text) <= 40 else text[:40] + "…"
