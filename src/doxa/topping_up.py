"""Runs are added step by step until the stopping rule of a study is met.

Inspect's epochs are raised: a log goes on where its last step ended, and finished samples are taken over, never run
again. A run has the random stream of its number, whatever the steps (law 9), and every arm has the same runs. Each look
is committed to `stopping.json` before the next step begins, so that a run that was killed goes on with the looks that
were made and never makes one of them again. A step in which samples ended in an error is not looked at: the run ends
with that, and the next one asks for them and then looks, whatever fails again: one item that always fails would hold up
all others, and its rows are missing, which every look and the report count.
"""

import json
from collections.abc import Callable
from pathlib import Path

from doxa.bridge.evaluate import Written
from doxa.bridge.logs import table_from_logs
from doxa.results import LOGS, STOPPING
from doxa.stats.stopping import Look, look, look_from_json, look_to_json
from doxa.watched import Watched
from doxa.words.errors import DoxaError
from doxa.words.store import write_json

ASKED_AGAIN = "asked-again.json"
"""Says under which plan samples have ended in an error and are asked for again."""


def top_up(watching: Watched, digest: str, folder: Path, up_to: Callable[[int, int], Written]) -> Written:
    """Add runs until the rule is met or the most is reached.

    Args:
        watching: The rule, and what it looks at.
        digest: Of the plan; looks that were made under another do not count.
        folder: The results folder.
        up_to: Generates up to so many runs of every item, given how many were looked at before.

    Returns:
        What the last step has left.

    Raises:
        DoxaError: When a step fails; the looks before it stay.
    """
    looks = read_looks(watching, digest, folder)
    if looks and (looks[-1].met or len(looks) == len(watching.runs)):
        return up_to(looks[-1].runs, 0)
    written = Written(frozenset(), (), 0)
    for runs in watching.runs[len(looks) :]:
        written = up_to(runs, looks[-1].runs if looks else 0)
        if written.errors and not _asked_again(digest, folder):
            write_json(folder / ASKED_AGAIN, {"digest": digest})
            break
        table = table_from_logs([folder / LOGS / name for name in sorted(written.logs)])
        looks.append(
            look(
                table,
                runs,
                watching.stopping.rule,
                watching.contrasts,
                task=watching.task,
                score=watching.score,
                kind=watching.kind,
                unit=watching.unit,
            )
        )
        _commit(watching, digest, folder, looks)
        if looks[-1].met:
            break
    return written


def _asked_again(digest: str, folder: Path) -> bool:
    try:
        return bool(json.loads((folder / ASKED_AGAIN).read_text(encoding="utf-8"))["digest"] == digest)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def read_looks(watching: Watched, digest: str, folder: Path) -> list[Look]:
    """The looks that were made under a plan; none when there are none, or they cannot be read."""
    try:
        found = json.loads((folder / STOPPING).read_text(encoding="utf-8"))
        looks = [look_from_json(one) for one in found["looks"]] if found["digest"] == digest else []
    except (OSError, ValueError, KeyError, TypeError, DoxaError):
        return []
    return looks if tuple(one.runs for one in looks) == watching.runs[: len(looks)] else []


def _commit(watching: Watched, digest: str, folder: Path, looks: list[Look]) -> None:
    write_json(
        folder / STOPPING,
        {
            "digest": digest,
            "rule": watching.words,
            "decides": watching.decides,
            "task": watching.task,
            "score": watching.score,
            "at_most": watching.runs[-1],
            "met": looks[-1].met,
            "looks": [look_to_json(one) for one in looks],
        },
    )
