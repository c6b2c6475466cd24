"""The figure of a checked claim: p against the base rate, at the same gap and the same n."""

import math

from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator

from doxa.claims.checked import Check
from doxa.report.marks import legend
from doxa.report.theme import ACCENT, MUTED, SERIES, WIDTH, Drawing, finish, style
from doxa.words.errors import ClaimError
from doxa.words.numbers import MINUS, counted, percent, points

ALPHA = 0.05
DECADES = 5
"""Powers of ten below the largest p that are drawn."""
SMALLEST = 1e-12
"""What is smaller is drawn here."""
DOTTED = (0.0, (1.2, 1.8))


def p_against_base_rate(check: Check) -> Drawing:
    """The p-values of several tests as lines over the base rate, and where the claim stands on them.

    Raises:
        ClaimError: When the claim is not about a difference of two rates.
    """
    curve = check.curve
    if curve is None:
        raise ClaimError(
            f"a figure of {check.claim!r}",
            expected="a claim about two different rates",
            way_out="Leave --figure out: the figure is p against the base rate",
        )
    own = {one.name: one.p for one in check.tests}
    colours = dict(zip(curve.p, SERIES, strict=False))
    with style():
        figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
        axes = figure.subplots()
        handles: list[Artist] = []
        drawn = [p for line in curve.p.values() for p in line if p is not None]
        drawn += [p for name, p in own.items() if name in curve.p and p is not None]
        floor = max(SMALLEST, min(max(min(drawn), max(drawn) * 10.0**-DECADES), 0.02))
        for name, line in curve.p.items():
            known = [(100 * x, max(p, floor)) for x, p in zip(curve.base, line, strict=True) if p is not None]
            dashes = (0.0, ()) if name != "Wald z" else (0.0, (4.0, 2.0))  # the pooled z is nearly the same line
            axes.plot(*zip(*known, strict=True), color=colours[name], linestyle=dashes, linewidth=1.5, zorder=3)
            handles.append(Line2D([], [], color=colours[name], linestyle=dashes, linewidth=1.5, label=name))
            p = own.get(name)
            if curve.own is not None and p is not None:
                axes.scatter([100 * curve.own], [max(p, floor)], s=34, color=colours[name], edgecolor="white", zorder=6)
        place = curve.needed if curve.own is None else curve.own
        if place is not None:
            axes.axvline(100 * place, color=ACCENT, linewidth=1.0, zorder=2)
            what = "the claim's base rate" if curve.own is not None else f"base rate that gives {check.reported}"
            handles.append(Line2D([], [], color=ACCENT, linewidth=1.0, label=f"{what}, {percent(place)}"))
        if check.reported_relation == "=" and check.reported_value is not None:
            axes.axhline(max(check.reported_value, floor), color=ACCENT, linewidth=0.8, linestyle=DOTTED)
            label = f"reported {check.reported}"
            handles.append(Line2D([], [], color=ACCENT, linewidth=0.8, linestyle=DOTTED, label=label))
        axes.axhline(ALPHA, color=MUTED, linewidth=0.8, zorder=1)
        axes.set_yscale("log")
        axes.set_ylim(floor / 1.3, 1.15)
        ticks = _ticks(floor)
        axes.set_yticks(ticks, [f"{one:g}".removeprefix("0").replace("-", MINUS) for one in ticks])
        axes.yaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g} %"))
        axes.set_xlim(0, 102 * max(curve.base[-1], place or 0.0, 0.01))
        axes.set_xlabel("base rate (the lower of the two)")
        axes.set_ylabel("p, two-sided")
        legend(figure, handles, columns=3)
        return finish(figure, "p-against-base-rate", _caption(check))


def _ticks(floor: float) -> list[float]:
    """1, .2, .05 and powers of ten, fewer of them where they would touch."""
    lowest = math.floor(-math.log10(floor) + 1e-9)
    apart = 1 + lowest // 8
    return [
        1.0,
        *([0.2] if apart == 1 else []),
        ALPHA,
        *(10.0**-power for power in range(1 + apart, lowest + 1, apart)),
    ]


def _caption(check: Check) -> str:
    curve = check.curve
    assert curve is not None
    sizes = counted(curve.n, "observation") if curve.n == curve.m else f"{curve.n:,} and {curve.m:,} observations"
    each = " in each group" if curve.n == curve.m else ""
    return (
        f"The p-value of a difference of {points(curve.gap)} points with {sizes}{each}, against the lower of the two "
        "rates. Fisher's test is that of the nearest counts. The grey line is .05; points are the claim's own counts."
    )
