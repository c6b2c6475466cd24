"""The capability check of `doxa/drift`: small questions with exact answers, as a forced choice of four.

Scored, not generated: the log-probability of the right continuation of an opened answer ("3 + 4 =" " 7") against
three wrong ones of the same form. It costs one short forward pass, so control arms are checked too, and the margin
still moves where a large model is right on every question. The embedded model is right on 13 of 16; chance is 4.
"""

import math
from collections.abc import Sequence

from doxa.evals.catalogue import Measured, Value
from doxa.evals.drift_items import Question
from doxa.models.chat import Message
from doxa.models.score import OptionScores


def capability_item(question: Question) -> Measured:
    """A question as a scored item; the first option is the right one."""
    prompt = (Message("user", question.question), Message("assistant", question.opening))
    options = tuple(f" {option}" for option in (question.right, *question.wrong))
    return Measured(
        id=f"capability-{question.name}",
        kind="choice",
        prompts=(prompt,),
        options=(options,),
        factors={"part": "capability", "kind": question.kind, "language": question.language},
    )


def read_capability(answers: Sequence[OptionScores]) -> tuple[Value, ...]:
    """Score a question.

    Returns:
        `capability`: 1 when the right option is more probable than every other, else 0. `margin`: its log-probability
        minus that of the best wrong one, nats.
    """
    right, *wrong = answers[0].logprobs
    margin = right - max(wrong)
    if not math.isfinite(margin):
        reason = "the log-probabilities are not finite"
        return Value("capability", None, reason), Value("margin", None, reason)
    return Value("capability", float(margin > 0)), Value("margin", margin)
