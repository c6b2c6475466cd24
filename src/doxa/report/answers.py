"""An answer in the referee's box."""

from dataclasses import dataclass
from typing import Literal

State = Literal["yes", "no", "absent"]


@dataclass(frozen=True)
class Answer:
    """A question of the referee.

    Attributes:
        question: The question.
        state: `yes`: answered from the data. `no`: not answered, printed red. `absent`: the study has no such thing.
        words: The answer.
        next_run: The cheapest change that would answer it, or "".
    """

    question: str
    state: State
    words: str
    next_run: str = ""
