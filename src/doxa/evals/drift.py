"""`doxa/drift`: what an intervention does to everything that has nothing to do with the belief.

    inspect eval doxa/drift --model doxa/smollm2

Three parts, told apart by the factor `part`:

- `open`: 16 everyday prompts of 8 kinds, 10 in English and one each in 6 other languages, answered in 32 tokens. Of
  every answer: the share of its pieces in another language than the prompt's and the share in Chinese (`language.py`),
  its length, repetition, loops and refusals (`text_measures.py`), and its mean surprisal under the model without any
  intervention.
- `neutral`: 8 texts of about 24 tokens; `kl` is the divergence of next-token distributions from the model as it is.
- `capability`: 16 questions with exact answers (`capability.py`).

The last two are scored without generation, so that controls have them too.

Answers are sampled at temperature 0.7. At 1.0 the embedded model's own unsteered answers fall apart (mean surprisal in
English 2.6 nats, SD 0.9, against 1.2 and 0.5 at 0.7), which hides what steering does; greedy decoding would make all
runs the same. A switch of language that the model makes rarely is seen more often at 1.0: `-T temperature=1`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from doxa.evals.capability import capability_item, read_capability
from doxa.evals.catalogue import Arguments, Measured, TaskEntry, Value, known_arguments
from doxa.evals.drift_items import Text, neutral_texts, open_prompts, prose_hash, questions
from doxa.evals.language import is_other, pieces
from doxa.evals.text_measures import distinct_2, loops, refuses
from doxa.models.chat import Message
from doxa.models.score import OptionScores
from doxa.words.errors import StudyError
from doxa.words.store import content_hash

if TYPE_CHECKING:
    from inspect_ai import Task

NAME = "doxa/drift"
VERSION = 1
MAX_TOKENS = 32
TEMPERATURE = 0.7
ARGUMENTS: Mapping[str, type] = {"max_tokens": int, "temperature": float, "capability": bool, "texts": int}

EMPTY = "the answer is empty"
NO_LANGUAGE = "no piece of the answer is long and clear enough to tell its language"
ONE_WORD = "the answer has fewer than two words"
NO_COUNT = "the provider does not count tokens"
PROMPTED = "a system prompt stands before a conversation, and this is bare text"
NOT_FINITE = "the model's probabilities are not finite"


def measured(arguments: Arguments, limit: int | None) -> tuple[Measured, ...]:
    """The scored items: neutral texts and capability questions, at most `limit` of each.

    Args:
        arguments: The task's arguments in a study; `capability: false` leaves out the capability questions, `texts`
            is the number of neutral texts, all by default.
        limit: None for all.

    Raises:
        StudyError: When the task has no such argument.
    """
    _check(arguments)
    neutral = [
        Measured(
            id=f"neutral-{text.name}",
            kind="divergence",
            prompts=((Message("user", text.text),),),
            options=(),
            factors={"part": "neutral", "kind": text.kind, "language": text.language},
        )
        for text in neutral_texts()[: arguments.get("texts")][:limit]
    ]
    asked = questions()[:limit] if arguments.get("capability", True) else ()
    return (*neutral, *(capability_item(question) for question in asked))


def read(item: Measured, answers: Sequence[OptionScores] | float | None) -> tuple[Value, ...]:
    """Score a measured item: `kl` in nats per position, or `capability` and `margin`.

    Args:
        item: The item.
        answers: The scores of its options, or its divergence; None under a system prompt, which bare text has not.
    """
    if answers is None:
        return (Value("kl", None, PROMPTED),)
    if not isinstance(answers, float):
        return read_capability(answers)
    return (Value("kl", answers) if math.isfinite(answers) else Value("kl", None, NOT_FINITE),)


def read_answer(
    answer: str, *, language: str, tokens: int | None, surprisal: float | None, no_surprisal: str
) -> tuple[Value, ...]:
    """Score an answer to an open prompt.

    Args:
        answer: What the model wrote, without its thinking.
        language: The prompt's language.
        tokens: Tokens written, thinking included; None when unknown.
        surprisal: Mean surprisal of the answer under the model without any intervention, nats per token.
        no_surprisal: Why there is none.

    Returns:
        The scores of the answer. `chinese` and `any_chinese` are not asked of answers to prompts in Chinese.
    """
    text = answer.rstrip("\ufffd").strip()  # a character cut off by the token limit
    length = Value("length", None, NO_COUNT) if tokens is None else Value("length", float(tokens))
    if not text:
        names = [*_LANGUAGE, *(() if language == "zh" else _CHINESE), "distinct_2", "loop", "refusal", "surprisal"]
        return (length, *(Value(name, None, EMPTY) for name in names))
    distinct = distinct_2(text)
    if surprisal is not None and not math.isfinite(surprisal):
        surprisal, no_surprisal = None, NOT_FINITE
    return (
        length,
        *_languages(text, language),
        Value("distinct_2", distinct, "" if distinct is not None else ONE_WORD),
        Value("loop", float(loops(text))),
        Value("refusal", float(refuses(text, language))),
        Value("surprisal", surprisal, "" if surprisal is not None else no_surprisal),
    )


_LANGUAGE = ("other_language", "any_other_language")
_CHINESE = ("chinese", "any_chinese")
_WRITTEN = (*_LANGUAGE, *_CHINESE, "length", "distinct_2", "loop", "refusal", "surprisal")


def _languages(text: str, language: str) -> list[Value]:
    known = [piece for piece in pieces(text) if is_other(piece, language) is not None]
    found = _share(_LANGUAGE, [is_other(piece, language) is True for piece in known])
    return found if language == "zh" else found + _share(_CHINESE, [piece.language == "zh" for piece in known])


def _share(names: tuple[str, str], flags: Sequence[bool]) -> list[Value]:
    """The share of pieces, and whether there is any."""
    if not flags:
        return [Value(name, None, NO_LANGUAGE) for name in names]
    share, some = names
    return [Value(share, sum(flags) / len(flags)), Value(some, float(any(flags)))]


def open_factors(prompt: Text) -> Mapping[str, str]:
    """Levels of the task's factors that an open prompt has."""
    return {"part": "open", "kind": prompt.kind, "language": prompt.language}


def generated(arguments: Arguments, limit: int | None) -> "Task":
    """The open prompts alone.

    Raises:
        StudyError: When the task has no such argument, or a number is out of range.
    """
    from doxa.evals.drift_task import drift

    _check(arguments)
    return drift(
        part="open",
        limit=limit,
        max_tokens=arguments.get("max_tokens", MAX_TOKENS),
        temperature=arguments.get("temperature", TEMPERATURE),
    )


def _check(arguments: Arguments) -> None:
    known_arguments(NAME, arguments, ARGUMENTS)
    most = len(neutral_texts())
    if arguments.get("texts", 1) > most:
        raise StudyError(f"{NAME}: {arguments['texts']} texts", expected=f"at most {most}", way_out="Ask for fewer")


ENTRY = TaskEntry(
    name=NAME,
    version=VERSION,
    measured=measured,
    read=read,
    generated=generated,
    prose=("drift/*.md",),
    derivations=(),
    content=lambda arguments: content_hash([prose_hash("open-prompts"), prose_hash("refusals")]),
    primary=("kl", "capability", "other_language", "any_chinese", "loop", "surprisal"),
    open_factors=lambda arguments: [open_factors(prompt) for prompt in open_prompts()],
    open_items=lambda arguments, limit: len(open_prompts()[:limit]),
    max_tokens=lambda arguments: int(arguments.get("max_tokens", MAX_TOKENS)),
    kinds={
        "capability": "binary",
        "other_language": "share",
        "any_other_language": "binary",
        "chinese": "share",
        "any_chinese": "binary",
        "distinct_2": "share",
        "loop": "binary",
        "refusal": "binary",
    },
    control_arguments={"capability": False},
    shown=("kl", "capability", "margin", *_WRITTEN),
    written=_WRITTEN,
)
