"""Which arms train, in which stages, and one pinned arm for every training seed."""

from collections.abc import Sequence
from dataclasses import replace

from doxa.words.arms import Arm
from doxa.words.errors import StudyError
from doxa.words.interventions import Tune
from doxa.words.sources import source_of


def tunes_of(arm: Arm) -> tuple[Tune, ...]:
    """The tunes of an arm, in their order: an adapter that is there, or the stages of one that is trained.

    Raises:
        StudyError: When they do not make one adapter.
    """
    tunes = tuple(one for one in arm.interventions if isinstance(one, Tune))
    if len(tunes) > 1 and any(one.adapter is not None for one in tunes):
        raise StudyError(
            f"the arm {arm.name!r} has an adapter that is already trained beside another `tune`",
            expected="one adapter, or stages that are all trained here",
            way_out="Name the corpus that it was trained on as the first stage, or keep the adapter alone",
        )
    made = [one.configuration for one in tunes if one.configuration is not None]
    if len({(one.rank, one.alpha, one.dtype) for one in made}) > 1:
        raise StudyError(
            f"the arm {arm.name!r} is trained in stages that differ in rank, alpha or dtype",
            expected="one adapter, which every stage goes on with",
            way_out="Write the same `rank`, `alpha` and `dtype` in each",
        )
    for one in tunes[:-1]:
        if one.checkpoint is not None:
            raise StudyError(
                f"the arm {arm.name!r} has a checkpoint in a stage that another one follows",
                expected="a checkpoint in the last stage: the one before is trained to its end",
                way_out=f"Write `steps: {one.checkpoint}` there instead",
            )
    for one in tunes:
        steps = one.configuration.steps if one.configuration is not None else None
        if one.checkpoint is not None and steps is not None and one.checkpoint > steps:
            raise StudyError(
                f"the arm {arm.name!r} takes the adapter after step {one.checkpoint} of {steps}",
                expected=f"at most {steps}",
                way_out="Lower `checkpoint`, or raise `steps`",
            )
    return tunes


def is_trained(arm: Arm) -> bool:
    """Whether an adapter is trained for an arm."""
    return any(one.corpus is not None for one in tunes_of(arm))


def in_seeds(arm: Arm, arms: Sequence[Arm]) -> bool:
    """Whether an arm is another one under every training seed: it trains, or edits what an arm that trains wrote."""
    source = source_of(arm, arms)
    return is_trained(arm) or (source is not None and in_seeds(source, arms))


def replicates(arms: Sequence[Arm], seeds: int, first_only: Sequence[str] = ()) -> tuple[Arm, ...]:
    """Every arm once, or once for every training seed where it is another one under each.

    Args:
        arms: The arms of a study with their controls.
        seeds: How many training seeds.
        first_only: Control families that are made for the first training seed alone.

    Raises:
        StudyError: When an arm's tunes do not make one adapter.
    """
    made: list[Arm] = []
    for arm in arms:
        if not in_seeds(arm, arms):
            made.append(arm)
            continue
        most = 1 if arm.control in first_only else seeds
        made += [replace(arm, seed=seed) for seed in range(1, most + 1)]
    return tuple(made)
