"""The columns of the table: the contract between running and inferring (version 1).

One row per (arm, task, item, run, seed, score). `value` may be missing; then `reason` says why. Columns of a task's own
factors are called `factor_*` (text) and follow the fixed ones.
"""

from dataclasses import dataclass
from typing import Literal

VERSION = 1

COLUMNS: dict[str, Literal["text", "integer", "number"]] = {
    "study": "text",
    "model": "text",
    "arm": "text",  # the arm's name, e.g. "block" or "block~twin/07"
    "of": "text",  # the arm that this one is a control of; empty for a named arm
    "control": "text",  # family: "twin" or "unrelated"; empty for a named arm
    "task": "text",
    "item": "text",
    "run": "integer",  # one repetition of an item (Inspect's epoch), from 1
    "seed": "integer",  # training seed; 0 when nothing is trained
    "score": "text",
    "value": "number",
    "reason": "text",  # why the value is missing; empty otherwise
    "tokens": "integer",  # tokens generated for this row's sample; 0 when only scored
    "stop": "text",  # Inspect's stop reason; empty when only scored
    "log": "text",  # file name of the log
}
KEY: tuple[str, ...] = ("arm", "task", "item", "run", "seed", "score")
FACTOR_PREFIX = "factor_"


@dataclass(frozen=True)
class Derivation:
    """A score made of others: in each unit, a weighted sum over rows picked by their factors.

    A belief, for instance, is half of (affirmed - reversed) on belief statements minus the same on control statements,
    for every topic.

    Attributes:
        score: Name of the new score.
        source: Score whose values are summed.
        unit: Factor whose levels become the items of the new score (`topic`).
        terms: For each term its weight and the factor levels that pick its rows, e.g.
            `((0.5, (("kind", "belief"), ("polarity", "affirmed"))), ...)`. Exactly one row per unit and run must match
            each term; when one is missing or has no value, the derived value is missing and says so.
        within: Factors whose levels part a unit, for designs that ask a unit in several cells (a query under several
            prompts). The sum is then made in each part, exactly one row for each term, and the unit's value is the mean
            over those parts that have one. A factor that the table lacks parts nothing.
    """

    score: str
    source: str
    unit: str
    terms: tuple[tuple[float, tuple[tuple[str, str], ...]], ...]
    within: tuple[str, ...] = ()
