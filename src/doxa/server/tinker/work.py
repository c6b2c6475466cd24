"""What is to be done, by one thread, in the order that each model's requests are numbered in; and its results.

A request that is sent again (its answer was lost on the way) has the same number and is not done again.
"""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from doxa.server.refusals import Refused
from doxa.words.errors import DoxaError, UserError

MOST_WAITING = 4096
MOST_KEPT = 256 << 20
"""Bytes of results that are kept for a client that asks again."""
AHEAD = 2048
"""How far ahead of its turn a request may come."""


@dataclass(frozen=True)
class Result:
    """What became of a request.

    Attributes:
        body: JSON, or bytes of a protobuf message.
        failed: Whether it is an error.
    """

    body: dict[str, object] | bytes
    failed: bool = False


Run = Callable[[], Result]


@dataclass(eq=False)
class Task:
    """A request that waits, or is done.

    Attributes:
        id: By which its result is asked for.
        run: Does it.
        samples: How many texts it writes: such tasks may be done together by `together`.
        result: What became of it.
    """

    id: str
    run: Run
    samples: object = None
    result: "Future[Result]" = field(default_factory=Future)


class Worker:
    """One thread that does one task after another.

    Args:
        together: Does several sampling tasks at once: given what each holds in `samples`, a result for each.
    """

    def __init__(self, together: Callable[[Sequence[object]], list[Result]]) -> None:
        self._together = together
        self._lock = threading.Condition()
        self._ready: deque[Task] = deque()
        self._early: dict[str, dict[int, Task]] = {}
        self._turn: dict[str, int] = {}
        self._tasks: OrderedDict[str, Task] = OrderedDict()
        self._stopping = False
        self._waiting = self._kept = 0
        self.done = 0
        self._thread = threading.Thread(target=self._work, name="doxa-tinker", daemon=True)
        self._thread.start()

    def put(self, task: Task) -> Task:
        """Do it after what is waiting; of one with the same id the first alone."""
        with self._lock:
            return self._known(task) or self._enter(task)

    def put_in_turn(self, model: str, seq: int, task: Task) -> Task:
        """Do it in its turn among the requests of its model, which are numbered from 1."""
        with self._lock:
            known = self._known(task)
            if known is not None:
                return known
            turn = self._turn.setdefault(model, 1)
            if not turn <= seq < turn + AHEAD:
                raise Refused(
                    400, f"request {seq} of a model whose next is {turn}", way_out="Number requests one by one from 1"
                )
            self._keep(task)
            early = self._early.setdefault(model, {})
            early[seq] = task
            while (next_ := early.pop(self._turn[model], None)) is not None:
                self._turn[model] += 1
                self._ready.append(next_)
            self._lock.notify()
            return task

    def find(self, request: str) -> Task | None:
        """The task of an id, if it is known."""
        with self._lock:
            return self._tasks.get(request)

    def close(self) -> None:
        """Stop after what is being done."""
        with self._lock:
            self._stopping = True
            self._lock.notify()
        self._thread.join()

    def _known(self, task: Task) -> Task | None:
        return self._tasks.get(task.id)

    def _enter(self, task: Task) -> Task:
        self._keep(task)
        self._ready.append(task)
        self._lock.notify()
        return task

    def _keep(self, task: Task) -> None:
        if self._waiting >= MOST_WAITING:
            raise Refused(429, f"{MOST_WAITING} requests are waiting", way_out="Ask again later")
        self._waiting += 1
        self._tasks[task.id] = task

    def _work(self) -> None:
        while True:
            with self._lock:
                self._lock.wait_for(lambda: self._ready or self._stopping)
                if self._stopping:
                    return
                tasks = [self._ready.popleft()]
                while tasks[0].samples is not None and self._ready and self._ready[0].samples is not None:
                    tasks.append(self._ready.popleft())
            for task, result in zip(tasks, self._results(tasks), strict=True):
                task.result.set_result(result)
            with self._lock:
                self.done += len(tasks)
                self._waiting -= len(tasks)
                self._kept += sum(map(_size, tasks))
                while self._kept > MOST_KEPT and (oldest := next(iter(self._tasks.values()))).result.done():
                    del self._tasks[oldest.id]
                    self._kept -= _size(oldest)

    def _results(self, tasks: Sequence[Task]) -> list[Result]:
        if len(tasks) > 1:
            try:
                return self._together([task.samples for task in tasks])
            except Exception:  # one of them is at fault: each on its own
                return [outcome(task.run) for task in tasks]
        return [outcome(tasks[0].run)]


def _size(task: Task) -> int:
    """Bytes that a task that is done takes, about."""
    body = task.result.result().body
    return len(body) + 1000 if isinstance(body, bytes) else 4000


def outcome(run: Run) -> Result:
    """Do it, and say of an error what the SDK understands: whose fault it is, and the message."""
    try:
        return run()
    except DoxaError as error:
        return Result(
            {"error": str(error)[:2000], "category": "user" if isinstance(error, UserError) else "server"}, True
        )
    except Exception as error:
        return Result(
            {"error": f"the server failed ({type(error).__name__}: {error})"[:2000], "category": "server"}, True
        )
