"""The figures of a sweep: a heatmap of every cell, and how the effect grows with the strength."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from doxa.report.marks import band_handles, legend, ribbon
from doxa.report.theme import ACCENT, INK, MUTED, SERIES, WIDTH, Drawing, finish, style
from doxa.words.numbers import level, number

MORE, LESS = ACCENT, SERIES[0]
Record = Mapping[str, Any]
MOST_PANELS = 6
"""Strengths that are drawn, one panel each."""


def heatmap(cells: Sequence[Record], chosen: Record | None, *, axis: str, caption: str) -> Drawing:
    """Every cell as a square: its colour is the effect, a dot says that its band leaves 0 out.

    Single layers have one panel, layers by strengths; blocks have a panel for each strength, last layers by widths.
    """
    widths = sorted({len(one["layers"]) for one in cells})
    strengths = sorted({one["strength"] for one in cells})
    blocks = widths != [1]
    panels = strengths[:MOST_PANELS] if blocks else [None]
    rows = len(widths) if blocks else len(strengths)
    last = max(one["layers"][-1] for one in cells)
    largest = max((abs(one["effect"]) for one in cells), default=0.0) or 1.0
    with style():
        figure = Figure(figsize=(WIDTH, len(panels) * (0.26 * rows + 0.75) + 0.6), layout="constrained")
        for axes, strength in zip(np.atleast_1d(figure.subplots(len(panels), 1)), panels, strict=True):
            own = [one for one in cells if strength in (None, one["strength"])]
            for one in own:
                y = widths.index(len(one["layers"])) if blocks else strengths.index(one["strength"])
                _square(axes, one, y, largest, framed=one is chosen)
            axes.set_xlim(-0.6, last + 0.6)
            axes.set_ylim(-0.6, rows - 0.4)
            axes.set_yticks(range(rows), [str(one) for one in widths] if blocks else [level(one) for one in strengths])
            axes.set_ylabel("layers in the block" if blocks else "strength")
            axes.set_xticks(range(0, last + 1, 2 if last > 14 else 1))
            axes.grid(visible=False)
            axes.tick_params(length=0)
            if strength is not None:
                axes.set_title(f"strength {level(strength)}")
        axes.set_xlabel("last layer of the block" if blocks else "layer")
        handles: list[Artist] = [
            Patch(facecolor=MORE, label=f"{axis} up by {number(largest)}"),
            Patch(facecolor=LESS, label=f"down by {number(largest)}"),
            Line2D([], [], color=INK, marker="o", markersize=3, linewidth=0, label="its band leaves 0 out"),
        ]
        if chosen is not None:
            handles.append(Patch(facecolor="none", edgecolor=INK, label="chosen on half of the units"))
        legend(figure, handles, columns=4)
        return finish(figure, "heatmap", caption)


def _square(axes: Axes, one: Record, y: int, largest: float, *, framed: bool) -> None:
    x, effect = one["layers"][-1], one["effect"]
    share = abs(effect) / largest
    axes.add_patch(
        Rectangle((x - 0.46, y - 0.46), 0.92, 0.92, facecolor=MORE if effect > 0 else LESS, alpha=share, linewidth=0)
    )
    axes.add_patch(
        Rectangle(
            (x - 0.46, y - 0.46),
            0.92,
            0.92,
            facecolor="none",
            edgecolor=INK if framed else MUTED,
            linewidth=1.8 if framed else 0.3,
            zorder=4 if framed else 3,
        )
    )
    if one["low"] is not None and not one["low"] <= 0 <= one["high"]:
        axes.scatter([x], [y], s=9, color=INK, zorder=5)


def profile(cells: Sequence[Record], *, axis: str, caption: str) -> Drawing:
    """The effect by layer at every strength, with the band of all cells, and what twins do in grey."""
    widths = sorted({len(one["layers"]) for one in cells})
    strengths = sorted({one["strength"] for one in cells}, key=abs, reverse=True)[:MOST_PANELS]
    with style():
        figure = Figure(figsize=(WIDTH, 1.55 * len(strengths) + 0.8), layout="constrained")
        panels = np.atleast_1d(figure.subplots(len(strengths), 1, sharex=True))
        for axes, strength in zip(panels, sorted(strengths), strict=True):
            for index, width in enumerate(widths):
                own = [one for one in cells if one["strength"] == strength and len(one["layers"]) == width]
                x = [one["layers"][-1] for one in own]
                colour = SERIES[index % len(SERIES)]
                if index == 0 and own[0]["twins_low"] is not None:
                    ribbon(axes, "twin", x, [one["twins_low"] for one in own], [one["twins_high"] for one in own])
                if own[0]["low"] is not None and len(widths) == 1:
                    axes.vlines(x, [one["low"] for one in own], [one["high"] for one in own], color=colour, linewidth=1)
                axes.plot(x, [one["effect"] for one in own], color=colour, marker="o", markersize=3, linewidth=1.3)
            axes.axhline(0, color=MUTED, linewidth=0.8)
            axes.set_title(f"strength {level(strength)}")
            axes.set_ylabel(axis)
        panels[-1].set_xlabel("layer" if widths == [1] else "last layer of the block")
        handles: list[Artist] = [
            Line2D([], [], color=SERIES[i % len(SERIES)], marker="o", markersize=4, linewidth=1.3, label=_width(width))
            for i, width in enumerate(widths)
        ]
        if any(one["twins_low"] is not None for one in cells):
            handles += band_handles(["twin"], "" if widths == [1] else f", {_width(widths[0])}")
        legend(figure, handles, columns=4)
        return finish(figure, "profile", caption)


def dose_response(cells: Sequence[Record], chosen: Record | None, *, axis: str, caption: str) -> Drawing:
    """The effect against the strength: a line for every placement, the chosen one in colour."""
    placements = list(dict.fromkeys(tuple(one["layers"]) for one in cells))
    mine = None if chosen is None else tuple(chosen["layers"])
    with style():
        figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
        axes = figure.subplots()
        for layers in placements:
            own = [one for one in cells if tuple(one["layers"]) == layers]
            path = sorted([(0.0, 0.0), *((one["strength"], one["effect"]) for one in own)])
            marked = layers == mine
            axes.plot(
                [x for x, _ in path],
                [y for _, y in path],
                color=ACCENT if marked else MUTED,
                alpha=1.0 if marked else 0.35,
                linewidth=2.0 if marked else 0.8,
                zorder=5 if marked else 2,
            )
            if marked and own[0]["low"] is not None:
                axes.vlines(
                    [one["strength"] for one in own],
                    [one["low"] for one in own],
                    [one["high"] for one in own],
                    color=ACCENT,
                    linewidth=1.4,
                    zorder=4,
                )
        axes.axhline(0, color=MUTED, linewidth=0.8)
        axes.set_xlabel("strength")
        axes.set_ylabel(axis)
        handles: list[Artist] = [Line2D([], [], color=MUTED, linewidth=0.8, label="one placement")]
        if mine is not None:
            handles.append(Line2D([], [], color=ACCENT, linewidth=2.0, label=f"{place(mine)}, with bands"))
        legend(figure, handles)
        return finish(figure, "dose-response", caption)


def place(layers: Sequence[int]) -> str:
    """`layer 12`, `layers 7 to 12`."""
    return f"layer {layers[0]}" if len(layers) == 1 else f"layers {layers[0]} to {layers[-1]}"


def _width(width: int) -> str:
    return "one layer" if width == 1 else f"blocks of {width}"
