"""Power and planning: of power, effect and size two are given and the third is found, for every design.

`power_at` says how often an effect is found, `smallest_effect` which effect is found as often as wanted, `needed` with
how many seeds, runs, prompts or controls. What has no answer is None with the reason in words.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from scipy import optimize

from doxa.planning.checks import MOST, check_effect
from doxa.planning.controls import Controls
from doxa.planning.designs import Design, DesignKind, Scale, kind_of, scale_of
from doxa.planning.rates import OneRate, TwoRates
from doxa.stats.power import detectable_against_controls
from doxa.words.errors import StudyError

POWER = 0.8
"""Power that is planned for unless another is named."""
SMALLEST, LARGEST = 1e-12, 1e15
"""Between these an unlimited effect is looked for."""


@dataclass(frozen=True)
class Planned:
    """One planned number and the two that it rests on.

    Attributes:
        design: Name of the design.
        given: The numbers of the design; the one that was asked for holds the answer, or None.
        question: `power`, `effect`, or the number of units that was asked for (`n`, `seeds`, ...).
        value: The answer; None when there is none.
        wanted: Power that was planned for; None where the power is the question.
        power: Power that is reached.
        effect: The effect; the margin of an equivalence, the ICC of a seed variance.
        effect_name: What the effect is called: `effect`, `margin` or `icc`.
        meaning: What the effect is, in words.
        scale: What the effect is measured in.
        unit: Unit of replication.
        method: Test and approximation.
        reason: Why there is no answer.
        notes: What has to be said beside it.
    """

    design: str
    given: Mapping[str, Any]
    question: str
    value: float | int | None
    wanted: float | None
    power: float | None
    effect: float | None
    effect_name: str
    meaning: str
    scale: Scale
    unit: str
    method: str
    reason: str | None
    notes: tuple[str, ...]


def planned_to_json(one: Planned) -> dict[str, Any]:
    """A planned number as JSON: missing numbers are null."""
    return {**asdict(one), "notes": list(one.notes)}


def power_at(design: Design, effect: float) -> Planned:
    """The probability that an effect is found.

    Args:
        design: The design.
        effect: In its own units; its sign matters for rates alone.

    Raises:
        StudyError: When the effect is not possible.
    """
    kind = kind_of(design)
    check_effect(effect, kind.effect)
    reason = kind.refused(design)
    power = None if reason else power_of(design, effect)
    return _planned(kind, design, "power", power, None, power, effect, reason)


def power_of(design: Design, effect: float) -> float:
    """The power of a design that is not refused, as a plain number: for curves."""
    return min(1.0, max(0.0, kind_of(design).power(design, effect)))


def smallest_effect(design: Design, power: float = POWER, *, fall: bool = False) -> Planned:
    """The smallest effect that is found with a power.

    Args:
        design: The design.
        power: Probability to find it, above the level of the test.
        fall: Whether a rate falls from its base; elsewhere both directions are alike.

    Raises:
        StudyError: When the power is not between the level of the test and 1.
    """
    kind = kind_of(design)
    check_power(design, power)
    reason = kind.refused(design)
    value = None if reason else effect_of(design, power, fall=fall)
    if value is None and not reason:
        reason = _no_effect(kind, design, power, fall)
    answer = _planned(kind, design, "effect", value, power, None if value is None else power, value, reason)
    if fall or reason or not isinstance(design, OneRate | TwoRates):
        return answer
    return replace(answer, notes=(_other_direction(design, power), *answer.notes))


def effect_of(design: Design, power: float, *, fall: bool = False) -> float | None:
    """The smallest effect of a design that is not refused, as a plain number: for curves. None when there is none."""
    rise, most_fall = kind_of(design).largest(design)
    most, sign = (most_fall, -1.0) if fall else (rise, 1.0)
    if isinstance(design, Controls):
        return _of_controls(design, power)
    if most <= 0:
        return None
    # What is simulated is looked for to a thousandth: its power is no better known.
    fine = 1e-3 if kind_of(design).tried else 1e-13
    found = _smallest(lambda size: power_of(design, sign * size), power, most, fine)
    return None if found is None else sign * found


def needed(design: Design, size: str, effect: float, power: float = POWER) -> Planned:
    """How many units are needed to find an effect with a power.

    Args:
        design: The design; what it has for `size` is not used.
        size: The number that is looked for: a key of `DesignKind.sizes`.
        effect: The effect.
        power: Probability to find it, above the level of the test.

    Raises:
        StudyError: When the design has no such number, or effect or power are not possible.
    """
    kind = kind_of(design)
    if size not in kind.sizes:
        raise StudyError(
            f"{kind.name} cannot be solved for {size}", way_out=f"Leave out one of {', '.join(kind.sizes)} instead"
        )
    check_power(design, power)
    check_effect(effect, kind.effect)
    if effect == 0:
        raise StudyError(
            f"{kind.effect} 0", expected="an effect that is not 0", way_out="No size finds what is not there"
        )
    fewest = kind.sizes[size]

    def reached(count: int) -> float:
        return power_of(with_size(design, size, count), effect)

    reason = kind.refused(with_size(design, size, kind.tried[size][-1] if kind.tried else MOST))
    found = None if reason else _first(reached, power, fewest, kind.tried.get(size, ()))
    if found is None and not reason:
        reason = _too_many(kind, size, reached)
    solved = design if found is None else with_size(design, size, found)
    answer = _planned(kind, solved, size, found, power, None if found is None else reached(found), effect, reason)
    return answer if found is not None else replace(answer, given={**answer.given, size: None})


def with_size(design: Design, size: str, count: int) -> Design:
    """The design with another number of units."""
    record: Any = design
    changed: Design = replace(record, **{size: count})
    return changed


def check_power(design: Design, power: float) -> None:
    """Refuse a power that nobody can plan for.

    Raises:
        StudyError: When it is not between the level of the test and 1.
    """
    if not design.alpha < power < 1:
        raise StudyError(
            f"power is {power:g}",
            expected=f"a probability between alpha ({design.alpha:g}) and 1",
            way_out="Write 0.8",
        )


def _planned(
    kind: DesignKind,
    design: Design,
    question: str,
    value: float | int | None,
    wanted: float | None,
    power: float | None,
    effect: float | None,
    reason: str,
) -> Planned:
    notes = kind.notes(design, effect) if value is not None and effect is not None else ()
    return Planned(
        design=kind.name,
        given=asdict(design),
        question=question,
        value=value,
        wanted=wanted,
        power=power,
        effect=effect,
        effect_name=kind.effect,
        meaning=kind.meaning,
        scale=scale_of(kind, design),
        unit=kind.unit,
        method=kind.method,
        reason=reason or None,
        notes=notes,
    )


def _of_controls(design: Controls, power: float) -> float | None:
    found = detectable_against_controls(
        design.m, (design.sd,) * design.families, power, design.alpha, noise=design.noise, cells=design.cells
    )
    return found if math.isfinite(found) else None


def _smallest(power_of_size: Callable[[float], float], power: float, most: float, fine: float) -> float | None:
    """Where a power that grows with the effect is reached, to a share `fine` of it; None when it is not."""
    high = min(SMALLEST if fine < SMALLEST else fine, most)
    while power_of_size(high) < power:
        if high >= min(most, LARGEST):
            return None
        high = min(2 * high, most)
    low = high / 2 if power_of_size(high / 2) < power else 0.0
    return float(optimize.brentq(lambda size: power_of_size(size) - power, low, high, xtol=fine * high, rtol=1e-12))


def _first(reached: Callable[[int], float], power: float, fewest: int, tried: tuple[int, ...]) -> int | None:
    """The first number of units whose power is reached; None when it is not."""
    if tried:
        return next((count for count in tried if reached(count) >= power), None)
    low, high = fewest - 1, fewest
    while reached(high) < power:
        if high == MOST:
            return None
        low, high = high, min(2 * high, MOST)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if reached(middle) < power else (low, middle)
    return high


def _other_direction(design: OneRate | TwoRates, power: float) -> str:
    fallen = smallest_effect(design, power, fall=True)
    if fallen.value is None:
        return f"no fall is found with power {power:g}: {fallen.reason}"
    return f"a fall from the base rate is found with power {power:g} from {100 * abs(fallen.value):.3g} points on"


def _no_effect(kind: DesignKind, design: Design, power: float, fall: bool) -> str:
    most = kind.largest(design)[1 if fall else 0]
    if most == 0:
        return "the base rate leaves no room for a difference in this direction"
    if math.isinf(most):
        return f"no {kind.effect} is found with power {power:g}"
    largest = -most if fall else most
    return f"the largest {kind.effect} there is, {largest:g}, is found with power {power_of(design, largest):.3f} only"


def _too_many(kind: DesignKind, size: str, reached: Callable[[int], float]) -> str:
    words = {"n": "units", "m": "controls"}.get(size, size)
    if kind.tried:
        tried = kind.tried[size]
        best = max(tried, key=reached)
        shown = f"of {tried[0]} to {tried[-1]} {words}, {best} do best with power {reached(best):.3f}"
    else:
        shown = f"{MOST:,} {words} have power {reached(MOST):.3f}"
    return f"{shown}; {kind.instead[size]} would help" if size in kind.instead else shown
