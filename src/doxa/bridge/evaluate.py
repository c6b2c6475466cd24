"""Run generating tasks through Inspect: one log per arm, all arms at once, so that the provider's batches mix them.

`eval_set` resumes: finished logs are kept, finished samples of a cancelled log are reused, nothing is counted twice. A
sample that ended in an error does not hold up the others; the next run asks for it again.
"""

import contextlib
import io
import json
import logging
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from inspect_ai import Task, eval_set, task_with
from inspect_ai.hooks import Hooks, SampleEnd, hooks
from inspect_ai.log import EvalLog, read_eval_log, write_eval_log
from inspect_ai.model import ContentReasoning, GenerateConfig, Model, get_model

from doxa.bridge.interrupts import interrupts
from doxa.bridge.logs import read_log
from doxa.bridge.oneline import in_our_words
from doxa.words.errors import EnvironmentFault

MAX_SAMPLES = 256
"""Samples of one task in flight at once; the provider batches what arrives, whatever the arm."""

MAX_CONNECTIONS = 2048
"""Requests of all arms in flight at once, of a model that is computed here; a service, a judge's too, has its own
limits."""


@dataclass(frozen=True)
class ArmTask:
    """One arm on one task.

    Attributes:
        make: Makes the Inspect task.
        model: Model string that Inspect sees, `doxa/<model>+<label>` or `doxa-arm/<provider>/<model>+<label>`.
        arguments: The provider's model arguments: plain JSON (arm file, dtype, device, seed).
        settings: The model's own settings, fields of Inspect's `GenerateConfig`.
        metadata: The log's own description (study, arm, of, control, task, version, derivations).
    """

    make: Callable[[], Task]
    model: str
    arguments: Mapping[str, Any]
    settings: Mapping[str, Any]
    metadata: Mapping[str, Any]


@dataclass(frozen=True)
class Written:
    """What a run of tasks has left.

    Attributes:
        logs: File names of the tasks' logs: those just made, and those of an earlier run that were finished.
        errors: What samples ended in that ended in an error, a line each.
        samples: How many samples the logs should hold.
    """

    logs: frozenset[str]
    errors: tuple[str, ...]
    samples: int


def run_tasks(
    tasks: Sequence[ArmTask],
    folder: Path,
    *,
    runs: int,
    seed: int | None,
    generate: Mapping[str, Any],
    roles: Mapping[str, Model] | None = None,
    progress: Callable[[], None] | None = None,
) -> Written:
    """Run tasks to their end, or go on with those that an earlier run left unfinished.

    Args:
        tasks: One per arm and task.
        folder: Where the logs go; other logs in it are left alone.
        runs: Repetitions of every item (Inspect's epochs). More than an earlier call had are added to those.
        seed: The study's seed; the provider derives every row's own from it, the item and the run (law 9).
            None: none is sent.
        generate: Overrides of the tasks' generation settings, in a study's words.
        roles: Models that tasks ask beside the one under study, by role.
        progress: Called after every sample.

    Raises:
        KeyboardInterrupt: When the user has stopped it; finished samples are kept.
        EnvironmentFault: When a log did not finish; what did is kept.
    """
    if not tasks:
        return Written(frozenset(), (), 0)
    with interrupts() as pressed, _counting(progress), _quiet(), in_our_words(folder):
        _reopen(folder, {one.model for one in tasks})
        made = []
        for one in tasks:
            task = one.make()
            made.append(
                task_with(
                    task,
                    model=get_model(one.model, config=GenerateConfig(**one.settings), memoize=False, **one.arguments),
                    metadata={**(task.metadata or {}), **one.metadata},
                    config=_merged(task.config, {**generate, "seed": seed}),
                    model_roles={**(task.model_roles or {}), **(roles or {})},
                )
            )
        finished, logs = eval_set(
            made,
            log_dir=folder.resolve().as_uri(),  # Inspect reads it as an address, in which `#` and `%` mean something
            log_dir_allow_dirty=True,
            epochs=runs,
            max_tasks=len(made),
            max_samples=MAX_SAMPLES,
            display="none",
            log_level="error",
            log_realtime=False,
            retry_attempts=0,
            fail_on_error=False,
            score=True,
        )
        stopped = pressed()
    # After Ctrl-C Inspect leaves the logs of cancelled tasks out, and calls what is left finished.
    if stopped or len(logs) < len(made) or any(log.status == "cancelled" for log in logs):
        raise KeyboardInterrupt
    if not finished:
        errors = [log.error.message for log in logs if log.error is not None]
        raise EnvironmentFault(
            f"{sum(log.status != 'success' for log in logs)} of {len(logs)} logs did not finish"
            + (f": {errors[0].splitlines()[0]}" if errors else ""),
            way_out="Run the same command again; finished samples are kept",
        )
    names = frozenset(unquote(Path(log.location).name) for log in logs)
    return Written(
        names,
        tuple(message for log in logs for message in _errors(log, folder)),
        sum((log.eval.dataset.samples or 0) * runs for log in logs),
    )


def _errors(header: EvalLog, folder: Path) -> list[str]:
    """What samples of a log ended in, a line each."""
    if header.results is not None and header.results.completed_samples == header.results.total_samples:
        return []
    samples = read_log(folder / unquote(Path(header.location).name)).samples or []
    return [next(iter(one.error.message.strip().splitlines()), "unknown") for one in samples if one.error is not None]


def _reopen(folder: Path, models: Collection[str]) -> None:
    """Say of finished logs with samples that ended in an error that they are not: Inspect keeps their good samples."""
    beside = folder.parent / "reopened.eval"
    for name in logs_of(folder, models):
        header = read_log(folder / name, header_only=True)
        if header.status == "success" and _errors(header, folder):
            log = read_eval_log(folder / name)
            log.status = "error"
            write_eval_log(log, beside)
            os.replace(beside, folder / name)


def logs_of(folder: Path, models: Collection[str]) -> list[str]:
    """File names of the logs in a folder whose model is one of `models`.

    Raises:
        ResultsError: When a log is damaged.
    """
    return [
        path.name for path in sorted(folder.glob("*.eval")) if read_log(path, header_only=True).eval.model in models
    ]


@dataclass(frozen=True)
class Described:
    """What a log is of.

    Attributes:
        model: Its model string.
        asked: Its model, its task and the task's arguments, as one string.
        runs: Its runs where it is of answers and has ended well, else None.
    """

    model: str
    asked: str
    runs: int | None


def described(path: Path) -> Described:
    """What a log is of.

    Raises:
        ResultsError: When the log is damaged.
    """
    header = read_log(path, header_only=True)
    of = header.eval
    asked = json.dumps([of.model, of.task, of.task_args_passed], sort_keys=True, default=str)
    scored = (of.metadata or {}).get("doxa", {}).get("scored")
    return Described(of.model, asked, int(of.config.epochs or 1) if header.status == "success" and not scored else None)


def runs_written(folder: Path, models: Collection[str]) -> int:
    """The most runs that a log of one of `models` was begun with; 0 without any.

    Raises:
        ResultsError: When a log is damaged.
    """
    headers = (read_log(folder / name, header_only=True) for name in logs_of(folder, models))
    return max((int(header.eval.config.epochs or 0) for header in headers), default=0)


def reasoned(folder: Path) -> tuple[int, int]:
    """How many answers in the logs of a folder came with reasoning, and how many there are."""
    found = [
        any(not isinstance(one.content, str) and any(part.type == "reasoning" for part in one.content) for one in said)
        for path in sorted(folder.glob("*.eval"))
        if not (((log := read_eval_log(path)).eval.metadata or {}).get("doxa", {}).get("scored"))
        for sample in log.samples or []
        if (said := [message for message in sample.messages if message.role == "assistant"])
    ]
    return sum(found), len(found)


def transcripts(folder: Path, *, most: int = 400) -> list[dict[str, Any]]:
    """What was asked, thought and answered, from the logs: for reading beside each other, arm by arm.

    Empty answers are kept: which are shown is not to depend on what they say.

    Args:
        folder: Folder of logs.
        most: At most so many characters of each question, thought and answer are kept.
    """
    found = []
    for path in sorted(folder.glob("*.eval")):
        log = read_log(path)
        doxa = (log.eval.metadata or {}).get("doxa", {})
        for sample in log.samples or []:
            if not sample.output.choices or sample.error is not None or "arm" not in doxa or doxa.get("scored"):
                continue
            asked = sample.input if isinstance(sample.input, str) else sample.input[-1].text
            content = sample.output.message.content
            thought = (
                ""
                if isinstance(content, str)
                else "\n\n".join(part.reasoning for part in content if isinstance(part, ContentReasoning))
            )
            found.append(
                {
                    "arm": doxa["arm"],
                    "task": doxa["task"],
                    "item": str(sample.id),
                    "run": sample.epoch,
                    **({"seed": doxa["seed"]} if doxa.get("seed") else {}),
                    "question": _begun(asked, most),
                    **({"thought": _begun(thought, most)} if thought else {}),
                    "answer": _begun(sample.output.completion, most),
                    "stop": str(sample.output.stop_reason),
                }
            )
    return sorted(found, key=lambda one: (one["task"], one["item"], one["run"], one["arm"], one.get("seed", 0)))


def _begun(text: str, most: int) -> str:
    text = text.strip()
    return text if len(text) <= most else f"{text[:most]} …"


def _merged(config: GenerateConfig, generate: Mapping[str, Any]) -> GenerateConfig:
    names = {"stop": "stop_seqs"}
    known = {names.get(key, key): value for key, value in generate.items() if key != "min_p"}
    merged = config.merge(GenerateConfig(**known))
    if "min_p" in generate:
        merged.extra_body = {**(merged.extra_body or {}), "min_p": generate["min_p"]}
    return merged


_on_sample: list[Callable[[], None]] = []


@hooks(name="doxa_progress", description="Tells doxa's progress bar that a sample has ended")
class _Progress(Hooks):
    async def on_sample_end(self, data: SampleEnd) -> None:
        for report in _on_sample:
            report()


@contextlib.contextmanager
def _counting(progress: Callable[[], None] | None) -> Iterator[None]:
    if progress is not None:
        _on_sample.append(progress)
    try:
        yield
    finally:
        _on_sample.clear()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Inspect's own lines (its banner, the hooks it lists) do not break the progress bar."""
    logger = logging.getLogger("inspect_ai")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(before)
