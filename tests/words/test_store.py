import errno
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from doxa.words.errors import EnvironmentFault
from doxa.words.store import (
    cache_folder,
    content_hash,
    locked,
    make_folder_atomic,
    read_json,
    stream,
    stream_seed,
    write_atomic,
    write_json,
)


def test_hash_depends_on_content_and_not_on_order() -> None:
    assert content_hash({"a": 1, "b": 2}) == content_hash({"b": 2, "a": 1})
    assert content_hash({"a": 1}) != content_hash({"a": 2})
    assert content_hash(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_hash_refuses_what_json_does_not_know() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        content_hash({"a": float("nan")})


def test_streams_are_named_and_independent() -> None:
    assert stream_seed("row", 0, "item") == stream_seed("row", 0, "item")
    assert len({stream_seed("row", i) for i in range(1000)}) == 1000
    assert stream_seed("a", "b") != stream_seed("ab")
    assert np.array_equal(stream("x", 1).normal(size=5), stream("x", 1).normal(size=5))
    correlation = np.corrcoef(stream("x", 1).normal(size=2000), stream("x", 2).normal(size=2000))[0, 1]
    assert abs(correlation) < 0.1


def test_seed_is_the_same_in_another_process() -> None:
    code = "from doxa.words.store import stream_seed; print(stream_seed('row', 7, 'x'))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(other.stdout) == stream_seed("row", 7, "x")


def test_cache_moves_with_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOXA_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("DOXA_CACHE")
    assert cache_folder().name == "doxa"


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.json"
    write_json(path, {"a": 1})

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EnvironmentFault, match="disk is full"):
        write_atomic(path, b"new")
    assert json.loads(path.read_text()) == {"a": 1}
    assert [one.name for one in tmp_path.iterdir()] == ["file.json"]


def test_a_folder_is_made_whole_or_not_at_all(tmp_path: Path) -> None:
    def broken(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        make_folder_atomic(tmp_path / "made", broken)
    assert list(tmp_path.iterdir()) == []


def test_the_first_of_two_processes_to_make_a_folder_wins(tmp_path: Path) -> None:
    def first(folder: Path) -> None:
        (folder / "who").write_text("first")

    def second(folder: Path) -> None:
        make_folder_atomic(tmp_path / "made", first)
        (folder / "who").write_text("second")

    make_folder_atomic(tmp_path / "made", second)
    assert (tmp_path / "made" / "who").read_text() == "first"
    assert [one.name for one in tmp_path.iterdir()] == ["made"]


def test_a_lock_is_exclusive_and_says_so(tmp_path: Path) -> None:
    busy = EnvironmentFault("busy", way_out="wait")
    with (
        locked(tmp_path / "lock"),
        pytest.raises(EnvironmentFault, match="busy"),
        locked(tmp_path / "lock", busy=busy),
    ):
        raise AssertionError("entered twice")
    with locked(tmp_path / "lock", busy=busy):
        assert (tmp_path / "lock").exists()


def test_a_waiting_lock_waits(tmp_path: Path) -> None:
    order: list[str] = []
    held = threading.Event()

    def other() -> None:
        held.wait()
        with locked(tmp_path / "lock"):
            order.append("other")

    thread = threading.Thread(target=other)
    thread.start()
    with locked(tmp_path / "lock"):
        held.set()
        order.append("first")
    thread.join(timeout=5)
    assert order == ["first", "other"]


@pytest.mark.parametrize("content", ["{broken", "[1]"])
def test_json_that_is_not_an_object_is_an_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(EnvironmentFault, match="plan"):
        read_json(tmp_path / "x.json", what="plan", way_out="delete it")


def test_a_folder_that_may_not_be_written_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", denied)
    with pytest.raises(EnvironmentFault, match="may not be written"):
        write_atomic(tmp_path / "x", b"")
