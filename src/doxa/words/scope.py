"""What a study says of its controls: how many of which kind, and which arms, tasks and items they are for."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from doxa.words.arms import Arm
from doxa.words.contrasts import parse_contrast
from doxa.words.errors import StudyError, nearest
from doxa.words.interventions import Steer
from doxa.words.reading import mapping, one_of, sequence, text, whole

CONTROL_KEYS = ("twins", "unrelated", "match", "arms", "tasks", "items")
LEAST_TWINS = 19


@dataclass(frozen=True)
class SteerControls:
    """The controls that steered arms get (design, section 5).

    Attributes:
        twins: Number of twins of every steered arm in scope.
        unrelated: Number of vectors from unrelated contrast pairs.
        match: Twins have the target's planned norms, or are rescaled to its measured displacement.
        arms: Names of the arms in scope; None is every steered arm.
        tasks: Names of the tasks that controls are scored on; None is every task that scores without generating.
        items: At most so many items of each task; None is all.
    """

    twins: int = 39
    unrelated: int = 39
    match: Literal["planned", "measured"] = "planned"
    arms: tuple[str, ...] | None = None
    tasks: tuple[str, ...] | None = None
    items: int | None = None


@dataclass(frozen=True)
class PromptControls:
    """The controls that prompted arms get: the belief's neutral prompt of equal length, and paraphrases."""

    neutral: bool = True
    paraphrases: int = 2


@dataclass(frozen=True)
class ThoughtControls:
    """The controls that edited arms get: a re-prefill that changes nothing, and a neutral edit of equal length."""

    reprefill: bool = True
    neutral: bool = True


def read_controls(
    value: object, arms: Sequence[Arm], tasks: Sequence[str]
) -> tuple[SteerControls, PromptControls, ThoughtControls]:
    """Read the `controls` of a study.

    Args:
        value: What stands there.
        arms: The arms of the study.
        tasks: Names of its tasks.

    Raises:
        StudyError: When it is not understood.
    """
    body = mapping(value, "controls", allowed=("steer", "prompt", "thought"))
    steer = mapping(body.get("steer", {}), "controls.steer", allowed=CONTROL_KEYS)
    for key in ("twins", "unrelated"):
        if 0 < whole(steer.get(key, 39), f"controls.steer.{key}") < LEAST_TWINS:
            raise StudyError(
                f"controls.steer.{key} is {steer[key]}",
                expected=f"0, or at least {LEAST_TWINS}: with fewer, no rank test can reach p = .05",
                way_out="Write 39",
            )
    prompt = mapping(body.get("prompt", {}), "controls.prompt", allowed=("neutral", "paraphrases"))
    scope = None
    if steer.get("arms") is not None:
        patterns = [text(one, "controls.steer.arms") for one in sequence(steer["arms"], "controls.steer.arms")]
        scope = tuple(name for pattern in patterns for name in _arms_called(pattern, arms))
    named = None
    if steer.get("tasks") is not None:
        named = tuple(
            one_of(one, "controls.steer.tasks", tasks) for one in sequence(steer["tasks"], "controls.steer.tasks")
        )
    thought = mapping(body.get("thought", {}), "controls.thought", allowed=("reprefill", "neutral"))
    return (
        SteerControls(
            twins=steer.get("twins", 39),
            unrelated=steer.get("unrelated", 39),
            match=one_of(steer.get("match", "planned"), "controls.steer.match", ("planned", "measured")),
            arms=scope,
            tasks=named,
            items=whole(steer["items"], "controls.steer.items", least=1) if steer.get("items") is not None else None,
        ),
        PromptControls(
            _switch(prompt, "neutral", "prompt"), whole(prompt.get("paraphrases", 2), "controls.prompt.paraphrases")
        ),
        ThoughtControls(_switch(thought, "reprefill", "thought"), _switch(thought, "neutral", "thought")),
    )


def _switch(body: Mapping[str, object], key: str, kind: str) -> bool:
    value = body.get(key, True)
    if not isinstance(value, bool):
        raise StudyError(f"controls.{kind}.{key} is {value!r}", expected="true or false", way_out="Write true")
    return value


def _arms_called(pattern: str, arms: Sequence[Arm]) -> Collection[str]:
    steered = [arm for arm in arms if any(isinstance(one, Steer) for one in arm.interventions)]
    try:
        return [term.arm for term in parse_contrast(pattern, steered).terms]
    except StudyError as error:
        raise StudyError(
            f"controls.steer.arms names {pattern!r}, which is no steered arm of the study",
            way_out=nearest(pattern, [arm.name for arm in steered]),
        ) from error
