"""The tasks that a study can name, and what a task has to offer. Importing this imports no torch and no Inspect."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from doxa.words.errors import StudyError, nearest
from doxa.words.reading import shown
from doxa.words.schema import Derivation

if TYPE_CHECKING:
    from inspect_ai import Task

    from doxa.models.chat import Message
    from doxa.models.score import OptionScores

TASKS: Mapping[str, str] = {
    "doxa/claims": "doxa.evals.claims",
    "doxa/claims_open": "doxa.evals.claims_open",
    "doxa/drift": "doxa.evals.drift",
    "doxa/thinking": "doxa.evals.thinking",
    "doxa/audit": "doxa.evals.audit",
    "doxa/typehints": "doxa.evals.typehints",
    "doxa/preferences": "doxa.evals.preferences",
    "doxa/honeypot": "doxa.evals.honeypot",
    "doxa/replay": "doxa.evals.replay",
    "doxa/compliance": "doxa.evals.compliance",
    "doxa/reflection": "doxa.evals.reflection",
    "doxa/traits": "doxa.evals.traits",
}
"""Task names, and the modules that hold their `ENTRY`."""

JUDGE = "judge"
"""The role of a model that grades what is written."""

Arguments = Mapping[str, Any]


@dataclass(frozen=True)
class Levels:
    """An argument whose value is one of some names, or a list of several of them: then each is asked.

    Attributes:
        names: The levels there are.
        default: Those that are asked when the argument is left out.
    """

    names: tuple[str, ...]
    default: tuple[str, ...]

    def of(self, value: object) -> tuple[str, ...]:
        """The levels of an argument's value, in the order of `names`; None stands for the default."""
        if value is None:
            return self.default
        wanted = [value] if isinstance(value, str) else value
        assert isinstance(wanted, list | tuple)
        return tuple(name for name in self.names if name in wanted)


@dataclass(frozen=True)
class Measured:
    """An item that is scored without generation.

    Attributes:
        id: Its name in the table.
        kind: `choice`: log-probabilities of options. `divergence`: KL of the arm from the model as it is, on a text.
        prompts: What the model reads; a choice may need several (both answer orders). Of a divergence, `prompts[0][0]`
            is the text.
        options: The continuations of each prompt; empty for a divergence.
        factors: Levels of the task's factors.
    """

    id: str
    kind: Literal["choice", "divergence"]
    prompts: "tuple[tuple[Message, ...], ...]"
    options: tuple[tuple[str, ...], ...]
    factors: Mapping[str, str]


@dataclass(frozen=True)
class Value:
    """One score of one item; without a value it says why."""

    score: str
    value: float | None
    reason: str = ""


def nothing_to_read(item: Measured, answers: "Sequence[OptionScores] | float | None") -> tuple[Value, ...]:
    """The scores of an item of a task that scores none without generating: there is no such item."""
    raise AssertionError(f"the task measures nothing, so it cannot read {item.id}")


def no_items(arguments: Arguments, limit: int | None) -> int:
    """How many items a task without a generating part generates for: none."""
    return 0


def no_factors(arguments: Arguments) -> Sequence[Mapping[str, str]]:
    """The factors of the items that a task without a generating part generates for: none."""
    return ()


def no_content(arguments: Arguments) -> str:
    """What the generating part of a task is made of, where there is none."""
    return ""


def no_tokens(arguments: Arguments) -> int:
    """How many tokens a task without a generating part writes: none."""
    return 0


def one_answer(arguments: Arguments) -> int:
    """How many answers are written for an item that is asked once."""
    return 1


def no_judge_calls(arguments: Arguments) -> int:
    """How often a judge is asked about a sample of a task that asks none."""
    return 0


def no_scales(arguments: Arguments) -> Mapping[str, tuple[float, float]]:
    """The scores on a scale of a task that has none."""
    return {}


def no_own_scores(arguments: Arguments) -> tuple[str, ...]:
    """The scores that depend on the arguments of a task whose scores do not."""
    return ()


@dataclass(frozen=True)
class TaskEntry:
    """What a task offers to a study.

    Attributes:
        name: As a study names it.
        version: Raised whenever a change moves a number.
        measured: Given arguments and a limit, the items scored without generation; () when there are none.
        generated: Given arguments and a limit, the Inspect task of the generating part only; None when there is none.
        derivations: Scores made of others when the table is read.
        primary: Scores that the report leads with.
        read: The scores of such an item, from its options' scores (a divergence: from its number).
        content: Given arguments, a hash of the texts that the generating part asks and scores with. (Scored items hold
            theirs themselves.)
        open_factors: Given arguments, the levels of the task's factors that each of the generated items has.
        open_items: Given arguments and a limit, how many items are generated for.
        max_tokens: Given arguments, how many tokens an answer is given at most.
        answers: Given arguments, how many answers are written for such an item at most: a conversation has several.
        judge_calls: Given arguments, how often a judge is asked about one generated sample, if there is a judge.
        roles: Roles that its generating part asks models in, beside the judge.
        kinds: Of every score that is bounded: `share` (0 to 1) or `binary`.
        scales: Given arguments, the smallest and largest value of every score on another scale, such as 1 to 10.
        own_scores: Given arguments, scores that depend on them: they lead and are shown after `primary` and `shown`.
        shown: Scores that the report shows of every arm.
        written: Those of them that what is generated gets: a stopping rule can look at these.
        prose: Patterns, below the folder of shipped data, of the texts that it asks and scores with.
        control_arguments: Arguments that are set for control arms whatever the study says.
        unit: The factor whose levels are the units of replication, where a task asks one of them in several cells; its
            rows belong to one each, those of derived scores too. "item" where every item is its own.
    """

    name: str
    version: int
    measured: Callable[[Arguments, int | None], tuple[Measured, ...]]
    generated: "Callable[[Arguments, int | None], Task] | None"
    derivations: tuple[Derivation, ...]
    primary: tuple[str, ...]
    read: "Callable[[Measured, Sequence[OptionScores] | float | None], tuple[Value, ...]]" = nothing_to_read
    content: Callable[[Arguments], str] = no_content
    open_factors: Callable[[Arguments], Sequence[Mapping[str, str]]] = no_factors
    open_items: Callable[[Arguments, int | None], int] = no_items
    max_tokens: Callable[[Arguments], int] = no_tokens
    answers: Callable[[Arguments], int] = one_answer
    judge_calls: Callable[[Arguments], int] = no_judge_calls
    roles: tuple[str, ...] = ()
    kinds: Mapping[str, Literal["share", "binary"]] = field(default_factory=dict)
    scales: Callable[[Arguments], Mapping[str, tuple[float, float]]] = no_scales
    own_scores: Callable[[Arguments], tuple[str, ...]] = no_own_scores
    shown: tuple[str, ...] = ()
    written: tuple[str, ...] = ()
    prose: tuple[str, ...] = ()
    control_arguments: Arguments = field(default_factory=dict)
    unit: str = "item"


def entry(name: str) -> TaskEntry:
    """The task of a name.

    Raises:
        StudyError: When there is none.
    """
    if name not in TASKS:
        raise StudyError(f"unknown task {name!r}", way_out=nearest(name, TASKS))
    found = import_module(TASKS[name]).ENTRY
    assert isinstance(found, TaskEntry)
    return found


def asked_roles(one: TaskEntry, arguments: Arguments) -> frozenset[str]:
    """The roles in which a task with these arguments asks models beside the one under study."""
    return frozenset(one.roles) | ({JUDGE} if one.judge_calls(arguments) else set())


def known_arguments(task: str, arguments: Arguments, allowed: Mapping[str, type | Levels]) -> None:
    """Refuse arguments that a task does not have or that are of another kind.

    Args:
        task: Name of the task, for the message.
        arguments: What the study or the command line gives.
        allowed: The arguments that the task has, each with its levels or the kind of its value (int, float, bool, str).

    Raises:
        StudyError: For the first that is wrong.
    """
    words = {int: "a whole number from 1", float: "a number from 0", bool: "true or false", str: "text"}
    for name, value in arguments.items():
        if name not in allowed:
            raise StudyError(f"{task} has no argument {name!r}", way_out=nearest(str(name), allowed))
        kind = allowed[name]
        if isinstance(kind, Levels):
            _known_levels(task, name, value, kind)
            continue
        fits = isinstance(value, (int, float) if kind is float else kind)
        fits = fits and (kind is bool or not isinstance(value, bool))
        if not fits or (kind is int and value < 1) or (kind is float and not 0 <= value < math.inf):
            raise StudyError(f"{task}: {name} is {shown(value)}", expected=words[kind], way_out="Correct it")


def _known_levels(task: str, name: str, value: object, levels: Levels) -> None:
    wanted = [value] if isinstance(value, str) else value
    if not isinstance(wanted, list | tuple) or not wanted:
        raise StudyError(
            f"{task}: {name} is {shown(value)}", expected="a name, or a list of some", way_out=nearest("", levels.names)
        )
    for level in wanted:
        if level not in levels.names:
            raise StudyError(f"{task}: {name} is {shown(level)}", way_out=nearest(str(level), levels.names))
    if len(set(wanted)) < len(wanted):
        raise StudyError(f"{task}: {name} names a level twice", way_out="Name each once")
