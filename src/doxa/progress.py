"""The progress of something long, drawn in a terminal or written as lines."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

NARROW = 70
"""Columns of a terminal below which a progress line has no bar."""


@contextmanager
def shown_progress() -> Iterator[Any]:
    """A bar per stage with the time left; plain lines where standard error is no terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    if not console.is_terminal or os.environ.get("TERM") == "dumb":
        yield Lines(console.print)
        return
    columns: list[ProgressColumn] = [TextColumn("{task.description:24s}"), MofNCompleteColumn()]
    if console.width >= NARROW:
        columns += [BarColumn(), TimeElapsedColumn(), TextColumn("left")]
    columns.append(TimeRemainingColumn())
    with Progress(*columns, console=console) as drawn:
        yield Bars(drawn)


class Bars:
    """A run's progress, drawn by rich."""

    def __init__(self, drawn: Any) -> None:
        self._drawn = drawn
        self._task: Any = None

    def stage(self, name: str, total: int, done: int = 0) -> None:
        """Draw a bar for a stage."""
        if self._task is not None:
            self._drawn.update(self._task, completed=self._drawn.tasks[self._task].total)
        self._task = self._drawn.add_task(name, total=total, completed=done)

    def step(self, count: int = 1) -> None:
        """Move the bar."""
        self._drawn.advance(self._task, count)


class Lines:
    """A run's progress as lines: each stage, and every tenth of it."""

    def __init__(self, write: Callable[[str], object]) -> None:
        import time

        self._write, self._now = write, time.monotonic
        self._name, self._total, self._done, self._told, self._earlier = "", 0, 0, 0, 0
        self._start = self._now()

    def stage(self, name: str, total: int, done: int = 0) -> None:
        """Begin a stage."""
        self._name, self._total, self._done, self._earlier = name, total, done, done
        self._told, self._start = done * 10 // max(total, 1), self._now()
        self._write(f"{name}: {done} of {total}")

    def step(self, count: int = 1) -> None:
        """Count, and say every tenth with the time left."""
        self._done += count
        tenth = self._done * 10 // max(self._total, 1)
        if tenth > self._told:
            self._told = tenth
            spent = self._now() - self._start
            left = spent / max(self._done - self._earlier, 1) * (self._total - self._done)
            self._write(f"{self._name}: {self._done} of {self._total}, {spent:.0f} s, about {left:.0f} s left")
