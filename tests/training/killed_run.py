"""A training run in a process of its own, for a test that kills it: `python killed_run.py FOLDER`."""

import sys
from pathlib import Path

from tiny_networks import rows, tiny

from doxa.training import local
from doxa.training.local import Stage, train
from doxa.words.tuning import Configuration, TrainingSeeds

STAGES = [
    Stage(tuple(rows((9, 5, 12, 7, 6))), Configuration(1e-2, rank=4, batch_size=2, steps=12), "first", ""),
    Stage(tuple(rows((8, 8, 10))), Configuration(1e-2, rank=4, batch_size=2, steps=30), "second", ""),
]
SEEDS = TrainingSeeds(1, 2)

if __name__ == "__main__":
    local.MINUTES = 0.0
    print("begun", flush=True)
    train(tiny(), STAGES, SEEDS, Path(sys.argv[1]), progress=lambda count: print(count, flush=True))
