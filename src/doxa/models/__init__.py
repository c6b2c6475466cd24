"""Floor 1: a language model in memory.

Threads of a product that wait for each other give the processor away while they wait. Spinning, as they do unless told
otherwise, is hardly faster on an idle machine and ruinous on one where something else runs: two threads on two cores
beside one busy process then take turns waiting, and are many times slower than one (`benchmarks/threads.py`). They read
their orders when torch is loaded, so an `OMP_WAIT_POLICY` of the user's own, or a torch that is there already, stands.
"""

import os
import sys

if "torch" not in sys.modules:
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
