"""Proper Inspect logs of what was scored outside Inspect's loop: `inspect view` opens them, `read_eval_log` reads them.

The arms of a control family share one log, and in it an item is one sample with one score for each arm: thousands
of samples would take longer to write and read than to compute. Given the same samples and time, a log has the same
content.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from inspect_ai.log import (
    EvalConfig,
    EvalDataset,
    EvalLog,
    EvalMetric,
    EvalResults,
    EvalSample,
    EvalScore,
    EvalSpec,
    EvalStats,
    write_eval_log,
)
from inspect_ai.model import ChatMessage, ChatMessageAssistant, ChatMessageSystem, ChatMessageUser, ModelOutput
from inspect_ai.scorer import Score

from doxa.words.schema import Derivation
from doxa.words.store import Json, content_hash, faults

if TYPE_CHECKING:
    from doxa.models.chat import Message

SCORER = "doxa"
_MESSAGES: Mapping[str, type[ChatMessageSystem | ChatMessageUser | ChatMessageAssistant]] = {
    "system": ChatMessageSystem,
    "user": ChatMessageUser,
    "assistant": ChatMessageAssistant,
}


@dataclass(frozen=True)
class ScoredSample:
    """One item scored under one arm.

    Attributes:
        item: The item.
        arm: The arm's name.
        values: By score: its value, or None and the reason why it is missing.
        of: The arm that this one is a control of, or "".
        control: Its control family, or "".
        factors: The item's factors.
        prompt: What the model was asked, for reading in the viewer; the first prompt where an item has several.
        options: The continuations that were scored.
        run: Repetition of the item, from 1.
        details: Plain JSON for the sample's metadata: log-probabilities, receipt.
    """

    item: str
    arm: str
    values: Mapping[str, tuple[float | None, str]]
    of: str = ""
    control: str = ""
    factors: Mapping[str, str] = field(default_factory=dict)
    prompt: "tuple[Message, ...]" = ()
    options: tuple[str, ...] = ()
    run: int = 1
    details: Mapping[str, Json] = field(default_factory=dict)


def write_scored_log(
    path: Path,
    *,
    samples: Sequence[ScoredSample],
    study: str,
    model: str,
    label: str,
    task: str,
    version: int,
    created: str,
    derivations: Sequence[Derivation] = (),
    seed: int = 0,
    model_args: Mapping[str, Json] | None = None,
    task_args: Mapping[str, Json] | None = None,
    metadata: Mapping[str, Json] | None = None,
) -> None:
    """Write a log, whole or not at all.

    Args:
        path: The file; it ends in `.eval`.
        samples: What was scored. The log's own arm is that of the samples when they share one.
        study: Name of the study.
        model: The model, as the study names it.
        label: The arm's label, or a control family's; Inspect shows `doxa/<model>+<label>`.
        task: Name of the task (`doxa/claims`).
        version: Version of the task.
        created: Time in ISO 8601 with its zone; the log's ids follow from it and from what the log is.
        derivations: Scores made of others when the table is read.
        seed: Training seed.
        model_args: What the provider would take: `{"arm": "arms/block.json"}`.
        task_args: The task's arguments.
        metadata: More for the log's own description.

    Raises:
        ValueError: When there is no sample, or an item is given twice for one arm and run.
        EnvironmentFault: When the disk is full or the folder cannot be written.
    """
    if not samples:
        raise ValueError("a log needs samples")
    arms = list(dict.fromkeys((one.arm, one.of, one.control) for one in samples))
    of_log = dict(zip(("arm", "of", "control"), arms[0], strict=True)) if len(arms) == 1 else {}
    own = {
        "study": study,
        "model": model,
        **of_log,
        "task": task,
        "version": version,
        "seed": seed,
        "scored": True,
        "derivations": [asdict(one) for one in derivations],
        **(metadata or {}),
    }
    name = f"doxa/{model}+{label}"
    identity = content_hash([own, name, created, dict(model_args or {}), dict(task_args or {})])[:22]
    if len({(one.arm, one.item, one.run) for one in samples}) != len(samples):
        raise ValueError("an item is given twice for one arm and run")
    together: dict[tuple[str, int], list[ScoredSample]] = {}
    for one in samples:
        together.setdefault((one.item, one.run), []).append(one)
    made = [_sample(own, name, shared=len(arms) > 1) for own in together.values()]
    ids = list(dict.fromkeys(str(one.id) for one in made))
    log = EvalLog(
        status="success",
        eval=EvalSpec(
            eval_id=identity,
            run_id=identity,
            task_id=identity,
            created=created,
            task=task,
            task_version=version,
            task_registry_name=task,
            task_args=dict(task_args or {}),
            dataset=EvalDataset(name=task, samples=len(ids), sample_ids=ids),
            model=name,
            model_args=dict(model_args or {}),
            config=EvalConfig(epochs=max(one.run for one in samples)),
            metadata={"doxa": own},
        ),
        results=_results(samples, means=len(arms) == 1),
        stats=EvalStats(started_at=created, completed_at=created),
        samples=made,
    )
    with faults(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".", ignore_cleanup_errors=True) as beside:
            whole = Path(beside) / path.name
            write_eval_log(log, whole.resolve().as_uri())
            whole.replace(path)


def _sample(arms: Sequence[ScoredSample], model: str, *, shared: bool) -> EvalSample:
    """One item under one arm; where arms share a log, under all of them, each with a score that says whose it is."""
    one = arms[0]
    own: dict[str, Json] = {"factors": dict(one.factors), **({} if shared else one.details)}
    messages: list[ChatMessage] = [
        _MESSAGES[message.role](content=message.content, id=f"{one.item}-{index}")
        for index, message in enumerate(one.prompt)
    ]
    if shared:
        scores = {
            each.arm: _score(each.values, {"arm": each.arm, "of": each.of, "control": each.control, **each.details})
            for each in arms
        }
    else:
        scores = {SCORER: _score(one.values)}
    return EvalSample(
        id=one.item,
        epoch=one.run,
        input=messages or one.item,
        choices=list(one.options) or None,
        target="",
        messages=messages,
        output=ModelOutput(model=model),
        scores=scores,
        metadata={"doxa": own},
        uuid=content_hash([model, one.item, one.run])[:22],
    )


def _score(values: Mapping[str, tuple[float | None, str]], whose: Mapping[str, Json] | None = None) -> Score:
    return Score(
        value={name: value for name, (value, _) in values.items() if value is not None},
        metadata={"reasons": {name: reason for name, (value, reason) in values.items() if value is None}}
        | ({} if whose is None else {"doxa": dict(whose)}),
    )


def _results(samples: Sequence[ScoredSample], *, means: bool) -> EvalResults:
    """What the viewer's list of logs shows: means, where the log is of one arm."""
    n = len(samples)
    if not means:
        return EvalResults(total_samples=n, completed_samples=n)
    scores: dict[str, list[float | None]] = {}
    for one in samples:
        for name, (value, _) in one.values.items():
            scores.setdefault(name, []).append(value)
    found = []
    for name, values in scores.items():
        known = [value for value in values if value is not None]
        metrics = {"mean": EvalMetric(name="mean", value=sum(known) / len(known))} if known else {}
        found.append(
            EvalScore(
                name=name,
                scorer=SCORER,
                scored_samples=len(known),
                unscored_samples=len(values) - len(known),
                metrics=metrics,
            )
        )
    return EvalResults(total_samples=n, completed_samples=n, scores=found)
