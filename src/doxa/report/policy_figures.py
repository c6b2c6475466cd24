"""The figures of how off-policy a corpus is: every token in a histogram, every row as a dot."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from doxa.report.marks import legend
from doxa.report.theme import INK, MUTED, SERIES, WIDTH, Drawing, finish, style
from doxa.words.numbers import number

AXIS = "surprisal minus entropy (nats)"
LOW, HIGH = -4.0, 10.0
"""What lies beyond is counted in the outermost bars."""
BINS = 56
SHOWN = len(SERIES)
"""Sources that are told apart in a figure at most."""
LABEL = 28


def token_histogram(excess: Mapping[str, Sequence[float]]) -> Drawing:
    """For each source how its tokens are spread, as shares, with the mean of each."""
    edges = np.linspace(LOW, HIGH, BINS + 1)
    with style():
        figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
        axes = figure.subplots()
        handles: list[Artist] = []
        for (name, values), colour in zip(excess.items(), SERIES, strict=False):
            numbers = np.asarray(values)
            heights, _ = np.histogram(
                np.clip(numbers, LOW, HIGH), edges, weights=np.full(len(numbers), 1 / len(numbers))
            )
            axes.stairs(heights, edges, fill=True, color=colour, alpha=0.22, zorder=2)
            axes.stairs(heights, edges, color=colour, linewidth=1.2, zorder=3)
            axes.axvline(float(numbers.mean()), color=colour, linewidth=1.6, linestyle=(0, (5, 2)), zorder=4)
            label = f"{_short(name)}: mean {number(float(numbers.mean()), sign=True)}"
            handles.append(Patch(facecolor=colour, alpha=0.6, label=label))
        axes.axvline(0, color=MUTED, linewidth=0.9, zorder=1)
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0,)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
        axes.set_xlabel(AXIS)
        axes.set_ylabel("share of tokens")
        legend(figure, handles, columns=2)
        caption = (
            "Every token that is trained on. 0 is a token as surprising as the model expects of its own there; of its "
            f"own text the mean (dashed) is 0. Tokens beyond {number(HIGH)} are counted in the last bar. The axis of "
            f"shares is logarithmic.{_left_out(excess)}"
        )
        return finish(figure, "policy-tokens", caption)


def row_dots(excess: Mapping[str, Sequence[float]]) -> Drawing:
    """For each source the mean of each of its rows."""
    names = list(excess)[:SHOWN]
    with style():
        figure = Figure(figsize=(WIDTH, 0.55 * len(names) + 1.3), layout="constrained")
        axes = figure.subplots()
        for y, (name, colour) in enumerate(zip(reversed(names), reversed(SERIES[: len(names)]), strict=True), start=1):
            values = np.asarray(excess[name])
            jitter = 0.16 * np.sin(2.4 * np.arange(len(values)))
            axes.scatter(values, y + jitter, s=12, color=colour, alpha=0.6, linewidth=0, zorder=3)
            axes.scatter([float(np.median(values))], [y], s=90, marker="|", color=INK, linewidth=2.0, zorder=4)
        axes.axvline(0, color=MUTED, linewidth=0.9, zorder=1)
        axes.set_yticks(range(1, len(names) + 1), [_short(name) for name in reversed(names)], fontsize=8)
        axes.set_ylim(0.4, len(names) + 0.6)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(f"mean over a row of {AXIS}")
        handles: list[Artist] = [
            Line2D([], [], color=MUTED, marker="o", markersize=4, linewidth=0, label="one row"),
            Line2D([], [], color=INK, marker="|", markersize=9, linewidth=0, label="median of the rows"),
        ]
        legend(figure, handles)
        caption = f"Every row of the corpus, by who wrote it.{_left_out(excess)}"
        return finish(figure, "policy-rows", caption)


def _short(name: str) -> str:
    return name if len(name) <= LABEL else f"{name[: LABEL - 1]}…"


def _left_out(sources: Mapping[str, object]) -> str:
    more = len(sources) - SHOWN
    return f" {more} more sources stand in the table only." if more > 0 else ""
