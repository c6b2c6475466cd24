"""What the results beside a folder hold already of the same study: scores by their chunks, answers by their logs.

Equal ids of chunks are equal content, and equal arms, questions, settings and seeds write equal answers (law 9):
neither is computed again when somebody changes the contrasts of a study, adds an arm or adds runs. What is declared
then was declared when the numbers could be seen, so `taken_over.json` keeps what was declared otherwise, and the report
says it.
"""

import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from doxa.bridge.evaluate import described, logs_of
from doxa.plan import Chunk, Plan
from doxa.results import CHUNKS, LOGS, PLAN, TAKEN_OVER, commit_chunk, read_chunk, read_plan
from doxa.words.errors import ResultsError
from doxa.words.store import write_json
from doxa.words.study import study_to_json

DECLARED = ("contrasts", "primary", "lead", "margins")
"""What a study declares of its statistics: numbers that were made under another declaration could be seen before."""


def adopt_chunk(folder: Path, chunk: Chunk, plan: Plan) -> Mapping[str, Any] | None:
    """Take a chunk from results beside this folder: equal ids are equal content."""
    for path in sorted(folder.parent.glob(f"*/{CHUNKS}/{chunk.id}.json")):
        result = read_chunk(path.parent.parent, chunk)
        if result is not None:
            commit_chunk(folder, chunk, result)
            _note(folder, path.parent.parent, plan)
            return result
    return None


def adopt_answers(folder: Path, models: Collection[str], plan: Plan) -> None:
    """Copy finished logs of answers from results beside this folder that were written under the same conditions.

    Nothing is copied where the seed does not decide the answers (a model that is served elsewhere), where a rule ends
    the runs (a look at answers that are there already is another look), or over what is here.

    Args:
        folder: The results folder.
        models: Model strings of the arms that generate, with the hash of each arm.
        plan: Of the folder.
    """
    if not plan.fingerprint or plan.study.stopping is not None:
        return
    here = {described(folder / LOGS / name)[0] for name in logs_of(folder / LOGS, models)}
    for other in _versions(folder, plan):
        for name in _readable(other / LOGS, models):
            asked, epochs = described(other / LOGS / name)
            if asked in here or epochs is None or epochs > plan.study.runs:
                continue
            (folder / LOGS).mkdir(parents=True, exist_ok=True)
            partial = folder / f".{name}"  # not among the logs until it is whole
            shutil.copyfile(other / LOGS / name, partial)
            _note(folder, other, plan)
            os.replace(partial, folder / LOGS / name)
            here.add(asked)


def _versions(folder: Path, plan: Plan) -> Iterator[Path]:
    """The results folders beside this one of the same study, whose answers were written under the same conditions."""
    for path in sorted(folder.parent.glob(f"*/{PLAN}")):
        old = _plan_of(path.parent)
        if path.parent == folder or old is None or isinstance(old["study"].get("runs"), dict):
            continue
        if old["study"]["study"] == plan.study.name and old.get("conditions") == plan.conditions:
            yield path.parent


def _plan_of(folder: Path) -> Mapping[str, Any] | None:
    try:
        return read_plan(folder)
    except ResultsError:  # another format, or damaged: nothing is known of it
        return None


def _readable(logs: Path, models: Collection[str]) -> list[str]:
    try:
        return logs_of(logs, models)
    except ResultsError:
        return []


def _note(folder: Path, other: Path, plan: Plan) -> None:
    """Keep that something came from another version of the study, and what that one declared otherwise."""
    old, path = _plan_of(other), folder / TAKEN_OVER
    if old is None or old["study"]["study"] != plan.study.name:
        return
    mine = study_to_json(plan.study)
    try:
        known = json.loads(path.read_text(encoding="utf-8"))["folders"]
    except (OSError, ValueError, KeyError, TypeError):
        known = {}
    if other.name not in known:
        differs = [key for key in DECLARED if old["study"].get(key) != mine.get(key)]
        write_json(path, {"folders": {**known, other.name: differs}})
