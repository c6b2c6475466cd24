"""From the engine's thread to the event loop: what is written of an answer, as it is written.

Only the latest state is kept. A client that reads slowly gets more at a time, and nothing piles up for it.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from doxa.models.engine import TokenLogprob


class Listening:
    """Hears one row, and wakes one task of the event loop in which it was made.

    Attributes:
        text: What is written for good.
        logprobs: Of its tokens.
        begun: Whether a token was heard of.
    """

    def __init__(self, begins: Callable[[], None]) -> None:
        self.text = ""
        self.logprobs: Sequence[TokenLogprob] = ()
        self.begun = False
        self._begins = begins
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._woken = False

    def __call__(self, text: str, logprobs: Sequence[TokenLogprob]) -> bool:
        """Called in the engine's thread."""
        self.text, self.logprobs = text, logprobs
        if not self._woken:
            self._woken = True
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens
                self._loop.call_soon_threadsafe(self.wake)
        return True

    def wake(self) -> None:
        """Called in the event loop."""
        self._woken = False
        self.begin()
        self._changed.set()

    def begin(self) -> None:
        """Say that the first token is there, once."""
        if not self.begun:
            self.begun = True
            self._begins()

    async def news(self) -> None:
        """Wait until there is something new."""
        await self._changed.wait()
        self._changed.clear()
