"""What differs between two arms: "are the hyper-parameters all the same?"."""

from collections.abc import Mapping
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


def differences(a: Arm, b: Arm) -> tuple[Difference, ...]:
    """Every field of the interventions, and every pinned hash, that two arms do not share.

    Args:
        a: One arm.
        b: The other.

    Returns:
        In the order of the fields; empty when the arms do the same thing.
    """
    left, right = _flat(a), _flat(b)
    return tuple(
        Difference(where, left.get(where, ABSENT), right.get(where, ABSENT))
        for where in [*left, *(key for key in right if key not in left)]
        if left.get(where, ABSENT) != right.get(where, ABSENT)
    )


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
