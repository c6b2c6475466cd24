"""Kill a run at random moments: no row is lost, none doubled, at most the chunk in flight is computed again."""

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import pandas as pd
import pytest

from doxa.bridge.logs import read_table, table_from_logs
from doxa.words.schema import KEY
from mini_study import Finished, run_in_process

PATIENCE = 300
"""Seconds after which a run that does not get on is a failure."""
CHUNKS = 86

Start = Callable[..., BaseProcess]


@pytest.fixture(scope="module")
def processes() -> multiprocessing.context.ForkServerContext:
    """Processes that have everything imported when they start."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mini_study", "doxa.run", "doxa.cli"])
    return context


@pytest.fixture
def start(finished: Finished, tmp_path: Path, processes: multiprocessing.context.ForkServerContext) -> Start:
    """`start(pause)`: begin the finished study anew, or go on with it, in a folder of this test."""

    def begin(pause: float = 0.0) -> BaseProcess:
        process = processes.Process(
            target=run_in_process,
            args=(finished.file, tmp_path / "results" / "mini", tmp_path / "journal", tmp_path / "said", pause),
        )
        process.start()
        return process

    return begin


def wait_for(condition: Callable[[], bool], process: BaseProcess, said: Path) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert process.is_alive(), said.read_text()
        assert time.monotonic() < end, said.read_text()
        time.sleep(0.01)


def end_well(process: BaseProcess, said: Path) -> None:
    process.join(PATIENCE)
    assert process.exitcode == 0, said.read_text()[-3000:]


def chunks(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "chunks").glob("*.json")}


def check_same_as(finished: Finished, folder: Path, journal: Path, kills: int, committed: dict[str, bytes]) -> None:
    mine, theirs = read_table(folder / "table.parquet"), read_table(finished.folder / "table.parquet")
    assert not mine.duplicated(list(KEY)).any()
    pd.testing.assert_frame_equal(mine[list(KEY)], theirs[list(KEY)])
    pd.testing.assert_frame_equal(table_from_logs(folder / "logs"), mine)
    scored = [theirs["log"].str.startswith("scored_"), mine["log"].str.startswith("scored_")]
    assert scored[0].equals(scored[1])
    assert mine["value"][scored[1]].equals(theirs["value"][scored[0]])
    now = chunks(folder)
    assert now == chunks(finished.folder)
    assert {name: now[name] for name in committed} == committed
    computed = journal.read_text().split()
    assert len(set(computed)) == CHUNKS
    assert len(computed) <= CHUNKS + kills


@pytest.mark.parametrize("seed", [1])
def test_killed_at_random_moments_it_ends_like_an_undisturbed_run(
    finished: Finished, start: Start, tmp_path: Path, seed: int
) -> None:
    folder, said = tmp_path / "results" / "mini", tmp_path / "said"
    random_ = random.Random(seed)
    committed: dict[str, bytes] = {}
    kills = 0
    for earliest, latest in ((0.1, 0.6), (0.05, 0.3)):
        process = start()
        process.join(finished.seconds * random_.uniform(earliest, latest))
        if process.is_alive():
            os.kill(process.pid or 0, signal.SIGKILL)
            kills += 1
        process.join()
        committed |= chunks(folder)
    assert kills >= 1
    end_well(start(), said)
    check_same_as(finished, folder, tmp_path / "journal", kills, committed)


@pytest.mark.parametrize("stage", ["logs/20*.eval"])
def test_killed_in_a_stage_it_ends_like_an_undisturbed_run(
    finished: Finished, start: Start, tmp_path: Path, stage: str
) -> None:
    folder, said = tmp_path / "results" / "mini", tmp_path / "said"
    process = start()
    wait_for(lambda: len(list(folder.glob(stage))) >= 3, process, said)
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    committed = chunks(folder)
    end_well(start(), said)
    check_same_as(finished, folder, tmp_path / "journal", 1, committed)


@pytest.mark.parametrize("stage", ["logs/20*.eval"])
def test_ctrl_c_ends_with_a_sentence_and_the_same_command_goes_on(
    finished: Finished, start: Start, tmp_path: Path, stage: str
) -> None:
    folder, said = tmp_path / "results" / "mini", tmp_path / "said"
    process = start(pause=1.0)  # else all answers may be written before the signal arrives
    wait_for(lambda: len(list(folder.glob(stage))) >= 2, process, said)
    os.kill(process.pid or 0, signal.SIGINT)
    process.join(PATIENCE)
    words = said.read_text()
    assert process.exitcode == 130, words[-3000:]
    assert "doxa: stopped. The same command goes on where it stopped." in words
    assert "Traceback" not in words
    committed = chunks(folder)
    end_well(start(), said)
    check_same_as(finished, folder, tmp_path / "journal", 1, committed)


def test_two_runs_at_once_are_refused_in_one_line(finished: Finished, start: Start, tmp_path: Path) -> None:
    folder, said = tmp_path / "results" / "mini", tmp_path / "said"
    first = start()
    wait_for(lambda: (folder / "plan.json").exists(), first, said)
    os.kill(first.pid or 0, signal.SIGSTOP)
    try:
        second = start()
        second.join(PATIENCE)
        words = said.read_text()
    finally:
        os.kill(first.pid or 0, signal.SIGKILL)
        first.join()
    assert second.exitcode == 1, words
    assert len([line for line in words.splitlines() if line.startswith("doxa: another run is writing into")]) == 1
    assert "Traceback" not in words
