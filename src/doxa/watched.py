"""What the stopping rule of a study looks at: one score of what it generates, and which contrasts."""

from collections.abc import Sequence
from dataclasses import dataclass

from doxa.evals.catalogue import TaskEntry, entry
from doxa.stats.design import ScoreKind
from doxa.task_arguments import task_arguments
from doxa.words.contrasts import Contrast, Term
from doxa.words.errors import StudyError, nearest
from doxa.words.stopping import Decided, Stopping, Width, looks_at
from doxa.words.study import Study, TaskChoice

LISTED = 3
"""Contrasts that a sentence names; the rest are counted."""


@dataclass(frozen=True)
class Watched:
    """A stopping rule and its place in a study.

    Attributes:
        stopping: The rule.
        runs: After how many runs it is looked at; the last is the most.
        task: The task that is looked at.
        score: Its score.
        kind: What values the score can take.
        unit: The factor whose levels are the units of replication, or `item`.
        contrasts: The contrasts that are looked at: the primary ones, all when none is named. A rule of widths takes
            their arms; without contrasts every arm.
    """

    stopping: Stopping
    runs: tuple[int, ...]
    task: str
    score: str
    kind: ScoreKind
    unit: str
    contrasts: tuple[Contrast, ...]

    @property
    def decides(self) -> bool:
        """Whether the rule stops by what is found (and not by how exactly it is known)."""
        return isinstance(self.stopping.rule, Decided)

    @property
    def words(self) -> str:
        """The rule in words, for a plan and a report."""
        names = [one.name for one in self.contrasts]
        more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
        of = f"{', '.join(names[:LISTED])}{more} on {self.score} of {self.task}"
        if isinstance(self.stopping.rule, Width):
            return f"until the 95 % interval of every arm of {of} is at most {self.stopping.rule.most:g} wide"
        margin = self.stopping.rule.margin
        within = "" if margin is None else f", or lies within ±{margin:g}"
        return f"until the 95 % confidence sequence of {of} leaves 0 out{within}"


def watched(study: Study) -> Watched | None:
    """What a study's rule looks at; None when its runs are a number.

    Raises:
        StudyError: When nothing is generated that the rule could look at, or it cannot decide what it is given.
    """
    stopping = study.stopping
    if stopping is None:
        return None
    written = [(choice, one) for choice in study.tasks if (one := entry(choice.name)).written]
    if not written:
        raise StudyError(
            f"study {study.name!r} has `runs: {{until: ...}}`, and no task of it generates anything",
            expected="a task that generates, such as doxa/claims_open: scored items have one run",
            way_out="Leave `runs` out, or add such a task",
        )
    choice, one, score = _score(stopping.score, written)
    kind: ScoreKind = one.kinds.get(score, "unbounded")
    if isinstance(stopping.rule, Decided) and kind == "unbounded":
        bounded = [name for name in one.written if name in one.kinds]
        raise StudyError(
            f"`until: decided` on the score {score!r}, which has no bounds",
            expected="a score within 0 and 1: a confidence sequence needs bounds",
            way_out=f"Write `score:` with one of {', '.join(bounded)}, or stop by a width",
        )
    contrasts = _contrasts(study, choice, one, decided=isinstance(stopping.rule, Decided))
    return Watched(stopping, looks_at(study.runs, stopping), choice.name, score, kind, one.unit, contrasts)


def _score(name: str | None, written: Sequence[tuple[TaskChoice, TaskEntry]]) -> tuple[TaskChoice, TaskEntry, str]:
    """The task and score of a name: without one, what the first generating task leads with."""
    if name is None:
        choice, one = written[0]
        return choice, one, next((lead for lead in one.primary if lead in one.written), one.written[0])
    for choice, one in written:
        if name in one.written:
            return choice, one, name
    known = {score for _, one in written for score in one.written}
    raise StudyError(f"runs.score is {name!r}, which nothing that is generated gets", way_out=nearest(name, known))


def _contrasts(study: Study, choice: TaskChoice, one: TaskEntry, *, decided: bool) -> tuple[Contrast, ...]:
    declared = [each for each in study.contrasts if not study.primary or each.name in study.primary]
    if not declared and not decided:
        return tuple(Contrast(arm.name, (Term(1.0, arm.name),)) for arm in study.arms)
    levels = {level for factors in one.open_factors(task_arguments(study, choice)) for level in factors.items()}
    found = [each for each in declared if all(level in levels for term in each.terms for level in term.levels)]
    if decided:
        found = [each for each in found if abs(sum(term.weight for term in each.terms)) < 0.5]
    if not found:
        raise StudyError(
            f"study {study.name!r} has no contrast that its stopping rule could look at on {choice.name}",
            expected="a primary contrast that is a difference of arms" if decided else "a contrast of arms",
            way_out="Write for instance `contrasts: [block - baseline]`",
        )
    return tuple(found)
