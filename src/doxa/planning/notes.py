"""What has to be said beside a planned number: where an approximation is rough, and what a design cannot see."""

import math
from typing import Any

from doxa.planning.controls import Controls
from doxa.planning.exact_power import power_of_binomial, power_of_boschloo
from doxa.planning.means import Paraphrases
from doxa.planning.rates import Equivalence, OneRate, PairedRates, TwoRates, normal_power_of_paired_rates, shifted
from doxa.planning.seeds import SEEDS_ADVISED, SeedRates, Seeds, SeedsByItems
from doxa.planning.simulated_power import simulated_power_of_seeds, simulated_power_of_seeds_by_items
from doxa.stats.intervals import FEWEST_FOR_P
from doxa.stats.rates import wilson

FEWEST_EVENTS = 5.0
"""Expected events below which the normal approximation is called rough."""


def no_notes(design: Any, effect: float) -> tuple[str, ...]:
    """Nothing has to be said."""
    return ()


def notes_on_one_rate(design: OneRate, effect: float) -> tuple[str, ...]:
    """What the exact test finds, and the interval that the stated rate itself would have."""
    n = design.n * design.runs / (1 + (design.runs - 1) * (design.icc or 0.0))
    interval = wilson(design.base * n, n)
    assert interval.low is not None
    assert interval.high is not None
    p = shifted(design.base, effect)
    width = f"a rate of {_percent(design.base)} has a 95% interval from {_percent(interval.low)} to "
    rough = () if design.base in (0, 1) else _rough(n, design.base, p)  # beside 0 and 1 nothing is approximated
    notes = (width + f"{_percent(interval.high)} (Wilson)", *rough)
    exact = power_of_binomial(design.n, design.base, p, design.alpha) if design.runs == 1 else None
    if exact is None:
        return notes
    return (f"the exact binomial test has power {exact:.3f} for it", *notes)


def notes_on_two_rates(design: TwoRates, effect: float) -> tuple[str, ...]:
    """What the exact test finds."""
    n0 = design.n if design.n_base is None else design.n_base
    p1 = shifted(design.base, effect)
    notes = _rough(min(n0, design.n), design.base, p1) if design.runs == 1 else ()
    exact = power_of_boschloo(n0, design.n, design.base, p1, design.alpha) if design.runs == 1 else None
    if exact is None:
        return notes
    return (f"the exact test of such a table (Boschloo) has power {exact:.3f} for it", *notes)


def notes_on_paired_rates(design: PairedRates, effect: float) -> tuple[str, ...]:
    """What the score test would find, and that the exact test's power is a sawtooth."""
    normal = normal_power_of_paired_rates(design, effect)
    expected = design.n * design.discordance
    return (
        f"{expected:.3g} discordant prompts are expected; the score test has power {normal:.3f} by its normal "
        "approximation, which promises too much when they are few",
        "the power of an exact test is a sawtooth in the number of prompts: a few more can have a little less",
    )


def notes_on_equivalence(design: Equivalence, margin: float) -> tuple[str, ...]:
    """Where the normal approximation is rough."""
    if design.base is None:
        return ()
    return _rough(design.n, design.base, shifted(design.base, design.gap))


def notes_on_seeds(design: Seeds | SeedsByItems, effect: float) -> tuple[str, ...]:
    """What the whole test finds, and what few seeds cannot show."""
    if isinstance(design, Seeds):
        simulated = simulated_power_of_seeds(design, effect)
    else:
        simulated = simulated_power_of_seeds_by_items(design, effect)
    whole = f"simulated, with variances and degrees of freedom estimated, the test has power {simulated:.3f} for it"
    missed = _missed(design.seeds)
    if design.seeds >= SEEDS_ADVISED:
        return whole, missed
    few = (
        f"fewer than {SEEDS_ADVISED} seeds: the t of bounded scores and rates covers too little when seeds differ much"
    )
    return whole, missed, few


def notes_on_seed_rates(design: SeedRates, effect: float) -> tuple[str, ...]:
    """What few seeds cannot show."""
    return (_missed(design.seeds),)


def notes_on_controls(design: Controls, effect: float) -> tuple[str, ...]:
    """What the effect has to be above."""
    families = "twins and unrelated vectors" if design.families > 1 else "one family"
    return (f"beside {design.m} controls of {families}; the smallest rank p is 1/{design.m + 1}",)


def notes_on_paraphrases(design: Paraphrases, effect: float) -> tuple[str, ...]:
    """What a report prints for few wordings."""
    if design.paraphrases >= FEWEST_FOR_P:
        return ()
    return (f"fewer than {FEWEST_FOR_P} paraphrases get an interval and no p-value: found is an interval without 0",)


def _missed(seeds: int) -> str:
    share = 1 - 0.05 ** (1 / seeds)
    return f"a behaviour that fewer than {_percent(share)} of the seeds have can be missed by {seeds} seeds"


def _rough(n: float, *rates: float) -> tuple[str, ...]:
    fewest = min(n * min(rate, 1 - rate) for rate in rates)
    if fewest >= FEWEST_EVENTS:
        return ()
    shown = math.floor(10 * fewest + 0.5) / 10
    return (f"only {shown:g} events or non-events are expected in a group: the normal approximation is rough",)


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"
