"""What was declared when its numbers could be seen: results of an earlier version of the study were taken over."""

from doxa.report.gather import Gathered
from doxa.words.numbers import listed

NAMES = {"contrasts": "contrasts", "primary": "primary contrasts", "lead": "leading scores", "margins": "margins"}


def seen_before(gathered: Gathered) -> list[str]:
    """A sentence for every earlier version that declared otherwise; nothing when none was taken over."""
    return [
        f"Scores or answers were taken over from {folder}, which declared other "
        f"{listed([NAMES.get(one, one) for one in differs])}: "
        "those of this study were declared when they could be seen."
        for folder, differs in sorted(gathered.taken_over.items())
        if differs
    ]
