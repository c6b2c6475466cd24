"""One queue for the requests of every arm: they are computed together, in batches, by one thread.

Inspect's event loop never waits and never polls: a request is put into the queue and its answer is handed back to the
loop that asked. Rows carry their own steering plans, so a batch mixes arms, tasks and runs as they come.
"""

import asyncio
import atexit
import contextlib
import ctypes
import importlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, cast

import anyio

from doxa.models.backend import backend_of
from doxa.models.chat import Rendered
from doxa.models.engine import BATCH_ROWS, Generation, Row, TokenLogprob, same_text, together
from doxa.models.handle import Model
from doxa.models.low_rank import LowRank
from doxa.models.score import Choice, OptionScores, mean_surprisal
from doxa.models.steering import SteeringPlan
from doxa.words.errors import EnvironmentFault, UserError

Plans: TypeAlias = tuple[SteeringPlan, ...]
_Moved: TypeAlias = tuple[Plans, LowRank | None]


@dataclass(frozen=True, eq=False)
class Surprisal:
    """Ask for the mean surprisal (nats per token) of `text` after `prompt` under the model as it is."""

    prompt: Rendered
    text: str


@dataclass(frozen=True, eq=False)
class Divergence:
    """Ask for KL(model as it is || steered or tuned) of next-token distributions on raw text: mean, nats."""

    text: str
    plans: Plans
    low_rank: LowRank | None = None


Request: TypeAlias = Row | Choice | Surprisal | Divergence
Answer: TypeAlias = Generation | OptionScores | float
Hand: TypeAlias = Callable[[Callable[[], None]], object]
"""Runs a function on the event loop that asked; returns at once."""


@dataclass(eq=False)
class _Ticket:
    model: Model
    request: Request
    hand: Hand
    done: anyio.Event
    answer: Answer | None = None
    error: BaseException | None = None
    wanted: bool = True
    settled: bool = False

    def settle(self, answer: Answer | None, error: BaseException | None) -> None:
        if self.settled:
            return
        self.settled, self.answer, self.error = True, answer, error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            self.hand(self.done.set)


Inbox: TypeAlias = "queue.SimpleQueue[_Ticket | None]"  # None: stop


@dataclass(eq=False)
class Batcher:
    """The queue and its thread.

    Attributes:
        linger: Seconds of silence after which a batch is closed.
        patience: Seconds after which a batch is closed even though requests keep coming.
        most: Requests that are gathered at a time. The more there are, the more alike are those that run together.
        rows: Texts that are written together.
    """

    linger: float = 0.05
    patience: float = 0.5
    most: int = 1024
    rows: int = BATCH_ROWS
    _waiting: Inbox = field(default_factory=queue.SimpleQueue)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _thread: threading.Thread | None = None
    _stop: threading.Event = field(default_factory=threading.Event)

    async def ask(self, model: Model, request: Request) -> Any:
        """Have one request computed in a common batch.

        Args:
            model: The model; requests for the same object share batches.
            request: What to compute.

        Returns:
            A `Generation` for a `Row`, `OptionScores` for a `Choice`, a float for the others.

        Raises:
            DoxaError: What the engine found wrong with this request.
        """
        ticket = _Ticket(model, request, _hand_back(), anyio.Event())
        self._put(ticket)
        try:
            await ticket.done.wait()
        finally:
            ticket.wanted = False
        if ticket.error is not None:
            raise ticket.error
        return ticket.answer

    def close(self, patience: float = 0.2, timeout: float = 30.0) -> None:
        """Stop the thread, giving up what it computes; a later `ask` starts another.

        A thread that Python finds inside torch when it shuts down aborts the process, so this runs at exit.

        Args:
            patience: Seconds until a thread that does not stop by itself is interrupted, between two operations.
            timeout: Seconds to wait for it then.
        """
        with self._lock:
            thread, self._thread = self._thread, None
            self._stop.set()
            self._waiting.put(None)
        if thread is None:
            return
        thread.join(patience)
        if thread.is_alive() and thread.ident is not None:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(_Interrupt))
            thread.join(timeout)

    def _put(self, ticket: _Ticket) -> None:
        with self._lock:
            if self._thread is None:
                self._waiting, self._stop = queue.SimpleQueue(), threading.Event()
                arguments = (self._waiting, self._stop)
                self._thread = threading.Thread(target=self._work, args=arguments, name="doxa", daemon=True)
                self._thread.start()
            self._waiting.put(ticket)

    def _work(self, waiting: Inbox, stop: threading.Event) -> None:
        pool: list[_Ticket] = []
        with contextlib.suppress(_Interrupt):
            while not stop.is_set() and self._collect(pool, waiting):
                pool = [ticket for ticket in pool if ticket.wanted]
                if pool:
                    tickets = _next(pool, self.rows)
                    pool = [ticket for ticket in pool if ticket not in tickets]
                    _settle(tickets, stop)
        for ticket in pool:
            ticket.settle(None, _given_up())
        with contextlib.suppress(queue.Empty):
            while True:
                if (late := waiting.get_nowait()) is not None:
                    late.settle(None, _given_up())

    def _collect(self, pool: list[_Ticket], waiting: Inbox) -> bool:
        """Gather what has arrived, and wait for the first when there is nothing; False: closed."""
        end = time.monotonic() + self.patience
        with contextlib.suppress(queue.Empty):
            while len(pool) < self.most:
                left = max(min(self.linger, end - time.monotonic()), 0.0)
                ticket = waiting.get(timeout=left if pool else None)
                if ticket is None:
                    return False
                if not pool:
                    end = time.monotonic() + self.patience
                pool.append(ticket)
        return True


class _Interrupt(BaseException):
    """Raised in the thread by `close`."""


def _given_up() -> EnvironmentFault:
    return EnvironmentFault("the model was shut down while a request waited", way_out="Run the same again")


def _settle(tickets: list[_Ticket], stop: threading.Event) -> None:
    """Compute the requests of one group and hand every answer back."""

    def progress(_: int) -> None:
        if stop.is_set() or not any(ticket.wanted for ticket in tickets):
            raise _given_up()

    try:
        answers = compute(tickets[0].model, [_while_wanted(ticket) for ticket in tickets], progress)
    except UserError as error:
        if len(tickets) == 1:
            tickets[0].settle(None, error)
        else:  # one request of many is wrong: let it fail alone
            for ticket in [one for one in tickets if not one.settled]:
                _settle([ticket], stop)
    except BaseException as error:  # whatever it is belongs to those who wait, or they wait for ever
        for ticket in tickets:
            ticket.settle(None, _given_up() if isinstance(error, _Interrupt) else _again(error))
    else:
        for ticket, answer in zip(tickets, answers, strict=True):
            ticket.settle(answer, None)


def _again(error: BaseException) -> BaseException:
    """The same error as an object of its own, or the one that is there where it cannot be made again.

    One object that is raised by each who waits gathers the frames of all of them: tracebacks that are as long as their
    number, and take Inspect half a second each to write down.
    """
    kind = type(error)
    try:
        made = kind.__new__(kind, *error.args)
        vars(made).update(vars(error))
        if str(made) != str(error):  # it keeps what it says elsewhere, as an OSError its path
            return error
    except Exception:  # a class may want other arguments; those who wait must have their answer
        return error
    made.__context__, made.__cause__ = error.__context__, error.__cause__
    made.__suppress_context__ = error.__suppress_context__
    return made.with_traceback(error.__traceback__)


def _while_wanted(ticket: _Ticket) -> Request:
    """The request; a row is handed back as soon as it is written, and leaves its batch when nobody waits for it."""
    row = ticket.request
    if not isinstance(row, Row):
        return row
    listener = row.listener

    def listen(text: str, logprobs: Sequence[TokenLogprob]) -> bool:
        return ticket.wanted and (listener is None or listener(text, logprobs))

    return replace(row, listener=listen, finished=lambda generation: ticket.settle(generation, None))


def compute(model: Model, requests: Sequence[Request], progress: Callable[[int], None]) -> list[Answer]:
    """Compute requests of one kind for one model.

    Args:
        model: The model.
        requests: All of them of the same type.
        progress: Called while rows are generated or scored; an exception that it raises ends the work.

    Returns:
        The answers, in order.

    Raises:
        DoxaError: What the engine finds wrong.
    """
    if isinstance(requests[0], Row):
        return list(backend_of(model).generate(model, cast(Sequence[Row], requests), progress=progress))
    if isinstance(requests[0], Choice):
        return list(backend_of(model).score(model, cast(Sequence[Choice], requests), progress=progress))
    if isinstance(requests[0], Surprisal):
        texts = [Choice(one.prompt, (one.text,)) for one in cast(Sequence[Surprisal], requests)]
        return [mean_surprisal(scores) for scores in backend_of(model).score(model, texts, progress=progress)]
    return list(_divergences(model, cast(Sequence[Divergence], requests)))


def _divergences(model: Model, requests: Sequence[Divergence]) -> list[float]:
    """Every arm asks about the same few texts, so the clean pass is shared by arms with equal lists of texts."""
    texts: dict[_Moved, dict[str, None]] = {}
    for one in requests:
        texts.setdefault((one.plans, one.low_rank), {})[one.text] = None
    arms: dict[tuple[str, ...], list[_Moved]] = {}
    for moved, own in texts.items():
        arms.setdefault(tuple(sorted(own)), []).append(moved)
    found: dict[tuple[_Moved, str], float] = {}
    for own_texts, own_arms in arms.items():
        plans, low_ranks = [own for own, _ in own_arms], [own for _, own in own_arms]
        table = backend_of(model).divergence(model, list(own_texts), plans, low_ranks)
        for moved, row in zip(own_arms, table.tolist(), strict=True):
            found.update({(moved, text): value for text, value in zip(own_texts, row, strict=True)})
    return [found[(one.plans, one.low_rank), one.text] for one in requests]


def _next(pool: Sequence[_Ticket], rows: int) -> list[_Ticket]:
    """Requests that one call of the engine can answer: same model, same kind.

    What is quick comes first: it ends samples. Texts are written a few at a time, those with like prompts together.
    """
    groups: dict[tuple[Model, type], list[_Ticket]] = {}
    for ticket in pool:
        groups.setdefault((ticket.model, type(ticket.request)), []).append(ticket)
    for (_, kind), tickets in groups.items():
        if kind is not Row:
            return tickets
    first = next(iter(groups.values()))
    if first[0].model.servers:  # they form batches of their own
        return first
    ordered = sorted(first, key=_prompt_of)
    n = together([-_prompt_of(ticket)[0] for ticket in ordered], rows)
    known = {same_text(cast(Row, ticket.request)) for ticket in ordered[:n]}
    return ordered[:n] + [ticket for ticket in ordered[n:] if same_text(cast(Row, ticket.request)) in known]


def _prompt_of(ticket: _Ticket) -> tuple[int, tuple[int, ...]]:
    tokens = cast(Row, ticket.request).prompt.tokens
    return -len(tokens), tokens


def _hand_back() -> Hand:
    try:
        return asyncio.get_running_loop().call_soon_threadsafe
    except RuntimeError:  # Inspect's other event loop
        trio = importlib.import_module("trio")
        hand: Hand = trio.lowlevel.current_trio_token().run_sync_soon
        return hand


QUEUE = Batcher()
"""The queue of this process."""

atexit.register(QUEUE.close)
