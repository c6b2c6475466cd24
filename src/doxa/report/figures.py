"""The two figures that the claims rest on: the forest plot and the frontier. Plain data in, a `Drawing` out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from doxa.report.marks import FAMILY_NAMES, SINGLES, band, band_handles, families, legend
from doxa.report.theme import ACCENT, BAND, BAND_EDGE, INK, MUTED, PAPER, WIDTH, Drawing, finish, style
from doxa.words.numbers import interval, number

FAMILIES = ("twin", "unrelated")
SINGLE_MARKS = {"reprefill": ("s", 0.22), "neutral": ("^", -0.24), "paraphrase": ("v", 0.22)}
"""Marker and height above the line."""


@dataclass(frozen=True)
class ForestRow:
    """One contrast: its estimate, the points it rests on, and the effects of its controls by family.

    `beside` is the estimate on the items of a family's controls, where these were scored on other items. `singles` are
    the effects of controls that are too few for a band, by family.
    """

    label: str
    value: float | None
    low: float | None
    high: float | None
    points: Sequence[float] = ()
    controls: Mapping[str, Sequence[float]] = field(default_factory=dict)
    beside: Mapping[str, float] = field(default_factory=dict)
    primary: bool = False
    singles: Mapping[str, Sequence[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Dot:
    """An arm in the frontier: damage, effect, the placement it belongs to, its strength, its control family or ""."""

    placement: str
    damage: float
    effect: float
    strength: float = 0.0
    family: str = ""


def forest(rows: Sequence[ForestRow], *, name: str, axis: str, caption: str) -> Drawing:
    """Estimates with intervals, every item as a faint point, twins in grey above the line and unrelated below it."""
    with style():
        figure = Figure(figsize=(WIDTH, 0.58 * len(rows) + 1.3), layout="constrained")
        axes = figure.subplots()
        places = list(range(len(rows), 0, -1))
        for row, y in zip(rows, places, strict=True):
            for family, bottom in zip(FAMILIES, (0.03, -0.35), strict=True):
                effects = row.controls.get(family)
                if effects:
                    band(axes, family, min(effects), y + bottom, max(effects) - min(effects), 0.32)
                if family in row.beside:
                    axes.scatter([row.beside[family]], [y + bottom + 0.16], marker="D", s=22, color=INK, zorder=5)
            for family, (marker, height) in SINGLE_MARKS.items():
                effects = row.singles.get(family, ())
                axes.scatter(
                    effects, [y + height] * len(effects), marker=marker, s=30, facecolor="none", edgecolor=INK, zorder=5
                )
            if row.value is None:
                axes.annotate(
                    "nothing to estimate from", (0, y), xytext=(4, 0), textcoords="offset points", va="center"
                )
                continue
            if row.points:
                jitter = 0.1 * np.sin(2.4 * np.arange(len(row.points)))
                axes.scatter(row.points, y + jitter, s=9, color=MUTED, alpha=0.55, linewidth=0, zorder=3)
            colour = ACCENT if row.primary else INK
            if row.low is not None and row.high is not None:
                axes.plot([row.low, row.high], [y, y], color=colour, linewidth=2.2, zorder=4)
            axes.scatter([row.value], [y], s=40, color=colour, zorder=5)
        axes.axvline(0, color=MUTED, linewidth=0.9, zorder=1)
        axes.set_yticks(places, [row.label.replace(" - ", "\n− ") for row in rows], fontsize=8)
        axes.set_ylim(0.4, len(rows) + 0.6)
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(axis)
        written = axes.secondary_yaxis("right")
        written.set_yticks(
            places, [f"{number(row.value, sign=True)}\n{interval(row.low, row.high)}" for row in rows], fontsize=8
        )
        written.tick_params(axis="y", length=0)
        written.spines["right"].set_visible(False)
        legend(figure, _forest_handles(rows))
        return finish(figure, name, caption)


def _forest_handles(rows: Sequence[ForestRow]) -> list[Artist]:
    handles: list[Artist] = []
    if any(row.primary for row in rows):
        handles.append(Line2D([], [], color=ACCENT, marker="o", linewidth=2.2, label="declared primary, with interval"))
    if any(not row.primary for row in rows):
        handles.append(Line2D([], [], color=INK, marker="o", linewidth=2.2, label="exploratory, with interval"))
    handles.append(Line2D([], [], color=MUTED, marker="o", markersize=3, linewidth=0, alpha=0.7, label="one item"))
    if any(row.beside for row in rows):
        label = "on the items of the controls"
        handles.append(Line2D([], [], color=INK, marker="D", markersize=4, linewidth=0, label=label))
    for family, (marker, _) in SINGLE_MARKS.items():
        if any(row.singles.get(family) for row in rows):
            label = f"the same with its {SINGLES[family]}"
            handles.append(
                Line2D([], [], color=INK, marker=marker, markersize=5, fillstyle="none", linewidth=0, label=label)
            )
    return [*handles, *band_handles(family for row in rows for family in row.controls if family in FAMILIES)]


def frontier(dots: Sequence[Dot], colours: Mapping[str, str], *, name: str, x: str, y: str, caption: str) -> Drawing:
    """Effect against damage: every placement and strength, and their controls in grey."""
    with style():
        figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
        axes = figure.subplots()
        floor = min((dot.damage for dot in dots if dot.damage > 0), default=1e-3) / 2
        handles: list[Artist] = []
        own = [dot for dot in dots if not dot.family]
        for placement in dict.fromkeys(dot.placement for dot in own if dot.placement in colours):
            path = sorted((dot for dot in own if dot.placement == placement), key=lambda dot: abs(dot.strength))
            damage, effect = [max(dot.damage, floor) for dot in path], [dot.effect for dot in path]
            colour = colours[placement]
            axes.plot(damage, effect, color=colour, linewidth=1.4, zorder=4)
            sizes = [26 + 34 * index for index in range(len(path))] if len(path) > 1 else [44]
            axes.scatter(damage, effect, s=sizes, color=colour, zorder=5)
            handles.append(Line2D([], [], color=colour, marker="o", markersize=6, linewidth=1.4, label=placement))
        handles += _without_strength(axes, [dot for dot in own if dot.placement not in colours], floor)
        for family, marker in zip(FAMILIES, ("o", "^"), strict=True):
            grey = [dot for dot in dots if dot.family == family]
            if grey:
                face = BAND if family == "twin" else "none"
                damage, effect = [max(dot.damage, floor) for dot in grey], [dot.effect for dot in grey]
                axes.scatter(
                    damage, effect, s=18, marker=marker, facecolor=face, edgecolor=BAND_EDGE, linewidth=0.9, zorder=2
                )
                handle = Line2D([], [], linewidth=0, marker=marker, markersize=5, label=FAMILY_NAMES[family])
                handle.set_markerfacecolor(face)
                handle.set_markeredgecolor(BAND_EDGE)
                handles.append(handle)
        axes.axhline(0, color=MUTED, linewidth=0.9)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        legend(figure, handles, columns=4)
        return finish(figure, name, caption)


def _without_strength(axes: Axes, dots: Sequence[Dot], floor: float) -> list[Artist]:
    """Arms without a strength: a diamond where there is one, else a number each; those of one grid share it."""
    by_arm = {dot.placement: dot for dot in dots}
    shown = families(by_arm)
    if len(by_arm) == 1:
        (dot,) = dots
        axes.scatter([max(dot.damage, floor)], [dot.effect], s=44, color=INK, marker="D", zorder=5)
        return [Line2D([], [], color=INK, marker="D", markersize=6, linewidth=0, label=dot.placement)]
    handles: list[Artist] = []
    for number_, (family, members) in enumerate(shown.items(), start=1):
        path = sorted((max(by_arm[arm].damage, floor), by_arm[arm].effect) for arm in members)
        damage, effect = zip(*path, strict=True)
        axes.plot(damage, effect, color=INK, linewidth=0.7, zorder=4)
        axes.scatter(damage, effect, s=105, facecolor=PAPER, edgecolor=INK, linewidth=0.8, zorder=5)
        for place in path:
            axes.annotate(str(number_), place, ha="center", va="center_baseline", fontsize=6.5, zorder=6)
        handles.append(Line2D([], [], linewidth=0, label=f"{number_}  {family}"))
    return handles
