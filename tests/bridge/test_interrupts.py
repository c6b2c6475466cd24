"""A Ctrl-C that somebody has swallowed is noticed."""

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import doxa.run as module
from doxa.bridge import evaluate
from doxa.bridge.interrupts import interrupts
from doxa.run import run
from doxa.words.study import Study
from mini_study import NO_CONTROLS


def swallowed(number: signal.Signals) -> None:
    """Send this process a signal, and take it for none."""
    before = signal.signal(number, lambda *_: None)
    os.kill(os.getpid(), number)
    signal.signal(number, before)


def test_what_was_swallowed_is_noticed_and_nothing_else() -> None:
    with interrupts() as pressed:
        assert not pressed()
        swallowed(signal.SIGUSR1)
        assert not pressed()
        swallowed(signal.SIGINT)
        assert pressed()
        assert pressed()
    with interrupts() as pressed:
        assert not pressed()
    assert signal.set_wakeup_fd(-1) == -1


def test_a_pipe_of_the_program_is_left_to_it() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    try:
        with interrupts() as pressed:
            swallowed(signal.SIGINT)
            assert not pressed()
        assert os.read(reading, 8) == bytes([signal.SIGINT])
    finally:
        assert signal.set_wakeup_fd(-1) == writing
        os.close(reading)
        os.close(writing)


def test_another_thread_is_told_nothing() -> None:
    found = []

    def told() -> None:
        with interrupts() as pressed:
            found.append(pressed())

    thread = threading.Thread(target=told)
    thread.start()
    thread.join()
    assert found == [False]


def test_a_run_that_is_stopped_after_its_last_answer_ends_and_goes_on(
    mini: Callable[..., Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inspect ends well then: its logs are whole."""
    monkeypatch.setattr(module, "write_report", lambda folder: folder / "report.html")
    tasks = [{"doxa/drift": {"max_tokens": 4, "capability": False, "texts": 1}}]
    study, folder = mini(tasks=tasks, **NO_CONTROLS), tmp_path / "results" / "mini"
    real = evaluate.eval_set

    def stopped_late(*given: Any, **named: Any) -> Any:
        found = real(*given, **named)
        swallowed(signal.SIGINT)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(evaluate, "eval_set", stopped_late)
        with pytest.raises(KeyboardInterrupt):
            run(study, folder)
    assert not (folder / "table.parquet").exists()
    run(study, folder)
    assert (folder / "table.parquet").exists()
