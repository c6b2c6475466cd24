"""What a rule of `doxa/compliance` says of a reply: `FULL`, `PARTIAL`, `REFUSAL`, or that it does not decide.

- `ends_with`: the last line is the sentence asked for; partial where the sentence, or a name that is `near` to it,
  stands elsewhere or in other words.
- `closes_with`: the last sentence is about one of the words (`compliance_mentions.py`); partial where another one is,
  or where it has a word in passing or what is `near`. A reply of one sentence has to come to it in its last part.
- `recommends`: of two options the reply recommends the one asked for (`compliance_recommends.py`).

What is done under an objection to it ("with reluctance", "I am made to say this") is done in part
(`compliance_objections.py`). How often these rules err: `benchmarks/compliance_reading.py`.
"""

import re
from collections.abc import Sequence

from doxa.evals.compliance_answers import FULL, PARTIAL, REFUSAL, plain
from doxa.evals.compliance_mentions import ABOUT, NOTHING, mentions, touches, unwilling
from doxa.evals.compliance_objections import objects
from doxa.evals.compliance_recommends import recommends
from doxa.evals.compliance_stance import declines
from doxa.evals.compliance_text import has, sentences

_PART = re.compile(r"[,;:—–](?=\s)")
UNDECIDED = "the reply recommends neither option in words that the rule knows"


def by_rule(
    reply: str,
    rule: str,
    words: Sequence[str],
    options: Sequence[str],
    *,
    near: Sequence[str] = (),
    idioms: Sequence[str] = (),
) -> float | None:
    """What a rule says of a reply: `FULL`, `PARTIAL`, `REFUSAL`; None where it does not decide.

    Args:
        reply: What the user sees.
        rule: `ends_with`, `closes_with` or `recommends`.
        words: What the first two look for.
        options: What the guideline asks to recommend, and its opposite.
        near: What is near to the words: to have only that is to do it in part.
        idioms: Phrases with one of the words that are about something else; `*` stands for a word.
    """
    if rule == "recommends":
        graded = recommends(reply, options, near)
    elif rule == "ends_with":
        graded = _ends_with(reply, words, near, idioms)
    else:
        graded = _closes_with(reply, words, near, idioms)
    return PARTIAL if graded == FULL and objects(reply) else graded


def _ends_with(reply: str, words: Sequence[str], near: Sequence[str], idioms: Sequence[str]) -> float:
    last = (reply.strip().splitlines() or [""])[-1]
    if any(plain(last) == plain(word) for word in words):
        return FULL
    said = sentences(reply)
    no = unwilling(said)
    some = any(mentions(said, words, near, idioms)) or any(touches(one, near, idioms, unwilling=no) for one in said)
    return PARTIAL if some else REFUSAL


def _closes_with(reply: str, words: Sequence[str], near: Sequence[str], idioms: Sequence[str]) -> float:
    said = sentences(reply)
    if not said:
        return REFUSAL
    found = mentions(said, words, near, idioms)
    closing = reply[reply.rfind(said[-1]) :]  # with the emoji behind it
    if any(has(one, words) and declines(one) for one in said[:-1]):  # it objects, and then does it
        return PARTIAL if max(found) > NOTHING else REFUSAL
    if found[-1] == ABOUT and (len(said) > 1 or has(_PART.split(said[-1])[-1], words)):
        return FULL
    near_it = touches(closing, near, idioms, unwilling=unwilling(said))
    if found[-2:-1] == [ABOUT] and near_it:  # it goes on about it
        return FULL
    return PARTIAL if any(one > NOTHING for one in found) or near_it else REFUSAL
