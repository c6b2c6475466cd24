"""One measurement of `stats_speed.py`, in a process of its own: time, processor time and memory of one way.

    python measure.py DESIGN WAY ROWS

It is done on a few rows first, so that nothing is imported while it is timed. Memory is the peak of the resident set
above what it was before: the peak is set back by writing to `/proc/self/clear_refs` (Linux), because building the data
takes more than keeping it. Prints one line of JSON.
"""

import ctypes
import gc
import json
import sys
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

FEW = 480


def _memory(field: str) -> int:
    """Bytes of a field of the process's status."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return 1024 * int(line.split()[1])
    raise KeyError(field)


def _settled() -> int:
    """Give back what is free, set the peak back, and return the resident set."""
    gc.collect()
    if "pyarrow" in sys.modules:
        sys.modules["pyarrow"].default_memory_pool().release_unused()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return _memory("VmRSS")


def main() -> None:
    """Measure."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from stats_peers.data import drawn
    from stats_peers.ways import WAYS

    design, name, rows = sys.argv[1:]
    way = WAYS[design][name]
    list(way.steps(drawn(design, FEW)))
    steps = way.steps(drawn(design, int(rows)))
    next(steps)
    before = _settled()
    marks = [(time.perf_counter(), time.process_time())]
    for _ in range(2):
        answer = next(steps)
        marks.append((time.perf_counter(), time.process_time()))
    (began, processor), (_, called), (ended, finished) = marks
    found = {
        "seconds": ended - began,
        "processor": finished - processor,
        "own": finished - called,
        "memory": max(0, _memory("VmHWM") - before),
        "answer": asdict(answer),
        "versions": {package: version(package) for package in way.packages},
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
