import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from doxa.server.admission import Gate
from doxa.server.refusals import Refused


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work, 10))


def test_a_full_house_sends_away_and_says_when_to_come_back() -> None:
    async def work() -> None:
        gate = Gate(3, 100)
        with gate.entered(2):
            with pytest.raises(Refused) as caught, gate.entered(2):
                pass
            assert (caught.value.status, caught.value.headers) == (429, {"Retry-After": "2"})
            with gate.entered(1):
                assert gate.inside == 3
        assert gate.inside == 0

    run(work())


def test_who_came_first_gets_room_first() -> None:
    gate, order, held = Gate(99, 10), [], []

    async def one(name: str, tokens: int) -> None:
        async with gate.room(tokens):
            order.append(name)
            held.append(gate._held)
            await asyncio.sleep(0.01)

    async def work() -> None:
        await asyncio.gather(one("a", 6), one("b", 6), one("c", 3), one("huge", 1000), one("d", 1))

    run(work())
    assert order == ["a", "b", "c", "huge", "d"]
    assert max(held) <= 10
    assert gate._held == 0


def test_room_is_given_back_whatever_happens() -> None:
    async def work() -> None:
        gate = Gate(99, 10)

        async def hold(tokens: int) -> None:
            async with gate.room(tokens):
                await asyncio.sleep(60)

        first, second, third = (asyncio.ensure_future(hold(n)) for n in (10, 4, 6))
        await asyncio.sleep(0)
        first.cancel()  # second and third are given room in this very moment, and second is cancelled before it runs
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
        assert gate._held == 6
        fourth = asyncio.ensure_future(hold(10))
        await asyncio.sleep(0)
        fourth.cancel()  # while it waits
        third.cancel()
        await asyncio.gather(third, fourth, return_exceptions=True)
        assert gate._held == 0
        async with gate.room(10):
            assert gate._held == 10

    run(work())


def test_the_end_cuts_off_what_is_inside_in_words_and_lets_nobody_in() -> None:
    async def work() -> None:
        gate = Gate(9, 10)

        async def stay() -> None:
            with gate.entered(1):
                await asyncio.sleep(60)

        task = asyncio.ensure_future(stay())
        await asyncio.sleep(0)
        gate.stop()
        with pytest.raises(Refused, match="stopping") as caught:
            await task
        assert caught.value.status == 503
        with pytest.raises(Refused, match="stopping"), gate.entered(1):
            pass
        assert gate.inside == 0

    run(work())


def test_a_cancelled_client_stays_cancelled() -> None:
    async def work() -> None:
        gate = Gate(9, 10)

        async def stay() -> None:
            with gate.entered(1):
                await asyncio.sleep(60)

        task = asyncio.ensure_future(stay())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert gate.inside == 0

    run(work())
