"""Whether Ctrl-C was pressed while somebody else's event loop ran.

A Ctrl-C cancels the loop's main task, and code that ends well all the same has swallowed it: Inspect does so once all
answers are there. Python writes the number of every signal into a pipe, whoever handles the signal.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator

_NOBODY = -1


@contextlib.contextmanager
def interrupts() -> Iterator[Callable[[], bool]]:
    """Tell whether Ctrl-C was pressed since the block began.

    Only the main thread can be told, and where a program has a pipe for signals of its own, that is left to it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    reading, writing = os.pipe()
    for end in (reading, writing):
        os.set_blocking(end, False)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    if before != _NOBODY:
        signal.set_wakeup_fd(before)
    seen = bytearray()

    def pressed() -> bool:
        with contextlib.suppress(BlockingIOError):
            seen.extend(os.read(reading, 4096))
        return signal.SIGINT in seen

    try:
        yield pressed
    finally:
        if before == _NOBODY:
            signal.set_wakeup_fd(before)
        os.close(reading)
        os.close(writing)
