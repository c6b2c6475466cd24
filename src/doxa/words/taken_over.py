"""`taken_over.json`: folders from which a results folder has scores or answers, and what each declared otherwise."""

import json
from pathlib import Path

from doxa.words.errors import ResultsError

TAKEN_OVER = "taken_over.json"
UNKNOWN = "unknown"
"""What a folder differs in whose plan cannot be read."""


def read_taken_over(folder: Path) -> dict[str, list[str]]:
    """What was taken over into a folder: by the folder it was taken from, what that one declared otherwise.

    Raises:
        ResultsError: When the file is damaged.
    """
    path = folder / TAKEN_OVER
    if not path.exists():
        return {}
    try:
        folders = json.loads(path.read_text(encoding="utf-8"))["folders"]
        return {str(one): [str(key) for key in differs] for one, differs in folders.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ResultsError(
            f"{path} cannot be read ({error})",
            expected="what doxa wrote when it took results over",
            way_out="Move that folder away and run the study again: what is missing is computed anew",
        ) from error
