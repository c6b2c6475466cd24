"""Clients that hang up: what was begun for them is given up."""

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

from starlette.types import Receive

from doxa.server.refusals import HUNG_UP, Refused

T = TypeVar("T")


async def unless_hung_up(receive: Receive, work: Coroutine[object, object, T]) -> T:
    """The result of some work, which is cancelled when the client hangs up before.

    Args:
        receive: Of a request whose body has been read.
        work: What is done for the client.

    Raises:
        Refused: When it hung up.
    """
    working, watching = asyncio.ensure_future(work), asyncio.ensure_future(_hung_up(receive))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise Refused(HUNG_UP, "the client hung up", way_out="Ask again")
    finally:
        for task in (working, watching):
            task.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
