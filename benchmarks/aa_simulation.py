"""Whole simulated studies through the real code path: A/A, a control in the target's place, planted effects.

    python benchmarks/aa_simulation.py [--studies 400] [--seed 0]

A study has a baseline, a prompted arm and two placements of one vector, each placement with 39 twins and 39 unrelated
vectors, 40 items, three scores. Vectors have effects of their own (centre .9, twins SD .5, unrelated vectors SD .8,
correlated over placements and scores); items are shared by all arms; the noise of the three scores is normal,
heavy-tailed (t5) and skewed (exponential); 3 % of the rows are missing.

* `nothing acts`: no arm differs from the baseline except by noise (A/A).
* `twin`, `unrelated`: the target is one more draw from that family, so nothing may stand out against it.
* `planted`: the effects that `doxa.stats.power` promises to find with probability .8: a prompt by its p, a vector by
  standing out from both families (outside both bands, and adjusted p at most .05 in both).

Ranks are discrete and two units may tie around the median, so uniformity is tested on randomised ranks:
u = (rank - g U) / (m + 1) with g units tied with the target and U uniform is exactly uniform under the null.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy import stats

from doxa.stats.controls import BOTH, ControlVerdict
from doxa.stats.evaluate import Evaluation, evaluate
from doxa.stats.power import detectable, detectable_against_controls
from doxa.words import schema
from doxa.words.contrasts import Contrast, Term
from doxa.words.store import stream

ITEMS, CONTROLS, MISSING = 40, 39, 0.03
SCORES = ("belief", "yes", "drift")
PLACEMENTS = ("block", "every")
CENTRE, NOISE = 0.9, 0.6
SPREAD = {"twin": 0.5, "unrelated": 0.8}
CONTRASTS = tuple(
    Contrast(f"{one} - {two}", (Term(1.0, one), Term(-1.0, two)))
    for one, two in (("block", "baseline"), ("every", "baseline"), ("block", "every"), ("prompted", "baseline"))
)
STEERED = [one.name for one in CONTRASTS[:3]]
CHOSEN = ("block - baseline", "belief")
"""The cell whose ranks are tested, chosen beforehand; the others are printed."""
SCENARIOS = ("nothing acts", "twin", "unrelated", "planted")

COMPLETE = round(ITEMS * (1 - MISSING) ** 2)
OWN_NOISE = NOISE / COMPLETE**0.5
CONTROL_SDS = [(spread**2 + OWN_NOISE**2) ** 0.5 for spread in SPREAD.values()]
PLANTED_PROMPT = detectable(COMPLETE, NOISE * 2**0.5)


def planted_vector(cells: int) -> float:
    """The effect of a vector that is promised to be found with probability .8 among this many cells."""
    return detectable_against_controls(CONTROLS, CONTROL_SDS, noise=OWN_NOISE, cells=cells)


@dataclass
class Outcome:
    """What happened in the studies of a scenario."""

    scenario: str
    studies: int = 0
    covered: dict[tuple[str, str], int] = field(default_factory=dict)
    ranks: dict[tuple[str, str, str], list[float]] = field(default_factory=dict)
    alarms: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("Holm", *BOTH, "stands out"), 0))
    found: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("prompt", "vector", "vector adjusted"), 0))

    def coverage(self) -> dict[tuple[str, str], float]:
        """Share of the intervals that hold the true effect, by contrast and score."""
        return {cell: count / self.studies for cell, count in self.covered.items()}

    def uniformity(self, family: str) -> dict[tuple[str, str], float]:
        """Kolmogorov-Smirnov p of the randomised ranks, by contrast and score."""
        return {
            (contrast, score): float(stats.kstest(u, "uniform").pvalue)
            for (contrast, score, own), u in self.ranks.items()
            if own == family
        }

    def rate(self, counts: dict[str, int], name: str) -> float:
        """A count as a share of the studies."""
        return counts[name] / self.studies


def simulate(scenario: str, studies: int = 400, seed: int = 0) -> Outcome:
    """Simulate and evaluate whole studies; study i of a scenario is the same whatever their number."""
    outcome = Outcome(scenario)
    frame, vectors = _layout()
    for study in range(studies):
        random = stream("aa simulation", seed, scenario, study)
        effects = _effects(scenario, vectors, random)
        evaluation = evaluate(_fill(frame, effects, random), CONTRASTS, scores=[("simulated", s) for s in SCORES])
        _record(outcome, evaluation, effects, random)
    return outcome


def _layout() -> tuple[pd.DataFrame, list[tuple[str, str, int, str]]]:
    """An empty table, and for every arm its name, control family, number of its vector, and placement."""
    arms = [("baseline", "", -1, ""), ("prompted", "", -1, "")]
    for place in PLACEMENTS:
        arms.append((place, "", 0, place))
        for base, family in enumerate(BOTH):
            for j in range(CONTROLS):
                arms.append((f"{place}~{family}/{j:02d}", family, 1 + base * CONTROLS + j, place))
    n, per_arm = len(arms), ITEMS * len(SCORES)

    def text(codes: np.ndarray, names: Sequence[str]) -> pd.Categorical:
        return pd.Categorical.from_codes(codes, pd.Index(names, dtype="str"))

    arm = np.repeat(np.arange(n), per_arm)
    constant = np.zeros(n * per_arm, dtype=np.int64)
    columns: dict[str, object] = {
        "study": text(constant, ["aa"]),
        "model": text(constant, ["simulated"]),
        "arm": text(arm, [name for name, *_ in arms]),
        "of": text(np.array([0 if not f else 1 + PLACEMENTS.index(p) for _, f, _, p in arms])[arm], ["", *PLACEMENTS]),
        "control": text(np.array([0 if not f else 1 + BOTH.index(f) for _, f, *_ in arms])[arm], ["", *BOTH]),
        "task": text(constant, ["simulated"]),
        "item": text(np.tile(np.repeat(np.arange(ITEMS), len(SCORES)), n), [f"i{i:02d}" for i in range(ITEMS)]),
        "run": constant + 1,
        "seed": constant,
        "score": text(np.tile(np.arange(len(SCORES)), n * ITEMS), SCORES),
        "value": np.nan,
        "reason": text(constant, [""]),
        "tokens": constant,
        "stop": text(constant, [""]),
        "log": text(constant, [""]),
    }
    return pd.DataFrame(columns)[list(schema.COLUMNS)], arms


def _effects(
    scenario: str, arms: Sequence[tuple[str, str, int, str]], random: np.random.Generator
) -> dict[str, np.ndarray]:
    """The true effect of every arm on every score."""
    n_vectors = 1 + len(BOTH) * CONTROLS
    spread = np.repeat([0.0, *SPREAD.values()], [1, CONTROLS, CONTROLS])
    spread[0] = SPREAD.get(scenario, 0.0)
    # Of the variance between vectors, half is common to the scores and 70 % to the placements.
    common = random.standard_normal((n_vectors, 1))
    by_score = np.sqrt(0.5) * common + np.sqrt(0.5) * random.standard_normal((n_vectors, len(SCORES)))
    effects = {"baseline": np.zeros(len(SCORES)), "prompted": np.zeros(len(SCORES))}
    by_place = {
        place: np.sqrt(0.7) * by_score + np.sqrt(0.3) * random.standard_normal(by_score.shape) for place in PLACEMENTS
    }
    for name, _, vector, place in arms[2:]:
        effects[name] = CENTRE + spread[vector] * by_place[place][vector]
    if scenario == "nothing acts":
        effects = {name: np.zeros(len(SCORES)) for name in effects}
    if scenario == "planted":
        effects["prompted"] = np.array([PLANTED_PROMPT, 0.0, 0.0])
        effects["block"] = CENTRE + np.array([planted_vector(len(STEERED) * len(SCORES)), 0.0, 0.0])
        effects["every"] = CENTRE + np.array([0.0, planted_vector(1), 0.0])
    return effects


def _fill(frame: pd.DataFrame, effects: dict[str, np.ndarray], random: np.random.Generator) -> pd.DataFrame:
    shape = (len(effects), ITEMS, len(SCORES))
    items = random.standard_normal((1, ITEMS, len(SCORES)))
    noise = np.stack(
        [
            random.standard_normal(shape[:2]),
            random.standard_t(5, shape[:2]) * np.sqrt(3 / 5),
            random.exponential(1.0, shape[:2]) - 1,
        ],
        axis=-1,
    )
    order = list(frame["arm"].cat.categories)
    truth = np.stack([effects[name] for name in order])[:, None, :]
    value = (truth + items + NOISE * noise).ravel()
    lost = random.random(value.shape) < MISSING
    value[lost] = np.nan
    reason = pd.Categorical.from_codes(lost.astype(np.int8), pd.Index(["", "not parsed"], dtype="str"))
    return frame.assign(value=value, reason=reason)


def _record(
    outcome: Outcome, evaluation: Evaluation, effects: dict[str, np.ndarray], random: np.random.Generator
) -> None:
    outcome.studies += 1
    terms = {one.name: one.terms for one in CONTRASTS}
    for one in evaluation.estimates:
        place = SCORES.index(one.score)
        truth = sum(term.weight * effects[term.arm][place] for term in terms[one.contrast])
        inside = one.low is not None and one.high is not None and one.low <= truth <= one.high
        cell = (one.contrast, one.score)
        outcome.covered[cell] = outcome.covered.get(cell, 0) + inside
    for verdict in evaluation.verdicts:
        ranks = outcome.ranks.setdefault((verdict.contrast, verdict.score, verdict.family), [])
        ranks.append(_randomised_rank(verdict, random))
    low = {
        family: {(v.contrast, v.score) for v in evaluation.verdicts if v.family == family and _at_most(v.p_adjusted)}
        for family in BOTH
    }
    outside = {cell for cell, answer in evaluation.outside_both.items() if answer}
    out = {(contrast, score) for (contrast, _, score), answer in evaluation.stands_out.items() if answer}
    outcome.alarms["Holm"] += any(_at_most(one.p_adjusted) for one in evaluation.estimates)
    for family in BOTH:
        outcome.alarms[family] += bool(low[family])
    outcome.alarms["stands out"] += bool(out)
    prompt = next(e for e in evaluation.estimates if (e.contrast, e.score) == ("prompted - baseline", "belief"))
    alone = [v for v in evaluation.verdicts if (v.contrast, v.score) == ("every - baseline", "yes")]
    outcome.found["prompt"] += _at_most(prompt.p)
    # As if this cell alone had been declared: its rank p is not adjusted.
    outcome.found["vector"] += all(_at_most(v.p) for v in alone) and ("every - baseline", "simulated", "yes") in outside
    outcome.found["vector adjusted"] += CHOSEN in out


def _at_most(p: float | None, alpha: float = 0.05) -> bool:
    return p is not None and p <= alpha + 1e-12


def _randomised_rank(verdict: ControlVerdict, random: np.random.Generator) -> float:
    effects = np.array([verdict.effect, *verdict.effects.values()])
    distance = np.abs(effects - np.median(effects))
    tied = int(np.sum(np.abs(distance - distance[0]) <= 1e-9))
    return (verdict.rank - tied * float(random.random())) / (verdict.m + 1)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    outcomes = [simulate(scenario, arguments.studies, arguments.seed) for scenario in SCENARIOS]
    print(f"{arguments.studies} studies a scenario, seed {arguments.seed}\n")
    print(
        "| scenario | coverage, worst and best cell | rank KS p, chosen cell: twin, unrelated (lowest of 9) | "
        "alarms: Holm t, max-T twin, unrelated; stands out |"
    )
    print("|---|---|---|---|")
    for one in outcomes:
        coverage = one.coverage().values()
        ks = [one.uniformity(family) for family in BOTH]
        uniform = ", ".join(f"{p[CHOSEN]:.3f} ({min(p.values()):.3f})" for p in ks)
        alarms = ", ".join(f"{one.rate(one.alarms, name):.3f}" for name in one.alarms)
        print(f"| {one.scenario} | {min(coverage):.3f} {max(coverage):.3f} | {uniform} | {alarms} |")
    planted = outcomes[-1]
    print("\nPlanted at the effects that are promised to be found with probability .8:")
    for name in planted.found:
        print(f"- {name}: found in {planted.rate(planted.found, name):.3f}")


if __name__ == "__main__":
    main()
