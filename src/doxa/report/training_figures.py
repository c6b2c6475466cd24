"""The figure of training: how the loss fell, every training seed a line."""

from collections.abc import Mapping, Sequence
from textwrap import fill

import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from doxa.report.marks import MANY, families, legend, panel_grid
from doxa.report.theme import INK, SERIES, WIDTH, Drawing, finish, style

Curve = tuple[Sequence[float], Sequence[float]]
SMOOTH = 40
"""Points of a line at most: longer ones are shown as means of steps beside each other."""
LETTERS = 22
"""That fit above a panel."""


def curves(arms: Mapping[str, Sequence[Curve]], *, name: str, caption: str) -> Drawing:
    """Loss against steps: a colour for each arm, or a panel where there are many; a line for each training seed."""
    if len(arms) > MANY:
        return _in_panels(
            arms, name, f"{caption} Arms of one grid share a panel: a darker line stands later in the study."
        )
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


def _in_panels(arms: Mapping[str, Sequence[Curve]], name: str, caption: str) -> Drawing:
    shown = families(arms)
    with style():
        figure, grid = panel_grid(len(shown), columns=4, height=1.15, sharex=True, sharey=True)
        for (family, members), axes in zip(shown.items(), grid, strict=False):
            for place, arm in enumerate(members, start=1):
                for steps, losses in arms[arm]:
                    axes.plot(*_smooth(steps, losses), color=INK, linewidth=1.1, alpha=place / len(members))
            axes.set_title(fill(family, LETTERS), fontsize=8)
        figure.supxlabel("step", fontsize=9)
        figure.supylabel("loss (nats a token)", fontsize=9)
        return finish(figure, name, caption)


def _smooth(steps: Sequence[float], losses: Sequence[float]) -> Curve:
    parts = min(SMOOTH, len(steps))
    if not parts:
        return steps, losses
    return (
        [float(part.mean()) for part in np.array_split(np.asarray(steps, dtype=float), parts)],
        [float(part.mean()) for part in np.array_split(np.asarray(losses, dtype=float), parts)],
    )
