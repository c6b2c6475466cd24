"""How numbers are written: three figures, a true minus, p never zero, and "missing" where there is none."""

import math
from collections.abc import Sequence

MINUS = "−"
SMALLEST = 5e-7
"""Below this size a number is written as 0."""


def number(value: float | None, *, sign: bool = False) -> str:
    """A value with three figures: `+0.412`, `12.5`, `0.00412`; `missing` for None and NaN."""
    if value is None or math.isnan(value):
        return "missing"
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    size = abs(value)
    if size < SMALLEST:
        return "0"
    digits = min(6, max(0, 2 - math.floor(math.log10(size))))
    text = f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"
    return text.replace("-", MINUS)


def level(value: float) -> str:
    """A level as a study writes it, with a true minus: `0.4`, `−1.2`."""
    return f"{value:g}".replace("-", MINUS)


def whole(value: float | None) -> str:
    """Degrees of freedom: `7`, `12.4`; a dash where a method has none."""
    if value is None:
        return "–"
    return str(int(value)) if float(value).is_integer() else number(value)


def interval(low: float | None, high: float | None) -> str:
    """An interval in brackets, or a dash."""
    return f"[{number(low)}, {number(high)}]" if low is not None and high is not None else "–"


def p_value(p: float | None) -> str:
    """A p-value with three digits, never zero."""
    if p is None or math.isnan(p):
        return "–"
    return "< .001" if p < 0.001 else f"{p:.3f}".lstrip("0") if p < 1 else "1"


def p_words(p: float | None) -> str:
    """A p-value as part of a sentence: `p = .025`, `p < .001`, `no p`."""
    shown = p_value(p)
    return "no p" if shown == "–" else f"p {shown}" if shown.startswith("<") else f"p = {shown}"


def ordinal(rank: int) -> str:
    """1st, 2nd, 3rd, 4th."""
    ending = "th" if rank % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(rank % 10, "th")
    return f"{rank}{ending}"


def counted(count: int, thing: str) -> str:
    """`1 item`, `8 items`, `8 queries`."""
    return f"{count} {thing if count == 1 else plural(thing)}"


def plural(thing: str) -> str:
    """The plural: `items`, `queries`, `essays`."""
    return f"{thing[:-1]}ies" if thing.endswith("y") and thing[-2:-1] not in "aeou" else f"{thing}s"


def listed(words: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def p_figures(p: float | None) -> str:
    """A p-value with three significant figures, for comparing tests: `.0530`, `.000195`, `1.2e−9`; never zero."""
    if p is None or math.isnan(p):
        return "–"
    if p <= 1e-300:
        return "< 1e−300"
    if p < 1e-5:
        size, exponent = f"{p:.1e}".split("e")
        return f"{size}e{MINUS}{abs(int(exponent))}"
    digits = max(3, 2 - math.floor(math.log10(p)))
    return "1" if p >= 0.9995 else f"{p:.{digits}f}".lstrip("0")


def percent(share: float) -> str:
    """A share in percent with three figures: `5.00 %`, `0.385 %`, `12.5 %`, `100 %`."""
    return f"{number(100 * share)} %"


def points(share: float, *, sign: bool = False) -> str:
    """A difference of shares in percentage points: `+2.31`, `−0.06`, `12.5`; below 1 with two decimals."""
    value = 100 * share
    if not 0.005 <= abs(value) < 1:
        return number(value, sign=sign)
    return (f"{value:+.2f}" if sign else f"{value:.2f}").replace("-", MINUS)
