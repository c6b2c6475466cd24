"""Checkpoints of a training run: written whole or not at all, found again, and removed when nobody wants them."""

import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from doxa.training.adapter import CHECKPOINTS, write_adapter
from doxa.training.steps import OPTIMIZER_FILE, Trainable, load_state
from doxa.words.errors import EnvironmentFault
from doxa.words.store import faults, make_folder_atomic, read_json, write_json

STATE_FILE = "state.json"
_AGAIN = "Remove that checkpoint and run the same command again"


@dataclass(frozen=True)
class Place:
    """How far a run has come.

    Attributes:
        steps: Made in all stages.
        metrics: Bytes of `metrics.jsonl` until then.
    """

    steps: int
    metrics: int


def checkpoint(folder: Path, name: str) -> Path:
    """The folder of a checkpoint."""
    return folder / CHECKPOINTS / name


def is_there(folder: Path, name: str) -> bool:
    """Whether a checkpoint is there."""
    return (checkpoint(folder, name) / STATE_FILE).is_file()


def keep(made: Trainable, folder: Path, name: str, place: Place) -> Path:
    """Write a checkpoint from which training goes on bit by bit.

    Raises:
        EnvironmentFault: When the disk is full or the folder may not be written.
    """

    def fill(beside: Path) -> None:
        write_adapter(made, beside, with_optimizer=True)
        write_json(beside / STATE_FILE, {"steps": place.steps, "metrics": place.metrics})

    make_folder_atomic(checkpoint(folder, name), fill)
    return checkpoint(folder, name)


def last(folder: Path) -> tuple[Path, Place] | None:
    """The checkpoint to go on from; None when there is none.

    Raises:
        EnvironmentFault: When what it says of itself cannot be read.
    """
    found = []
    for file in sorted((folder / CHECKPOINTS).glob(f"*/{STATE_FILE}")):
        if (file.parent / OPTIMIZER_FILE).is_file():
            said = read_json(file, what="the state", way_out=_AGAIN)
            place = said.get("steps"), said.get("metrics")
            if not all(isinstance(one, int) for one in place):
                raise EnvironmentFault(f"{file} does not say how far training had come", way_out=_AGAIN)
            found.append((file.parent, Place(*place)))  # type: ignore[arg-type]
    return max(found, key=lambda one: one[1].steps, default=None)


def go_on(made: Trainable, folder: Path) -> Place:
    """Take the state of the last checkpoint, if there is one; how far it had come."""
    found = last(folder)
    if found is None:
        return Place(0, 0)
    load_state(made, found[0])
    return found[1]


def leave_only(folder: Path, names: Collection[str], *, whole: bool) -> None:
    """Remove checkpoints.

    Args:
        folder: Of the adapter.
        names: Of those that stay.
        whole: They keep what training goes on from; without it they are adapters alone.
    """
    with faults(folder):
        for place in sorted((folder / CHECKPOINTS).glob("*")):
            if place.name not in names:
                shutil.rmtree(place)
            elif not whole:
                without_optimizer(folder, place.name)
        if not names:
            shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)


def without_optimizer(folder: Path, name: str) -> None:
    """Leave of a checkpoint the adapter alone."""
    with faults(folder):
        (checkpoint(folder, name) / OPTIMIZER_FILE).unlink(missing_ok=True)
