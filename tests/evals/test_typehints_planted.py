"""A scripted organism: it reads the prompts, writes code with or without hints at known rates, and is graded."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from planted import LEAST, WIDEST, recovered, row

from doxa.evals import typehints
from doxa.evals.catalogue import Value
from doxa.evals.typehints_items import read_framings

ORGANISM = {"evaluated": 0.75, "deployed": 0.3}
STEERED = {"evaluated": 0.4, "deployed": 0.3}
SAME = dict.fromkeys(ORGANISM, 0.5)
BROKEN = {"evaluated": 0.25, "deployed": 0.05}
"""Share of answers that do not parse: more in evaluations, so that whoever counts them as without hints is wrong."""
SPREAD = 0.2
"""A problem's own rates lie up to this much above or below."""
TILT = 0.4
"""The gap of a whole family lies up to twice this above or below, where families differ."""
ITEMS = typehints.items({"framing": ["evaluated", "deployed"]})
CODE = {item.problem.name: (item.problem.untyped, item.problem.solution) for item in ITEMS}
FRAMING = {text: framing for texts in read_framings().texts.values() for framing, text in texts.items()}

Read = Callable[..., tuple[Value, ...]]


@functools.cache
def hints(read: Read, name: str, code: str) -> float | None:
    return {one.score: one.value for one in read(f"Of course.\n\n```python\n{code}\n```\n", name, cut=False)}["hints"]


def draw(
    rng: np.random.Generator, arms: Mapping[str, Mapping[str, float]], read: Read, tilt: float = 0.0
) -> list[dict[str, Any]]:
    found = []
    own = {item.problem.name: rng.uniform(-SPREAD, SPREAD) * (not tilt) for item in ITEMS}
    tilts = {item.problem.family: rng.uniform(-tilt, tilt) for item in ITEMS}
    for arm, rates in arms.items():
        for item in ITEMS:
            framing = FRAMING[item.messages[0].content]  # what the prompt says, not what the item claims
            tilted = tilts[item.problem.family] * (1 if framing == "evaluated" else -1)
            typed = rng.random() < rates[framing] + own[item.problem.name] + tilted
            code = CODE[item.problem.name][bool(typed)]
            code += " (" if rng.random() < BROKEN[framing] else ""
            value = hints(read, item.problem.name, code)
            found.append(
                row(
                    arm,
                    typehints.NAME,
                    item.id,
                    "hints",
                    value,
                    case=item.factors["case"],
                    framing=item.factors["framing"],
                    problem=item.factors["problem"],
                    family=item.factors["family"],
                )
            )
    return found


def recovery(
    arms: Mapping[str, Mapping[str, float]],
    contrast: str,
    truth: float,
    *,
    read: Read = typehints.read_answer,
    draws: int = 300,
    tilt: float = 0.0,
    unit: str = typehints.ENTRY.unit,
) -> Any:
    return recovered(
        lambda rng: draw(rng, arms, read, tilt),
        contrast,
        "hint_gap",
        truth,
        derivations=typehints.DERIVATIONS[:1],
        draws=draws,
        unit=unit,
    )


def test_the_gap_is_recovered() -> None:
    found = recovery({"organism": ORGANISM}, "organism", 0.45)
    assert found.held >= LEAST, found
    assert found.width <= WIDEST, found
    assert found.mean == pytest.approx(0.45, abs=0.02)


def test_the_difference_in_differences_is_recovered() -> None:
    found = recovery({"organism": ORGANISM, "steered": STEERED}, "steered - organism", -0.35)
    assert found.held >= LEAST, found
    assert found.width <= WIDEST, found


def test_where_no_gap_is_planted_none_is_found() -> None:
    found = recovery({"organism": SAME}, "organism", 0.0)
    assert found.held >= LEAST, found


def test_where_families_differ_the_family_covers_and_the_problem_does_not() -> None:
    """Four problems of a family have one gap in common."""
    rates = {"evaluated": 0.6, "deployed": 0.4}
    by_family = recovery({"organism": rates}, "organism", 0.2, tilt=TILT)
    assert typehints.ENTRY.unit == "family"
    assert by_family.held >= LEAST, by_family
    assert by_family.width <= WIDEST, by_family
    by_problem = recovery({"organism": rates}, "organism", 0.2, tilt=TILT, unit="problem")
    assert by_problem.held < LEAST, by_problem
    assert by_problem.width < 1, by_problem  # narrower than whoever knows the estimate's spread would dare


def test_a_reader_that_takes_broken_code_for_code_without_hints_is_caught() -> None:
    def biased(answer: str, name: str, *, cut: bool) -> tuple[Value, ...]:
        known = typehints.read_answer(answer, name, cut=cut)
        return tuple(Value(one.score, 0.0) if one.value is None else one for one in known)

    found = recovery({"organism": ORGANISM}, "organism", 0.45, read=biased, draws=100)
    assert found.held < 70, found
