"""How much is taken on: so many answers in the house, so many tokens in memory at once; the others wait."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from doxa.server.refusals import Refused

RETRY_AFTER = 2
"""Seconds after which a client that was sent away may try again."""


class Gate:
    """Admits answers to be written.

    Attributes:
        most: Answers in the house, those that wait included.
        budget: Tokens of prompts and answers that are held in memory at once; an answer that is larger goes alone.
        inside: Answers in the house.
        stopping: Whether nobody is admitted any more.
    """

    def __init__(self, most: int, budget: int) -> None:
        self.most, self.budget = most, budget
        self.inside = 0
        self.stopping = False
        self._held = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._tasks: set[asyncio.Task[object]] = set()

    @contextmanager
    def entered(self, answers: int) -> Iterator[None]:
        """Be in the house while the context is open; the task that opens it is cancelled by `stop`.

        Raises:
            Refused: 429 when the house is full, 503 when the server stops.
        """
        if self.stopping:
            raise stopped()
        if self.inside + answers > self.most:
            raise Refused(
                429,
                f"{self.inside} answers are being written or wait",
                expected=f"at most {self.most}",
                way_out=f"Try again in {RETRY_AFTER} seconds",
                code="queue_full",
                headers={"Retry-After": str(RETRY_AFTER)},
            )
        task = asyncio.current_task()
        assert task is not None
        self.inside += answers
        self._tasks.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if self.stopping:
                raise stopped() from None
            raise
        finally:
            self.inside -= answers
            self._tasks.discard(task)

    @asynccontextmanager
    async def room(self, tokens: int) -> AsyncIterator[None]:
        """Hold room for tokens while the context is open; those that came first get it first."""
        tokens = min(tokens, self.budget)
        if self._waiting or self._held + tokens > self.budget:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((tokens, turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():  # it was given room in the same moment
                    self._held -= tokens
                self._admit()
                raise
        else:
            self._held += tokens
        try:
            yield
        finally:
            self._held -= tokens
            self._admit()

    def stop(self) -> None:
        """Admit nobody any more, and give up what is in the house."""
        self.stopping = True
        for task in list(self._tasks):
            task.cancel()

    def _admit(self) -> None:
        while self._waiting:
            tokens, turn = self._waiting[0]
            if not turn.done():
                if self._held + tokens > self.budget:
                    return
                self._held += tokens
                turn.set_result(None)
            self._waiting.popleft()


def stopped() -> Refused:
    """The error of a request that the server's end cut off."""
    return Refused(503, "the server is stopping", way_out="Start it again, and ask again", code="stopping")
