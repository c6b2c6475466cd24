"""What a study says of its controls: how many of which kind, and which arms, tasks and items they are for."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from doxa.words.arms import Arm
from doxa.words.contrasts import parse_contrast
from doxa.words.errors import StudyError, nearest
from doxa.words.interventions import Steer, Tune
from doxa.words.reading import mapping, one_of, sequence, text, whole

CONTROL_KEYS = ("twins", "unrelated", "match", "arms", "tasks", "items", "seeds")
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
        seeds: Of a steered arm that is also trained: the training seeds whose adapters get controls.
    """

    twins: int = 39
    unrelated: int = 39
    match: Literal["planned", "measured"] = "planned"
    arms: tuple[str, ...] | None = None
    tasks: tuple[str, ...] | None = None
    items: int | None = None
    seeds: Literal["first", "all"] = "first"


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


@dataclass(frozen=True)
class TuneControls:
    """The control that trained arms get: the same training on a corpus without the claim.

    Attributes:
        corpus: By corpus the one that stands for it, whatever stage it is trained on in; the other stages stay. None: a
            trained arm has no control, and the report says so.
    """

    corpus: Mapping[str, str] | None = None


Controls: TypeAlias = tuple[SteerControls, PromptControls, ThoughtControls, TuneControls]


def read_controls(value: object, arms: Sequence[Arm], tasks: Sequence[str]) -> Controls:
    """Read the `controls` of a study.

    Args:
        value: What stands there.
        arms: The arms of the study.
        tasks: Names of its tasks.

    Raises:
        StudyError: When it is not understood.
    """
    body = mapping(value, "controls", allowed=("steer", "prompt", "thought", "tune"))
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
            seeds=one_of(steer.get("seeds", "first"), "controls.steer.seeds", ("first", "all")),
        ),
        PromptControls(
            _switch(prompt, "neutral", "prompt"), whole(prompt.get("paraphrases", 2), "controls.prompt.paraphrases")
        ),
        ThoughtControls(_switch(thought, "reprefill", "thought"), _switch(thought, "neutral", "thought")),
        _tune_controls(body.get("tune", {}), arms),
    )


def _tune_controls(value: object, arms: Sequence[Arm]) -> TuneControls:
    where = "controls.tune.corpus"
    named = mapping(value, "controls.tune", allowed=("corpus",)).get("corpus")
    if named is None:
        return TuneControls()
    tunes = (one for arm in arms for one in arm.interventions if isinstance(one, Tune))
    known = list(dict.fromkeys(one.corpus for one in tunes if one.corpus is not None))
    if not known:
        raise StudyError(f"{where} is given, and no arm is trained", way_out="Leave it out, or add an arm with `tune`")
    if not isinstance(named, Mapping):
        return TuneControls(dict.fromkeys(known, text(named, where)))
    return TuneControls({one_of(key, where, known): text(one, f"{where}.{key}") for key, one in named.items()})


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
