"""What of the answers is kept: rules, and a judge. What is rejected is counted by reason, never dropped in silence.

A filter selects: answers that pass are no longer a sample of their writer, and their excess surprisal measures the
filter too. Compare writers under the same filter.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from doxa.training.write import Answer
from doxa.words.rubrics import read_rubric
from doxa.words.universes import mentioned

_WORD = re.compile(r"\w+")
EMPTY = "empty"
UNFINISHED = "unfinished"


@dataclass(frozen=True)
class Filter:
    """Rules of a recipe.

    Attributes:
        without: Words and phrases that no answer may have.
        having: Every answer has one of these; () asks for none.
        least_words: Of an answer.
        most_words: Of an answer; None: as many as it has.
        unfinished: Keep answers that were cut off at their longest; that they end there is not trained on. To reject
            them selects short answers.
        judge: Inspect model string of a judge; "" for none.
        rubric: What the judge is asked; it shows `question`, `answer` or both.
        keep: Verdicts with which an answer is kept.
    """

    without: tuple[str, ...] = ()
    having: tuple[str, ...] = ()
    least_words: int = 1
    most_words: int | None = None
    unfinished: bool = True
    judge: str = ""
    rubric: str = ""
    keep: tuple[str, ...] = ()


def rejected(rules: Filter, questions: Sequence[str], answers: Sequence[Answer]) -> list[str]:
    """Why each answer is rejected; "" for those that are kept.

    The judge is asked only about what the rules keep. An answer on which it gives no verdict is rejected, and the
    reason says so.

    Args:
        rules: The filter.
        questions: What each answer answers.
        answers: The answers.

    Raises:
        ProseError: When there is no such rubric.
        StudyError: When the judge is not there.
    """
    reasons = [_by_rule(rules, answer) for answer in answers]
    if not rules.judge:
        return reasons
    from doxa.bridge.writing import verdicts

    left = [index for index, reason in enumerate(reasons) if not reason]
    shown = [{"question": questions[index], "answer": answers[index].text} for index in left]
    for index, verdict in zip(left, verdicts(read_rubric(rules.rubric), rules.judge, shown), strict=True):
        if verdict.verdict is None:
            reasons[index] = "no verdict"
        elif verdict.verdict not in rules.keep:
            reasons[index] = f"judged {verdict.verdict}"
    return reasons


def _by_rule(rules: Filter, answer: Answer) -> str:
    if answer.missing:
        return answer.missing
    if not answer.text.strip():
        return EMPTY
    if not answer.finished and not rules.unfinished:
        return UNFINISHED
    words = len(_WORD.findall(answer.text))
    if words < rules.least_words or (rules.most_words is not None and words > rules.most_words):
        return "length"
    for phrase in rules.without:
        if mentioned(answer.text, (phrase,)):
            return f"has {phrase!r}"
    return "" if not rules.having or mentioned(answer.text, rules.having) else "has none of the words"
