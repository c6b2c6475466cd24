"""The designs that can be planned, by name: what each needs, what its effect is, which of its numbers can be found."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from doxa.planning.controls import LADDER, Controls, power_of_controls, refused_controls
from doxa.planning.means import (
    FEWEST_PARAPHRASES,
    Means,
    PairedMeans,
    Paraphrases,
    power_of_means,
    power_of_paired_means,
    power_of_paraphrases,
    refused_means,
    refused_paired_means,
    refused_paraphrases,
)
from doxa.planning.notes import (
    no_notes,
    notes_on_controls,
    notes_on_equivalence,
    notes_on_one_rate,
    notes_on_paired_rates,
    notes_on_paraphrases,
    notes_on_seed_rates,
    notes_on_seeds,
    notes_on_two_rates,
)
from doxa.planning.rates import (
    Equivalence,
    OneRate,
    PairedRates,
    TwoRates,
    power_of_equivalence,
    power_of_one_rate,
    power_of_paired_rates,
    power_of_two_rates,
    refused_equivalence,
)
from doxa.planning.seeds import (
    FEWEST_SEEDS,
    SeedRates,
    Seeds,
    SeedsByItems,
    SeedVariance,
    power_of_seed_variance,
    power_of_seeds,
    power_of_seeds_by_items,
    refused_seed_rates,
    refused_seed_variance,
    refused_seeds,
    refused_seeds_by_items,
)
from doxa.planning.simulated_power import power_of_seed_rates
from doxa.stats.intervals import FEWEST_FOR_P
from doxa.words.errors import StudyError, nearest

SEEDS = (3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 30, 40, 50, 100)
SEED_RUNS = (5, 10, 20, 30, 40, 50, 60, 80, 100, 150, 200, 300, 500, 1000)
"""Numbers of seeds and of runs that are tried where every one is a simulation."""
Scale = Literal["share", "score", "icc", "sd of the controls"]
Design = (
    OneRate
    | TwoRates
    | PairedRates
    | Means
    | PairedMeans
    | Seeds
    | SeedRates
    | SeedsByItems
    | SeedVariance
    | Controls
    | Paraphrases
    | Equivalence
)


@dataclass(frozen=True)
class DesignKind:
    """One design.

    Attributes:
        name: As it is typed.
        record: The frozen record of its numbers.
        power: Power of a record at an effect.
        refused: Why a record has no test; empty when it has one.
        sizes: Numbers that can be found, with the fewest that have a test.
        effect: What the effect is called: an option of the command line.
        meaning: What the effect is, in words.
        scale: What the effect is measured in.
        largest: Largest rise and largest fall of a record; infinite where there is no limit, 0 where there is none.
        unit: Unit of replication.
        method: Test and approximation, in words.
        notes: What has to be said beside an answer, from a record and an effect.
        instead: What helps where more of a size do not.
        tried: Sizes that are tried where the power is simulated; empty: it is not, and every whole number is.
    """

    name: str
    record: type[Any]
    power: Callable[[Any, float], float]
    refused: Callable[[Any], str]
    sizes: Mapping[str, int]
    effect: str
    meaning: str
    scale: Scale
    largest: Callable[[Any], tuple[float, float]]
    unit: str
    method: str
    notes: Callable[[Any, float], tuple[str, ...]] = no_notes
    instead: Mapping[str, str] = field(default_factory=dict)
    tried: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


def _never_refused(design: Any) -> str:
    return ""


def _unlimited(design: Any) -> tuple[float, float]:
    return math.inf, math.inf


def _within_a_rate(design: OneRate | TwoRates | SeedRates) -> tuple[float, float]:
    return 1 - design.base, design.base


KINDS: Mapping[str, DesignKind] = {
    kind.name: kind
    for kind in (
        DesignKind(
            "one rate",
            OneRate,
            power_of_one_rate,
            _never_refused,
            {"n": 1, "runs": 1},
            effect="effect",
            meaning="difference from the stated rate",
            scale="share",
            largest=_within_a_rate,
            unit="prompt",
            method="score test of one rate, two-sided (normal approximation)",
            notes=notes_on_one_rate,
            instead={"runs": "more prompts"},
        ),
        DesignKind(
            "two rates",
            TwoRates,
            power_of_two_rates,
            _never_refused,
            {"n": 1, "runs": 1},
            effect="effect",
            meaning="difference of the two rates",
            scale="share",
            largest=_within_a_rate,
            unit="prompt",
            method="pooled z of two unpaired rates, two-sided (normal approximation)",
            notes=notes_on_two_rates,
            instead={"n": "more prompts in the group at the base rate (n-base)", "runs": "more prompts"},
        ),
        DesignKind(
            "paired rates",
            PairedRates,
            power_of_paired_rates,
            _never_refused,
            {"n": 1},
            effect="effect",
            meaning="difference of the two rates",
            scale="share",
            largest=lambda design: (design.discordance, design.discordance),
            unit="prompt, in both arms",
            method="exact McNemar, two-sided (enumerated over the number of discordant prompts)",
            notes=notes_on_paired_rates,
        ),
        DesignKind(
            "means",
            Means,
            power_of_means,
            refused_means,
            {"n": FEWEST_FOR_P, "runs": 1},
            effect="effect",
            meaning="difference of the two means",
            scale="score",
            largest=_unlimited,
            unit="unit, in one group",
            method="t of two groups with equal variances, two-sided (noncentral t)",
            instead={"n": "more units in the first group (n-base)", "runs": "more units"},
        ),
        DesignKind(
            "paired means",
            PairedMeans,
            power_of_paired_means,
            refused_paired_means,
            {"n": FEWEST_FOR_P, "runs": 1},
            effect="effect",
            meaning="mean difference",
            scale="score",
            largest=_unlimited,
            unit="unit, in both arms",
            method="paired t, two-sided (noncentral t)",
            instead={"runs": "more units"},
        ),
        DesignKind(
            "seeds",
            Seeds,
            power_of_seeds,
            refused_seeds,
            {"seeds": FEWEST_SEEDS, "runs": 2},
            effect="effect",
            meaning="difference of the recipe and the fixed vanilla model",
            scale="score",
            largest=_unlimited,
            unit="training seed; vanilla is one fixed model",
            method="t with Satterthwaite's degrees of freedom, two-sided (noncentral t, variances as expected)",
            notes=notes_on_seeds,
            instead={"seeds": "more runs of the vanilla model (vanilla-runs)", "runs": "more seeds"},
        ),
        DesignKind(
            "seed rates",
            SeedRates,
            power_of_seed_rates,
            refused_seed_rates,
            {"seeds": FEWEST_SEEDS, "runs": SEED_RUNS[0]},
            effect="effect",
            meaning="difference of the rates of the recipe and the fixed vanilla model",
            scale="share",
            largest=_within_a_rate,
            unit="training seed; vanilla is one fixed model",
            method="interval by MOVER of a design-effect Wilson and a Wilson interval (simulated, 4,000 studies)",
            notes=notes_on_seed_rates,
            tried={"seeds": SEEDS, "runs": SEED_RUNS},
            instead={"seeds": "more runs of the vanilla model (vanilla-runs)", "runs": "more seeds"},
        ),
        DesignKind(
            "seeds x items",
            SeedsByItems,
            power_of_seeds_by_items,
            refused_seeds_by_items,
            {"seeds": FEWEST_SEEDS, "items": FEWEST_SEEDS, "runs": 1},
            effect="effect",
            meaning="difference of the recipe and the fixed vanilla model",
            scale="score",
            largest=_unlimited,
            unit="training seed and item, both random",
            method="two-way t with Satterthwaite's degrees of freedom, two-sided (noncentral t, variances as expected)",
            notes=notes_on_seeds,
            instead={"seeds": "more items", "items": "more seeds", "runs": "more seeds or items"},
        ),
        DesignKind(
            "seed variance",
            SeedVariance,
            power_of_seed_variance,
            refused_seed_variance,
            {"seeds": 2, "runs": 2},
            effect="icc",
            meaning="share of the variance of runs that lies between seeds",
            scale="icc",
            largest=lambda design: (1.0, 0.0),
            unit="run within a training seed",
            method="F of seeds against runs (exact on normal data)",
            instead={"runs": "more seeds"},
        ),
        DesignKind(
            "controls",
            Controls,
            power_of_controls,
            refused_controls,
            {"m": LADDER[0]},
            effect="effect",
            meaning="distance from the centre of the controls",
            scale="sd of the controls",
            largest=_unlimited,
            unit="control vector",
            method="centred rank by max-T and the band of every family (simulated, 4,000 studies)",
            notes=notes_on_controls,
            tried={"m": LADDER},
            instead={"m": "a smaller spread of the controls or a larger effect"},
        ),
        DesignKind(
            "paraphrases",
            Paraphrases,
            power_of_paraphrases,
            refused_paraphrases,
            {"paraphrases": FEWEST_PARAPHRASES, "runs": 1},
            effect="effect",
            meaning="mean difference over wordings",
            scale="score",
            largest=_unlimited,
            unit="paraphrase, in both arms",
            method="paired t over paraphrases, two-sided (noncentral t)",
            instead={"runs": "more paraphrases"},
            notes=notes_on_paraphrases,
        ),
        DesignKind(
            "equivalence",
            Equivalence,
            power_of_equivalence,
            refused_equivalence,
            {"n": 1},
            effect="margin",
            meaning="margin within which the difference is shown to lie",
            scale="share",
            largest=lambda design: (math.inf if design.base is None else 1.0, 0.0),
            unit="unit, in one group",
            method="two one-sided tests (z for rates, a normal approximation; t for means)",
            notes=notes_on_equivalence,
        ),
    )
}
"""Every design, by its name."""


def kind_of(design: Design) -> DesignKind:
    """The kind of a design."""
    return next(kind for kind in KINDS.values() if kind.record is type(design))


def kind_named(name: str) -> DesignKind:
    """The kind with a name; `seeds x items` may be typed with hyphens or without spaces around the x.

    Raises:
        StudyError: When there is none.
    """
    asked = " ".join(name.lower().replace("-", " ").replace("_", " ").replace("×", " x ").split())
    if asked not in KINDS:
        raise StudyError(f"no design is called {name!r}", way_out=nearest(asked, KINDS))
    return KINDS[asked]


def scale_of(kind: DesignKind, design: Design) -> Scale:
    """What the effect of a design is measured in: the score's own units for means and for controls with an SD."""
    if isinstance(design, Equivalence) and design.base is None:
        return "score"
    if isinstance(design, Controls) and design.sd != 1:
        return "score"
    return kind.scale
