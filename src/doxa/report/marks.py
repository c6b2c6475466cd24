"""What the figures share: colours of placements, the grey of the controls, legends and axes of strength."""

import math
from collections.abc import Iterable, Mapping, Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FixedLocator, NullLocator

from doxa.report.theme import BAND, BAND_EDGE, MUTED, SERIES, WIDTH

FAMILY_NAMES = {"twin": "twins", "unrelated": "unrelated vectors"}
SINGLES = {"reprefill": "re-prefill", "neutral": "neutral text", "paraphrase": "paraphrase"}
"""Controls of edits and prompts: too few for a band, so each is a mark."""
HATCH = {"twin": "", "unrelated": "/////"}
Dashes = tuple[float, tuple[float, ...]]
DASHES: tuple[Dashes, ...] = ((0.0, (5.0, 2.5)), (0.0, (1.2, 1.8)), (0.0, (6.0, 2.0, 1.2, 2.0)))
"""Offset and pattern of the lines of arms without a strength."""
ROOM = 0.16
"""Of an axis of strengths: what a number takes."""
MANY = len(SERIES)
"""Arms beyond which they are not told apart by the look of a line."""
COLUMNS = 3
ROWS, ROW, LETTER, HANDLE = 3, 0.17, 0.075, 0.55
"""Of a legend: rows that a figure has room for, and inches of a row, a letter and what stands before a text."""
WIDE = 4.0
"""Largest over smallest strength beyond which an axis of strengths is logarithmic."""


def colours_of(names: Iterable[str]) -> dict[str, str]:
    """A colour for each placement, the same in every figure."""
    return {name: SERIES[index % len(SERIES)] for index, name in enumerate(dict.fromkeys(names))}


def band(axes: Axes, family: str, left: float, bottom: float, width: float, height: float) -> None:
    """A grey rectangle: what one family of controls does."""
    axes.add_patch(
        Rectangle(
            (left, bottom),
            width,
            height,
            facecolor=BAND,
            edgecolor=BAND_EDGE,
            hatch=HATCH.get(family, "...."),
            linewidth=0.6,
            zorder=2,
        )
    )


def ribbon(axes: Axes, family: str, x: Sequence[float], lows: Sequence[float], highs: Sequence[float]) -> None:
    """A grey ribbon: what one family of controls does along an axis."""
    axes.fill_between(
        x,
        lows,
        highs,
        facecolor=BAND,
        edgecolor=BAND_EDGE,
        hatch=HATCH.get(family, "...."),
        linewidth=0.5,
        alpha=0.75,
        zorder=1,
    )


def band_handles(families: Iterable[str], suffix: str = "") -> list[Patch]:
    """Legend entries of the control families."""
    return [
        Patch(
            facecolor=BAND,
            edgecolor=BAND_EDGE,
            hatch=HATCH.get(family, "...."),
            linewidth=0.5,
            label=f"{FAMILY_NAMES.get(family, family)}, smallest to largest{suffix}",
        )
        for family in sorted(set(families))
    ]


def legend(figure: Figure, handles: Sequence[Artist], *, columns: int = COLUMNS, axis: str = "") -> None:
    """A legend below the whole figure, under the name of the axis that its panels share.

    It has as many columns as its longest text leaves room for, and a figure grows with a long one.
    """
    longest = max((len(str(one.get_label())) for one in handles), default=0)
    columns = max(min(columns, len(handles), int(WIDTH / (LETTER * longest + HANDLE))), 1)
    rows = -(-len(handles) // columns)
    figure.set_figheight(figure.get_figheight() + ROW * max(rows - ROWS, 0))
    figure.legend(
        handles=list(handles),
        loc="outside lower center",
        ncols=columns,
        fontsize=8,
        handlelength=1.8,
        columnspacing=1.4,
        title=axis or None,
        title_fontsize=9,
    )


def panel_grid(
    count: int, *, columns: int = COLUMNS, height: float = 1.9, sharex: bool = False, sharey: bool = False
) -> tuple[Figure, list[Axes]]:
    """Panels in rows, each `height` inches high."""
    columns = min(columns, max(count, 1))
    rows = -(-max(count, 1) // columns)
    figure = Figure(figsize=(WIDTH, height * rows + 1.1), layout="constrained")
    grid: list[Axes] = list(figure.subplots(rows, columns, squeeze=False, sharex=sharex, sharey=sharey).flat)
    for place, axes in enumerate(grid):
        if place >= count:
            axes.set_visible(False)
        elif place + columns >= count:  # nothing is drawn below it
            axes.tick_params(labelbottom=True)
    return figure, grid


def families(names: Iterable[str]) -> dict[str, list[str]]:
    """Arms by the name before their levels: those of one grid together, in the order of the study."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(name.partition("[")[0], []).append(name)
    return found


def levels(axes: Axes, by_name: Mapping[str, float], looks: Mapping[str, Dashes]) -> None:
    """Horizontal lines: arms that have no strength."""
    for name, value in by_name.items():
        axes.axhline(value, color=MUTED, linestyle=looks[name], linewidth=1.0, zorder=2)


def level_looks(names: Iterable[str]) -> dict[str, Dashes]:
    """A line style for each arm without a strength."""
    return {name: DASHES[index % len(DASHES)] for index, name in enumerate(dict.fromkeys(names))}


def level_handles(looks: Mapping[str, Dashes]) -> list[Line2D]:
    """Legend entries of the arms without a strength."""
    return [Line2D([], [], color=MUTED, linestyle=look, linewidth=1.0, label=name) for name, look in looks.items()]


def strength_axis(axes: Axes, strengths: Sequence[float]) -> None:
    """Ticks at the strengths themselves, with a number where there is room; logarithmic where they are far apart."""
    found = sorted(set(strengths))
    logarithmic = bool(found) and found[0] > 0 and found[-1] / found[0] > WIDE
    if logarithmic:
        axes.set_xscale("log")
        axes.set_xlim(found[0] / 1.25, found[-1] * 1.25)
        axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_locator(FixedLocator(found))
    roomy = _roomy([math.log(one) for one in found] if logarithmic else found)
    axes.set_xticks(found, [f"{one:.3g}" if room else "" for one, room in zip(found, roomy, strict=True)])


def _roomy(places: Sequence[float]) -> list[bool]:
    """Which of ascending places on an axis have room for a number; the first and the last always have."""
    gap = ROOM * (places[-1] - places[0]) if places else 0.0
    taken = float("-inf")
    shown: list[bool] = []
    for place in places[:-1]:
        shown.append(not shown or (place - taken >= gap and places[-1] - place >= gap))
        taken = place if shown[-1] else taken
    return [*shown, True][: len(places)]
