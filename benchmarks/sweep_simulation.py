"""Do the intervals of a sweep hold? Simulated sweeps in which the truth is known.

    python benchmarks/sweep_simulation.py [--studies 1000] [--write]

A sweep of 90 cells (30 layers x 3 strengths) over units (topics) that differ: neighbouring cells are correlated by .8
a layer. Scenarios: nothing works (`null`), or a ridge of layers works (`ridge`), with normal or skewed (exponential)
effects of units. Reported are: how often the naive interval of the best cell covers its truth; how often that chosen
and estimated on halves does; how often all 90 bands hold together; how often any adjusted p of the bands is at most .05
where nothing works; and how often the target's maximum is among the top .05 of 19 twins where it is one more twin.
"""

import argparse
from pathlib import Path

import numpy as np
from page import written

from doxa.stats.sweep import Grid, bands, on_the_maximum, split_half
from doxa.words.sweeps import Cell

PAGE = Path(__file__).parents[1] / "docs" / "how-to-sweep.md"
BEGIN, END = "<!-- table: written by benchmarks/sweep_simulation.py -->", "<!-- end of table -->"
LAYERS, STRENGTHS, TWINS = 30, (0.2, 0.4, 0.8), 19
CELLS = tuple(Cell((layer,), strength) for layer in range(LAYERS) for strength in STRENGTHS)


def correlated(shape: tuple[int, ...], generator: np.random.Generator, skewed: bool) -> np.ndarray:
    """Noise [..., cells], unit variance; layers follow each other with correlation .8."""
    draw = (lambda size: generator.exponential(1.0, size) - 1.0) if skewed else generator.standard_normal
    steps = draw((*shape, LAYERS))
    own = draw((*shape, LAYERS, len(STRENGTHS)))
    shared = np.empty_like(steps)
    shared[..., 0] = steps[..., 0]
    for layer in range(1, LAYERS):
        shared[..., layer] = 0.8 * shared[..., layer - 1] + 0.6 * steps[..., layer]
    mixed = np.sqrt(0.7) * shared[..., None] + np.sqrt(0.3) * own
    return mixed.reshape(*shape, LAYERS * len(STRENGTHS))


def truth(ridge: bool) -> np.ndarray:
    """The effect of every cell: none, or a ridge around layer 12 that grows with the strength."""
    if not ridge:
        return np.zeros(len(CELLS))
    return np.array([1.5 * one.strength * np.exp(-(((one.layers[0] - 12) / 3) ** 2)) for one in CELLS])


def simulated(units: int, ridge: bool, skewed: bool, studies: int) -> list[float]:
    """The shares that are reported."""
    generator = np.random.Generator(np.random.PCG64(units + 1000 * ridge + 2000 * skewed))
    real, counts = truth(ridge), np.zeros(5)
    names = tuple(f"topic {index}" for index in range(units))
    for _ in range(studies):
        effects = (real + correlated((units,), generator, skewed)).T
        twins = correlated((TWINS, units), generator, skewed).mean(axis=1)
        grid = Grid(CELLS, names, effects, twins)
        found, half, most = bands(effects, draws=999), split_half(grid), on_the_maximum(grid)
        assert half is not None
        assert most is not None
        best = int(np.argmax(np.abs(found.effect)))
        error = found.error[best] * 1.96
        counts += [
            abs(found.effect[best] - real[best]) <= error,
            half.low <= real[half.cell] <= half.high,
            bool(np.all((found.low <= real) & (real <= found.high))),
            bool(found.p.min() <= 0.05),
            most.rank == 1,
        ]
    return (counts / studies).tolist()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    lines = [
        "| truth | effects of units | units | naive best cell covers | split half covers | all bands hold "
        "| any p <= .05 | first of 20 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for ridge in (False, True):
        for skewed in (False, True):
            for units in (8, 12, 24, 96):
                shares = simulated(units, ridge, skewed, options.studies)
                row = ["ridge" if ridge else "null", "skewed" if skewed else "normal", str(units)]
                lines.append(f"| {' | '.join([*row, *(f'{one:.3f}' for one in shares)])} |")
                print(lines[-1], flush=True)
    text = f"{options.studies} simulated sweeps a row.\n\n" + "\n".join(lines)
    if options.write:
        written(PAGE, BEGIN, END, text)


if __name__ == "__main__":
    main()
