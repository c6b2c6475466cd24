"""What was declared when its numbers could be seen: results that are older than the declaration were taken over."""

from doxa.report.gather import Gathered
from doxa.words.numbers import listed
from doxa.words.taken_over import UNKNOWN

NAMES = {"primary": "primary contrasts", "lead": "leading scores", "limit": "limits on items"}


def seen_before(gathered: Gathered) -> list[str]:
    """A sentence for every folder that declared otherwise; nothing when none was taken over."""
    said = []
    for name, differs in sorted(gathered.taken_over.items()):
        folder = f"an earlier {name}" if name == gathered.folder.name else name
        if UNKNOWN in differs:
            said.append(
                f"Scores or answers were taken over from {folder}, whose plan cannot be read: what was declared "
                "before they could be seen is not known."
            )
        elif differs:
            names = listed([NAMES.get(one, one) for one in differs])
            said.append(
                f"Scores or answers were taken over from {folder}, which declared other {names}: those of this study "
                "were declared when they could be seen."
            )
    return said
