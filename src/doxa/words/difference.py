"""What differs between two arms: "are the hyper-parameters all the same?"."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from doxa.words.arms import Arm
from doxa.words.grammar import intervention_to_json

ABSENT = "(absent)"


@dataclass(frozen=True)
class Difference:
    """One field that two arms do not share; `(absent)` where an arm does not have it."""

    where: str
    a: str
    b: str


Facts = Mapping[str, str]


def differences(a: Arm, b: Arm, facts: tuple[Facts, Facts] = ({}, {})) -> tuple[Difference, ...]:
    """Every field of the interventions, and every pinned hash, that two arms do not share.

    Args:
        a: One arm.
        b: The other.
        facts: More that is known of each, by what it is called.

    Returns:
        In the order of the fields; empty when the arms do the same thing.
    """
    left, right = {**_flat(a), **facts[0]}, {**_flat(b), **facts[1]}
    return tuple(
        Difference(where, left.get(where, ABSENT), right.get(where, ABSENT))
        for where in [*left, *(key for key in right if key not in left)]
        if left.get(where, ABSENT) != right.get(where, ABSENT)
    )


def training_facts(stages: Sequence[Mapping[str, Any]]) -> Facts:
    """What an arm is trained on, as the stages of a training in `plan.json` say, beside its configuration."""
    found: dict[str, str] = {}
    for number, stage in enumerate(stages, start=1):
        prefix = "tune" if number == 1 else f"tune#{number}"
        for key, name in (("rows", "rows"), ("tokens", "tokens"), ("trained", "tokens trained on"), ("steps", "steps")):
            found[f"{prefix}: {name}"] = f"{stage[key]:,}"
        found[f"{prefix}: hash of the rows"] = str(stage["corpus_hash"])[:12]
    return found


def _flat(arm: Arm) -> dict[str, str]:
    found: dict[str, str] = {}
    counts: dict[str, int] = {}
    for intervention in arm.interventions:
        (kind, body), *_ = intervention_to_json(intervention).items()
        counts[kind] = counts.get(kind, 0) + 1
        prefix = kind if counts[kind] == 1 else f"{kind}#{counts[kind]}"
        _walk(prefix, body, found)
    for name, pin in arm.pins.items():
        found[f"pinned {name}"] = pin.hash[:12]
    return found


def _walk(where: str, value: Any, found: dict[str, str]) -> None:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _walk(f"{where}.{key}", inner, found)
    else:
        found[where] = str(value)
