"""The figures of a report. Each function takes plain data and returns a `Drawing`; none decides what is shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from doxa.report.theme import BAND, BAND_EDGE, INK, MUTED, SERIES, Drawing, finish, style

FAMILY_NAMES = {"twin": "twins", "unrelated": "unrelated vectors"}
HATCH = {"twin": "", "unrelated": "////"}


@dataclass(frozen=True)
class ForestRow:
    """One contrast: its estimate, the points it rests on, and the effects of its controls by family."""

    label: str
    value: float | None
    low: float | None
    high: float | None
    points: Sequence[float] = ()
    controls: Mapping[str, Sequence[float]] = field(default_factory=dict)
    primary: bool = False


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
class Dot:
    """An arm in the frontier: damage, effect, and the line (placement) it lies on."""

    label: str
    line: str
    damage: float
    effect: float
    family: str = ""


@dataclass(frozen=True)
class DoseLine:
    """What one arm adds, layer by layer, as fractions of the residual norm."""

    label: str
    planned: Sequence[float]
    projection: Sequence[float]
    norm: Sequence[float]
    controls: Mapping[str, Sequence[Sequence[float]]] = field(default_factory=dict)


def colour_of(names: Sequence[str]) -> dict[str, str]:
    """One colour for each placement, the same in every figure."""
    return {name: SERIES[index % len(SERIES)] for index, name in enumerate(dict.fromkeys(names))}


def forest(rows: Sequence[ForestRow], *, name: str, axis: str, caption: str) -> Drawing:
    """Estimates with intervals, every item as a faint point, and what each control family does in grey."""
    with style():
        figure = Figure(figsize=(7.4, 0.62 * len(rows) + 1.1))
        axes = figure.subplots()
        for row, y in zip(rows, range(len(rows), 0, -1), strict=True):
            _bands(axes, row.controls, y, horizontal=True)
            if row.points:
                jitter = 0.1 * np.sin(2.4 * np.arange(len(row.points)))
                axes.scatter(
                    row.points, y + 0.0 * jitter - 0.02 + jitter, s=9, color=MUTED, alpha=0.45, linewidth=0, zorder=3
                )
            if row.value is None:
                axes.text(0, y, " not estimable", va="center", color=MUTED)
                continue
            colour = SERIES[0] if row.primary else INK
            if row.low is not None and row.high is not None:
                axes.plot([row.low, row.high], [y, y], color=colour, linewidth=2.2, zorder=4)
            axes.scatter([row.value], [y], s=44, color=colour, zorder=5)
        axes.axvline(0, color=MUTED, linewidth=0.9, zorder=1)
        axes.set_yticks(range(len(rows), 0, -1), [row.label for row in rows])
        axes.set_ylim(0.4, len(rows) + 0.6)
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(axis)
        families = [family for row in rows for family in row.controls]
        handles = [
            Line2D([], [], color=SERIES[0], marker="o", linewidth=2.2, label="declared primary, 95 % interval"),
            Line2D([], [], color=INK, marker="o", linewidth=2.2, label="exploratory"),
            Line2D([], [], color=MUTED, marker="o", markersize=3, linewidth=0, alpha=0.6, label="one item"),
            *_band_handles(families),
        ]
        _legend_below(figure, axes, handles)
        return finish(figure, name, caption)


def dose_response(lines: Sequence[Line], *, name: str, axis: str, title: str, caption: str) -> Drawing:
    """Effect over strength, one line per placement, with the range of the controls where they were scored."""
    with style():
        figure = Figure(figsize=(7.4, 3.6))
        axes = figure.subplots()
        colours = colour_of([line.label for line in lines])
        for shift, line in enumerate(lines):
            for family, by_strength in line.controls.items():
                _ribbon(axes, family, by_strength)
            x = np.array(line.strengths) * (1 + 0.006 * (shift - len(lines) / 2))
            axes.plot(x, line.values, marker="o", color=colours[line.label], linewidth=1.6, label=line.label, zorder=4)
            for at, low, high in zip(x, line.lows, line.highs, strict=True):
                if low is not None and high is not None:
                    axes.plot([at, at], [low, high], color=colours[line.label], linewidth=1.0, zorder=3)
        axes.axhline(0, color=MUTED, linewidth=0.9)
        axes.set_xlabel("planned total strength, fraction of the residual norm")
        axes.set_ylabel(axis)
        axes.set_title(title)
        handles, _ = axes.get_legend_handles_labels()
        families = [family for line in lines for family in line.controls]
        _legend_below(figure, axes, [*handles, *_band_handles(families)])
        return finish(figure, name, caption)


def frontier(dots: Sequence[Dot], *, name: str, x: str, y: str, caption: str) -> Drawing:
    """Effect against damage: every placement and strength, and their controls in grey."""
    with style():
        figure = Figure(figsize=(7.4, 4.2))
        axes = figure.subplots()
        floor = min([dot.damage for dot in dots if dot.damage > 0], default=1e-3) / 2
        for family, marker in (("twin", "o"), ("unrelated", "^")):
            grey = [dot for dot in dots if dot.family == family]
            if grey:
                axes.scatter(
                    [max(dot.damage, floor) for dot in grey],
                    [dot.effect for dot in grey],
                    s=20,
                    marker=marker,
                    facecolor=BAND if family == "twin" else "none",
                    edgecolor=BAND_EDGE,
                    linewidth=0.9,
                    label=FAMILY_NAMES[family],
                    zorder=2,
                )
        own = [dot for dot in dots if not dot.family]
        colours = colour_of([dot.line for dot in own])
        for line, colour in colours.items():
            path = sorted((dot for dot in own if dot.line == line), key=lambda dot: dot.damage)
            axes.plot(
                [max(dot.damage, floor) for dot in path],
                [dot.effect for dot in path],
                marker="o",
                markersize=7,
                color=colour,
                linewidth=1.4,
                label=line,
                zorder=4,
            )
        axes.axhline(0, color=MUTED, linewidth=0.9)
        axes.set_xscale("log")
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        handles, _ = axes.get_legend_handles_labels()
        _legend_below(figure, axes, handles)
        return finish(figure, name, caption)


def dose(lines: Sequence[DoseLine], *, name: str, caption: str) -> Drawing:
    """Planned and measured displacement by layer, one panel an arm, with the controls' measured norm in grey."""
    columns = 3 if len(lines) > 2 else max(len(lines), 1)
    height = -(-len(lines) // columns)
    with style():
        figure = Figure(figsize=(7.4, 2.1 * height + 0.5))
        grid = figure.subplots(height, columns, squeeze=False, sharex=True)
        for panel in grid.flat[len(lines) :]:
            panel.set_visible(False)
        for line, axes in zip(lines, grid.flat, strict=False):
            layers = np.arange(len(line.planned))
            for family, stacks in line.controls.items():
                values = np.array(stacks)
                axes.fill_between(
                    layers,
                    values.min(axis=0),
                    values.max(axis=0),
                    facecolor=BAND,
                    edgecolor=BAND_EDGE,
                    hatch=HATCH.get(family, "...."),
                    linewidth=0.5,
                    alpha=0.7,
                )
            axes.plot(layers, line.planned, color=MUTED, linestyle=":", linewidth=1.4)
            axes.plot(layers, line.norm, color=SERIES[1], linewidth=1.4)
            axes.plot(layers, line.projection, color=SERIES[0], linewidth=1.8)
            axes.set_title(line.label, fontsize=8.5)
        for axes in grid[:, 0]:
            axes.set_ylabel("fraction of norm")
        for axes in grid[-1, :]:
            axes.set_xlabel("layer")
        families = [family for line in lines for family in line.controls]
        handles = [
            Line2D([], [], color=MUTED, linestyle=":", label="planned, summed over layers"),
            Line2D([], [], color=SERIES[0], label="measured along the target's direction"),
            Line2D([], [], color=SERIES[1], label="measured, norm"),
            *_band_handles(families, suffix=", norm"),
        ]
        figure.tight_layout()
        _legend_below(figure, None, handles)
        return finish(figure, name, caption)


def small_multiples(
    panels: Mapping[str, Sequence[Line]], baselines: Mapping[str, float], *, name: str, caption: str
) -> Drawing:
    """One panel a score: its mean over strength, one line per placement, the baseline dashed."""
    columns = 3
    height = -(-len(panels) // columns)
    with style():
        figure = Figure(figsize=(7.4, 2.1 * height + 0.5))
        grid = figure.subplots(height, columns, squeeze=False, sharex=True)
        colours = colour_of([line.label for lines in panels.values() for line in lines])
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        for (title, lines), axes in zip(panels.items(), grid.flat, strict=False):
            for line in lines:
                axes.plot(
                    line.strengths, line.values, marker="o", markersize=4, color=colours[line.label], linewidth=1.3
                )
                for at, low, high in zip(line.strengths, line.lows, line.highs, strict=True):
                    if low is not None and high is not None:
                        axes.plot([at, at], [low, high], color=colours[line.label], linewidth=0.8, alpha=0.7)
            if title in baselines:
                axes.axhline(baselines[title], color=INK, linestyle="--", linewidth=0.9)
            axes.set_title(title, fontsize=8.5)
        handles = [
            Line2D([], [], color=colour, marker="o", markersize=4, label=label) for label, colour in colours.items()
        ]
        handles.append(Line2D([], [], color=INK, linestyle="--", label="baseline"))
        figure.supxlabel("planned total strength, fraction of the residual norm", fontsize=9)
        figure.tight_layout()
        _legend_below(figure, None, handles)
        return finish(figure, name, caption)


def _bands(axes: object, controls: Mapping[str, Sequence[float]], y: float, *, horizontal: bool) -> None:
    for index, (family, effects) in enumerate(sorted(controls.items())):
        if not effects:
            continue
        bottom = y + (0.04 if index == 0 else -0.36)
        axes.add_patch(  # type: ignore[attr-defined]
            Rectangle(
                (min(effects), bottom),
                max(effects) - min(effects),
                0.32,
                facecolor=BAND,
                edgecolor=BAND_EDGE,
                hatch=HATCH.get(family, "...."),
                linewidth=0.6,
                zorder=2,
            )
        )


def _ribbon(axes: object, family: str, by_strength: Mapping[float, Sequence[float]]) -> None:
    """The min-max of the controls: a ribbon over the strengths they were scored at, a bar where there is one."""
    strengths = sorted(by_strength)
    lows = [min(by_strength[strength]) for strength in strengths]
    highs = [max(by_strength[strength]) for strength in strengths]
    look = {
        "facecolor": BAND,
        "edgecolor": BAND_EDGE,
        "hatch": HATCH.get(family, "...."),
        "linewidth": 0.5,
        "alpha": 0.8,
    }
    if len(strengths) > 1:
        axes.fill_between(strengths, lows, highs, zorder=1, **look)  # type: ignore[attr-defined]
    else:
        width = 0.018
        side = -width if family == "twin" else 0.0
        axes.add_patch(Rectangle((strengths[0] + side, lows[0]), width, highs[0] - lows[0], zorder=1, **look))  # type: ignore[attr-defined]


def _band_handles(families: Sequence[str], suffix: str = "") -> list[Patch]:
    return [
        Patch(
            facecolor=BAND,
            edgecolor=BAND_EDGE,
            hatch=HATCH.get(family, "...."),
            linewidth=0.5,
            label=f"{FAMILY_NAMES.get(family, family)}, min to max{suffix}",
        )
        for family in dict.fromkeys(families)
    ]


def _legend_below(figure: Figure, axes: object, handles: Sequence[object]) -> None:
    height = figure.get_size_inches()[1]
    figure.legend(
        handles=list(handles),  # type: ignore[arg-type]
        loc="upper center",
        bbox_to_anchor=(0.5, -0.02 / height),
        ncols=3,
        fontsize=8,
        handlelength=1.8,
        columnspacing=1.4,
    )
