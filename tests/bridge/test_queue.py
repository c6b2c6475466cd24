import asyncio
import math
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
import torch

import doxa.bridge.queue as module
from doxa.bridge.queue import Batcher, Divergence, Surprisal
from doxa.models.chat import Message, render
from doxa.models.engine import Row, Sampling, generate
from doxa.models.handle import Model
from doxa.models.score import Choice, divergence, score_choices, surprisal
from doxa.models.steering import SteeringPlan
from doxa.words.errors import EnvironmentFault, ModelError
from planted_adapters import random_adapter

Compute = Callable[[Model, Sequence[Any], Callable[[int], None]], list[Any]]


def plan(model: Model, size: float) -> tuple[SteeringPlan, ...]:
    additions = torch.randn(1, model.d_model, generator=torch.Generator().manual_seed(1))
    return (SteeringPlan((1,), size * additions, frozenset({"all"})),)


def row(model: Model, text: str = "hello", plans: tuple[SteeringPlan, ...] = (), seed: int = 0) -> Row:
    return Row(render(model, [Message("user", text)]), Sampling(max_tokens=4, temperature=1.0, seed=seed), plans)


@pytest.fixture
def batcher() -> Any:
    made = Batcher()
    yield made
    made.close()


def together(batcher: Batcher, model: Model, requests: Sequence[Any]) -> list[Any]:
    async def ask() -> list[Any]:
        return await asyncio.gather(*(batcher.ask(model, one) for one in requests), return_exceptions=True)

    return asyncio.run(ask())


def test_rows_of_all_arms_share_a_batch_and_get_their_own_answers(
    model: Model, batcher: Batcher, engine: list[list[Any]]
) -> None:
    steered = plan(model, 20.0)
    rows = [row(model, f"text {n}", steered if n % 2 else (), seed=n) for n in range(6)]
    answers = together(batcher, model, rows)
    assert [len(call) for call in engine] == [6]
    assert [one.tokens for one in answers] == [one.tokens for one in generate(model, rows)]
    assert [one.receipt.layers for one in answers] == [(), (1,)] * 3


def test_arms_that_do_the_same_share_an_answer_also_beyond_the_size_of_a_batch(
    model: Model, batcher: Batcher, engine: list[list[Any]]
) -> None:
    batcher.rows = 3
    rows = [row(model, f"text {n % 4}", (), seed=n % 4) for n in range(8)]
    answers = together(batcher, model, rows)
    assert [len(call) for call in engine] == [4, 4]
    assert all(answers[n] is answers[n + 4] for n in range(4))


def test_every_kind_of_request_is_answered_as_the_engine_does_alone(
    model: Model, batcher: Batcher, engine: list[list[Any]]
) -> None:
    prompt = render(model, [Message("user", "hello")])
    one, two = plan(model, 3.0), plan(model, 9.0)
    asked = [
        Choice(prompt, ("Yes.", "No."), one),
        Divergence("some text", one),
        Surprisal(prompt, "an answer"),
        Divergence("some text", two),
        Divergence("other text", one),
        Divergence("some text", ()),
        Surprisal(prompt, "another"),
        Choice(prompt, ("Yes.", "No.")),
    ]
    answers = together(batcher, model, asked)
    assert [len(call) for call in engine] == [2, 4, 2]
    choices = score_choices(model, [asked[0], asked[7]])
    table = divergence(model, ["some text", "other text"], [one, two])
    spoken = surprisal(model, [(prompt, "an answer"), (prompt, "another")])
    close = [
        *choices[0].logprobs,
        table[0, 0],
        spoken[0],
        table[1, 0],
        table[0, 1],
        0.0,
        spoken[1],
        *choices[1].logprobs,
    ]
    found = [x for a in answers for x in (a.logprobs if hasattr(a, "logprobs") else [a])]
    assert found == pytest.approx([float(x) for x in close], abs=1e-5)
    assert table[0, 0] > 0


def test_models_do_not_share_batches(model: Model, batcher: Batcher, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    other = replace(model, name="other")
    seen: list[tuple[str, int]] = []

    def compute(one: Model, requests: Sequence[Any], progress: object) -> list[Any]:
        seen.append((one.name, len(requests)))
        return [one.name] * len(requests)

    monkeypatch.setattr(module, "compute", compute)

    async def ask() -> list[Any]:
        due = [(model, row(model)), (other, row(model)), (model, row(model))]
        return await asyncio.gather(*(batcher.ask(*one) for one in due))

    assert asyncio.run(ask()) == ["tiny", "other", "tiny"]
    assert seen == [("tiny", 2), ("other", 1)]


def test_one_wrong_request_fails_alone(model: Model, batcher: Batcher) -> None:
    prompt = render(model, [Message("user", "hello")])
    good, wrong, also = together(
        batcher, model, [Choice(prompt, ("Yes.",)), Choice(prompt, ("",)), Choice(prompt, ("No.",))]
    )
    assert good.tokens
    assert also.tokens
    assert isinstance(wrong, ModelError)


def test_whatever_goes_wrong_reaches_those_who_wait(
    model: Model, batcher: Batcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compute(*_: object) -> list[Any]:
        raise MemoryError("no room")

    monkeypatch.setattr(module, "compute", compute)
    found = together(batcher, model, [row(model), row(model)])
    assert [type(one) for one in found] == [MemoryError, MemoryError]
    monkeypatch.undo()
    assert together(batcher, model, [row(model)])[0].tokens is not None


def test_everybody_who_waits_has_the_error_with_a_traceback_of_their_own(
    model: Model, batcher: Batcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(RuntimeError):
        def __init__(self, place: str, *, code: int) -> None:
            super().__init__(f"broken at {place}")
            self.code = code

    def broken(*_: Any) -> Any:
        raise Broken("a place", code=3) from ValueError("why")

    monkeypatch.setattr(module, "compute", broken)
    errors = together(batcher, model, [row(model, f"text {n}") for n in range(12)])
    assert [(type(one), str(one), one.code, str(one.__cause__)) for one in errors] == [
        (Broken, "broken at a place", 3, "why")
    ] * 12
    (alone,) = together(batcher, model, [row(model)])
    frames = [[frame.name for frame in traceback.extract_tb(one.__traceback__)] for one in (alone, *errors)]
    assert frames[0][-1] == "broken"
    assert frames == [frames[0]] * 13


class Particular(Exception):
    def __new__(cls, place: str, *, code: int) -> "Particular":
        return super().__new__(cls, f"{place} {code}")

    def __init__(self, place: str, *, code: int) -> None:
        super().__init__(f"{place} {code}")


@pytest.mark.parametrize("error", [FileNotFoundError(2, "no such file", "a/path"), Particular("here", code=3)])
def test_an_error_that_cannot_be_made_again_is_handed_to_all_as_it_is(
    model: Model, batcher: Batcher, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def broken(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(module, "compute", broken)
    assert together(batcher, model, [row(model), row(model, "other")]) == [error, error]


def test_an_error_keeps_what_it_came_from(model: Model, batcher: Batcher, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        try:
            raise KeyError("first")
        except KeyError:
            raise RuntimeError("second")  # noqa: B904

    monkeypatch.setattr(module, "compute", broken)
    found = together(batcher, model, [row(model), row(model, "other")])
    assert [repr(one.__context__) for one in found] == ["KeyError('first')"] * 2


def test_the_event_loop_runs_on_while_the_engine_works(
    model: Model, batcher: Batcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()

    def compute(_: Model, requests: Sequence[Any], progress: object) -> list[Any]:
        assert release.wait(10)
        return ["done"] * len(requests)

    monkeypatch.setattr(module, "compute", compute)

    async def ask() -> tuple[int, Any]:
        task = asyncio.create_task(batcher.ask(model, row(model)))
        turns = 0
        while not task.done():
            await asyncio.sleep(0)
            turns += 1
            if turns == 1000:
                release.set()
        return turns, task.result()

    turns, answer = asyncio.run(ask())
    assert turns >= 1000
    assert answer == "done"


def test_a_batch_is_closed_after_silence_after_patience_or_when_full(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def compute(_: Model, requests: Sequence[Any], progress: object) -> list[Any]:
        sizes.append(len(requests))
        return [None] * len(requests)

    monkeypatch.setattr(module, "compute", compute)
    one = row(model)

    async def trickle(batcher: Batcher, n: int, gap: float) -> None:
        tasks = []
        for _ in range(n):
            tasks.append(asyncio.create_task(batcher.ask(model, one)))
            await asyncio.sleep(gap)
        await asyncio.gather(*tasks)

    def run(n: int, gap: float, **settings: Any) -> list[int]:
        sizes.clear()
        batcher = Batcher(**settings)
        asyncio.run(trickle(batcher, n, gap))
        batcher.close()
        return list(sizes)

    assert run(3, 0.2, linger=0.02, patience=9.0) == [1, 1, 1]
    assert run(10, 0.01, linger=0.4, patience=9.0) == [10]
    assert run(10, 0.0, linger=0.4, patience=9.0, most=4)[:2] == [4, 4]
    assert run(20, 0.02, linger=9.0, patience=0.1)[0] < 20


def test_requests_that_nobody_waits_for_are_given_up(
    model: Model, batcher: Batcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, ended = threading.Event(), threading.Event()
    computed: list[int] = []

    def compute(_: Model, requests: Sequence[Any], progress: Callable[[int], None]) -> list[Any]:
        computed.append(len(requests))
        started.set()
        try:
            for _step in range(1000):
                progress(0)
                time.sleep(0.01)
        finally:
            ended.set()
        return []

    monkeypatch.setattr(module, "compute", compute)

    async def ask() -> None:
        task = asyncio.create_task(batcher.ask(model, row(model)))
        await asyncio.to_thread(started.wait)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(ask())
    assert ended.wait(2)
    assert computed == [1]


def test_closing_stops_the_thread_and_tells_those_who_wait(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    batcher = Batcher()
    started = threading.Event()

    def compute(_: Model, requests: Sequence[Any], progress: Callable[[int], None]) -> list[Any]:
        started.set()
        while True:
            progress(0)
            time.sleep(0.01)

    monkeypatch.setattr(module, "compute", compute)

    async def ask() -> list[Any]:
        first = asyncio.create_task(batcher.ask(model, row(model)))
        await asyncio.to_thread(started.wait)
        second = asyncio.create_task(batcher.ask(model, row(model)))
        await asyncio.sleep(0.05)
        thread = batcher._thread
        await asyncio.to_thread(batcher.close)
        return [thread, *await asyncio.gather(first, second, return_exceptions=True)]

    thread, first, second = asyncio.run(ask())
    assert isinstance(first, EnvironmentFault)
    assert isinstance(second, EnvironmentFault)
    assert not thread.is_alive()
    monkeypatch.undo()
    assert together(batcher, model, [row(model)])[0].prompt_tokens > 0
    batcher.close()


def test_a_thread_that_reports_no_progress_is_interrupted(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    batcher = Batcher()
    started = threading.Event()

    def compute(*_: object) -> list[Any]:
        started.set()
        while True:
            time.sleep(0.001)

    monkeypatch.setattr(module, "compute", compute)

    async def ask() -> Any:
        first = asyncio.create_task(batcher.ask(model, row(model)))
        await asyncio.to_thread(started.wait)
        thread = batcher._thread
        await asyncio.to_thread(batcher.close)
        assert thread is not None
        assert not thread.is_alive()
        return (await asyncio.gather(first, return_exceptions=True))[0]

    assert isinstance(asyncio.run(ask()), EnvironmentFault)


def test_answers_go_back_to_inspects_other_event_loop_too(monkeypatch: pytest.MonkeyPatch) -> None:
    token = SimpleNamespace(run_sync_soon=lambda run: run())
    trio = SimpleNamespace(lowlevel=SimpleNamespace(current_trio_token=lambda: token))
    monkeypatch.setitem(sys.modules, "trio", trio)
    done: list[int] = []
    module._hand_back()(lambda: done.append(1))
    assert done == [1]


def test_a_loop_that_is_gone_does_no_harm(model: Model, batcher: Batcher, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def compute(_: Model, requests: Sequence[Any], progress: object) -> list[Any]:
        assert release.wait(10)
        return [math.pi] * len(requests)

    monkeypatch.setattr(module, "compute", compute)

    async def leave() -> None:
        asyncio.get_running_loop().call_later(0.1, asyncio.current_task().cancel)  # type: ignore[union-attr]
        await batcher.ask(model, row(model))

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(leave())
    release.set()
    assert together(batcher, model, [row(model)]) == [math.pi]


def test_a_row_that_nobody_waits_for_leaves_its_batch(model: Model, batcher: Batcher) -> None:
    heard: list[int] = []
    gone: list[int] = []

    async def ask() -> Any:
        loop = asyncio.get_running_loop()
        task: asyncio.Task[Any]
        left = threading.Event()

        def leave() -> None:
            task.cancel()
            loop.call_soon(left.set)  # after the task has noticed

        def listener(text: str, logprobs: Sequence[Any]) -> bool:
            gone.append(len(text))
            if len(gone) == 2:
                loop.call_soon_threadsafe(leave)
                left.wait(5)
            return True

        def other(text: str, logprobs: Sequence[Any]) -> bool:
            heard.append(len(text))
            return True

        stays = replace(row(model, "stays"), sampling=Sampling(12, seed=1), listener=other)
        goes = replace(row(model, "goes!"), sampling=Sampling(12, seed=1), listener=listener)
        task = asyncio.create_task(batcher.ask(model, goes))
        answer, _ = await asyncio.gather(batcher.ask(model, stays), task, return_exceptions=True)
        return answer

    answer = asyncio.run(ask())
    assert len(answer.tokens) == 12
    assert len(heard) == 11
    assert len(gone) == 2


def test_what_servers_run_is_handed_over_whole_and_what_is_quick_comes_first(model: Model) -> None:
    served = replace(model, name="vllm/tiny", servers=("http://127.0.0.1:1",))
    long, short = (render(model, [Message("user", text)]) for text in ("hello " * 40, "hi"))
    rows = [Row(prompt, Sampling(max_tokens=2, seed=seed)) for prompt in (long, short) for seed in range(3)]
    choice = Choice(short, ("a", "b"))

    def tickets(of: Model, requests: Sequence[Any]) -> list[Any]:
        return [module._Ticket(of, one, lambda _: None, anyio.Event()) for one in requests]

    assert [one.request for one in module._next(tickets(served, rows), rows=2)] == rows
    assert len(module._next(tickets(model, rows), rows=2)) == 2
    assert [one.request for one in module._next(tickets(served, [*rows, choice]), rows=2)] == [choice]


def test_an_answer_is_handed_back_when_it_is_written_and_not_when_the_batch_ends(
    model: Model, batcher: Batcher
) -> None:
    steps: list[int] = []
    release = threading.Event()

    def listener(text: str, logprobs: Sequence[Any]) -> bool:
        steps.append(1)
        if len(steps) == 10:
            assert release.wait(10)
        return True

    async def ask() -> tuple[Any, int, Any]:
        long = replace(row(model, "other one"), sampling=Sampling(40, seed=1), listener=listener)
        late = asyncio.create_task(batcher.ask(model, long))
        early = await batcher.ask(model, row(model, "short"))
        before = len(steps)
        release.set()
        return early, before, await late

    early, before, late = asyncio.run(ask())
    assert len(early.tokens) == 4
    assert 0 < before <= 10
    assert len(late.tokens) == 40


def test_a_failure_after_it_does_not_take_an_answer_back(model: Model, batcher: Batcher) -> None:
    asked: list[int] = []

    def failing(text: str, logprobs: Sequence[Any]) -> bool:
        asked.append(1)
        if len(asked) % 8 == 0:
            raise ModelError("not finite", way_out="Lower it")
        return True

    long = replace(row(model, "other one"), sampling=Sampling(40, seed=1), listener=failing)
    early, late = together(batcher, model, [row(model, "short"), long])
    assert len(early.tokens) == 4
    assert isinstance(late, ModelError)
    assert len(asked) == 16  # in the batch, and once more alone


def test_divergences_of_adapters_and_plans_are_told_apart(model: Model) -> None:
    one, other = random_adapter(model, 1), random_adapter(model, 2)
    arms = [((), None), ((), one), (plan(model, 1.0), one), ((), other), (plan(model, 1.0), None)]
    asked = [Divergence("hello", *arm) for arm in arms] + [Divergence("there", (), one)]
    found = module.compute(model, asked, lambda _: None)
    plans, adapters = zip(*arms, strict=True)
    due = divergence(model, ["hello"], plans, adapters)[:, 0].tolist()
    assert found[:-1] == pytest.approx(due, abs=1e-6)
    assert found[-1] == pytest.approx(float(divergence(model, ["there"], [()], [one])[0, 0]), abs=1e-6)
    assert len(set(due)) == len(due)
    assert due[0] == 0.0
