"""`metrics.jsonl`: a line for each step of a training run, and for each evaluation."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from doxa.words.errors import EnvironmentFault
from doxa.words.store import faults


class Metrics:
    """The lines of a run, written one by one."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._path, self._file = path, file

    def add(self, line: Mapping[str, Any]) -> None:
        """Write a line.

        Raises:
            EnvironmentFault: When the disk is full.
        """
        with faults(self._path):
            self._file.write(json.dumps(line, allow_nan=False).encode() + b"\n")
            self._file.flush()

    def bytes(self) -> int:
        """How many bytes are on the disk."""
        with faults(self._path):
            os.fsync(self._file.fileno())
            return self._file.tell()


@contextmanager
def opened(path: Path, length: int) -> Iterator[Metrics]:
    """Go on with a file of lines after so many bytes; what stands behind them is written again.

    Raises:
        EnvironmentFault: When it is shorter than that, or cannot be written.
    """
    there = path.stat().st_size if path.is_file() else 0
    if there < length:
        raise EnvironmentFault(
            f"{path} has {there:,} bytes",
            expected=f"at least {length:,}: so many were written when the last checkpoint was made",
            way_out="Remove that folder and run the same command again",
        )
    with faults(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
        file.truncate(length)
        file.seek(length)
    with file:
        yield Metrics(path, file)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a run; () when there are none.

    Raises:
        EnvironmentFault: When the file cannot be read.
    """
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise EnvironmentFault(f"{path} cannot be read ({error})", way_out="Train the adapter again") from error
