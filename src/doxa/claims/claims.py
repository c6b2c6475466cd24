"""A published claim: its numbers as data, and how they are read from a line of text."""

import math
import re
from dataclasses import dataclass
from typing import Literal

from doxa.claims.claim_tokens import NUMBER, WAY_OUT, Token, plain, printed, short, tokens_of, whole
from doxa.claims.stated import Gap, Mean, Printed, Proportion, Relation, ReportedP, StatedInterval, Unit
from doxa.words.errors import ClaimError


@dataclass(frozen=True)
class Claim:
    """A published statistical claim.

    Attributes:
        text: The line it was read from.
        groups: One or two rates, or one or two means; empty when only a gap or an interval is stated.
        gap: A difference of rates whose rates are not stated.
        interval: A printed interval.
        reported: The reported p-value.
        paired: Whether the same items were used in both groups; None when it is not said.
        margin: The largest difference that would count as none, stated beforehand: percentage points for rates, the
            units of the score for means.
        level: Level of the intervals that are computed.
    """

    text: str
    groups: tuple[Proportion, ...] | tuple[Mean, ...]
    gap: Gap | None
    interval: StatedInterval | None
    reported: ReportedP | None
    paired: bool | None
    margin: float | None
    level: float

    def __post_init__(self) -> None:
        if not 0.5 <= self.level <= 0.999:
            raise ClaimError(f"a level of {self.level:g}", expected="one from .5 to .999", way_out="Write --level .95")
        if self.margin is not None and not (math.isfinite(self.margin) and self.margin > 0):
            raise ClaimError(f"a margin of {self.margin:g}", expected="a number above 0", way_out="Write --margin 2")
        if len(self.groups) > 2:
            raise ClaimError(f"{len(self.groups)} groups", expected="one or two", way_out="Check two at a time")
        if not self.groups and self.gap is None and self.interval is None:
            raise ClaimError("nothing that can be recomputed", expected="rates, means or an interval", way_out=WAY_OUT)
        if self.paired and len(self.groups) == 2 and self.groups[0].n != self.groups[1].n:
            raise ClaimError(
                f"pairs of {self.groups[0].n} and {self.groups[1].n} observations",
                expected="as many in both groups",
                way_out="Correct the n, or say that the groups are unpaired",
            )


def parse_claim(
    text: str,
    reported: str | None = None,
    *,
    paired: bool | None = None,
    margin: float | None = None,
    level: float = 0.95,
) -> Claim:
    """Read a claim from a line of text.

    Args:
        text: Such as `26/520 vs 14/520`, `5.0% vs 2.7%, n=520`, `3.9% (20/520) vs 1.9% (10/520)`, `M=5.2 SD=1.1 n=30
            vs M=4.8 SD=1.3 n=28`, `2.1 [0.3, 3.9]`, `gap of 2.0 points, n=520`. It may hold the p-value, and whether
            the groups are paired.
        reported: The reported p-value, such as `p=0.053`, `p<.001`, `n.s.`
        paired: Whether the groups are paired; None when it is not said.
        margin: See `Claim`.
        level: Level of the intervals that are computed.

    Raises:
        ClaimError: When something in it is not understood, or cannot be true.
    """
    tokens = tokens_of(plain(text))
    said = [one.kind == "paired" for one in tokens if one.kind in ("paired", "unpaired")]
    own = _reported(tokens)
    given = parse_reported(reported) if reported is not None else None
    if own is not None and given is not None and (own.value, own.relation) != (given.value, given.relation):
        raise ClaimError(
            f"two p-values, {own.relation} {own.value:g} and {given.relation} {given.value:g}", way_out="Leave one out"
        )
    if len({*said, *([] if paired is None else [paired])}) > 1:
        raise ClaimError("groups that are paired and unpaired", way_out="Say one of them")
    gap, groups, value = _quantities(tokens)
    return Claim(
        text=" ".join(text.split()),
        groups=groups,
        gap=gap,
        interval=_interval(tokens, value, alone=gap is None and not groups),
        reported=given or own,
        paired=said[0] if said else paired,
        margin=margin,
        level=level,
    )


def parse_reported(text: str) -> ReportedP:
    """Read a reported p-value: `p=0.053`, `.053`, `p < .001`, `n.s.`, `one-sided p = .03`.

    Raises:
        ClaimError: When it is none, or lies outside 0 to 1.
    """
    written = plain(text).strip()
    bare = re.fullmatch(rf"[=<>]?\s*{NUMBER}", written, re.IGNORECASE)
    found = tokens_of(f"p {'' if written[0] in '=<>' else '='} {written}" if bare else written)
    result = _reported(found)
    if result is None or any(one.kind not in ("p", "ns", "sides") for one in found):
        raise ClaimError(
            f"the reported value {short(text)!r}",
            expected="a p-value such as `p=0.053`, `p<.001` or `n.s.`",
            way_out="Correct --reported",
        )
    return result


def _quantities(tokens: list[Token]) -> tuple[Gap | None, tuple[Proportion, ...] | tuple[Mean, ...], Printed | None]:
    """What is compared: a gap, or groups; and a value that an interval may belong to."""
    kinds = [one.kind for one in tokens]
    sizes = _sizes(tokens)
    numbers = [printed(one.parts["number"]) for one in tokens if one.kind == "number"]
    has_interval = "interval" in kinds
    if "ratio" in kinds:
        raise ClaimError(
            "a ratio (of odds, risks or hazards)",
            expected="the rates or counts behind it",
            way_out="Give the counts, such as `26/520 vs 14/520`: a ratio alone does not say how many events it has",
        )
    if "either" in kinds:
        raise ClaimError(
            "a number after ± that may be a standard deviation, a standard error or half of an interval",
            way_out="Write SD=1.1, SE=1.1, or the interval as [0.3, 3.9]",
        )
    if "sd" in kinds or "se" in kinds:
        return None, _means(tokens, sizes, numbers), None
    if "gap" in kinds and not {"rate", "events", "rate_of"} & set(kinds):
        gaps = [printed(one.parts["gap"], 0.01) for one in tokens if one.kind == "gap"]
        _refuse_spare(numbers)
        if len(gaps) > 1:
            raise ClaimError(f"{len(gaps)} differences", expected="one", way_out="Check one at a time")
        if has_interval and not sizes:
            return None, (), gaps[0]
        return Gap(gaps[0], *_spread_over(sizes, 2, "two groups")), (), gaps[0]
    if "gap" in kinds:
        raise ClaimError("rates and a difference", expected="one of the two", way_out="Leave the difference out")
    rates = _merged(tokens)
    if not rates and sizes and not has_interval and 1 <= len(numbers) <= 2:
        rates, numbers = [(None, one, None) for one in numbers], []
        if any(rate is not None and not 0 <= rate.value <= 1 for _, rate, _ in rates):
            raise ClaimError("numbers above 1 or below 0 as rates", way_out="Write percent signs, or SD= for means")
    if has_interval and not sizes and len(rates) == 1 and rates[0][0] is None and rates[0][2] is None:
        _refuse_spare(numbers)
        return None, (), rates[0][1]
    if has_interval and not rates and len(numbers) == 1:
        return None, (), numbers[0]
    _refuse_spare(numbers)
    if not rates:
        return None, (), None
    return None, _proportions(rates, sizes), None


def _merged(tokens: list[Token]) -> list[tuple[int | None, Printed | None, int | None]]:
    """Count, rate and n of every group; a rate and a count that stand together are one group."""
    found: list[tuple[int | None, Printed | None, int | None]] = []
    for one in tokens:
        if one.kind == "events":
            events, n = whole(one.parts["events"]), whole(one.parts["of"])
            joined = found and found[-1][0] is None and found[-1][2] is None and _together(one.between)
            found[-1 if joined else len(found) :] = [(events, found[-1][1] if joined else None, n)]
        elif one.kind == "rate_of":
            found.append((None, printed(one.parts["rate_of"], 0.01), whole(one.parts["rate_n"])))
        elif one.kind == "rate":
            rate = printed(one.parts["rate"], 0.01)
            joined = found and found[-1][0] is not None and found[-1][1] is None and _together(one.between)
            found[-1 if joined else len(found) :] = [
                (found[-1][0], rate, found[-1][2]) if joined else (None, rate, None)
            ]
    return found


def _proportions(
    rates: list[tuple[int | None, Printed | None, int | None]], sizes: list[int]
) -> tuple[Proportion, ...]:
    open_ = [index for index, (_, _, n) in enumerate(rates) if n is None]
    if open_:
        filled = dict(zip(open_, _spread_over(sizes, len(open_), "the rates"), strict=True))
    else:
        filled = {}
        if any(size not in [n for _, _, n in rates] for size in sizes):
            raise ClaimError(f"n = {sizes[0]} beside counts of another n", way_out="Correct one of them")
    return tuple(Proportion(filled.get(index, n or 0), events, rate) for index, (events, rate, n) in enumerate(rates))


def _means(tokens: list[Token], sizes: list[int], numbers: list[Printed]) -> tuple[Mean, ...]:
    means = [printed(one.parts["mean"]) for one in tokens if one.kind == "mean"]
    if means:
        _refuse_spare(numbers)
    else:
        means = numbers
    spreads = [(one.kind, printed(one.parts[one.kind])) for one in tokens if one.kind in ("sd", "se")]
    others = {"events", "rate", "rate_of", "gap"} & {one.kind for one in tokens}
    if len(means) != len(spreads) or not 1 <= len(means) <= 2 or others:
        raise ClaimError(
            f"{len(means)} means and {len(spreads)} standard deviations{' beside rates' if others else ''}",
            expected="one or two means, each with its own standard deviation and n",
            way_out="Write `M=5.2 SD=1.1 n=30 vs M=4.8 SD=1.3 n=28`",
        )
    found = []
    for mean, (kind, spread), n in zip(means, spreads, _spread_over(sizes, len(means), "the means"), strict=True):
        root = 1.0 if kind == "sd" else math.sqrt(n)
        found.append(Mean(mean, Printed(spread.value * root, spread.half * root), n))
    return tuple(found)


def _interval(tokens: list[Token], value: Printed | None, *, alone: bool) -> StatedInterval | None:
    found = [one.parts for one in tokens if one.kind == "interval"]
    if not found:
        return None
    if len(found) > 1:
        raise ClaimError(f"{len(found)} intervals", expected="one", way_out="Check one at a time")
    parts, kinds = found[0], {one.kind for one in tokens}
    low, high = (parts.get(f"{end}") or parts[f"ci_{end}_bare"] for end in ("low", "high"))
    in_percent = any(parts.get(unit) for unit in ("unit", "unit_low", "ci_unit_bare", "ci_unit_low_bare"))
    shares = not in_percent and abs(float(low)) <= 1 and abs(float(high)) <= 1  # [0.80, 0.90] beside 85 %
    of_rate = bool({"rate", "rate_of"} & kinds) and not shares
    unit: Unit = "points" if "gap" in kinds else "percent" if in_percent or of_rate else "plain"
    stated = parts.get("level") or parts.get("level_of")
    scale = 1.0 if unit == "plain" else 0.01
    level = float(stated) / 100 if stated else None
    if level is not None and not 0.5 <= level <= 0.999:
        raise ClaimError(f"an interval of {stated} %", expected="one from 50 to 99.9 %", way_out="Correct its level")
    sizes = _sizes(tokens) if alone else []
    if len(sizes) > 1:
        raise ClaimError(f"{len(sizes)} numbers of observations for one interval", way_out="Write one n=30")
    return StatedInterval(value, printed(low, scale), printed(high, scale), level, unit, sizes[0] if sizes else None)


def _reported(tokens: list[Token]) -> ReportedP | None:
    found = [one for one in tokens if one.kind in ("p", "ns")]
    sides = {one.parts["sides"][:3].lower() for one in tokens if one.kind == "sides"}
    if not found:
        return None
    if len(found) > 1:
        raise ClaimError(f"{len(found)} p-values", expected="one", way_out="Check one at a time")
    side: Literal[1, 2] | None = None
    if sides:
        side = 1 if sides <= {"one", "1-s", "1-t", "1 s", "1 t"} else 2
    if found[0].kind == "ns":
        return ReportedP(0.05, 0.005, ">", side)
    written = printed(found[0].parts["p"])
    sign = found[0].parts["relation"]
    relation: Relation = "<" if sign in ("<", "<=", "≤") else ">" if sign in (">", ">=", "≥") else "="
    if written.value == 0 and written.half <= 0.005 and relation == "=":  # .000 is what a program prints
        return ReportedP(written.half, written.half / 10, "<", side)
    return ReportedP(written.value, written.half, relation, side)


def _spread_over(sizes: list[int], groups: int, of: str) -> list[int]:
    if len(sizes) == 1:
        return sizes * groups
    if len(sizes) != groups:
        raise ClaimError(
            f"{len(sizes)} numbers of observations for {of}" if sizes else f"no number of observations for {of}",
            expected="one n, or one for each group",
            way_out="Write n=520",
        )
    return sizes


def _sizes(tokens: list[Token]) -> list[int]:
    return [whole(size) for one in tokens if one.kind == "n" for size in (one.parts["n"], one.parts.get("m")) if size]


def _refuse_spare(numbers: list[Printed]) -> None:
    if numbers:
        raise ClaimError(f"the number {numbers[0].value:g} whose meaning is not clear", way_out=WAY_OUT)


def _together(between: str) -> bool:
    return not between.strip(" \t\n([=:")
