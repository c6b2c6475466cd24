"""Timing on an idle machine. Clocks are made up, so that nothing depends on the machine that tests this."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace

import idle
import pytest
from idle import Run, on_idle, wait_until_idle, watched


class Clock:
    """A clock that only sleeping moves on, and a machine that spends processor seconds at given rates meanwhile."""

    def __init__(self, rates: Iterator[float]) -> None:
        self.now, self.spent = 0.0, 0.0
        self._rates = rates

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.spent += seconds * next(self._rates)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Clock]:
    """`clock(0.5, 0.1)`: the machine spends 0.5 processor seconds a second during the first sleep, then 0.1."""

    def made(*rates: float) -> Clock:
        clock = Clock(iter(rates))
        times = SimpleNamespace(monotonic=lambda: clock.now, perf_counter=lambda: clock.now, sleep=clock.sleep)
        monkeypatch.setattr(idle, "time", times)
        monkeypatch.setattr(idle, "busy", lambda: clock.spent)
        return clock

    return made


def test_an_idle_machine_is_not_waited_for(clock: Callable[..., Clock]) -> None:
    watch = clock(0.14)
    assert wait_until_idle(60, sample=0.5)
    assert watch.now == 0.5


def test_a_busy_machine_is_waited_for(clock: Callable[..., Clock]) -> None:
    watch = clock(2.0, 0.16, 0.1)
    assert wait_until_idle(60, sample=0.5)
    assert watch.now == 1.5


def test_patience_ends(clock: Callable[..., Clock]) -> None:
    watch = clock(*[2.0] * 10)
    assert not wait_until_idle(2, sample=0.5)
    assert watch.now == 2


def test_what_others_take_is_neither_ours_nor_the_peers(
    clock: Callable[..., Clock], monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = clock(1.5)
    own = iter([(7.0, 1.0, 0.0), (7.25, 1.25, 0.0)])
    monkeypatch.setattr(idle, "os", SimpleNamespace(times=lambda: next(own), cpu_count=lambda: 2))

    def run() -> Run:
        watch.sleep(2.0)
        return Run([], 2.0, apart=1.0)

    _, others = watched(run)
    assert others == (3.0 - 0.5 - 1.0) / (2 * 2.0)


def test_a_disturbed_run_is_repeated_and_the_least_disturbed_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    shares = iter([0.5, 0.2, 0.3, 0.05])
    runs = iter([Run([], 1.0), Run([], 2.0), Run([], 3.0), Run([], 4.0)])
    monkeypatch.setattr(idle, "wait_until_idle", lambda patience: True)
    monkeypatch.setattr(idle, "watched", lambda run: (run(), next(shares)))
    done, share = on_idle(lambda: next(runs))
    assert (done.seconds, share) == (2.0, 0.2)  # the third was the last try
    done, share = on_idle(lambda: next(runs))
    assert (done.seconds, share) == (4.0, 0.05)
    assert next(runs, None) is None
