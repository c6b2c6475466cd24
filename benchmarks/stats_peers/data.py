"""Seeded tables for `stats_speed.py`, the same for doxa and for every peer.

| design | one row for each |
|---|---|
| `paired` | arm (two), item, run (ten); any value. Items differ in their level and in the difference of the arms |
| `rate` | item, run (ten) of one arm; 0 or 1 |
| `recipe` | arm (two), training seed (six), item, run (ten); any value |
| `pairs` | arm (two), item; 0 or 1 |
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

RUNS, SEEDS = 10, 6
ARMS = ("baseline", "block")
COLUMNS = (
    *("study", "model", "arm", "of", "control", "task", "item", "run", "seed", "score"),
    *("value", "reason", "tokens", "stop", "log"),
)
"""Of a table of doxa, which this file does not import: peers' environments lack it."""


@dataclass(frozen=True, eq=False)
class Data:
    """Rows in the order of their key.

    Attributes:
        arm: Code of the arm.
        item: Number of the item.
        run: Number of the run, from 1.
        seed: Training seed.
        value: Value.
    """

    arm: np.ndarray
    item: np.ndarray
    run: np.ndarray
    seed: np.ndarray
    value: np.ndarray

    @property
    def frame(self) -> pd.DataFrame:
        """What a peer starts from: the columns arm, item, run, seed, value."""
        return pd.DataFrame(
            {
                "arm": _text(self.arm, ARMS),
                "item": _text(self.item, _names(self.item)),
                "run": self.run,
                "seed": self.seed,
                "value": self.value,
            }
        )

    @property
    def table(self) -> pd.DataFrame:
        """What doxa starts from: all columns, of the types that it reads from a file."""
        constant = np.zeros(len(self.value), dtype=np.int64)
        fixed = {"study": "study", "model": "model", "of": "", "control": "", "task": "task", "score": "score",
                 "reason": "", "stop": "stop", "log": "a.eval"}  # fmt: skip
        columns = {name: _text(constant, (text,)) for name, text in fixed.items()}
        columns |= {"arm": _text(self.arm, ARMS), "item": _text(self.item, _names(self.item)), "tokens": constant}
        columns |= {"run": self.run, "seed": self.seed, "value": self.value}
        return pd.DataFrame(columns)[list(COLUMNS)]

    @property
    def shuffled(self) -> "Data":
        """The same rows in another order."""
        order = np.random.default_rng(1).permutation(len(self.value))
        return Data(self.arm[order], self.item[order], self.run[order], self.seed[order], self.value[order])


def drawn(design: str, rows: int) -> Data:
    """About so many rows of a design."""
    random = np.random.default_rng(0)
    arms, seeds, runs = {
        "paired": (2, 1, RUNS), "rate": (1, 1, RUNS), "recipe": (2, SEEDS, RUNS), "pairs": (2, 1, 1)
    }[design]  # fmt: skip
    items = rows if design == "pairs" else rows // (arms * seeds * runs)
    arm, item, run, seed = (one.ravel() for one in np.indices((arms, items, runs, seeds)))
    if design == "rate":
        value = (random.random(len(item)) < random.beta(2, 3, items)[item]).astype(np.float64)
    elif design == "pairs":
        both, one = random.random(items), random.random(items)
        value = np.where(one[item] < np.array([0.02, 0.021])[arm], both[item] < 0.5, both[item] < 0.3)
        value = np.where(random.random(len(item)) < 0.05, 1 - value, value).astype(np.float64)
    else:
        of_seed = 0.3 * random.normal(size=(arms, seeds)) if seeds > 1 else np.zeros((arms, seeds))
        level, effect = random.normal(size=items), 0.05 + 0.5 * random.normal(size=items)
        value = level[item] + effect[item] * arm + of_seed[arm, seed] + random.normal(size=len(item))
    return Data(arm, item, run + 1, seed, value)


def _names(item: np.ndarray) -> tuple[str, ...]:
    return tuple(f"item {number:07d}" for number in range(int(item.max()) + 1))


def _text(codes: np.ndarray, names: tuple[str, ...]) -> pd.Series:
    return pd.Series(pd.Categorical.from_codes(codes, pd.Index(names))).astype("string")
