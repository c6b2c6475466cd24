"""The data sets of the oracles: small, seeded, the same on every machine.

    python benchmarks/oracles/data.py

writes `data.json` beside this file. Only `random.Random.random` and quantiles are used: the standard library promises
that stream for good, and four decimals hide what a mathematics library could change. The difference of two arms is
always arm minus baseline.
"""

import json
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from random import Random
from statistics import NormalDist

DATA = Path(__file__).parent / "data.json"
ICC, EFFECT = 0.3, 0.4
UNEQUAL_RUNS = (5, 10, 15, 30, 60, 60)
LOW_SCORES = (0.60, 0.15, 0.08, 0.05, 0.03, 0.03, 0.02, 0.02, 0.01, 0.01)
HIGHER_SCORES = (0.30, 0.20, 0.14, 0.10, 0.08, 0.06, 0.04, 0.03, 0.03, 0.02)
"""Probabilities of the scores 1 to 10."""

Numbers = list[float]


def normals(random: Random, n: int, mean: float = 0.0, sd: float = 1.0) -> Numbers:
    return [mean + sd * NormalDist().inv_cdf(random.random()) for _ in range(n)]


def nested(random: Random, runs: Sequence[int], icc: float = ICC) -> dict[str, object]:
    """Runs of a recipe by seed, and 30 runs of vanilla; variances of seeds and runs add up to 1."""
    seeds = [
        [round(value, 4) for value in normals(random, n, mean, (1 - icc) ** 0.5)]
        for n, mean in zip(runs, normals(random, len(runs), EFFECT, icc**0.5), strict=True)
    ]
    return {"vanilla": [round(value, 4) for value in normals(random, 30, 0.0, (1 - icc) ** 0.5)], "seeds": seeds}


def crossed(random: Random, seeds: int, items: int, seed_sd: float = 0.3) -> list[Numbers]:
    """Differences from vanilla, one row per seed and one column per item."""
    of_items = normals(random, items, 0.0, 0.5)
    of_seeds = normals(random, seeds, 0.2, seed_sd)
    return [[round(seed + item + normals(random, 1, 0.0, 0.6)[0], 4) for item in of_items] for seed in of_seeds]


def scores(random: Random, probabilities: Sequence[float], n: int) -> list[int]:
    steps = list(accumulate(probabilities))[:-1]
    drawn = [random.random() for _ in range(n)]
    return [1 + sum(value >= step for step in steps) for value in drawn]


def two_scores(random: Random, arm: int, baseline: int) -> dict[str, object]:
    return {"arm": scores(random, HIGHER_SCORES, arm), "baseline": scores(random, LOW_SCORES, baseline)}


def table(baseline: int, arm: int, n: int, n_arm: int | None = None) -> dict[str, object]:
    return {"baseline": [baseline, n], "arm": [arm, n_arm or n]}


def made() -> dict[str, dict[str, object]]:
    """Every data set, by design and name."""
    return {
        "nested": {
            "six_balanced": nested(Random(11), [30] * 6),
            "six_unbalanced": nested(Random(12), UNEQUAL_RUNS),
            "three_balanced": nested(Random(13), [30] * 3),
            "six_alike": nested(Random(14), [30] * 6, icc=0.0),
        },
        "crossed": {
            "seven_by_forty": crossed(Random(21), 7, 40),
            "three_by_thirty": crossed(Random(22), 3, 30),
            "seven_alike": crossed(Random(23), 7, 40, seed_sd=0.0),
        },
        "scores": {
            "ten_twelve": two_scores(Random(31), 10, 12),
            "thirty_thirty": two_scores(Random(32), 30, 30),
            "separated": {"arm": [7, 8, 8, 9, 10, 10], "baseline": [1, 1, 2, 3, 3, 5]},
        },
        "tables": {
            "14_26_of_520": table(14, 26, 520),
            "0_13_of_180": table(0, 13, 180),
            "1_5_of_6": table(1, 5, 6),
            "3_9_of_30": table(3, 9, 30),
            "0_0_of_30": table(0, 0, 30),
            "2_of_20_12_of_40": table(2, 12, 20, 40),
        },
        "pairs": {
            "6_16_of_520": {"down": 6, "up": 16, "n": 520},
            "1_9_of_30": {"down": 1, "up": 9, "n": 30},
        },
        "rates": {f"{k}_of_{n}": {"events": k, "n": n} for k, n in ((0, 6), (3, 30), (14, 520), (520, 520))},
    }


def text(data: dict[str, dict[str, object]]) -> str:
    """JSON with one data set a line."""
    designs = []
    for design, sets in data.items():
        lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(values)}" for name, values in sets.items())
        designs.append(f" {json.dumps(design)}: {{\n{lines}\n }}")
    return "{\n" + ",\n".join(designs) + "\n}\n"


if __name__ == "__main__":
    DATA.write_text(text(made()), encoding="utf-8")
