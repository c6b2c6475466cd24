"""How numbers are written in a report: `doxa.words.numbers`, where the floors below reach it too."""

from doxa.words.numbers import (
    MINUS,
    SMALLEST,
    counted,
    interval,
    level,
    listed,
    number,
    ordinal,
    p_value,
    p_words,
    whole,
)

__all__ = [
    "MINUS",
    "SMALLEST",
    "counted",
    "interval",
    "level",
    "listed",
    "number",
    "ordinal",
    "p_value",
    "p_words",
    "whole",
]
