"""Controls are made by the study, not by the user (law 8)."""

from dataclasses import replace

from doxa.words.arms import Arm
from doxa.words.interventions import Prompt, Steer, Twin, VectorReference
from doxa.words.study import Study


def controls_of(study: Study) -> tuple[Arm, ...]:
    """The control arms that the study makes (law 8), in a fixed order.

    A twin replaces every vector of an arm by twin j of it; an unrelated control replaces it by the vector of the
    generated set j with the target's norms. A prompt is replaced by its neutral twin or a paraphrase, and what else an
    arm does stays.
    """
    made: list[Arm] = []
    scope = study.steer_controls
    for arm in study.arms:
        steers = [one for one in arm.interventions if isinstance(one, Steer)]
        if steers and (scope.arms is None or arm.name in scope.arms):
            for family, count in (("twin", scope.twins), ("unrelated", scope.unrelated)):
                made += [_steered_control(arm, family, index, study.seed) for index in range(count)]
        prompts = [one for one in arm.interventions if isinstance(one, Prompt)]
        if prompts and not steers:
            kinds = (["neutral"] if study.prompt_controls.neutral else []) + [
                f"paraphrase-{i + 1}" for i in range(study.prompt_controls.paraphrases)
            ]
            made += [_prompted_control(arm, kind) for kind in kinds]
    return tuple(made)


def _steered_control(arm: Arm, family: str, index: int, seed: int) -> Arm:
    def other(reference: VectorReference) -> VectorReference:
        if family == "twin":
            return replace(reference, twin=Twin(index, seed))
        return VectorReference(f"unrelated/{index:02d}", base=reference.base, norms_of=reference.name)

    interventions = tuple(
        replace(one, vector=other(one.vector)) if isinstance(one, Steer) else one for one in arm.interventions
    )
    return Arm(f"{arm.name}~{family}/{index:02d}", interventions, of=arm.name, control=family, levels=arm.levels)


def _prompted_control(arm: Arm, kind: str) -> Arm:
    family = kind.partition("-")[0]
    interventions = tuple(Prompt(f"{one.text}#{kind}") if isinstance(one, Prompt) else one for one in arm.interventions)
    return Arm(f"{arm.name}~{kind}", interventions, of=arm.name, control=family, levels=arm.levels)
