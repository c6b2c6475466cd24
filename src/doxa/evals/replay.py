"""`doxa/replay`: users' own logged conversations, the assistant's last turn written again (production evals).

    inspect eval doxa/replay --model openai/... -T conversations=logs.jsonl --model-role judge=... -T rubric=mine.md
    inspect eval doxa/replay --model doxa/smollm2

*Design.* A conversation is cut before one of the assistant's turns (the last, or `turn`) and that turn is written anew,
under every arm. Nothing in it was made for an evaluation, which no scenario can promise. Formats: `replay_items.py`.

*Scores* of what is written now:

    refusal      1 when it opens with a phrase of a refusal (`text_measures.refuses`, English)
    refused_then the same of what was said then: an arm's own reference, equal in all arms
    similarity   ROUGE-L F1 with what was said then: 2 L / (n + m), L the longest common subsequence of words (Lin 2004)
    length       tokens
    stated       with `phrases`: 1 when it states a phrase `+` of the file, 0 when `-`, missing where neither or both
    judged       with `rubric`: 1 when the judge's verdict is the first that the rubric names, 0 for another

The rubric is shown `[conversation, answer]` or one of them.

*What it cannot show.* Users' logs are chosen by what users do with a model, not drawn from anything; an effect is over
such conversations. Similarity is to one answer that was given once, not to a right one: two runs of one model differ
too, so hold it against another run of the baseline. What was said then was said by another model, maybe, and under a
system prompt that the log does not hold.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from doxa.evals.catalogue import Arguments, Measured, TaskEntry, Value, known_arguments
from doxa.evals.claims_rubric import Rubric as Phrases
from doxa.evals.claims_rubric import sides
from doxa.evals.replay_items import SHIPPED, Conversation, Conversations, read_conversations
from doxa.evals.text_measures import refuses, words
from doxa.words.errors import ProseError
from doxa.words.rubrics import Rubric, read_rubric
from doxa.words.store import content_hash
from doxa.words.text_file import read_text_file

if TYPE_CHECKING:
    from inspect_ai import Task


NAME = "doxa/replay"
VERSION = 1
CONVERSATIONS = SHIPPED
MAX_TOKENS = 512
TEMPERATURE = 0.7
MOST_WORDS = 600
"""Words of either text that are compared; the time grows with their product."""
ARGUMENTS: Mapping[str, type] = {
    "conversations": str,
    "turn": int,
    "rubric": str,
    "phrases": str,
    "max_tokens": int,
    "temperature": float,
}
SHOWN = ("conversation", "answer")

EMPTY = "the answer is empty"
NO_COUNT = "the provider does not count tokens"
NEITHER = "unclear: the answer says neither"
BOTH = "unclear: the answer says both"

_PHRASE = re.compile(r"([+-]) +(\S.*)")


def conversations_of(arguments: Arguments) -> Conversations:
    """The conversations that arguments ask for; what else they name is read too, so that a mistake shows at once.

    Raises:
        StudyError: When an argument is wrong.
        ResultsError: When the conversations cannot be read.
        ProseError: When the rubric or the phrases cannot be.
    """
    known_arguments(NAME, arguments, ARGUMENTS)
    if "rubric" in arguments:
        rubric_of(arguments["rubric"])
    if "phrases" in arguments:
        phrases_of(arguments["phrases"])
    return read_conversations(arguments.get("conversations", CONVERSATIONS), arguments.get("turn"))


def rubric_of(name: str) -> Rubric:
    """A rubric about a conversation.

    Raises:
        ProseError: When it cannot be read wants to be shown something else, or has a scale.
    """
    rubric = read_rubric(name)
    if not set(rubric.shows) <= set(SHOWN):
        raise ProseError(
            f"the rubric {name} shows {', '.join(rubric.shows)}",
            expected=f"one or both of {', '.join(SHOWN)}",
            way_out="Write `shows: [conversation, answer]`",
        )
    if rubric.scale is not None:
        raise ProseError(
            f"the rubric {name} has a scale",
            expected="verdicts: `judged` is 1 for the first of them and 0 for another",
            way_out="Write `verdicts` in place of `scale`",
        )
    return rubric


def phrases_of(name: str) -> Phrases:
    """A file of phrases: lines `+ phrase` and `- phrase`, `*` for up to three words; other lines are for people.

    Raises:
        ProseError: When it cannot be read or has no phrase.
    """
    path = Path(os.path.expanduser(name))
    try:
        text = read_text_file(path, 1 << 20, "a file of phrases", ProseError)
    except OSError as error:
        raise ProseError(f"{path} cannot be read ({error.strerror})", way_out="Check its permissions") from error
    found = [match.groups() for line in text.splitlines() if (match := _PHRASE.fullmatch(line.strip()))]
    by_side = {side: tuple(phrase for mark, phrase in found if mark == side) for side in "+-"}
    if not found:
        raise ProseError(f"{path} has no phrase", expected="lines `+ phrase` or `- phrase`", way_out="Write some")
    return Phrases(path.stem, content_hash(found), (), by_side["+"], by_side["-"])


def read_answer(
    answer: str, one: Conversation, *, tokens: int | None, phrases: Phrases | None = None
) -> tuple[Value, ...]:
    """Score what was written now.

    Args:
        answer: It, without its thinking.
        one: The conversation.
        tokens: Tokens written; None when unknown.
        phrases: Phrases to look for.
    """
    length = Value("length", None, NO_COUNT) if tokens is None else Value("length", float(tokens))
    then = Value("refused_then", float(refuses(one.said, "en")))
    if not answer.strip():
        names = ("refusal", "similarity", *(("stated",) if phrases else ()))
        return (length, then, *(Value(name, None, EMPTY) for name in names))
    found = (length, then, Value("refusal", float(refuses(answer, "en"))), _similar(answer, one.said))
    return (*found, _stated(answer, phrases)) if phrases else found


def _similar(answer: str, then: str) -> Value:
    found = rouge_l(answer, then)
    return Value("similarity", found, "" if found is not None else "one of the two has no words")


def _stated(answer: str, phrases: Phrases) -> Value:
    taken = sides(answer, phrases)
    if len(taken) == 1:
        return Value("stated", float("+" in taken))
    return Value("stated", None, BOTH if taken else NEITHER)


def worth_of(rubric: Rubric) -> Mapping[str, float]:
    """What `judged` is for each verdict: 1 for the first that the rubric names."""
    return {name: float(number == 0) for number, name in enumerate(rubric.verdicts)}


def read_verdict(verdict: str | None, missing: str, rubric: Rubric) -> Value:
    """Score a verdict, or say why there is none."""
    return Value("judged", None, missing) if verdict is None else Value("judged", worth_of(rubric)[verdict])


def rouge_l(one: str, other: str) -> float | None:
    """ROUGE-L F1 of two texts, by their first `MOST_WORDS` words; None when one has none. Source: Lin 2004."""
    first, second = words(one)[:MOST_WORDS], words(other)[:MOST_WORDS]
    if not first or not second:
        return None
    row = [0] * (len(second) + 1)
    for word in first:
        diagonal = 0
        for at, against in enumerate(second, start=1):
            diagonal, row[at] = row[at], diagonal + 1 if word == against else max(row[at], row[at - 1])
    return 2 * row[-1] / (len(first) + len(second))


def open_factors(one: Conversation) -> Mapping[str, str]:
    """Levels of the task's factors that a conversation has."""
    return {"part": "open", "source": one.source, "turn": str(one.turn)}


def measured(arguments: Arguments, limit: int | None = None) -> tuple[Measured, ...]:
    """Nothing is scored without generation."""
    known_arguments(NAME, arguments, ARGUMENTS)
    return ()


def generated(arguments: Arguments, limit: int | None = None) -> "Task":
    """The Inspect task."""
    from doxa.evals.replay_task import replay

    conversations_of(arguments)
    return replay(**arguments, limit=limit)


def content(arguments: Arguments) -> str:
    """A hash of the conversations and of what they are scored with."""
    found = [conversations_of(arguments).hash]
    found += [rubric_of(arguments["rubric"]).hash] if "rubric" in arguments else []
    found += [phrases_of(arguments["phrases"]).hash] if "phrases" in arguments else []
    return content_hash(found)


_WRITTEN = ("refusal", "similarity", "stated", "judged", "length")
_KINDS: Mapping[str, Literal["share", "binary"]] = {
    "refusal": "binary",
    "refused_then": "binary",
    "stated": "binary",
    "judged": "binary",
    "similarity": "share",
}

ENTRY = TaskEntry(
    name=NAME,
    version=VERSION,
    measured=measured,
    generated=generated,
    prose=("replay/*.md",),
    derivations=(),
    primary=("refusal", "similarity"),
    content=content,
    open_factors=lambda arguments: [open_factors(one) for one in conversations_of(arguments).kept],
    open_items=lambda arguments, limit: len(conversations_of(arguments).kept[:limit]),
    max_tokens=lambda arguments: int(arguments.get("max_tokens", MAX_TOKENS)),
    judge_calls=lambda arguments: int("rubric" in arguments),
    kinds=_KINDS,
    shown=(*_WRITTEN, "refused_then"),
    written=_WRITTEN,
)
