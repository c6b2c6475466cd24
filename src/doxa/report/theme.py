"""How figures look: one palette, drawn once, light and dark.

Figures are drawn by matplotlib with the light colours. Inside the page the SVG's ink, grid and bands become CSS
variables, so that one drawing follows the reader's light or dark mode; the colours of arms keep their contrast in both.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

WIDTH = 7.4
"""Width of every figure in inches: all have the same size of text on the page."""
INK, MUTED, GRID, PAPER = "#1b1d22", "#6a6f7b", "#e3e4e9", "#fefefe"
BAND, BAND_EDGE = "#c9ccd6", "#a3a8b8"
ACCENT = "#d1495b"
SERIES = ("#2a7fb8", "#c17f0e", "#2c9a6a", "#8456c9", "#b3568f", "#5f7d1c", "#1d8f9a", "#8a6d5b")
VARIABLES = {INK: "--ink", MUTED: "--muted", GRID: "--grid", PAPER: "--paper", BAND: "--band", BAND_EDGE: "--band-edge"}

STYLE: Any = {  # matplotlib 3.11 types its several hundred keys one by one, earlier ones do not
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.0,
    "svg.fonttype": "none",
    "svg.hashsalt": "doxa",
    "text.parse_math": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.linewidth": 0.7,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "figure.facecolor": "none",
    "legend.frameon": False,
    "lines.solid_capstyle": "butt",
}


@dataclass(frozen=True)
class Drawing:
    """A figure ready to be written.

    Attributes:
        name: File name without ending.
        caption: What it shows and how to read it.
        svg: The SVG with the light colours, complete in itself.
        png: The PNG, on white, at 2 pixels a point.
    """

    name: str
    caption: str
    svg: str
    png: bytes

    @property
    def inline(self) -> str:
        """The SVG for a page: no XML prologue, colours as CSS variables, ids of its own, a role and a label."""
        body = self.svg[self.svg.index("<svg") :]
        body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
        for colour, variable in VARIABLES.items():
            body = body.replace(colour, f"var({variable})")
        body = re.sub(r'\bid="', f'id="{self.name}-', body)
        body = re.sub(r'(href="#|url\(#)', rf"\g<1>{self.name}-", body)
        body = re.sub(r"font: ?[^;\"]*'DejaVu Sans'[^;\"]*", _system_font, body)
        return body.replace("<svg", f'<svg role="img" data-name="{self.name}" aria-label="{escape(self.caption)}"', 1)


@contextmanager
def style() -> Iterator[None]:
    """Matplotlib with doxa's settings, and with no display."""
    with mpl.rc_context(STYLE):
        yield


def finish(figure: Figure, name: str, caption: str) -> Drawing:
    """Write a figure as SVG and PNG; the same figure gives the same bytes."""
    with style():
        svg, png = io.StringIO(), io.BytesIO()
        FigureCanvasSVG(figure)
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": "doxa"})
        figure.set_layout_engine("none")  # laid out once: both files have the same picture
        figure.savefig(png, format="png", dpi=144, facecolor="white", metadata={"Software": "doxa"})
    return Drawing(name, caption, svg.getvalue(), png.getvalue())


def _system_font(match: re.Match[str]) -> str:
    return match.group(0).replace("'DejaVu Sans'", "system-ui, 'DejaVu Sans'")
