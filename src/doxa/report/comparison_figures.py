"""The figures of a comparison: differences with their intervals, and the seeds of every arm beside each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from doxa.report.marks import legend
from doxa.report.theme import ACCENT, BAND, INK, MUTED, SERIES, WIDTH, Drawing, finish, style
from doxa.words.numbers import interval, number


@dataclass(frozen=True)
class Bar:
    """One estimate with its interval; `low` and `high` are None where it has none."""

    label: str
    value: float | None
    low: float | None
    high: float | None


def differences(bars: Sequence[Bar], *, name: str, axis: str, caption: str, margin: float | None = None) -> Drawing:
    """Differences with intervals; a band marks the margin within which a difference counts as none."""
    with style():
        figure = Figure(figsize=(WIDTH, 0.42 * len(bars) + 1.2), layout="constrained")
        axes = figure.subplots()
        places = list(range(len(bars), 0, -1))
        if margin is not None:
            axes.axvspan(-margin, margin, color=BAND, alpha=0.6, linewidth=0, zorder=0)
        for bar, y in zip(bars, places, strict=True):
            if bar.value is None:
                continue
            colour = INK
            if bar.low is not None and bar.high is not None:
                colour = INK if bar.low <= 0 <= bar.high else ACCENT
                axes.plot([bar.low, bar.high], [y, y], color=colour, linewidth=2.2, zorder=4)
            axes.scatter([bar.value], [y], s=40, color=colour, zorder=5)
        axes.axvline(0, color=MUTED, linewidth=0.9, zorder=1)
        axes.set_yticks(places, [bar.label for bar in bars], fontsize=8)
        axes.set_ylim(0.4, len(bars) + 0.6)
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(axis)
        written = axes.secondary_yaxis("right")
        shown = [f"{number(bar.value, sign=True)}\n{interval(bar.low, bar.high)}" for bar in bars]
        written.set_yticks(places, shown, fontsize=8)
        written.tick_params(axis="y", length=0)
        written.spines["right"].set_visible(False)
        handles: list[Artist] = [
            Line2D([], [], color=ACCENT, marker="o", linewidth=2.2, label="interval leaves 0 out"),
            Line2D([], [], color=INK, marker="o", linewidth=2.2, label="interval holds 0"),
        ]
        if margin is not None:
            handles.append(Patch(facecolor=BAND, alpha=0.6, label="counts as no difference"))
        legend(figure, handles)
        return finish(figure, name, caption)


def seeds(
    arms: Mapping[str, Mapping[str, float]], bars: Sequence[Bar], *, name: str, axis: str, caption: str
) -> Drawing:
    """Every training seed of every arm as a point, and the arm's own level with its interval behind them."""
    with style():
        figure = Figure(figsize=(WIDTH, 0.55 * len(bars) + 1.2), layout="constrained")
        axes = figure.subplots()
        places = list(range(len(bars), 0, -1))
        for index, (bar, y) in enumerate(zip(bars, places, strict=True)):
            colour = SERIES[index % len(SERIES)]
            if bar.low is not None and bar.high is not None:
                axes.plot([bar.low, bar.high], [y, y], color=colour, linewidth=7, alpha=0.3, zorder=2)
            if bar.value is not None:
                axes.plot([bar.value, bar.value], [y - 0.22, y + 0.22], color=colour, linewidth=2, zorder=3)
            points = list(arms.get(bar.label, {}).values())
            offsets = [0.24 * ((place * 0.618) % 1 - 0.5) for place in range(len(points))]
            axes.scatter(points, [y + offset for offset in offsets], s=22, color=colour, linewidth=0, zorder=4)
        axes.set_yticks(places, [bar.label for bar in bars], fontsize=8)
        axes.set_ylim(0.4, len(bars) + 0.6)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(axis)
        handles: list[Artist] = [
            Line2D([], [], color=MUTED, marker="o", markersize=5, linewidth=0, label="one training seed"),
            Line2D([], [], color=MUTED, linewidth=7, alpha=0.3, label="interval of the arm's level"),
        ]
        legend(figure, handles)
        return finish(figure, name, caption)
