"""The figure of releases: one line a maker, one mark a release."""

from collections.abc import Sequence
from datetime import date

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from doxa.report.marks import legend
from doxa.report.theme import INK, MUTED, PAPER, SERIES, WIDTH, Drawing, finish, style
from doxa.words.errors import ProseError
from doxa.words.roster import Listed

DOUBTED = "doubted, or sources differ"


def timeline(models: Sequence[Listed], *, caption: str) -> Drawing:
    """Releases over time; a hollow mark is a date that is doubted or that sources give differently.

    Args:
        models: Those with a date are drawn.
        caption: What the figure says.

    Raises:
        ProseError: When none has a date.
    """
    dated = [(one, one.released) for one in models if one.released is not None]
    if not dated:
        raise ProseError("none of these models has a date", way_out="Choose others, or leave --timeline out")
    makers = list(dict.fromkeys(one.maker for one, _ in sorted(dated, key=lambda each: each[1])))
    colours = {maker: SERIES[at % len(SERIES)] for at, maker in enumerate(makers)}
    with style():
        figure = Figure(figsize=(WIDTH, 0.52 * len(makers) + 1.3), layout="constrained")
        axes = figure.subplots()
        for at, maker in enumerate(reversed(makers)):
            own = sorted(((one, day) for one, day in dated if one.maker == maker), key=lambda each: each[1])
            days: dict[date, list[Listed]] = {}
            for one, day in own:
                days.setdefault(day, []).append(one)
            for turn, (day, there) in enumerate(days.items()):
                face = PAPER if any(one.certainty for one in there) else colours[maker]
                axes.plot(day.toordinal(), at, marker="o", markersize=6, color=colours[maker], markerfacecolor=face)
                axes.annotate(
                    ", ".join(one.name for one in there),
                    (day.toordinal(), at),
                    xytext=(0, 7 if turn % 2 == 0 else -7),
                    textcoords="offset points",
                    ha="center",
                    va="bottom" if turn % 2 == 0 else "top",
                    fontsize=7,
                    color=INK,
                )
        first, last = min(day for _, day in dated), max(day for _, day in dated)
        spare = max(3.0, 0.08 * (last - first).days)
        axes.set_xlim(first.toordinal() - spare, last.toordinal() + spare)
        axes.set_ylim(-0.7, len(makers) - 0.3)
        axes.set_yticks(range(len(makers)), list(reversed(makers)))
        step = max(7, 7 * round((last - first).days / 42))
        ticks = range(first.toordinal(), last.toordinal() + 1, step)
        axes.set_xticks(ticks, [date.fromordinal(tick).isoformat() for tick in ticks])
        axes.tick_params(axis="x", labelsize=7)
        handles = [
            Line2D([], [], color=MUTED, marker="o", linewidth=0, label="a day that a source names"),
            Line2D(
                [], [], color=MUTED, marker="o", markerfacecolor=PAPER, linewidth=0, label="doubted, or sources differ"
            ),
        ]
        legend(figure, handles)
        return finish(figure, "timeline", caption)
