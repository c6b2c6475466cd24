"""Committed chunks become proper Inspect logs: one per arm, task and seed; controls of an arm share one per family."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from doxa.bridge.scored import ScoredSample, write_scored_log
from doxa.models.chat import Message
from doxa.plan import Chunk, Plan
from doxa.words.store import content_hash


@dataclass(frozen=True)
class ScoredGroup:
    """The chunks of one log.

    Attributes:
        file: Its file name; it holds a hash of the chunks, so that a log is written once and never stale.
        label: What stands in the model name that Inspect shows.
        chunks: In the order of the plan.
    """

    file: str
    label: str
    chunks: tuple[Chunk, ...]


def scored_groups(plan: Plan) -> list[ScoredGroup]:
    """The logs of a plan's chunks, in the order of the plan."""
    members: dict[tuple[int, str, str], list[Chunk]] = {}
    for chunk in plan.chunks:
        of = replace(chunk.arm, name=chunk.arm.of) if chunk.arm.control else chunk.arm
        members.setdefault((chunk.task, of.key, chunk.arm.control), []).append(chunk)
    labels = {arm.key: arm.label for arm in plan.arms}
    groups = []
    for (task, key, control), chunks in members.items():
        label = labels[key] + (f"~{control}" if control else "")
        mark = content_hash([chunk.id for chunk in chunks])[:10]
        short = plan.study.tasks[task].name.replace("/", "-")
        groups.append(ScoredGroup(f"scored_{task}-{short}_{label}_{mark}.eval", label, tuple(chunks)))
    return groups


def write_group(
    path: Path, plan: Plan, group: ScoredGroup, done: Mapping[str, Mapping[str, Any]], created: str
) -> None:
    """Write the log of a group.

    Args:
        path: The file.
        plan: The plan.
        group: Which chunks.
        done: Committed results by chunk id.
        created: When the results folder was made, ISO 8601.
    """
    first = group.chunks[0]
    choice, entry = plan.study.tasks[first.task], plan.entries[first.task]
    samples = [_sample(chunk, item) for chunk in group.chunks for item in done[chunk.id]["items"]]
    write_scored_log(
        path,
        samples=samples,
        study=plan.study.name,
        model=plan.model.label,
        label=group.label,
        task=entry.name,
        version=entry.version,
        created=created,
        derivations=entry.derivations,
        seed=first.arm.seed or 0,
        model_args={"dtype": plan.model.dtype, "device": plan.model.device},
        task_args=dict(choice.arguments),
        metadata={"levels": dict(first.arm.levels), "digests": sorted({chunk.arm.digest for chunk in group.chunks})},
    )


def _sample(chunk: Chunk, item: Mapping[str, Any]) -> ScoredSample:
    arm = chunk.arm
    return ScoredSample(
        item=item["id"],
        arm=arm.name,
        values={value["score"]: (value["value"], value["reason"]) for value in item["values"]},
        of=arm.of,
        control=arm.control,
        factors=item["factors"],
        prompt=tuple(Message(**message) for message in item["input"][0]),
        options=tuple(item["options"][0]) if item["options"] else (),
        details={"receipt": item["receipt"]},
    )
