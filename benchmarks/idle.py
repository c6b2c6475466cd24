"""Timing on a machine that does nothing else: wait until it is idle, and know what others took all the same."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

QUIET = 0.15
"""Processor seconds a second: below that a machine is idle."""
PATIENCE = 240.0
"""Seconds to wait for that, at most."""
SHARE, TRIES = 0.06, 3
"""A run in which others took a larger share of the processors is repeated, so many times in all."""


@dataclass(frozen=True)
class Run:
    """A batch that was written.

    Attributes:
        tokens: The new tokens of each row.
        seconds: That it took.
        apart: Processor seconds of another process that it took.
    """

    tokens: list[list[int]]
    seconds: float
    apart: float = 0.0


def here(write: Callable[[], list[list[int]]]) -> Run:
    """Write in this process."""
    began = time.perf_counter()
    tokens = write()
    return Run(tokens, time.perf_counter() - began)


def busy() -> float:
    """Processor seconds that the machine has spent."""
    fields = [int(one) for one in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


def wait_until_idle(patience: float = PATIENCE, sample: float = 0.4) -> bool:
    """Return when the machine is idle, or when patience is at its end; whether it is idle."""
    end = time.monotonic() + patience
    while True:
        before, began = busy(), time.monotonic()
        time.sleep(sample)
        if (busy() - before) / (time.monotonic() - began) < QUIET:
            return True
        if time.monotonic() >= end:
            return False


def watched(run: Callable[[], Run]) -> tuple[Run, float]:
    """A run, and the share of the processors that others took meanwhile."""
    before, own, began = busy(), sum(os.times()[:2]), time.perf_counter()
    done = run()
    wall = time.perf_counter() - began
    others = busy() - before - (sum(os.times()[:2]) - own) - done.apart
    return done, max(0.0, others) / (wall * (os.cpu_count() or 1))


def on_idle(run: Callable[[], Run], patience: float = PATIENCE) -> tuple[Run, float]:
    """Run once the machine is idle; again where others took much of it: the run of which they took least."""
    tries: list[tuple[Run, float]] = []
    while len(tries) < TRIES and (not tries or tries[-1][1] > SHARE):
        wait_until_idle(patience)
        tries.append(watched(run))
    return min(tries, key=lambda one: one[1])
