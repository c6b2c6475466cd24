"""What the numbers of a planned design must be."""

import math

from doxa.words.errors import StudyError

MOST = 10**7
"""Units that are planned at most."""


def whole(value: int, what: str, *, least: int = 1, most: int = MOST) -> None:
    """Refuse what is no number of units.

    Raises:
        StudyError: When it is below `least` or above `most`.
    """
    if not least <= value <= most:
        raise StudyError(
            f"{what} is {value}",
            expected=f"a whole number from {least} to {most:,}",
            way_out=f"Write another number for {what}",
        )


def rate(value: float, what: str) -> None:
    """Refuse what is no rate.

    Raises:
        StudyError: When it lies outside 0 and 1.
    """
    if not 0 <= value <= 1:
        raise StudyError(
            f"{what} is {value:g}", expected="a share from 0 to 1", way_out="Write 0.02 or 2% for two percent"
        )


def positive(value: float, what: str, *, zero: bool = False) -> None:
    """Refuse what is no SD.

    Raises:
        StudyError: When it is negative, infinite or not a number; or 0, unless `zero` is allowed.
    """
    if not math.isfinite(value) or value < 0 or (value == 0 and not zero):
        raise StudyError(
            f"{what} is {value:g}",
            expected="a finite number that is not negative" if zero else "a finite number above 0",
            way_out=f"Write the {what} of a pilot, or 1 to plan in standard deviations",
        )


def check_level(alpha: float) -> None:
    """Refuse what is no level of a test.

    Raises:
        StudyError: When it is not between 0 and 1.
    """
    if not 0 < alpha < 1:
        raise StudyError(f"alpha is {alpha:g}", expected="a level between 0 and 1", way_out="Write 0.05")


def one_of_two(design: str, **values: float | None) -> None:
    """Refuse a design that has none or both of two numbers that exclude each other.

    Raises:
        StudyError: When it does not have exactly one.
    """
    given = [name for name, value in values.items() if value is not None]
    if len(given) != 1:
        raise StudyError(
            f"{design} with {' and '.join(given) or 'neither ' + ' nor '.join(values)}",
            expected=f"one of {', '.join(values)}",
            way_out=f"Name {' or '.join(values)}",
        )
