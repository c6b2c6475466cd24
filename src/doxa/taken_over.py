"""What results beside a folder hold already: scores by their chunks, answers by their logs.

Equal ids of chunks are equal content, and equal arms, questions, settings and seeds write equal answers (law 9):
neither is computed again when somebody changes the contrasts of a study, adds an arm or adds runs. What is declared
then was declared when the numbers could be seen, so `taken_over.json` keeps what the other study declared otherwise,
and the report says it.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from doxa.bridge.evaluate import described, logs_of
from doxa.plan import Chunk, Plan
from doxa.resolve import ARMS, arm_file_name
from doxa.results import CHUNKS, LOGS, PLAN, commit_chunk, read_chunk, read_plan
from doxa.words.arms import SOURCE_PIN, Arm
from doxa.words.contrasts import contrast_to_json
from doxa.words.errors import ResultsError
from doxa.words.store import write_json
from doxa.words.study import study_to_json
from doxa.words.taken_over import TAKEN_OVER, UNKNOWN, read_taken_over

DECLARED = ("primary", "lead", "margins", "tasks", "controls", "seeds", "limit")
"""What a study declares of its statistics, beside its contrasts: numbers made under another declaration were seen."""


def adopt_chunk(folder: Path, chunk: Chunk, plan: Plan) -> Mapping[str, Any] | None:
    """Take a chunk from results beside this folder whose arm has the same adapter and vectors to the last bit."""
    for path in sorted(folder.parent.glob(f"*/{CHUNKS}/{chunk.id}.json")):
        other = path.parent.parent
        result = read_chunk(other, chunk) if _is_same(arm_file_name(chunk.arm), folder, other) else None
        if result is not None:
            _note(folder, other, plan, chunk.arm, DECLARED)
            commit_chunk(folder, chunk, result)
            return result
    return None


def adopt_answers(folder: Path, arms: Mapping[str, Arm], plan: Plan) -> None:
    """Copy finished logs of answers, with the verdicts on them, from results beside this folder.

    They are of the same study, under the same conditions. Nothing is copied where the seed does not decide the answers
    (a model that is served elsewhere), where a rule ends the runs (a look at answers that are there already is another
    look), or over what is here.

    Args:
        folder: The results folder.
        arms: The arms that generate, by their model strings.
        plan: Of the folder.
    """
    if not plan.fingerprint or plan.study.stopping is not None:
        return
    here = {described(folder / LOGS / name).asked for name in logs_of(folder / LOGS, arms)}
    for other in _under_the_same_conditions(folder, plan):
        same = [model for model, arm in arms.items() if _is_same(arm_file_name(arm), folder, other)]
        try:
            found = {name: described(other / LOGS / name) for name in logs_of(other / LOGS, same)}
        except (ResultsError, OSError):  # damaged, or that run puts its logs in order just now
            continue
        for name, log in found.items():
            if log.asked in here or log.runs is None or log.runs > plan.study.runs:
                continue
            (folder / LOGS).mkdir(parents=True, exist_ok=True)
            partial = folder / f".{name}"  # not among the logs until it is whole
            try:
                shutil.copyfile(other / LOGS / name, partial)
            except FileNotFoundError:
                continue
            _note(folder, other, plan, arms[log.model], ("runs", *DECLARED))
            os.replace(partial, folder / LOGS / name)
            here.add(log.asked)


def _is_same(file: str, folder: Path, other: Path) -> bool:
    """Whether the files of an arm in two folders are equal, the hashes of adapters and vectors that were made too.

    So are those of the arm whose thoughts it edits.
    """
    try:
        mine, theirs = ((one / ARMS / file).read_bytes() for one in (folder, other))
    except OSError:
        return False
    if mine != theirs:
        return False
    pins = json.loads(mine)["pins"]
    return all(_is_same(pin["text"], folder, other) for name, pin in pins.items() if name.startswith(SOURCE_PIN))


def _under_the_same_conditions(folder: Path, plan: Plan) -> Iterator[Path]:
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


def _note(folder: Path, other: Path, plan: Plan, arm: Arm, keys: Sequence[str]) -> None:
    """Keep that something came from another folder, and what that one, and those it took from, declared otherwise."""
    if not arm.interventions:
        return  # the baseline alone shows no contrast
    mine, old = _plan_of(folder), _plan_of(other)
    known, found = read_taken_over(folder), read_taken_over(other)
    if mine is not None and old is not None and str(old["created"]) > str(mine["created"]):
        found.pop(folder.name, None)  # what is declared here was declared before that folder was there
    else:
        found[other.name] = [UNKNOWN] if old is None else _differences(old, plan, keys)
    merged = {one: sorted({*known.get(one, ()), *found.get(one, ())}) for one in {**known, **found}}
    if merged != known:
        write_json(folder / TAKEN_OVER, {"folders": merged})


def _differences(old: Mapping[str, Any], plan: Plan, keys: Sequence[str]) -> list[str]:
    mine = json.loads(json.dumps(study_to_json(plan.study)))
    contrasts = json.loads(json.dumps([contrast_to_json(one) for one in plan.study.contrasts]))
    before, now = ({one["name"]: one for one in listed} for listed in (old.get("contrasts", ()), contrasts))
    return [
        *(["contrasts"] if before != now else []),
        *(key for key in keys if old["study"].get(key) != mine.get(key)),
    ]
