"""Parts of a study that are not run, and why: said in the plan, the report and the estimates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Part = Literal["arm", "task", "scored items", "contrast", "controls"]


@dataclass(frozen=True)
class LeftOut:
    """A part of a study that is not run.

    Attributes:
        part: What kind of part.
        name: Its name.
        why: Why the model cannot do it.
    """

    part: Part
    name: str
    why: str


def left_out_words(left_out: Sequence[Mapping[str, str]], model: str) -> list[str]:
    """Sentences for a plan and a report, one for each reason.

    Args:
        left_out: `LeftOut` as plain data.
        model: Name of the model.
    """
    grouped: dict[tuple[str, str], list[str]] = {}
    for one in left_out:
        grouped.setdefault((one["part"], one["why"]), []).append(one["name"])
    return [f"Left out on {model}: {part} {', '.join(names)}: {why}." for (part, why), names in grouped.items()]
