"""From Inspect logs to the table: ours and anyone's.

A log describes itself (law 3). In ours, and in those of doxa's tasks, stands

- `eval.metadata["doxa"]`: study, model, arm, of, control, levels, task, version, seed, derivations;
- `sample.metadata["doxa"]`: factors; where every sample has an arm of its own also arm, of, control, levels, item;
- `score.metadata["doxa"]`: arm, of, control, where several arms share a sample;
- `score.metadata["reasons"]`: why a score has no value;
- `output.metadata["doxa"]`: the arm that the provider applied, whatever the task.

In other logs a chosen column is the arm, and what is plain in a task's arguments and a sample's metadata are factors.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
from inspect_ai.log import EvalLog, EvalSample, read_eval_log

from doxa.bridge.tables import read_table, typed, write_table
from doxa.bridge.values import SampleScore, scores_of
from doxa.stats.derive import derivable, derive
from doxa.words import schema
from doxa.words.errors import ResultsError, nearest
from doxa.words.schema import Derivation

__all__ = ["read_table", "table_from_logs", "write_table"]

_LARGE = 1 << 23
"""Bytes from which a log is read without its events: slower by the byte, but they may be most of it."""
_UNREAD = {"messages", "events", "store", "attachments"}
_JSON_LOG = re.compile(rb'\s*\{\s*"version"\s*:\s*\d+\s*,\s*"status"\s*:')
_LONG = 200  # characters: longer metadata is text, not a level of a factor


Cell = tuple[str, str, int, str]  # family of logs that a retry continues, sample id, epoch, arm where several share it


@dataclass(frozen=True)
class _Sample:
    """A sample in a log, or one that a log should hold.

    Attributes:
        head: The columns of the table that do not depend on the score.
        levels: Levels of factors that belong to its arm or its log, not to its item.
        factors: Levels of factors that belong to its item; {} when nothing is known of it.
        scores: Its scores; () when it has none.
        reason: Why it has none.
        scorers: Names of the log's scorers, for when nothing else says which scores are missing.
        rank: The greatest counts where a sample stands in several logs: ended without error, time of its end.
    """

    head: Mapping[str, str | int]
    levels: Mapping[str, str]
    factors: Mapping[str, str]
    scores: tuple[SampleScore, ...]
    reason: str
    scorers: tuple[str, ...]
    rank: tuple[bool, str]


@dataclass(eq=False)
class _Reading:
    """What was read so far."""

    samples: dict[Cell, _Sample] = field(default_factory=dict)
    expected: dict[Cell, _Sample] = field(default_factory=dict)
    derivations: dict[str, dict[str, Derivation]] = field(default_factory=dict)
    versions: dict[str, tuple[int, str]] = field(default_factory=dict)


def table_from_logs(
    logs: Path | str | Sequence[Path | str],
    *,
    arm: str | None = None,
    on_broken: Callable[[Path, str], None] | None = None,
) -> pd.DataFrame:
    """Read Inspect logs into the table.

    A sample that stands in several logs of one task (a retry, a resumed study) counts once: the one that ended last,
    and one without error before one with. Samples that should be there and are not have rows that say so.

    Args:
        logs: Log files (`.eval` or `.json`), or folders of them.
        arm: What the arm is: `model`, `task`, or the name of a task argument, model argument or metadata; several with
            commas. Without it what the logs say of themselves, else `model`.
        on_broken: Called with every log that cannot be read and why; the others are read. Without it they are an error.

    Returns:
        The columns of `doxa.words.schema`, then the factors by name; sorted by the key.

    Raises:
        ResultsError: When there are no logs, one cannot be read, or two hold the same cell.
    """
    files = [file for path in ([logs] if isinstance(logs, Path | str) else logs) for file in _log_files(Path(path))]
    reading, broken = _Reading(), []
    for file in files:
        try:
            log = read_log(file)
        except ResultsError as error:
            broken.append(error)
            if on_broken is not None:
                on_broken(file, error.found)
        else:
            _take(reading, log, file.name, arm)
    if broken and on_broken is None:
        raise broken[0] if len(broken) == 1 else _several(broken)
    table = _frame(list((reading.expected | reading.samples).values()))
    _check_unique(table)
    table = typed(_derived(table, reading.derivations))
    return table.sort_values(list(schema.KEY), ignore_index=True)


def _log_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    found = []
    if path.is_dir():
        inside = (file for file in path.rglob("*") if not any(p.startswith(".") for p in file.relative_to(path).parts))
        found = sorted(file for file in inside if file.is_file() and (file.suffix == ".eval" or _is_json_log(file)))
    if not found:
        raise ResultsError(
            f"no logs in {path}" if path.exists() else f"there is no {path}",
            expected="Inspect logs (.eval or .json)",
            way_out="Give the folder that `inspect eval` or `doxa run` wrote",
        )
    return found


def _is_json_log(file: Path) -> bool:
    if file.suffix != ".json":
        return False
    with file.open("rb") as opened:
        return _JSON_LOG.match(opened.read(200)) is not None


def read_log(file: Path, *, header_only: bool = False, messages: bool = False) -> EvalLog:
    """Read a log, its messages and events left out where it is large.

    Args:
        file: The log.
        header_only: Leave its samples out.
        messages: Read the messages of a large one too.

    Raises:
        ResultsError: When it is damaged.
    """
    try:
        large = not header_only and file.stat().st_size > _LARGE
        unread = _UNREAD - {"messages"} if messages else _UNREAD
        return read_eval_log(file, header_only=header_only, exclude_fields=unread if large else None)
    except Exception as error:  # Inspect, zip, zstd, JSON and pydantic each have errors of their own for a damaged file
        why = str(error).strip().splitlines()
        raise ResultsError(
            f"the log {file} cannot be read ({type(error).__name__}: {why[0] if why else ''})",
            expected="a whole Inspect log",
            way_out="Move that file away; if it belongs to a study, run the study again: only its samples are missing",
        ) from error


def _several(broken: Sequence[ResultsError]) -> ResultsError:
    return ResultsError(
        "; ".join(error.found for error in broken), expected="whole Inspect logs", way_out=broken[0].way_out
    )


def _take(reading: _Reading, log: EvalLog, name: str, arm: str | None) -> None:
    """Take the samples of one log."""
    spec = log.eval
    own = _own(spec.metadata)
    about: dict[str, str | int] = {
        "study": str(own.get("study", "")),
        "model": str(own.get("model", spec.model)),
        **_arm(log, arm, own),
        "task": str(own.get("task") or spec.task_registry_name or spec.task),
        "seed": int(own.get("seed", 0)),
        "tokens": 0,
        "stop": "",
        "log": name,
    }
    if "version" in own:
        _check_version(reading.versions, str(about["task"]), int(own["version"]), name)
    for one in own.get("derivations", ()):
        _add_derivation(reading.derivations.setdefault(str(about["task"]), {}), one, name)
    family = spec.task_id or spec.eval_id
    for sample in log.samples or []:
        for sharing, found in _samples(log, sample, about, arm):
            cell = (family, str(sample.id), sample.epoch, sharing)
            if cell not in reading.samples or found.rank >= reading.samples[cell].rank:
                reading.samples[cell] = found
            about |= {key: found.head[key] for key in ("arm", "of", "control")}
    if log.status != "success":
        for item in spec.dataset.sample_ids or []:
            for run in range(1, (spec.config.epochs or 1) + 1):
                head = {**about, "item": str(item), "run": run}
                missing = _Sample(head, _levels(log), {}, (), "not run", _scorers(log), (False, ""))
                reading.expected[family, str(item), run, ""] = missing


def _samples(
    log: EvalLog, sample: EvalSample, about: Mapping[str, str | int], arm: str | None
) -> Iterator[tuple[str, _Sample]]:
    """What a sample is under every arm that shares it; mostly it is one arm's."""
    whole = _sample(log, sample, about, arm)
    whose = {name: _own(score.metadata) for name, score in (sample.scores or {}).items()}
    if not any(own.get("arm") for own in whose.values()):
        yield "", whole
        return
    for name, own in whose.items():
        head = {**whole.head, **_arm(log, arm, own)}
        scores = _valid(sample, scores_of(name, (sample.scores or {})[name], plain=True))
        yield str(head["arm"]), replace(whole, head=head, scores=scores)


def _sample(log: EvalLog, sample: EvalSample, about: Mapping[str, str | int], arm: str | None) -> _Sample:
    of_log, own, made = _own(log.eval.metadata), _own(sample.metadata), _own(sample.output.metadata)
    usage = sample.model_usage.get(log.eval.model) or sample.output.usage
    written = bool(sample.output.choices) and not (of_log.get("scored") or made.get("scored"))
    plain = bool(of_log)
    scores = [one for name, score in (sample.scores or {}).items() for one in scores_of(name, score, plain=plain)]
    return _Sample(
        head={
            **about,
            **_arm(log, arm, own, of_log, made),
            "item": str(own.get("item", sample.id)),
            "run": sample.epoch,
            "tokens": usage.output_tokens if usage is not None else 0,
            "stop": sample.output.stop_reason if written else "",
        },
        levels={**_levels(log), **_plain(own.get("levels"))},
        factors=_plain(own.get("factors")) if of_log or own else _short(sample.metadata),
        scores=_valid(sample, scores),
        reason="not scored" if sample.error is None else f"error: {_first_line(sample.error.message)}",
        scorers=_scorers(log),
        rank=(sample.error is None, sample.completed_at or log.stats.completed_at or log.eval.created),
    )


def _valid(sample: EvalSample, scores: Sequence[SampleScore]) -> tuple[SampleScore, ...]:
    if sample.invalidation is None:
        return tuple(scores)
    return tuple(replace(one, value=None, reason="invalidated") for one in scores)


def _own(metadata: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Our block in Inspect's metadata."""
    own = (metadata or {}).get("doxa")
    return own if isinstance(own, Mapping) else {}


def _arm(log: EvalLog, chosen: str | None, *said: Mapping[str, Any]) -> dict[str, str]:
    """The arm: by the columns that the user chose, by the first who names it, or by Inspect's name of the model."""
    if chosen is None:
        for own in said:
            if own.get("arm"):
                return {key: str(own.get(key) or "") for key in ("arm", "of", "control")}
        return {"arm": log.eval.model, "of": "", "control": ""}
    spec = log.eval
    known = {**(spec.metadata or {}), **spec.model_args, **spec.task_args, "model": spec.model, "task": spec.task}
    columns = [column.strip() for column in chosen.split(",")]
    for column in columns:
        if column not in known:
            raise ResultsError(
                f"a log of {spec.task} on {spec.model} has no {column!r} that could tell arms apart",
                way_out=nearest(column, map(str, known)),
            )
    return {"arm": ", ".join(str(known[column]) for column in columns), "of": "", "control": ""}


def _levels(log: EvalLog) -> dict[str, str]:
    """What a log says of all its samples: the levels of its arm; of a log of somebody else's, the task's arguments."""
    of_log = _own(log.eval.metadata)
    return _plain(of_log.get("levels")) if of_log else _short(log.eval.task_args)


def _plain(levels: Mapping[str, Any] | None) -> dict[str, str]:
    return {str(name): str(level) for name, level in (levels or {}).items()}


def _short(values: Mapping[str, Any]) -> dict[str, str]:
    return {
        str(name): str(level)
        for name, level in values.items()
        if isinstance(level, str | int | float | bool) and len(str(level)) <= _LONG
    }


def _scorers(log: EvalLog) -> tuple[str, ...]:
    return tuple(scorer.name for scorer in log.eval.scorers or []) or ("score",)


def _first_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[0][:_LONG] if lines else "unknown"


def _frame(samples: Sequence[_Sample]) -> pd.DataFrame:
    """One row per score. A sample without scores has one for each that its item, or one of its kind, has elsewhere."""
    by_item: dict[tuple[str, str], dict[str, None]] = {}
    by_kind: dict[_Kind, dict[str, None]] = {}
    factors: dict[tuple[str, str], Mapping[str, str]] = {}
    for one in samples:
        task, item = str(one.head["task"]), str(one.head["item"])
        for score in one.scores:
            by_item.setdefault((task, item), {})[score.score] = None
            by_kind.setdefault(_kind(one), {})[score.score] = None
            factors.setdefault((task, item), one.factors)
    rows: list[dict[str, str | int | float | None]] = []
    for one in samples:
        task, item = str(one.head["task"]), str(one.head["item"])
        names = by_item.get((task, item)) or by_kind.get(_kind(one)) or dict.fromkeys(one.scorers)
        scores = one.scores or tuple(SampleScore(name, None, one.reason) for name in names)
        levels = {**one.levels, **(one.factors or factors.get((task, item), {}))}
        own = {f"{schema.FACTOR_PREFIX}{name}": level for name, level in levels.items()}
        rows += [{**one.head, "score": s.score, "value": s.value, "reason": s.reason, **own} for s in scores]
    frame = pd.DataFrame(rows)
    text = [name for name in frame.columns if schema.COLUMNS.get(str(name), "text") == "text"]
    frame[text] = frame[text].fillna("")
    return typed(frame)


_Kind = tuple[str, tuple[str, ...], str]


def _kind(one: _Sample) -> _Kind:
    """Items that are scored alike: of one task, by the same scorers, of the same part where a task has several."""
    return str(one.head["task"]), one.scorers, one.factors.get("part", "")


def _check_unique(table: pd.DataFrame) -> None:
    twice = table.duplicated(list(schema.KEY), keep=False)
    if twice.any():
        first = table[twice].sort_values([*schema.KEY, "log"]).iloc[:2]
        cell = ", ".join(f"{name} {first.iloc[0][name]}" for name in schema.KEY)
        raise ResultsError(
            f"{first.iloc[0]['log']} and {first.iloc[1]['log']} hold the same cell: {cell}",
            expected="every arm, task, item and run once",
            way_out="Read them apart, or name what tells them apart as the arm (`arm=` of `table_from_logs`)",
        )


def _check_version(known: dict[str, tuple[int, str]], task: str, version: int, name: str) -> None:
    """Answers that were read by other rules, or have other factors, are no two arms of one comparison."""
    first, before = known.setdefault(task, (version, name))
    if first != version:
        raise ResultsError(
            f"{before} has version {first} of {task}, and {name} version {version}",
            expected="logs of one version of a task",
            way_out="Read logs of different versions apart, or run the older ones again",
        )


def _add_derivation(known: dict[str, Derivation], value: Mapping[str, Any], name: str) -> None:
    one = derivation_from_json(value)
    if known.setdefault(one.score, one) != one:
        raise ResultsError(
            f"{name} makes the score {one.score!r} in another way than the logs before it",
            expected="logs of one version of a task",
            way_out="Read logs of different versions apart",
        )


def derivation_from_json(value: Mapping[str, Any]) -> Derivation:
    """Read what `dataclasses.asdict` made of a `Derivation`, after its way through JSON."""
    terms = tuple(
        (float(weight), tuple((str(factor), str(level)) for factor, level in levels))
        for weight, levels in value["terms"]
    )
    return Derivation(
        str(value["score"]),
        str(value["source"]),
        str(value["unit"]),
        terms,
        matched=tuple(str(factor) for factor in value.get("matched", ())),
        several="averaged" if value.get("several") == "averaged" else "refused",
    )


def _derived(table: pd.DataFrame, derivations: Mapping[str, Mapping[str, Derivation]]) -> pd.DataFrame:
    """Apply every task's derivations to its own rows; one whose source nobody has scored is left out."""
    for task, known in derivations.items():
        for one in known.values():
            rows = table[table["task"] == task]
            if derivable(rows, [one]):
                table = pd.concat([table, derive(rows, [one]).iloc[len(rows) :]], ignore_index=True)
    return table
