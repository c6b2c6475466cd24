"""Floor 1: a language model in memory.

Threads of a product that wait for each other spin a little, and then give the processor away. Unless told otherwise
they spin for a long time, which is no faster on an idle machine and slow on one where something else runs: two threads
on two cores beside busy processes take turns waiting, and are slower than one (`benchmarks/threads.py`). How many
threads there are stays as it is: the last bits of numbers depend on that.

The threads read their orders when torch is loaded, so the user's own settings, or a torch that is there already, stand.
"""

import os
import sys

SPINS = "3000"
"""Rounds that a waiting thread spins: some ten microseconds, longer than the pauses between two products."""

if "torch" not in sys.modules and "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
