"""Strict reading of plain data (YAML, JSON): each function names where a value stands when it is wrong."""

import contextlib
import math
import reprlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar

from doxa.words.errors import StudyError, nearest

Numeric = TypeVar("Numeric", int, float)
Word = TypeVar("Word", bound=str)


def mapping(
    value: object, where: str, *, allowed: Collection[str], required: Collection[str] = ()
) -> Mapping[str, Any]:
    """A mapping with known keys only.

    Raises:
        StudyError: When it is no mapping, or a key is unknown or missing.
    """
    if not isinstance(value, Mapping):
        raise StudyError(
            f"{where} is {shown(value)}",
            expected=f"a mapping with {', '.join(sorted(allowed))}",
            way_out="Write it as `key: value`",
        )
    for key in value:
        if key not in allowed:
            raise StudyError(f"unknown key {str(key)!r} in {where}", way_out=nearest(str(key), allowed))
    for key in required:
        if key not in value:
            raise StudyError(f"{where} has no {key!r}", way_out=f"Add `{key}:`")
    return value


def sequence(value: object, where: str) -> Sequence[Any]:
    """A list."""
    if not isinstance(value, list | tuple):
        raise StudyError(f"{where} is {shown(value)}", expected="a list", way_out="Write it as `[..., ...]`")
    return value


def text(value: object, where: str) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise StudyError(f"{where} is {shown(value)}", expected="a text", way_out="Write a name")
    return value.strip()


def one_line(value: object, where: str) -> str:
    """A text on one line; "" where there is none."""
    return " ".join(text(value, where).split()) if value else ""


def whole(value: object, where: str, *, least: int = 0) -> int:
    """A whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise StudyError(
            f"{where} is {shown(value)}",
            expected=f"a whole number of at least {least}",
            way_out=f"Write {least} or more",
        )
    return value


def number(value: object, where: str) -> float:
    """A finite number; `1e-4`, which YAML 1.1 reads as text, is one."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = float(value)
    if isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) < 10**300 else math.inf
    if not isinstance(value, float) or not math.isfinite(value):
        raise StudyError(f"{where} is {shown(value)}", expected="a finite number", way_out="Write a number such as 0.4")
    return float(value)


def listed_numbers(listed: str, where: str, kind: type[Numeric]) -> tuple[Numeric, ...]:
    """Finite numbers in one text, with commas between them."""
    try:
        found = tuple(kind(one) for one in listed.split(","))
    except ValueError:
        found = ()
    if not found or not all(math.isfinite(one) for one in found):
        raise StudyError(
            f"{where} {listed!r}",
            expected="whole numbers with commas" if kind is int else "numbers with commas",
            way_out=f"Write {where} " + ("1,3,6" if kind is int else "0.2,0.4"),
        )
    return found


def one_of(value: object, where: str, words: Collection[Word]) -> Word:
    """One of some words."""
    for word in words:
        if value == word:
            return word
    raise StudyError(f"{where} is {shown(value)}", way_out=nearest(str(value), words))


def shown(value: object) -> str:
    """A value for a message: short, whatever it is (aliases can make a value that is endless when written out)."""
    written = _SHORT.repr(value)
    return written if len(written) <= 80 else written[:77] + "..."


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 76
