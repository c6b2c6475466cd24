"""Planning against control vectors: how far an effect must lie from what vectors without the belief do."""

from dataclasses import dataclass

from doxa.planning.checks import check_level, positive, whole
from doxa.stats.controls import ALPHA, BOTH, FEWEST_FOR_RANK
from doxa.stats.power import power_against_controls

LADDER = (19, 24, 29, 39, 49, 59, 79, 99)
"""Numbers of controls that are tried: more make the rank finer and the band wider, so the power rises and falls."""


@dataclass(frozen=True)
class Controls:
    """A steered arm beside its control vectors. The effect is its distance from their centre.

    Attributes:
        m: Controls of each family.
        families: Families that the effect must stand out against; twins and unrelated vectors are 2.
        sd: SD of the controls' effects; 1: the effect is in these SDs.
        noise: Standard error of the target's own effect over items; the same noise is part of `sd`.
        cells: Contrasts times scores of the declared family.
        alpha: Level of the test.
    """

    m: int
    families: int = len(BOTH)
    sd: float = 1.0
    noise: float = 0.0
    cells: int = 1
    alpha: float = ALPHA

    def __post_init__(self) -> None:
        whole(self.m, "m", most=1000)
        whole(self.families, "families", most=len(BOTH))
        positive(self.sd, "sd")
        positive(self.noise, "noise", zero=True)
        whole(self.cells, "cells", most=100)
        check_level(self.alpha)


def power_of_controls(design: Controls, effect: float) -> float:
    """Centred rank by max-T and the band of every family, simulated with a fixed seed: `doxa.stats.power`."""
    return power_against_controls(
        effect, design.m, (design.sd,) * design.families, design.alpha, noise=design.noise, cells=design.cells
    )


def refused_controls(design: Controls) -> str:
    """Why controls have no rank p."""
    if design.m < FEWEST_FOR_RANK:
        return (
            f"the smallest rank p with {design.m} controls is 1/{design.m + 1}: they can never reject; at least "
            f"{FEWEST_FOR_RANK} are needed"
        )
    if 1 / (design.m + 1) > design.alpha:
        return f"the smallest rank p with {design.m} controls is 1/{design.m + 1}, above alpha {design.alpha:g}"
    return ""
