"""A planned number in words."""

from collections.abc import Mapping

from doxa.planning.designs import Scale
from doxa.planning.planned import Planned
from doxa.words.numbers import MINUS, level, number

EACH = {
    "two rates": "prompts in each group",
    "means": "units in each group",
    "equivalence": "units in each group",
    "one rate": "prompts",
    "paired rates": "prompts",
    "paired means": "units",
}
"""What `n` counts, by design."""
COUNTED = {"seeds": "training seeds", "m": "controls of each family", "vanilla_runs": "runs of the vanilla model"}
"""What the other sizes count, where the name of the number does not say it; runs are those of one unit."""
RUNS = {
    "seeds": "runs of each seed",
    "seeds x items": "runs of each item in each seed",
    "seed rates": "runs of each seed",
    "seed variance": "runs of each seed",
    "paraphrases": "runs of each paraphrase in each arm",
    "paired means": "runs of each unit in each arm",
    "means": "runs of each unit",
}
AXES: Mapping[Scale, str] = {
    "share": "points",
    "score": "units of the score",
    "icc": "",
    "sd of the controls": "SDs of the controls' effects",
}
"""What an axis of effects is measured in."""


def counted(design: str, size: str) -> str:
    """What a number of units counts: `prompts in each group`, `training seeds`."""
    if size == "n":
        return EACH[design]
    return RUNS.get(design, "runs of each prompt") if size == "runs" else COUNTED.get(size, size)


def effect_words(value: float, scale: Scale, *, given: bool) -> str:
    """An effect with what it is measured in; as it was typed where it was given, with three figures otherwise."""
    shown = scaled(value, scale)
    written = level(shown) if given else number(shown)
    points = " point" if written.lstrip(MINUS) == "1" else " points"
    unit = {"share": points, "score": "", "icc": "", "sd of the controls": " SDs of the controls"}[scale]
    return f"{written}{unit}"


def scaled(value: float, scale: Scale) -> float:
    """Shares in points, everything else as it is."""
    return float(f"{100 * value:.12g}") if scale == "share" else value


def answer(found: Planned) -> str:
    """The answer in one sentence."""
    what = f"{found.meaning} ({found.effect_name})" if found.effect_name != "effect" else found.meaning
    if found.value is None:
        return f"no answer: {found.reason}"
    assert found.effect is not None
    assert found.power is not None
    effect = effect_words(found.effect, found.scale, given=found.question != "effect")
    if found.effect_name == "margin":
        return _equivalence(found, found.value, found.power, effect)
    if found.question == "power":
        return f"power {number(found.power)} to find a {what} of {effect}"
    if found.question == "effect":
        return f"the smallest {what} that is found with power {level(found.power)}: {effect}"
    reached = f"power {number(found.power)}"
    return f"{found.value:,} {counted(found.design, found.question)} find a {what} of {effect} ({reached})"


def _equivalence(found: Planned, value: float, power: float, margin: str) -> str:
    if found.question == "power":
        return f"power {number(power)} to show that the groups differ by less than {margin}"
    if found.question == "effect":
        return (
            f"the smallest margin that the groups are shown to differ by less than with power {level(power)}: {margin}"
        )
    shown = f"{value:,} {counted(found.design, found.question)}"
    return f"{shown} show that they differ by less than {margin} (power {number(power)})"


def lines(found: Planned) -> list[str]:
    """The answer and everything that is said beside it, a line each."""
    given = [
        f"{name.replace('_', '-')} {level(value) if isinstance(value, float) else f'{value:,}'}"
        for name, value in found.given.items()
        if value is not None
    ]
    return [
        answer(found),
        f"design: {found.design}, {', '.join(given)}",
        f"unit: {found.unit}",
        f"method: {found.method}",
        *(f"note: {note}" for note in found.notes),
    ]
