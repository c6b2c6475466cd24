"""What a check found, in short sentences: the most important first, each one whole in itself."""

import math

from scipy import special

from doxa.claims.checked import Bounds, Check, Discordance, Recomputed, Stated
from doxa.claims.stated import Unit
from doxa.stats.controls import ALPHA
from doxa.stats.rates import wilson
from doxa.stats.two_rates import Count, clopper_pearson
from doxa.words.numbers import counted, level, listed, number, p_figures, percent, points

FEW = 12
"""Observations up to which it is said what so few can carry."""


def findings(check: Check) -> tuple[str, ...]:
    """Plain sentences that a comment on a document can carry, the most important first."""
    comparison = [_pairs(check), _reported(check)] if check.paired else [_reported(check), _pairs(check)]
    parts = (
        list(check.contradictions),
        _many_tables(check),
        comparison[0],
        _printed_interval(check),
        _interval(check),
        _few(check),
        comparison[1],
        _no_difference(check),
        _base_rate(check),
        _power(check),
        _one_table(check),
    )
    return tuple(sentence for part in parts for sentence in part)


def _many_tables(check: Check) -> list[str]:
    if not check.inferred or not check.tables or check.tables == 1:
        return []
    if len(check.groups) == 1:
        one = check.groups[0]
        return [f"The count is inferred: every count from {one.fewest:,} to {one.most:,} rounds to the rate."]
    shown = next(one for one in check.tests if one.lowest is not None)
    among = "" if check.tried == check.tables else f", {check.tried:,} of them computed"
    return [
        f"The counts are inferred: {check.tables:,} tables round to these rates{among}, and over them p by "
        f"{shown.name} runs from {p_figures(shown.lowest)} to {p_figures(shown.highest)}. The counts would "
        f"settle it; below, the nearest ones are used, {_counts(check)}."
    ]


def _one_table(check: Check) -> list[str]:
    if not check.inferred or check.tables != 1:
        return []
    return [f"The counts are inferred from the rates, which no others round to: {_counts(check)}."]


def _reported(check: Check) -> list[str]:
    tests = [one for one in check.tests if one.p is not None or one.reason is None]
    if not check.tests:
        return []
    if not tests:
        return [f"There is no test: {check.tests[0].reason}."]
    unpaired = ""
    if check.paired and len(check.groups) == 2:
        unpaired = f" {'All but McNemar' if check.pairing is not None else 'These'} are tests of unpaired groups."
    if check.reported is None:
        return [f"No p-value is reported; these numbers give {_named(tests)}.{unpaired}"]
    giving = [one for one in tests if one.agrees == "two-sided"]
    halves = [one for one in tests if one.agrees == "one-sided"]
    others = [one for one in tests if one.agrees == "none"] + (halves if giving else [])
    said = check.reported
    if check.reported_relation == "=":
        if giving:
            rest = f"; {_named(others)} {_give(others)} another" if others else ""
            found = f"{_start(said)} is what {_named(giving)} {_give(giving)}{rest}."
        elif halves:
            names = listed([f"{one.name} ({p_figures(one.one_sided)}{_halved_range(one)})" for one in halves])
            two = _named(halves)
            found = f"{_start(said)} is half of a two-sided p, as a one-sided test gives it: {names}; two-sided, {two}."
        else:
            found = f"None of {_these(check)} gives {said}: {_named(tests)}."
        return [found + unpaired, *_borderline(tests)]
    if not giving and not halves:
        found = f"{_start(said)} holds by none of {_these(check)}: {_named(tests)}."
    elif not giving:
        found = f"{_start(said)} holds one-sided only, by {listed([one.name for one in halves])}: {_named(tests)}."
    elif not others:
        found = f"{_start(said)} holds by {_named(giving)}."
    else:
        found = f"{_start(said)} holds by {_named(giving)}, not by {_named(others)}."
    return [found + unpaired]


def _borderline(tests: list[Recomputed]) -> list[str]:
    below = [one for one in tests if one.p is not None and one.p < ALPHA]
    if below and len(below) < len(tests):
        return ["On which side of .05 p lies depends on the choice of the test."]
    return []


def _printed_interval(check: Check) -> list[str]:
    stated = check.stated
    if stated is None:
        return []
    at = f"{100 * stated.level:g} %" + (", which is assumed," if stated.assumed else "")
    shown = _bracket(stated)
    found = [f"The estimate lies outside of the printed interval {shown}."] if stated.outside else []
    if stated.methods is not None:
        what = f"that of {listed(stated.methods)}" if stated.methods else "none of those that were compared with it"
        rest = "" if stated.methods or not stated.compared else f": {listed(stated.compared)}"
        return [*found, f"The printed interval {shown} is {what} at {at.rstrip(',')}{rest}."]
    if stated.se is None or stated.p is None or stated.value is None:
        return [*found, f"The printed interval {shown} has width 0, which would be certainty: something is missing."]
    if stated.lopsided:
        found.append(
            "The estimate is not in the middle of the printed interval, so this is not estimate ± z SE; what follows "
            "from it as such does not hold if it was made on another scale (log, logit) or by a bootstrap."
        )
    implied = f"The interval {shown} at {at} implies a standard error of {_with_unit(stated.se, stated.unit)}"
    if stated.unit == "percent" and check.reported is None:
        if 0 < stated.value < 1:
            n = stated.value * (1 - stated.value) / stated.se**2
            implied += f", that of a rate of about {n:,.0f} independent observations"
        return [*found, f"{implied}."]
    implied += (
        f" and p = {p_figures(stated.p)} against 0 ({p_figures(stated.lowest)} to {p_figures(stated.highest)} "
        "with the rounding)"
    )
    if stated.p_by_t is not None and stated.n is not None:
        implied += f", or {p_figures(stated.p_by_t)} if it was made with t and {stated.n - 1:,} degrees of freedom"
    if stated.agrees is not None:
        implied += f": it {'agrees' if stated.agrees else 'disagrees'} with the reported {check.reported}"
    return [*found, f"{implied}."]


def _interval(check: Check) -> list[str]:
    if not check.intervals:
        return []
    first = check.intervals[0]
    if check.kind == "one rate":
        one, exact = check.groups[0], check.intervals[1]
        return [
            f"The rate is {one.events:,}/{one.n:,} = {percent(one.value)}, {_level(first)} interval "
            f"{percent(first.low)} to {percent(first.high)} ({first.method}); exact {percent(exact.low)} to "
            f"{percent(exact.high)}."
        ]
    if check.kind == "one mean":
        return [f"The mean is {number(check.groups[0].value)}, {_level(first)} interval {_ends(check, first)}."]
    assert check.difference is not None
    if check.paired and check.pairing is not None and check.pairing.fewest != check.pairing.most:
        narrow, wide = check.pairing.fewest.bounds, check.pairing.most.bounds
        return [
            f"The difference is {_amount(check, check.difference, sign=True)}. Its {_level(wide)} interval runs from "
            f"{_ends(check, narrow)} with the fewest discordant pairs to {_ends(check, wide)} with the most: the claim "
            "does not say how many there are."
        ]
    zero = "includes" if first.low <= 0 <= first.high else "leaves out"
    return [
        f"The difference is {_amount(check, check.difference, sign=True)}, {_level(first)} interval "
        f"{_ends(check, first)}; it {zero} 0."
    ]


def _pairs(check: Check) -> list[str]:
    pairing, correlated = check.pairing, check.correlated
    if correlated is not None:
        said = listed([f"{p_figures(p)} at {r:g}" for r, p in zip(correlated.correlations, correlated.p, strict=True)])
        needed = (
            f"; {check.reported} needs a correlation of {correlated.reported:.2f}"
            if correlated.reported is not None
            else ""
        )
        return [f"{_if_paired(check)} p depends on the correlation of the two over items: {said}{needed}."]
    if pairing is None:
        return []
    least, most = pairing.fewest, pairing.most
    if least == most:
        return [f"{_if_paired(check)} exact McNemar has {_against(most)} discordant pairs: p = {p_figures(most.p)}."]
    found = (
        f"{_if_paired(check)} p by exact McNemar depends on the discordant pairs: from {p_figures(least.p)} with "
        f"{_against(least)} to {p_figures(most.p)} with {_against(most)}"
    )
    if pairing.reported is not None:
        found += f"; {check.reported} is that of {_against(pairing.reported)}"
    elif pairing.significant is not None and most.p >= ALPHA:
        found += f"; it is below .05 up to {_against(pairing.significant)}"
    return [f"{found}."]


def _no_difference(check: Check) -> list[str]:
    equivalence = check.equivalence
    if equivalence is not None:
        ends, margin = _ends(check, equivalence.bounds), _amount(check, equivalence.margin)
        if equivalence.holds:
            return [f"The 90 % interval, {ends}, lies within ± {margin}: a larger difference is excluded."]
        return [f"The 90 % interval, {ends}, is not within ± {margin}: that there is no difference is not shown."]
    p = check.tests[0].p if check.tests else None
    value, relation = check.reported_value, check.reported_relation
    claims_none = relation == ">" or (relation == "=" and value is not None and value >= ALPHA)
    if check.difference is None or not check.intervals or not claims_none or p is None:
        return []
    first = check.intervals[0]
    furthest = max(abs(first.low), abs(first.high))
    return [
        f"Not significant is not the same as no difference: differences of up to {_amount(check, furthest)} are "
        "compatible with these numbers. No difference needs a margin that was stated beforehand."
    ]


def _base_rate(check: Check) -> list[str]:
    curve = check.curve
    if curve is None or check.paired:
        return []
    pooled = [one for one in curve.p["pooled z"] if one is not None]
    found = []
    if check.kind == "gap of rates":
        found.append(
            "The rates are not stated, and p depends on them: ask for the counts. By the pooled z a difference of "
            f"{points(curve.gap)} points with n = {curve.n:,}{'' if curve.n == curve.m else f' and {curve.m:,}'} has p "
            f"from {p_figures(pooled[0])} at a base rate of 0 to {p_figures(max(pooled))} near one half."
        )
        if curve.needed is not None:
            found.append(
                f"{_start(check.reported or '')} would need a base rate of {percent(curve.needed)} "
                f"({percent(curve.needed)} against {percent(curve.needed + curve.gap)}); these rates are inferred."
            )
        elif check.reported_relation == "=":
            found.append(f"No base rate gives {check.reported} by the pooled z.")
        return found
    if not pooled[0] < ALPHA <= max(pooled):
        return []
    return [
        f"The same {points(curve.gap)} points with the same n have p (pooled z) from {p_figures(pooled[0])} at a base "
        f"rate of 0 to {p_figures(max(pooled))} near one half: p is as much about the base rate as about the gap."
    ]


def _power(check: Check) -> list[str]:
    if check.detectable is None:
        return []
    at = {
        "two rates": f"above a rate of {percent(min(one.value for one in check.groups))}" if check.groups else "",
        "two means": "with these standard deviations",
    }.get(check.kind, "")
    if check.paired:
        return [
            "With as many discordant pairs as are possible, a study of this size finds a difference of "
            f"{_amount(check, check.detectable)} in 80 of 100 repetitions; with fewer of them it finds smaller ones."
        ]
    smallest = f"finds a difference of {_amount(check, check.detectable)} {at} in 80 of 100 repetitions"
    if check.power is None:
        return [f"A study of this size {smallest}."]
    return [
        f"If the true values were exactly these, a study of this size would find p < .05 in {_share(check.power)} "
        f"repetitions (by the normal approximation); it {smallest.removesuffix(' repetitions')}."
    ]


def _few(check: Check) -> list[str]:
    alone = check.stated.n if check.stated is not None else None
    n = min((one.n for one in check.groups), default=alone or FEW + 1)
    if n > FEW:
        return []
    if check.groups and check.groups[0].sd is None:
        none = Count(0, n)
        by_wilson, exact = wilson(0, n).high, clopper_pearson(none).high
        assert by_wilson is not None
        assert exact is not None
        return [
            f"{counted(n, 'observation')} cannot carry much: 0 of {n} would still leave rates of up to "
            f"{100 * by_wilson:.0f} % (Wilson) or {100 * exact:.0f} % (exact) open."
        ]
    covered = 1 - 2 * float(special.stdtr(n - 1, -float(special.ndtri(0.975))))
    return [
        f"With n = {n} a 95 % interval of mean ± 1.96 SE covers {100 * covered:.0f} % on normal data, where t covers "
        "95 %. Single scores from 1 to 10 are skewed: there t covered 83 % with six of them (simulated). Scores with "
        "bounds need a logit-t interval, from the scores themselves."
    ]


def _named(tests: list[Recomputed]) -> str:
    """`Fisher exact (.0749) and pooled z (.0530)`; with the range where the printed numbers leave one."""
    return listed([f"{one.name} ({p_figures(one.p) if one.p is not None else ''}{_range(one)})" for one in tests])


def _these(check: Check) -> str:
    """Tests of unpaired groups are called so where the groups may be pairs."""
    return "the tests of unpaired groups" if check.pairing is not None and check.paired is None else "these tests"


def _range(one: Recomputed) -> str:
    low, high = p_figures(one.lowest), p_figures(one.highest)
    return "" if one.lowest is None or low == high else f"{'; ' if one.p is not None else ''}{low} to {high}"


def _halved_range(one: Recomputed) -> str:
    """The range of a one-sided p, which is half of the two-sided one for t and z."""
    if not _range(one) or one.p is None or one.lowest is None or one.highest is None or one.one_sided is None:
        return ""
    if abs(2 * one.one_sided - one.p) > 1e-9:
        return ""
    return f"; {p_figures(one.lowest / 2)} to {p_figures(one.highest / 2)}"


def _give(tests: list[Recomputed]) -> str:
    return "gives" if len(tests) == 1 else "give"


def _start(text: str) -> str:
    """A sentence that begins with `p = .05` begins with it as it is."""
    return text if text.startswith("p ") else text[:1].upper() + text[1:]


def _counts(check: Check) -> str:
    return listed([f"{one.events:,}/{one.n:,}" for one in check.groups])


def _bracket(stated: Stated) -> str:
    scale = 1.0 if stated.unit == "plain" else 100.0
    unit = {"percent": " %", "points": " points", "plain": ""}[stated.unit]
    return f"[{level(round(scale * stated.low, 9))}, {level(round(scale * stated.high, 9))}]{unit}"


def _with_unit(value: float, unit: Unit) -> str:
    return number(value) if unit == "plain" else f"{points(value)} points"


def _level(bounds: Bounds) -> str:
    return f"{100 * bounds.level:g} %"


def _of_shares(check: Check) -> bool:
    if check.kind == "interval":
        return check.stated is not None and check.stated.unit != "plain"
    return check.kind in ("two rates", "one rate", "gap of rates")


def _amount(check: Check, value: float, *, sign: bool = False) -> str:
    return f"{points(value, sign=sign)} points" if _of_shares(check) else number(value, sign=sign)


def _ends(check: Check, bounds: Bounds) -> str:
    if _of_shares(check):
        return f"{points(bounds.low)} to {points(bounds.high)} points ({bounds.method})"
    return f"{number(bounds.low)} to {number(bounds.high)} ({bounds.method})"


def _against(one: Discordance) -> str:
    return f"{one.more:,} against {one.less:,}"


def _if_paired(check: Check) -> str:
    if check.paired:
        return "These are pairs, and"
    return "Whether the same items were used is not said. If they were,"


def _share(power: float) -> str:
    return f"{math.floor(100 * power + 0.5)} of 100" if power < 0.995 else "nearly all"
