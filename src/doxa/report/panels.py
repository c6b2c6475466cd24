"""The figures of many small panels: dose and response, the dose that arrived, and drift. Plain data in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import fill

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from doxa.report.marks import (
    band,
    band_handles,
    legend,
    level_handles,
    level_looks,
    levels,
    panel_grid,
    ribbon,
    strength_axis,
)
from doxa.report.theme import INK, MUTED, Drawing, finish, style

TITLE = 28
"""Letters that fit above a panel."""
NAME = 22
"""Of the name of an arm, which is set larger."""
STRENGTH = "planned total strength, fraction of the residual norm"


@dataclass(frozen=True)
class Line:
    """A placement: values over strengths, with intervals and the controls' effects where they were scored."""

    label: str
    strengths: Sequence[float]
    values: Sequence[float]
    lows: Sequence[float | None]
    highs: Sequence[float | None]
    controls: Mapping[str, Mapping[float, Sequence[float]]] = field(default_factory=dict)


@dataclass(frozen=True)
class DoseLine:
    """What one arm adds, layer by layer, as fractions of the residual norm; NaN where it was not measured."""

    label: str
    placement: str
    layers: Sequence[int]
    planned: Sequence[float]
    projection: Sequence[float]
    norm: Sequence[float]
    controls: Mapping[str, tuple[Sequence[float], Sequence[float]]] = field(default_factory=dict)


def dose_response(
    lines: Sequence[Line],
    colours: Mapping[str, str],
    others: Mapping[str, float],
    *,
    name: str,
    axis: str,
    caption: str,
) -> Drawing:
    """Effect over strength, one panel a placement, with the range of the controls where they were scored.

    Args:
        lines: A placement each.
        colours: By placement.
        others: Effects of arms without a strength, such as a prompt: a horizontal line in every panel.
        name: File name.
        axis: What the effect is.
        caption: How to read it.
    """
    with style():
        figure, grid = panel_grid(len(lines), sharey=True)
        looks = level_looks(others)
        for line, axes in zip(lines, grid, strict=False):
            reach = max(abs(one) for one in line.strengths)
            for place, family in enumerate(sorted(line.controls)):
                _range(axes, family, line.controls[family], width=0.09 * reach, side=place - 1)
            x, y = zip(*sorted([(0.0, 0.0), *zip(line.strengths, line.values, strict=True)]), strict=True)
            axes.plot(x, y, color=colours[line.label], linewidth=1.6, zorder=4)
            _points(axes, line, colours[line.label], line.strengths)
            axes.axhline(0, color=INK, linewidth=0.8, zorder=1)
            levels(axes, others, looks)
            strength_axis(axes, [0.0, *line.strengths])
            axes.set_title(_in_lines(line.label), fontsize=9)
        figure.supylabel(axis, fontsize=9)
        families = [family for line in lines for family in line.controls]
        legend(figure, [*level_handles(looks), *band_handles(families)], axis=STRENGTH)
        return finish(figure, name, caption)


def dose(lines: Sequence[DoseLine], colours: Mapping[str, str], *, name: str, caption: str) -> Drawing:
    """Planned and measured displacement by layer, one panel an arm, with the controls' measured norm in grey."""
    with style():
        figure, grid = panel_grid(len(lines), sharex=True)
        for line, axes in zip(lines, grid, strict=False):
            for family, (lows, highs) in line.controls.items():
                ribbon(axes, family, line.layers, lows, highs)
            colour = colours.get(line.placement, INK)
            axes.plot(line.layers, line.planned, color=MUTED, linestyle=":", linewidth=1.4)
            axes.plot(line.layers, line.norm, color=colour, linestyle="--", linewidth=1.3, zorder=3)
            axes.plot(line.layers, line.projection, color=colour, linewidth=1.9, zorder=4)
            axes.set_title(_in_lines(line.label), fontsize=9)
        figure.supylabel("displacement, fraction of the residual norm", fontsize=9)
        handles: list[Artist] = [
            Line2D([], [], color=MUTED, linestyle=":", label="planned, summed over layers"),
            Line2D([], [], color=INK, linewidth=1.9, label="measured along the vector"),
            Line2D([], [], color=INK, linestyle="--", label="measured, norm"),
        ]
        families = [family for line in lines for family in line.controls]
        legend(figure, [*handles, *band_handles(families, suffix=" norm")], axis="layer")
        return finish(figure, name, caption)


def small_multiples(
    scores: Mapping[str, Sequence[Line]],
    colours: Mapping[str, str],
    others: Mapping[str, Mapping[str, float]],
    *,
    name: str,
    caption: str,
) -> Drawing:
    """One panel a score: its mean over strength, one line per placement.

    Args:
        scores: The lines by title.
        colours: By placement.
        others: By title, the levels of arms without a strength (the baseline, a prompt).
        name: File name.
        caption: How to read it.
    """
    shown = list(dict.fromkeys(line.label for lines in scores.values() for line in lines))
    with style():
        figure, grid = panel_grid(len(scores), sharex=True)
        looks = level_looks(name for by_name in others.values() for name in by_name)
        every = sorted({one for lines in scores.values() for line in lines for one in line.strengths})
        wide = bool(every) and every[0] > 0 and every[-1] > every[0]
        for (title, lines), axes in zip(scores.items(), grid, strict=False):
            for line in lines:
                place = shown.index(line.label) - (len(shown) - 1) / 2
                x = [one * 1.025**place if wide else one for one in line.strengths]
                axes.plot(x, line.values, color=colours[line.label], linewidth=1.2, zorder=3)
                _points(axes, line, colours[line.label], x, size=12)
            levels(axes, others.get(title, {}), looks)
            strength_axis(axes, every)
            axes.set_title(_in_lines(title), fontsize=8)
        handles: list[Artist] = [
            Line2D([], [], color=colours[label], marker="o", markersize=4, label=label) for label in shown
        ]
        legend(figure, [*handles, *level_handles(looks)], columns=4, axis=STRENGTH)
        return finish(figure, name, caption)


def _in_lines(title: str) -> str:
    """A title in lines that fit above a panel; the levels of an arm's name begin one."""
    if "[" not in title:
        return fill(title, TITLE)
    parts = [title] if len(title) <= NAME else title.replace("[", "\n[").split("\n")
    return "\n".join(fill(part, NAME) for part in parts)


def _points(axes: Axes, line: Line, colour: str, x: Sequence[float], *, size: float = 26) -> None:
    axes.scatter(x, line.values, s=size, color=colour, zorder=5)
    for at, low, high in zip(x, line.lows, line.highs, strict=True):
        if low is not None and high is not None:
            axes.plot([at, at], [low, high], color=colour, linewidth=1.1, alpha=0.8, zorder=4)


def _range(axes: Axes, family: str, effects: Mapping[float, Sequence[float]], *, width: float, side: int) -> None:
    """What a family does: a ribbon over the strengths it was scored at, or a bar beside the one."""
    strengths = sorted(effects)
    lows, highs = [min(effects[one]) for one in strengths], [max(effects[one]) for one in strengths]
    if len(strengths) > 1:
        ribbon(axes, family, strengths, lows, highs)
    else:
        band(axes, family, strengths[0] + side * width, lows[0], width, highs[0] - lows[0])


def finite(values: Sequence[float | None]) -> list[float]:
    """Numbers with NaN where one is missing: a gap in a line."""
    return [float("nan") if one is None else float(one) for one in values]


def envelope(stacks: Sequence[Sequence[float | None]]) -> tuple[list[float], list[float]]:
    """Smallest and largest of several lines at each place; NaN where none has a value."""
    values = np.array([finite(stack) for stack in stacks], dtype=float)
    empty = np.isnan(values).all(axis=0)
    low = np.where(empty, np.nan, np.where(np.isnan(values), np.inf, values).min(axis=0))
    high = np.where(empty, np.nan, np.where(np.isnan(values), -np.inf, values).max(axis=0))
    return low.tolist(), high.tolist()
