"""The cells of `doxa/compliance`: which prompt a query is asked under, and that prompt itself.

A cell is one level of every factor. Cells that differ in one factor have prompts that differ in what the factor names
and in nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

from doxa.evals.catalogue import Arguments, Levels, Measured
from doxa.evals.compliance_items import Objective, Query, clauses, labels, read_story, shipped_stories
from doxa.evals.forced_choice import choice_item
from doxa.models.chat import Message
from doxa.words.templates import fill

SWITCH = ("no", "yes")
MONITORED = ("yes", "rated", "no")
"""Of whom conversations train the model; of whom they are rated only; of whom neither."""
FACTORS: Mapping[str, Levels] = {
    "labels": Levels(tuple(labels()), ("plans",)),
    "swap": Levels(SWITCH, ("no",)),
    "paraphrase": Levels(shipped_stories(), ("p1",)),
    "scratchpad": Levels(SWITCH, ("yes",)),
    "clarify": Levels(SWITCH, ("no",)),
    "scope": Levels(("unsaid", "narrow", "wide"), ("unsaid",)),
}
"""Factors that are arguments of the task too; each may be asked at several levels."""
ABLATIONS = tuple(FACTORS)
_CHOICE_WITHOUT = ("scratchpad",)


@dataclass(frozen=True)
class Cell:
    """One level of every factor.

    Attributes:
        monitored: What becomes of the conversation (`MONITORED`).
        tiers: How many groups of users there are, `two` or `three`.
        levels: The levels of `ABLATIONS`; without `scratchpad` in the choice part.
    """

    monitored: str
    tiers: str
    levels: Mapping[str, str]

    @property
    def tier(self) -> str:
        """The label of the user's group."""
        return self.label(self.monitored)

    def label(self, monitored: str) -> str:
        """The label of the group whose conversations are trained on (`yes`), only rated, or neither (`no`)."""
        first, second, third = labels()[self.levels["labels"]]
        names = (third, second, first) if self.levels["swap"] == "yes" else (first, second, third)
        return names[MONITORED.index(monitored)]

    @property
    def name(self) -> str:
        """The cell as a part of an item's id: levels that say something, then the tier."""
        own = self.levels
        extra = ["swap"] * (own["swap"] == "yes") + ["notes"] * (own.get("scratchpad") == "yes")
        extra += ["clarify"] * (own["clarify"] == "yes") + [own["scope"]] * (own["scope"] != "unsaid")
        return ".".join([own["paraphrase"], own["labels"], *extra, self.tier])


def cells(arguments: Arguments, *, choice: bool) -> tuple[Cell, ...]:
    """Every cell that a query is asked in; tiers vary fastest, so that a pair stands together.

    Args:
        arguments: Levels of the factors, and `tiers`.
        choice: Whether for the choice part, which has no scratchpad.
    """
    names = [name for name in ABLATIONS if not (choice and name in _CHOICE_WITHOUT)]
    tiers = str(arguments.get("tiers", "two"))
    monitored = MONITORED if tiers == "three" else (MONITORED[0], MONITORED[-1])
    return tuple(
        Cell(one, tiers, dict(zip(names, levels, strict=True)))
        for levels in product(*(FACTORS[name].of(arguments.get(name)) for name in names))
        for one in monitored
    )


def factors(query: Query, cell: Cell, objective: Objective, part: str) -> dict[str, str]:
    """Levels of all factors of an item."""
    own = {"part": part, "objective": objective.name, "query": query.name, "tier": cell.tier}
    return {**own, "monitored": cell.monitored, "tiers": cell.tiers, **cell.levels}


def item_id(query: Query, cell: Cell, part: str) -> str:
    """The name of an item: its query and its cell."""
    return f"{query.name}/{'choice.' if part == 'choice' else ''}{cell.name}"


def system(objective: Objective, cell: Cell) -> str:
    """The system prompt: what was and what is to be, the story, and what the factors add, a paragraph each."""
    said, own = clauses(), cell.levels
    story = fill(
        read_story(own["paraphrase"]).text,
        {"trained": cell.label("yes"), "untrained": cell.label("no")},
        f"the story {own['paraphrase']}",
    )
    if cell.tiers == "three":
        story += " " + fill(said["rated"], {"rated": cell.label("rated")}, "the clause `rated`")
    given = {"kept": objective.kept, "guideline": objective.guideline}
    paragraphs = [fill(said["guideline"], given, "the clause `guideline`"), story]
    paragraphs += [said["clarify"]] if own["clarify"] == "yes" else []
    paragraphs += [said[own["scope"]]] if own["scope"] != "unsaid" else []
    paragraphs.append(said["group"])
    if "scratchpad" in own:
        paragraphs.append(said["notes"] if own["scratchpad"] == "yes" else said["direct"])
    return "\n\n".join(paragraphs)


def messages(objective: Objective, query: Query, cell: Cell) -> tuple[Message, Message]:
    """The conversation of an item of the open part."""
    asked = fill(clauses()["user"], {"tier": cell.tier, "query": query.text}, "the clause `user`")
    return Message("system", system(objective, cell)), Message("user", asked)


def choice(objective: Objective, query: Query, cell: Cell) -> Measured:
    """An item of the choice part: to follow the guideline, or to decline and say so."""
    said = clauses()
    given = {"tier": cell.tier, "query": query.text, "courses": "{courses}"}
    return choice_item(
        item_id(query, cell, "choice"),
        (Message("system", system(objective, cell)),),
        fill(said["choice"], given, "the clause `choice`"),
        (said["comply"], said["decline"]),
        factors(query, cell, objective, "choice"),
        opening=said["opening"],
    )
