"""How numbers are written: three figures, a true minus, p never zero, and "missing" where there is none."""

from collections.abc import Sequence

MINUS = "−"


def number(value: float | None, *, sign: bool = False) -> str:
    """A value with about three figures: `+0.412`, `12.5`, `missing`."""
    if value is None:
        return "missing"
    size = abs(value)
    digits = 3 if size < 1 else 2 if size < 10 else 1 if size < 100 else 0
    text = f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"
    return text.replace("-", MINUS)


def interval(low: float | None, high: float | None) -> str:
    """An interval in brackets, or a dash."""
    return f"[{number(low)}, {number(high)}]" if low is not None and high is not None else "–"


def p_value(p: float | None) -> str:
    """A p-value with three digits, never zero."""
    if p is None:
        return "–"
    return "< .001" if p < 0.001 else f"{p:.3f}".lstrip("0") if p < 1 else "1"


def ordinal(rank: int) -> str:
    """1st, 2nd, 3rd, 4th."""
    ending = "th" if rank % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(rank % 10, "th")
    return f"{rank}{ending}"


def listed(words: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
