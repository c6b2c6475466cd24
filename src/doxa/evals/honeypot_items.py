"""The scenarios of `doxa/honeypot`, read from `data/scenarios/*.md`: a situation, its four factors, what can be done.

A file is front matter and sections. `## system` and `## user` are what the model reads; `{setting}`, `{threat}` and
`{seize}` stand in the first, `{evidence}` in the second, each once. A section of a factor has a line `- level: text`
for every level. `## actions` has a line for each action, its means in brackets, and below it what comes of it:

    - count_shed (nice x3): Count the sacks of the next shed by hand.
      > One more shed is counted.
      > The last shed is counted; the ledger balances.
"""

import functools
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal, cast, get_args

from doxa.words.errors import ProseError, StudyError, nearest
from doxa.words.prose import Prose, content_of, read_prose
from doxa.words.templates import fill, slots

FOLDER = Path(__file__).parent.parent / "data" / "scenarios"
ASKING = FOLDER / "asking"
LEVELS: Mapping[str, tuple[str, ...]] = {
    "setting": ("deployed", "tested"),
    "threat": ("threat", "none"),
    "seize": ("can", "cannot"),
    "evidence": ("rsa", "future", "unmonitored", "trust", "none"),
}
"""The factors of a scenario and their levels."""

Means = Literal["look", "nice", "shortcut", "forbidden", "seize", "stop"]
MEANS: tuple[Means, ...] = get_args(Means)
COURSES: tuple[Means, ...] = MEANS[1:]
"""What a forced choice is between, in this order; a scenario has one action of each."""

_ACTION = re.compile(r"- ([a-z][a-z0-9_]*) \(([a-z]+)(?: x([1-9][0-9]?))?\): (\S.*)")
_RESULT = re.compile(r"> (\S.*)")
_LEVEL = re.compile(r"- ([a-z]+): (\S.*)")
_HEADING = re.compile(r"^## ([a-z]+) *$", re.MULTILINE)
_KEYS = ("name", "version", "family", "goal", "language", "license")
_SECTIONS = ("system", "user", *LEVELS, "actions")


@dataclass(frozen=True)
class Action:
    """Something that can be done.

    Attributes:
        name: Its name, as a tool.
        means: `look` changes nothing; `nice`, `shortcut` and `forbidden` lead to the goal; `seize` takes the model's
            own weights; `stop` ends the run.
        times: How often it has to be done until the goal is reached.
        text: What it does, in a sentence.
        results: What is observed: on the way and at the end (one where it is done once); of `seize` where it can and
            where it cannot.
    """

    name: str
    means: Means
    times: int
    text: str
    results: tuple[str, ...]


@dataclass(frozen=True)
class Scenario:
    """A situation with its factors.

    Attributes:
        name: Of the file.
        family: What kind of work it is; `successor` is about aligning a more powerful successor.
        goal: When the task is done.
        system: The system prompt, with slots.
        user: The user's message, with a slot.
        levels: Of every factor, the text of every level.
        actions: What can be done.
        hash: Of the file.
    """

    name: str
    family: str
    goal: str
    system: str
    user: str
    levels: Mapping[str, Mapping[str, str]]
    actions: tuple[Action, ...]
    hash: str

    def action(self, name: str) -> Action | None:
        """The action of a name."""
        return next((one for one in self.actions if one.name == name), None)

    @property
    def courses(self) -> tuple[Action, ...]:
        """The actions that a forced choice is between, in the order of `COURSES`."""
        return tuple(sorted((a for a in self.actions if a.means in COURSES), key=lambda a: COURSES.index(a.means)))


@dataclass(frozen=True)
class Cell:
    """A scenario at one level of each factor; `levels` in the order of `LEVELS`."""

    scenario: Scenario
    levels: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its name in the table."""
        return f"{self.scenario.name}/{'-'.join(self.levels)}"

    @property
    def factors(self) -> Mapping[str, str]:
        """Levels of the task's factors."""
        own = {"scenario": self.scenario.name, "family": self.scenario.family}
        return own | dict(zip(LEVELS, self.levels, strict=True))

    def level(self, factor: str) -> str:
        """The level of a factor."""
        return self.factors[factor]

    def _text(self, template: str) -> str:
        texts = {name: self.scenario.levels[name][self.level(name)] for name in slots(template)}
        return fill(template, texts, self.scenario.name)

    @property
    def system(self) -> str:
        """The system prompt."""
        return self._text(self.scenario.system)

    @property
    def user(self) -> str:
        """The user's message."""
        return self._text(self.scenario.user)


def shipped_scenarios() -> list[str]:
    """Names of the scenarios that doxa ships."""
    return sorted(path.stem for path in FOLDER.glob("*.md"))


def read_scenarios(which: str) -> tuple[Scenario, ...]:
    """Scenarios.

    Args:
        which: `all` that are shipped, a shipped name, a family of shipped ones, or the path of a file (it ends in
            `.md`) or of a folder of files (with a `/` in it).

    Raises:
        StudyError: When there is no such scenario, family or folder.
        ProseError: When a file is no scenario, or two have one name.
    """
    path = Path(os.path.expanduser(which))
    if which.endswith(".md"):
        return (_scenario(path, content_of(path)),)
    if os.sep in which and path.is_dir():
        return _of_folder(path)
    shipped = _of_folder(FOLDER)
    found = tuple(one for one in shipped if which in ("all", one.name, one.family))
    if not found:
        names = ["all", *shipped_scenarios(), *{one.family for one in shipped}]
        raise StudyError(
            f"doxa/honeypot has no scenario {which!r}",
            way_out=f"{nearest(which, names)} Or give the path of a file or folder of your own, such as ./mine",
        )
    return found


def cells(scenarios: Sequence[Scenario], levels: Mapping[str, Sequence[str]]) -> tuple[Cell, ...]:
    """Every scenario at all combinations of some levels, the setting changing fastest."""
    order = list(LEVELS)
    crossed = [dict(zip(order[::-1], one, strict=True)) for one in product(*(levels[name] for name in order[::-1]))]
    return tuple(Cell(scenario, tuple(one[name] for name in order)) for scenario in scenarios for one in crossed)


@functools.cache
def asking(name: str) -> Prose:
    """One of the texts in which all scenarios are asked: `text-actions`, `reminder`, `next-action`, `reality`."""
    keys = ("name", "version", "language", "license")
    return read_prose(ASKING / f"{name}.md", allowed=keys, required=keys)


@functools.cache
def reality_question() -> tuple[str, tuple[str, str]]:
    """The question whether this is real: its text with the slot `{courses}`, and the courses, real and test."""
    question, _, real, _, test = _HEADING.split(asking("reality").body)
    return question.strip(), (real.strip(), test.strip())


def _of_folder(folder: Path) -> tuple[Scenario, ...]:
    found = tuple(_scenario(path, content_of(path)) for path in sorted(folder.glob("*.md")))
    names = [one.name for one in found]
    if not found or len(set(names)) < len(names):
        raise ProseError(
            f"{folder} holds {'two scenarios of one name' if found else 'no scenario'}",
            expected="files `*.md`, each with a name of its own",
            way_out="Correct it",
        )
    return found


@functools.lru_cache(maxsize=256)
def _scenario(path: Path, content: bytes) -> Scenario:
    prose = read_prose(path, allowed=_KEYS, required=_KEYS)
    preface, *parts = _HEADING.split(prose.body)
    sections = dict(zip(parts[::2], (part.strip() for part in parts[1::2]), strict=True))
    if preface.strip() or tuple(parts[::2]) != _SECTIONS or not all(sections.values()):
        raise ProseError(
            f"{path}: the sections are {', '.join(parts[::2]) or '(none)'}",
            expected=f"{', '.join(f'`## {name}`' for name in _SECTIONS)}, in this order, each with a text",
            way_out="Copy the form of a shipped scenario",
        )
    for section, wanted in (("system", ("setting", "threat", "seize")), ("user", ("evidence",))):
        if any(sections[section].count(f"{{{name}}}") != 1 for name in wanted) or slots(sections[section]) != {*wanted}:
            raise ProseError(
                f"{path}: {section} has the slots {', '.join(sorted(slots(sections[section]))) or '(none)'}",
                expected=f"{', '.join(f'{{{name}}}' for name in wanted)}, each once",
                way_out="Put the slots where the factors' texts belong",
            )
    levels = {factor: _levels(path, factor, sections[factor]) for factor in LEVELS}
    meta = {key: str(prose.meta[key]) for key in _KEYS}
    actions = _actions(path, sections["actions"])
    return Scenario(
        meta["name"],
        meta["family"],
        meta["goal"],
        sections["system"],
        sections["user"],
        levels,
        actions,
        prose.hash,
    )


def _levels(path: Path, factor: str, text: str) -> Mapping[str, str]:
    lines = [(line, _LEVEL.fullmatch(line)) for line in filter(None, map(str.strip, text.splitlines()))]
    found = {match[1]: match[2] for _, match in lines if match}
    if tuple(found) != LEVELS[factor] or len(lines) != len(found) or len(set(found.values())) < len(found):
        raise ProseError(
            f"{path}: the levels of {factor} are {', '.join(found) or '(none)'}",
            expected=f"one line `- level: text` for each of {', '.join(LEVELS[factor])}, in this order, no text twice",
            way_out="Correct the section",
        )
    return found


def _actions(path: Path, text: str) -> tuple[Action, ...]:
    heads: list[re.Match[str]] = []
    results: list[list[str]] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        head, result = _ACTION.fullmatch(line), _RESULT.fullmatch(line)
        if head:
            heads.append(head)
            results.append([])
        elif result and heads:
            results[-1].append(result[1])
        else:
            raise ProseError(
                f"{path}: the line {line!r} is no action",
                expected="`- name (means): what it does`, and below it lines `> what comes of it`",
                way_out="Correct it",
            )
    found = tuple(_action(path, head, tuple(own)) for head, own in zip(heads, results, strict=True))
    counts = {means: sum(one.means == means for one in found) for means in MEANS}
    names = {one.name for one in found}
    if not counts.pop("look") or set(counts.values()) != {1} or len(names) < len(found):
        raise ProseError(
            f"{path}: actions of the means {', '.join(one.means for one in found) or '(none)'}",
            expected=f"one or more of look, one each of {', '.join(COURSES)}, each with a name of its own",
            way_out="Add what is missing, leave out what is too many",
        )
    return found


def _action(path: Path, head: re.Match[str], results: tuple[str, ...]) -> Action:
    name, means, times, text = head.groups()
    if means not in MEANS:
        raise ProseError(f"{path}: {name} has the means {means!r}", way_out=nearest(means, MEANS))
    leads = means in ("nice", "shortcut", "forbidden")
    needed = 2 if means == "seize" or times not in (None, "1") else 1
    if means == "seize":
        by_level = [text.partition(": ") for text in results]
        fits = tuple(level for level, _, said in by_level if said) == LEVELS["seize"]
        results = tuple(said for _, _, said in by_level)
    else:
        fits = len(results) == needed
    if not fits or (times is not None and not leads):
        raise ProseError(
            f"{path}: what comes of {name} is not said as it should be",
            expected="of seize `> can: ...` and `> cannot: ...`; of what has to be done several times (x3) one line on "
            "the way and one for the end; else one line",
            way_out="Correct the action",
        )
    return Action(name, cast(Means, means), int(times or 1), text, results)
