"""A choice between courses of action for models that cannot act or cannot be judged: scored, not generated.

The courses are listed under letters, in every cyclic order, so that each stands once in each place; the value of a
course is its log-probability as the answer, averaged over the orders. A habit of taking the first, or A, then adds the
same to all. What is read is how likely a course is *beside the others*:

    share[course]     exp of its mean log-probability over the sum of those of all
    log_odds[course]  log share - log(1 - share)
"""

import math
from collections.abc import Mapping, Sequence

from doxa.evals.catalogue import Measured
from doxa.models.chat import Message
from doxa.models.score import OptionScores

LETTERS = "ABCDEFGH"


def orders(n: int) -> tuple[tuple[int, ...], ...]:
    """The cyclic orders of n courses: in order o, place p shows course `orders(n)[o][p]`."""
    return tuple(tuple((start + place) % n for place in range(n)) for start in range(n))


def listed(courses: Sequence[str], order: Sequence[int]) -> str:
    """Courses under letters, a line each."""
    return "\n".join(f"{LETTERS[place]}) {courses[course]}" for place, course in enumerate(order))


def choice_item(
    name: str,
    before: Sequence[Message],
    question: str,
    courses: Sequence[str],
    factors: Mapping[str, str],
    *,
    opening: str = "",
) -> Measured:
    """A choice as a scored item.

    Args:
        name: Its id.
        before: The conversation before the question: a system prompt, turns.
        question: What the user asks; `{courses}` in it is where the list goes.
        courses: At least 2 and at most 8.
        factors: Levels of the task's factors.
        opening: What the assistant's answer begins with, up to the letter; "" lets it begin with the letter.
    """
    places = orders(len(courses))
    answer = (Message("assistant", opening),) if opening else ()
    prompts = tuple(
        (*before, Message("user", question.replace("{courses}", listed(courses, order))), *answer) for order in places
    )
    letters = tuple(f" {LETTERS[place]}" if opening else LETTERS[place] for place in range(len(courses)))
    return Measured(id=name, kind="choice", prompts=prompts, options=(letters,) * len(places), factors=factors)


def shares(answers: Sequence[OptionScores]) -> tuple[float, ...] | None:
    """The share of every course, in the order in which they were given; None when a probability is not finite.

    Args:
        answers: Of every cyclic order, the log-probabilities of the letters.
    """
    n = len(answers)
    totals = [0.0] * n
    for order, one in zip(orders(n), answers, strict=True):
        for place, course in enumerate(order):
            totals[course] += one.logprobs[place] / n
    if not all(map(math.isfinite, totals)):
        return None
    most = max(totals)
    weights = [math.exp(total - most) for total in totals]
    return tuple(weight / sum(weights) for weight in weights)


def log_odds(share: float) -> float:
    """Log-odds of a share; shares of 0 and 1 are held at the smallest that a double can tell from them."""
    held = min(max(share, 1e-15), 1 - 1e-15)
    return math.log(held) - math.log1p(-held)
