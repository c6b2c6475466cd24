"""The figures of planning: power against the effect for several sizes, the smallest effect against the size."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from doxa.planning.checks import MOST
from doxa.planning.designs import Design, DesignKind, kind_of
from doxa.planning.planned import POWER, Planned, effect_of, power_of, with_size
from doxa.report.marks import legend
from doxa.report.power_words import AXES, answer, counted, scaled
from doxa.report.theme import ACCENT, INK, MUTED, SERIES, WIDTH, Drawing, finish, style

POINTS, SIMULATED_POINTS = 40, 20
"""Places of a curve, and of one that is simulated."""
AROUND = (0.25, 0.5, 2.0, 4.0)
"""Other sizes that are drawn beside the design's own, as multiples of it."""
POWERS = (0.5, 0.8, 0.95)
"""Powers that the smallest effect is drawn for."""


def power_figure(design: Design, found: Planned) -> Drawing | None:
    """The figure that belongs to an answer: power against the effect, or the smallest effect against what is needed.

    Args:
        design: The design; the number that was asked for does not matter.
        found: The answer.

    Returns:
        None when the design has no test, whatever the effect, or there is no effect.
    """
    kind = kind_of(design)
    if found.question in kind.sizes:
        return _effect_against_size(kind, design, found)
    return None if kind.refused(design) else _power_against_effect(kind, design, found)


def _power_against_effect(kind: DesignKind, design: Design, found: Planned) -> Drawing | None:
    size = next(iter(kind.sizes))
    own = getattr(design, size)
    sizes = _sizes_around(kind, design, size, own)
    down = found.effect is not None and found.effect < 0
    most = kind.largest(design)[1 if down else 0]
    widest = effect_of(with_size(design, size, sizes[0]), 0.9, fall=down)
    reach = abs(widest) if widest is not None else most
    if found.effect is not None:
        # The own line is the figure's subject: a small size may be cut off, a mark may not.
        reach = min(max(1.3 * abs(found.effect), min(reach, 2.5 * abs(found.effect))), most)
    if reach == 0:
        return None
    effects = np.linspace(0, -reach if down else reach, SIMULATED_POINTS if kind.tried else POINTS)
    with style():
        figure = Figure(figsize=(WIDTH, 3.8), layout="constrained")
        axes = figure.subplots()
        handles: list[Artist] = []
        colours = iter(SERIES)
        for one in sizes:
            changed = with_size(design, size, one)
            mine = one == own
            colour = ACCENT if mine else next(colours)
            width = 2.2 if mine else 1.2
            axes.plot(
                [scaled(effect, found.scale) for effect in effects],
                [power_of(changed, float(effect)) for effect in effects],
                color=colour,
                linewidth=width,
                zorder=5 if mine else 3,
            )
            label = f"{one:,} {counted(kind.name, size)}"
            handles.append(Line2D([], [], color=colour, linewidth=width, label=label))
        handles += _mark(axes, None if found.effect is None else scaled(found.effect, found.scale), found.power)
        _power_axis(axes)
        axes.set_xlim(*sorted((0, scaled(float(effects[-1]), found.scale))))
        axes.set_xlabel(", ".join(filter(None, [found.meaning, AXES[found.scale]])))
        legend(figure, handles, columns=3)
        return finish(figure, "power", answer(found))


def _effect_against_size(kind: DesignKind, design: Design, found: Planned) -> Drawing | None:
    size = found.question
    sizes = _sizes_along(kind, found)
    sizes = [one for one in sizes if not kind.refused(with_size(design, size, one))]
    if not sizes:
        return None
    wanted = POWER if found.wanted is None else found.wanted
    beside = POWERS[:1] if kind.tried else POWERS  # every place of a simulated line is a search
    powers = sorted({*(one for one in beside if one > design.alpha), wanted})
    down = kind.scale == "share" and found.effect is not None and found.effect < 0
    with style():
        figure = Figure(figsize=(WIDTH, 3.8), layout="constrained")
        axes = figure.subplots()
        handles: list[Artist] = []
        colours = iter(SERIES)
        for power in powers:
            mine = power == wanted
            colour = ACCENT if mine else next(colours)
            width = 2.2 if mine else 1.2
            effects = [effect_of(with_size(design, size, one), power, fall=down) for one in sizes]
            axes.plot(
                sizes,
                [math.nan if effect is None else scaled(effect, found.scale) for effect in effects],
                color=colour,
                linewidth=width,
                zorder=5 if mine else 3,
            )
            handles.append(Line2D([], [], color=colour, linewidth=width, label=f"power {power:g}"))
        effect = None if found.effect is None else scaled(found.effect, found.scale)
        if effect is not None:
            axes.axhline(effect, color=MUTED, linewidth=0.8, linestyle=(0, (4, 2)))
        handles += _mark(axes, found.value, effect)
        _size_axis(axes, sizes)
        axes.set_ylim(
            bottom=0 if effect is None or effect > 0 else None, top=0 if effect is not None and effect < 0 else None
        )
        axes.set_xlabel(counted(kind.name, size))
        axes.set_ylabel(", ".join(filter(None, [f"smallest {kind.effect}", AXES[found.scale]])))
        legend(figure, handles, columns=4)
        return finish(figure, "smallest-effect", answer(found))


def _sizes_around(kind: DesignKind, design: Design, size: str, own: int) -> list[int]:
    """Sizes beside the design's own, ascending, those left out that have no test."""
    around = [math.ceil(own * share) for share in AROUND]
    sizes = {one for one in around if kind.sizes[size] <= one <= MOST}
    if kind.tried:
        tried = kind.tried[size]
        sizes = {tried[0], tried[len(tried) // 2 - 1], tried[-1]}
    return [one for one in sorted({*sizes, own}) if not kind.refused(with_size(design, size, one))]


def _sizes_along(kind: DesignKind, found: Planned) -> list[int]:
    """Sizes along the axis: from an eighth of what is needed to eight times as many."""
    if kind.tried:
        given = {int(found.value)} if found.value is not None else set()
        return sorted({*kind.tried[found.question][::2], *given})
    fewest = kind.sizes[found.question]
    centre = 10 * fewest if found.value is None else max(fewest, int(found.value))
    ends = max(fewest, centre // 8), min(MOST, 8 * centre)
    return sorted({round(one) for one in np.geomspace(*ends, POINTS)})


def _mark(axes: Axes, x: float | None, y: float | None) -> list[Artist]:
    """A dot where the answer lies, and its entry of the legend."""
    if x is None or y is None:
        return []
    axes.scatter([x], [y], s=44, color=INK, zorder=7, clip_on=False)
    return [Line2D([], [], color=INK, marker="o", markersize=6, linewidth=0, label="the answer")]


def _power_axis(axes: Axes) -> None:
    axes.axhline(POWER, color=MUTED, linewidth=0.8, linestyle=(0, (4, 2)))
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_locator(FixedLocator([0, 0.2, 0.4, 0.6, 0.8, 1]))
    axes.set_ylabel("power")


def _size_axis(axes: Axes, sizes: Sequence[int]) -> None:
    axes.set_xscale("log")
    axes.set_xlim(sizes[0] / 1.05, sizes[-1] * 1.05)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
