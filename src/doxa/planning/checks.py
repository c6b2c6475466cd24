"""What the numbers of a planned design must be."""

import math

from doxa.words.errors import StudyError

MOST = 10**7
"""Units that are planned at most."""
LEAST_SD, MOST_SD = 1e-9, 1e9
LEAST_ALPHA, MOST_ALPHA = 1e-9, 0.5


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
        StudyError: When it does not lie between `LEAST_SD` and `MOST_SD`, and is not an allowed 0.
    """
    if not (LEAST_SD <= value <= MOST_SD or (value == 0 and zero)):
        raise StudyError(
            f"{what} is {value:g}",
            expected=f"{'0, or ' if zero else ''}a number from {LEAST_SD:g} to {MOST_SD:g}",
            way_out=f"Write the {what} of a pilot, or 1 to plan in standard deviations",
        )


def check_level(alpha: float) -> None:
    """Refuse what is no level of a test.

    Raises:
        StudyError: When it does not lie between `LEAST_ALPHA` and `MOST_ALPHA`.
    """
    if not LEAST_ALPHA <= alpha <= MOST_ALPHA:
        raise StudyError(
            f"alpha is {alpha:g}", expected=f"a level from {LEAST_ALPHA:g} to {MOST_ALPHA:g}", way_out="Write 0.05"
        )


def check_effect(effect: float, what: str) -> None:
    """Refuse what is no effect of a score.

    Raises:
        StudyError: When it is not finite, or beyond 1000 times the largest SD.
    """
    if not math.isfinite(effect) or abs(effect) > 1e3 * MOST_SD:
        raise StudyError(
            f"{what} is {effect:g}", expected="a number of the score", way_out="Write a number such as 0.02"
        )


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
