"""The results folder of a study: whose it is, what is committed in it, and what an earlier plan left there.

plan.json  study.yaml  arms/  vectors/  adapters/  chunks/  logs/  dose.json  stopping.json
taken_over.json  table.parquet  table.csv  estimates.json  transcripts.json  figures/  report.html  report.md
earlier/<digest>/   the report, table and plan that stood here before a pair or belief file was edited
"""

import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from doxa.plan import FORMAT, Chunk, Plan, plan_to_json
from doxa.words.errors import EnvironmentFault, ResultsError
from doxa.words.store import content_hash, locked, write_json

PLAN = "plan.json"
CHUNKS, LOGS, EARLIER, DOSE, STOPPING = "chunks", "logs", "earlier", "dose.json", "stopping.json"
REPORT = (
    "table.parquet", "table.csv", "estimates.json", "transcripts.json", "dose.json", "report.html", "report.md",
    "summary.txt", "stopping.json", "corpora.json",
)  # fmt: skip
PLAN_KEYS: Mapping[str, type] = {"created": str, "digest": str, "study": dict, "model": dict}
DOSE_KEYS = ("planned", "planned_cumulated", "measured_projection", "measured_norm")
ELSEWHERE = "Choose another folder with --out"


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the results folder, so that two runs cannot write into it at once.

    Raises:
        EnvironmentFault: When another run holds it.
        ResultsError: When there are other things in it.
    """
    with held_by(folder, PLAN):
        yield


@contextmanager
def held_by(folder: Path, mark: str) -> Iterator[None]:
    """Hold a folder that a file of a certain name tells to be ours; errors as `held`."""
    _refuse_strangers(folder, mark)  # before a lock is left in somebody's folder
    busy = EnvironmentFault(
        f"another run is writing into {folder}",
        way_out="Wait for it to end, or choose another folder with --out",
    )
    with locked(folder / ".lock", busy=busy):
        yield


def open_folder(folder: Path, plan: Plan) -> str:
    """Make a results folder ready for a plan, or go on in the one that is there.

    When only what the arms' names stand for has changed (a belief or pairs file was edited), the report that stood here
    is moved to `earlier/` with the plan it was made from, and what is still valid is kept.

    Returns:
        When the folder was made, ISO 8601: the time that its logs carry.

    Raises:
        ResultsError: When the folder belongs to something else; nothing in it is touched.
        EnvironmentFault: When its plan cannot be read.
    """
    path = folder / PLAN
    created = datetime.now(UTC).isoformat(timespec="seconds")
    _refuse_strangers(folder, PLAN)
    if path.exists():
        old = read_plan(folder)
        if _begun(folder):  # otherwise the plan failed before anything was made of it
            _check_same_study(folder, old, plan)
        if _begun(folder) or old["study"] == plan_to_json(plan)["study"]:
            created = str(old["created"])
        if old["digest"] != plan.digest:
            _archive(folder, old)
    write_json(path, {**plan_to_json(plan), "created": created})
    return created


def _refuse_strangers(folder: Path, mark: str) -> None:
    """Refuse a folder with other things in it; hidden files are the lock, and what a killed first write left."""
    if os.path.lexists(folder) and not folder.is_dir():
        raise ResultsError(f"{folder} is no folder", expected="a folder, or a name that is free", way_out=ELSEWHERE)
    if not folder.is_dir() or (folder / mark).exists():
        return
    strangers = sorted(one.name for one in folder.iterdir() if not one.name.startswith("."))
    if strangers:
        raise ResultsError(
            f"{folder} holds {', '.join(strangers[:3])} and no plan of a study",
            expected="an empty folder or the results of this study",
            way_out=ELSEWHERE,
        )


def read_dose(folder: Path) -> set[tuple[str, int]]:
    """Arms and layers whose dose is in a results folder; nothing when the file is damaged, as it can be made again."""
    try:
        rows = json.loads((folder / DOSE).read_text(encoding="utf-8"))["rows"]
        return {(str(row["arm"]), int(row["layer"])) for row in rows if {*DOSE_KEYS} <= set(row)}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def read_plan(folder: Path) -> Mapping[str, Any]:
    """The plan in a results folder.

    Raises:
        ResultsError: When there is none, it cannot be read, or it was written by another version's format.
    """
    path = folder / "plan.json"

    def damaged(why: object) -> ResultsError:
        return ResultsError(
            f"{path} cannot be read ({why})",
            expected="the plan that `doxa run` wrote",
            way_out=f"{ELSEWHERE}; chunks and logs in this one are intact, and what was scored is taken over",
        )

    try:
        old = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(old, dict):
            raise ValueError("it holds no object")
    except (OSError, ValueError) as error:
        raise damaged(error) from error
    if old.get("format") != FORMAT:
        raise ResultsError(
            f"{folder} was written by doxa {old.get('doxa')} in format {old.get('format')}",
            expected=f"format {FORMAT}",
            way_out=ELSEWHERE,
        )
    missing = [key for key, kind in PLAN_KEYS.items() if not isinstance(old.get(key), kind)]
    if missing or not isinstance(old["study"].get("study"), str):
        raise damaged(f"it has no {(missing or ['name of the study'])[0]!r}")
    return old


def read_chunk(folder: Path, chunk: Chunk) -> Mapping[str, Any] | None:
    """The committed result of a chunk, or None when it is not there; a damaged one counts as not there."""
    try:
        kept = json.loads((folder / CHUNKS / f"{chunk.id}.json").read_text(encoding="utf-8"))
        if not isinstance(kept, dict) or kept.pop("hash") != content_hash(kept):
            return None
    except (OSError, ValueError, KeyError):
        return None
    return kept


def commit_chunk(folder: Path, chunk: Chunk, result: Mapping[str, Any]) -> None:
    """Commit the result of a chunk: whole or not at all, with a hash of itself, with no time or place in it."""
    write_json(folder / CHUNKS / f"{chunk.id}.json", {**result, "hash": content_hash(dict(result))})


def archive_logs(folder: Path, keep: Collection[str]) -> None:
    """Move the logs that the plan no longer has into `earlier/`; `keep` are the file names it has."""
    for path in sorted((folder / LOGS).glob("*.eval")):
        if path.name not in keep:
            (folder / EARLIER / LOGS).mkdir(parents=True, exist_ok=True)
            path.rename(folder / EARLIER / LOGS / path.name)


def _begun(folder: Path) -> bool:
    return any((folder / CHUNKS).glob("*.json")) or any((folder / LOGS).glob("*.eval"))


def _check_same_study(folder: Path, old: Mapping[str, Any], plan: Plan) -> None:
    mine = plan_to_json(plan)
    if old["study"]["study"] != plan.study.name:
        raise ResultsError(
            f"{folder} belongs to the study {old['study']['study']!r}",
            expected=f"the study {plan.study.name!r}",
            way_out="Choose another folder with --out",
        )
    differences = [key for key in ("model",) if old[key] != mine[key]] + [
        key for key in mine["study"] if old["study"].get(key) != mine["study"][key]
    ]
    if differences:
        raise ResultsError(
            f"{folder} holds an earlier version of the study {plan.study.name!r}; "
            f"it differs in {', '.join(differences)}",
            way_out=f"Run with `--out {folder}-2` (what was scored and written for arms that did not change is taken "
            f"over from {folder} if the model is computed here), or delete {folder} to start anew",
        )


def _archive(folder: Path, old: Mapping[str, Any]) -> None:
    kept = folder / EARLIER / str(old["digest"])[:12]
    kept.mkdir(parents=True, exist_ok=True)
    # The plan stays until the new one replaces it: a run that is killed here goes on here.
    shutil.copy2(folder / "plan.json", kept / "plan.json")
    for name in REPORT:
        if (folder / name).exists():
            shutil.move(folder / name, kept / name)
    if (folder / "figures").exists() and not (kept / "figures").exists():
        shutil.move(folder / "figures", kept / "figures")
