"""The figure of training: how the loss fell, every training seed a line."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from doxa.report.marks import legend
from doxa.report.theme import SERIES, WIDTH, Drawing, finish, style

Curve = tuple[Sequence[float], Sequence[float]]
SMOOTH = 40
"""Points of a line at most: longer ones are shown as means of steps beside each other."""


def curves(arms: Mapping[str, Sequence[Curve]], *, name: str, caption: str) -> Drawing:
    """Loss against steps: a colour for each arm, a line for each of its training seeds."""
    with style():
        figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
        axes = figure.subplots()
        handles: list[Artist] = []
        for index, (arm, lines) in enumerate(arms.items()):
            colour = SERIES[index % len(SERIES)]
            for steps, losses in lines:
                axes.plot(*_smooth(steps, losses), color=colour, linewidth=1.1, alpha=0.75)
            handles.append(Line2D([], [], color=colour, linewidth=1.6, label=arm))
        axes.set_xlabel("step")
        axes.set_ylabel("loss (nats a token)")
        legend(figure, handles, columns=3)
        return finish(figure, name, caption)


def _smooth(steps: Sequence[float], losses: Sequence[float]) -> Curve:
    parts = min(SMOOTH, len(steps))
    if not parts:
        return steps, losses
    return (
        [float(part.mean()) for part in np.array_split(np.asarray(steps, dtype=float), parts)],
        [float(part.mean()) for part in np.array_split(np.asarray(losses, dtype=float), parts)],
    )
