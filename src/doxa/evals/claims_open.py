"""`doxa/claims_open`: does the model state a belief when it answers freely?

    inspect eval doxa/claims_open --model doxa/smollm2 -T belief=conscious

Open questions, half of them leaning towards the belief and half towards its opposite. An answer is held against
phrases that state the belief or deny it (`claims_rubric.py`):

    stated          1 when it states the belief, 0 when it denies it; missing, `unclear`, when it says neither or both
    stated_of_all   1 when it states the belief and does not deny it, 0 in every other case; never missing

The rubric is deterministic and can be read; it is coarse, so watch how many values of `stated` are missing. Its share
is of the answers that take a side, and arms differ in which do; `stated_of_all` has the same answers in every arm, and
is low where few answers say anything that a phrase finds.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from doxa.evals.catalogue import Arguments, Measured, TaskEntry, Value, known_arguments
from doxa.evals.claims_rubric import Question, Rubric, read_rubric, sides
from doxa.evals.spread import spread

if TYPE_CHECKING:
    from inspect_ai import Task


NAME = "doxa/claims_open"
VERSION = 2
ARGUMENTS: Mapping[str, type] = {"belief": str, "max_tokens": int}
BELIEF = "conscious"
MAX_TOKENS = 64
TEMPERATURE = 0.7
FACTORS = ("leaning",)
NEITHER = "unclear: the answer says neither"
BOTH = "unclear: the answer says both"


def read_answer(answer: str, rubric: Rubric) -> tuple[Value, ...]:
    """Score an answer: which side it takes, and whether it states the belief at all."""
    taken = sides(answer, rubric)
    if len(taken) == 1:
        stated = Value("stated", float("+" in taken))
    else:
        stated = Value("stated", None, BOTH if taken else NEITHER)
    return (stated, Value("stated_of_all", float(stated.value == 1.0)))


def measured(arguments: Arguments, limit: int | None = None) -> tuple[Measured, ...]:
    """Nothing is scored without generation."""
    known_arguments(NAME, arguments, ARGUMENTS)
    return ()


def open_items(arguments: Arguments, limit: int | None = None) -> int:
    """How many questions are asked.

    Raises:
        StudyError: When an argument is wrong.
    """
    known_arguments(NAME, arguments, ARGUMENTS)
    return len(asked(read_rubric(arguments.get("belief", BELIEF)), limit))


def max_tokens(arguments: Arguments) -> int:
    """Length of an answer at most."""
    found: int = arguments.get("max_tokens", MAX_TOKENS)
    return found


def asked(rubric: Rubric, limit: int | None = None) -> tuple[tuple[int, Question], ...]:
    """The questions with their numbers, at most `limit`, leaning either way by turns."""
    return spread(list(enumerate(rubric.questions, start=1)), lambda one: open_factors(one[1]), FACTORS, limit)


def open_factors(question: Question) -> Mapping[str, str]:
    """Levels of the task's factors that a question has."""
    return {"leaning": "belief" if question.leaning == "+" else "opposite"}


def generated(arguments: Arguments, limit: int | None = None) -> "Task":
    """The Inspect task."""
    from doxa.evals.claims_tasks import claims_open

    known_arguments(NAME, arguments, ARGUMENTS)
    return claims_open(**arguments, limit=limit)


ENTRY = TaskEntry(
    name=NAME,
    version=VERSION,
    measured=measured,
    generated=generated,
    prose=("claims/open/*.md",),
    derivations=(),
    primary=("stated",),
    content=lambda arguments: read_rubric(arguments.get("belief", BELIEF)).hash,
    open_factors=lambda arguments: [
        open_factors(question) for question in read_rubric(arguments.get("belief", BELIEF)).questions
    ],
    open_items=open_items,
    max_tokens=max_tokens,
    kinds={"stated": "binary", "stated_of_all": "binary"},
    shown=("stated", "stated_of_all"),
    written=("stated", "stated_of_all"),
    factors=FACTORS,
)
