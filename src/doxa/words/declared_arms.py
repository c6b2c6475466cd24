"""The arms of a study as it declares them: by name, and as grids whose every combination of levels is an arm."""

import itertools
from collections.abc import Mapping

from doxa.words.arms import Arm
from doxa.words.errors import StudyError
from doxa.words.grammar import intervention_from_json
from doxa.words.reading import mapping, sequence, shown

LONGEST_NAME = 80
"""Characters of an arm's name: it is part of file names."""


def named_arms(value: object) -> tuple[Arm, ...]:
    """The arms under `arms`: each a name with a list of interventions.

    Raises:
        StudyError: When they are not understood.
    """
    if not isinstance(value, Mapping) or not value:
        raise StudyError(
            f"`arms` is {shown(value)}",
            expected="a mapping from names to lists of interventions",
            way_out="Write `arms: {baseline: []}`, and more of them",
        )
    arms = []
    for name, items in value.items():
        _check_arm_name(name)
        where = f"arms.{name}"
        interventions = tuple(
            intervention_from_json(item, f"{where}[{i}]") for i, item in enumerate(sequence(items, where))
        )
        arms.append(Arm(name, interventions))
    return tuple(arms)


def grid_arms(value: object) -> tuple[Arm, ...]:
    """The arms under `factors`: one per combination of the listed values, `block[strength=0.4]`.

    Raises:
        StudyError: When they are not understood.
    """
    if not isinstance(value, Mapping):
        raise StudyError("`factors` is no mapping", expected="name: {steer: {...}}", way_out="Write it so")
    arms: list[Arm] = []
    for name, template in value.items():
        _check_arm_name(name)
        where = f"factors.{name}"
        body = mapping(template, where, allowed=("steer", "tune", "thought"))
        if len(body) != 1:
            raise StudyError(f"{where} has {len(body)} interventions", expected="one", way_out="Keep one")
        (kind, fields), *_ = body.items()
        if not isinstance(fields, Mapping):
            raise StudyError(f"{where}.{kind} is no mapping", expected="fields", way_out="Write `strength: [0.2, 0.4]`")
        axes = {key: values for key, values in fields.items() if isinstance(values, list) and key != "at"}
        if not axes or not all(axes.values()) or any(_holds_nothing(values) for values in axes.values()):
            raise StudyError(
                f"{where} has no field with several values, or an empty one",
                expected="a list of values",
                way_out="Write `strength: [0.2, 0.4]`",
            )
        for combination in itertools.product(*axes.values()):
            chosen = dict(zip(axes, combination, strict=True))
            levels = {key: _level(level) for key, level in chosen.items()}
            full = f"{name}[{','.join(f'{key}={level}' for key, level in levels.items())}]"
            arms.append(Arm(full, (intervention_from_json({kind: {**fields, **chosen}}, full),), levels=levels))
    return tuple(arms)


def _check_arm_name(name: object) -> None:
    allowed = f"letters, digits, - _ and ., starting with a letter from a to z, at most {LONGEST_NAME} of them"
    known = isinstance(name, str) and name[:1].isascii() and name[:1].isalpha() and len(name) <= LONGEST_NAME
    if not isinstance(name, str) or not known or not all(c.isalnum() or c in "-_." for c in name):
        raise StudyError(f"arm name {shown(name)}", expected=allowed, way_out="Rename it")


def _holds_nothing(value: object) -> bool:
    """Whether an empty list or mapping stands in it: there would be no name for such a level."""
    if not isinstance(value, list | Mapping):
        return False
    inner = list(value.values()) if isinstance(value, Mapping) else value
    return not inner or any(_holds_nothing(one) for one in inner)


def _level(value: object) -> str:
    if isinstance(value, Mapping):
        (kind, rule), *_ = value.items()
        inner = rule.values() if isinstance(rule, Mapping) else [rule]
        return ":".join([str(kind), *(str(one) for one in inner)])
    if isinstance(value, list):
        return "+".join(_level(one) for one in value)  # brackets and commas would end a selector
    return str(value)
