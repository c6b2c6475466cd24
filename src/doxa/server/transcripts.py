"""Keeping what was asked and answered: a file of JSON lines, appended to."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from doxa.words.store import faults


class Transcripts:
    """A file of JSON lines; each line is written whole by one call, and a half one that a kill left is ended.

    Raises:
        EnvironmentFault: When the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with faults(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            size = os.fstat(self._file).st_size
            if size and os.pread(self._file, 1, size - 1) != b"\n":
                os.write(self._file, b"\n")

    def keep(self, record: Mapping[str, Any]) -> None:
        """Append one record.

        Raises:
            EnvironmentFault: When the disk is full.
        """
        line = memoryview(json.dumps(record, ensure_ascii=True, allow_nan=False).encode() + b"\n")
        with faults(self.path):
            while line:
                line = line[os.write(self._file, line) :]

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
