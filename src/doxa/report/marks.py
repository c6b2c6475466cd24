"""What the figures share: colours of placements, the grey of the controls, legends and axes of strength."""

import math
from collections.abc import Iterable, Mapping, Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FixedLocator, NullLocator

from doxa.report.theme import BAND, BAND_EDGE, MUTED, SERIES

FAMILY_NAMES = {"twin": "twins", "unrelated": "unrelated vectors"}
SINGLES = {"reprefill": "re-prefill", "neutral": "neutral text", "paraphrase": "paraphrase"}
"""Controls of edits and prompts: too few for a band, so each is a mark."""
HATCH = {"twin": "", "unrelated": "/////"}
Dashes = tuple[float, tuple[float, ...]]
DASHES: tuple[Dashes, ...] = ((0.0, (5.0, 2.5)), (0.0, (1.2, 1.8)), (0.0, (6.0, 2.0, 1.2, 2.0)))
"""Offset and pattern of the lines of arms without a strength."""
ROOM = 0.16
"""Of an axis of strengths: what a number takes."""
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


def legend(figure: Figure, handles: Sequence[Artist], *, columns: int = 3, axis: str = "") -> None:
    """A legend below the whole figure, under the name of the axis that its panels share."""
    figure.legend(
        handles=list(handles),
        loc="outside lower center",
        ncols=min(columns, max(len(handles), 1)),
        fontsize=8,
        handlelength=1.8,
        columnspacing=1.4,
        title=axis or None,
        title_fontsize=9,
    )


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
