"""Controls are made by the study, not by the user (law 8)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from doxa.words.arms import Arm
from doxa.words.interventions import Prompt, Steer, Thought, Tune, Twin, VectorReference
from doxa.words.study import Study

THOUGHT_FAMILIES: Sequence[Literal["reprefill", "neutral"]] = ("reprefill", "neutral")
"""Controls of an edit: the same place without a change, and with a change about something else."""


def controls_of(study: Study) -> tuple[Arm, ...]:
    """The control arms that the study makes (law 8), in a fixed order.

    A twin replaces every vector of an arm by twin j of it; an unrelated control replaces it by the vector of the
    generated set j with the target's norms. A prompt is replaced by its neutral twin or a paraphrase, and what else an
    arm does stays. An edit of the chain of thought is replaced by a re-prefill that changes nothing, and by a neutral
    edit of equal length. A corpus is replaced by the one that the study names for it, in an arm that is trained and
    neither steered nor edited; everything else about the training stays.
    """
    made: list[Arm] = []
    scope = study.steer_controls
    for arm in study.arms:
        steers = [one for one in arm.interventions if isinstance(one, Steer)]
        if steers and (scope.arms is None or arm.name in scope.arms):
            for family, count in (("twin", scope.twins), ("unrelated", scope.unrelated)):
                made += [_steered_control(arm, family, index, study.seed) for index in range(count)]
        if edits_thoughts(arm):
            wanted = {"reprefill": study.thought_controls.reprefill, "neutral": study.thought_controls.neutral}
            made += [_thought_control(arm, kind) for kind in THOUGHT_FAMILIES if wanted[kind]]
        prompts = [one for one in arm.interventions if isinstance(one, Prompt)]
        if prompts and not steers and not edits_thoughts(arm):
            kinds = (["neutral"] if study.prompt_controls.neutral else []) + [
                f"paraphrase-{i + 1}" for i in range(study.prompt_controls.paraphrases)
            ]
            made += [_prompted_control(arm, kind) for kind in kinds]
        if study.tune_controls.corpus and not steers and not edits_thoughts(arm):
            made += _tuned_control(arm, study.tune_controls.corpus)
    return tuple(made)


def generates(arm: Arm) -> bool:
    """Whether a control arm is generated from, and not scored alone: what it stands for is what the arm writes."""
    return edits_thoughts(arm) or arm.control == "corpus"


def edits_thoughts(arm: Arm) -> bool:
    """Whether an arm edits its chain of thought; opening one without writing into it is no edit."""
    return any(
        isinstance(one, Thought) and (one.edit != "prefill" or one.text is not None or one.block is not None)
        for one in arm.interventions
    )


def edit_of(arm: Arm) -> str:
    """What is done to the thinking of an arm: the edit, `opened` where a block is opened and left empty, or ""."""
    found = next((one.edit for one in arm.interventions if isinstance(one, Thought)), "")
    return "opened" if found and not edits_thoughts(arm) else found


def _thought_control(arm: Arm, kind: Literal["reprefill", "neutral"]) -> Arm:
    interventions = tuple(replace(one, control=kind) if isinstance(one, Thought) else one for one in arm.interventions)
    return Arm(f"{arm.name}~{kind}", interventions, of=arm.name, control=kind, levels=arm.levels)


def _steered_control(arm: Arm, family: str, index: int, seed: int) -> Arm:
    def other(reference: VectorReference) -> VectorReference:
        if family == "twin":
            return replace(reference, twin=Twin(index, seed))
        return VectorReference(f"unrelated/{index:02d}", base=reference.base, norms_of=reference.name)

    interventions = tuple(
        replace(one, vector=other(one.vector)) if isinstance(one, Steer) else one for one in arm.interventions
    )
    return Arm(f"{arm.name}~{family}/{index:02d}", interventions, of=arm.name, control=family, levels=arm.levels)


def _tuned_control(arm: Arm, corpora: Mapping[str, str]) -> list[Arm]:
    interventions = tuple(
        replace(one, corpus=corpora.get(one.corpus, one.corpus))
        if isinstance(one, Tune) and one.corpus is not None
        else one
        for one in arm.interventions
    )
    if interventions == arm.interventions:
        return []
    return [Arm(f"{arm.name}~corpus", interventions, of=arm.name, control="corpus", levels=arm.levels)]


def _prompted_control(arm: Arm, kind: str) -> Arm:
    family = kind.partition("-")[0]
    interventions = tuple(Prompt(f"{one.text}#{kind}") if isinstance(one, Prompt) else one for one in arm.interventions)
    return Arm(f"{arm.name}~{kind}", interventions, of=arm.name, control=family, levels=arm.levels)
