"""Training through the real SDK and our server: the steps of this machine, from states on, through every fault."""

import gc
import itertools
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from tiny_networks import rows, tiny

from doxa.training import tinker as backend
from doxa.training.adapter import Stage
from doxa.training.local import train
from doxa.training.metrics import read_metrics
from doxa.words.errors import EnvironmentFault, TrainingError
from doxa.words.tuning import Configuration, TrainingSeeds

pytest.importorskip("tinker", reason="the SDK is not installed: pip install 'doxa[tinker]'")
from tinker import TrainingClient
from tinker._base_client import AsyncHttpxClientWrapper
from tinker_rehearsal import KEY, Rehearsal, forget_clients, make_quick, rehearsal

from doxa.models.tinker_service import Lost, Service, session
from doxa.training.tinker import train_on_tinker

# The SDK leaves connections open (of its first request, of clients in the process).
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning"),
]

SEEDS = TrainingSeeds(1, 2)
C = Configuration(learning_rate=1e-2, rank=4, batch_size=2, epochs=2, clip_norm=50.0, weight_decay=0.01)
HERE = Service("tiny-llama", every=2, patience=20)


def stage(**changes: Any) -> Stage:
    return Stage(tuple(rows((9, 5, 12, 7, 6), own_weights=True)), replace(C, **changes), "claims", "0" * 64)


TWO = [stage(), stage(epochs=1, schedule="cosine", reduction="token_sum", learning_rate=3e-3)]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    make_quick(monkeypatch)
    monkeypatch.setattr(backend, "PAUSE", 0.01)
    monkeypatch.setenv("TINKER_API_KEY", KEY)
    yield
    forget_clients()


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Any:
    def point(there: Rehearsal) -> None:
        monkeypatch.setenv("TINKER_BASE_URL", there.url)

    return point


@pytest.fixture(scope="module")
def due(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same training on this machine."""
    return train(tiny(), TWO, SEEDS, tmp_path_factory.mktemp("due") / "a")


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in read_metrics(folder / "metrics.jsonl")]


def said(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return found


def check_same(folder: Path, there: Path, due: Path) -> None:
    """Losses of every step once, in order, and the adapter: those of this machine."""
    assert losses(folder) == pytest.approx(losses(due), abs=1e-5)
    address = said(folder)["tinker"]["adapters"]["final"].removeprefix("tinker://")
    found, expected = (load_file(place / "adapter_model.safetensors") for place in (there / address, due))
    assert found.keys() == expected.keys()
    for name, matrix in expected.items():
        assert (found[name] - matrix).abs().max() < 1e-5
        if "lora_B" in name:
            assert matrix.abs().max() > 1e-3


def test_steps_through_the_sdk_are_the_steps_of_this_machine(tmp_path: Path, at: Any, due: Path) -> None:
    counts: list[int] = []
    with rehearsal(tmp_path / "there", compress=True) as there:
        at(there)
        folder = train_on_tinker(HERE, TWO, SEEDS, tmp_path / "a", progress=counts.append, checkpoints=(1,))
        check_same(folder, tmp_path / "there", due)
        assert sum(counts) == 9
        found = said(folder)
        assert found["finished"] is True
        assert found["done"]["steps"] == 9
        assert [one["steps"] for one in found["tinker"]["states"]] == [2, 4, 6, 8, 9]
        assert all(one["path"].endswith(f"/weights/step-{one['steps']}") for one in found["tinker"]["states"])
        assert set(found["tinker"]["adapters"]) == {"step-1", "final"}
        assert found["tinker"]["servers"] == [there.url]
        assert len(found["tinker"]["sessions"]) == 1
        done = there.house.worker.done
        assert train_on_tinker(HERE, TWO, SEEDS, folder) == folder
        assert there.house.worker.done == done  # finished work is not asked for again
    for file in [*tmp_path.rglob("*")]:
        assert not file.is_file() or KEY.encode() not in file.read_bytes()


class Killed(BaseException):
    """Stands for a kill in the middle of a run."""


@pytest.mark.parametrize("after", [1, 4, 6, 8])
def test_a_run_that_was_killed_goes_on_from_its_last_state(tmp_path: Path, at: Any, due: Path, after: int) -> None:
    left = [after]

    def progress(count: int) -> None:
        left[0] -= count
        if left[0] <= 0:
            raise Killed

    with rehearsal(tmp_path / "there") as there:
        at(there)
        with pytest.raises(Killed):
            train_on_tinker(HERE, TWO, SEEDS, tmp_path / "a", progress=progress)
        assert not said(tmp_path / "a")["finished"]
        check_same(train_on_tinker(HERE, TWO, SEEDS, tmp_path / "a"), tmp_path / "there", due)


FAULTS = [
    *(
        f"{endpoint}:3-4={kind}"
        for endpoint in ("forward_backward", "optim_step")
        for kind in (429, 500, 402, 400, "drop")
    ),
    *(f"retrieve_future:7={kind}" for kind in (400, 402, 408, 410, 429, 500, 503, "drop", "garbage")),
    *(f"{endpoint}:3=late" for endpoint in ("forward_backward", "optim_step", "save_weights")),
    *(f"save_weights:2={kind}" for kind in (500, 404, "drop")),
    "load_weights:1-2=500",
    "create_session:1=500",
    "get_info:1=drop",
    "create_model:1=410",
    "save_weights_for_sampler:1=404",
]


@pytest.mark.parametrize("fault", FAULTS)
def test_nothing_is_lost_and_nothing_trained_twice(tmp_path: Path, at: Any, due: Path, fault: str) -> None:
    with rehearsal(tmp_path / "there", [fault]) as there:
        at(there)
        check_same(train_on_tinker(HERE, TWO, SEEDS, tmp_path / "a"), tmp_path / "there", due)
        assert there.faults.made == len(range(*_calls(fault)))


def _calls(fault: str) -> tuple[int, int]:
    first, _, last = fault.partition(":")[2].partition("=")[0].partition("-")
    return int(first), int(last or first) + 1


def test_a_server_that_keeps_failing_ends_training_in_words(tmp_path: Path, at: Any, due: Path) -> None:
    with rehearsal(tmp_path / "there", ["forward_backward:4-9999=404"]) as there:
        at(there)
        with pytest.raises(EnvironmentFault, match=r"failed 3 times in a row .*after 2 of 9 steps.*Run the same"):
            train_on_tinker(replace(HERE, tries=3), TWO, SEEDS, tmp_path / "a")
    with rehearsal(tmp_path / "there") as there:  # another process, the same folder
        at(there)
        check_same(train_on_tinker(HERE, TWO, SEEDS, tmp_path / "a"), tmp_path / "there", due)


def test_a_server_that_is_restarted_is_gone_on_with(tmp_path: Path, at: Any, due: Path) -> None:
    with rehearsal(tmp_path / "there") as first:
        at(first)
        port, restarted = first.port, threading.Event()
        made = [0]

        def progress(count: int) -> None:
            made[0] += count
            if made[0] == 5 and not restarted.is_set():
                restarted.set()
                first.server.should_exit = True
                first.house.worker.close()
                time.sleep(0.5)
                second.__enter__()

        second = rehearsal(tmp_path / "there", port=port)
        try:
            folder = train_on_tinker(replace(HERE, tries=9), TWO, SEEDS, tmp_path / "a", progress=progress)
        finally:
            second.__exit__(None, None, None)
    assert restarted.is_set()
    assert len(said(folder)["tinker"]["sessions"]) == 2
    check_same(folder, tmp_path / "there", due)


def test_what_cannot_be_mended_by_trying_again_ends_at_once(
    tmp_path: Path, at: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with rehearsal(tmp_path / "there") as there:
        at(there)
        with pytest.raises(TrainingError, match=r"does not train 'tiny'.*tiny-llama"):
            train_on_tinker(Service("tiny"), TWO, SEEDS, tmp_path / "a")
        with pytest.raises(TrainingError, match="alpha 8"):
            train_on_tinker(HERE, [stage(alpha=8.0)], SEEDS, tmp_path / "a")
        assert not (tmp_path / "a").exists()
        too_long = Stage(tuple(rows((65, 70))), C, "long", "")
        with pytest.raises(TrainingError, match=r"refuses: .*row [01] has (65|70) tokens"):
            train_on_tinker(HERE, [too_long], SEEDS, tmp_path / "long")
        wrong = "tml-a-secret-that-is-wrong"
        monkeypatch.setenv("TINKER_API_KEY", wrong)
        with pytest.raises(TrainingError, match="does not accept the key") as caught:
            train_on_tinker(HERE, TWO, SEEDS, tmp_path / "b")
        assert wrong not in str(caught.value)
        (tmp_path / "c").mkdir()
        (tmp_path / "c" / "x").touch()
        with pytest.raises(TrainingError, match="something else"):
            train_on_tinker(HERE, TWO, SEEDS, tmp_path / "c")
    monkeypatch.setenv("TINKER_BASE_URL", "http://127.0.0.1:9")
    with pytest.raises(EnvironmentFault, match="nothing answers"):
        train_on_tinker(HERE, TWO, SEEDS, tmp_path / "d")


def test_a_loss_that_is_no_number_ends_it_with_the_last_good_state(tmp_path: Path, at: Any) -> None:
    with rehearsal(tmp_path / "there") as there:
        at(there)
        wild = stage(learning_rate=1e30, schedule="constant", clip_norm=None)
        with pytest.raises(TrainingError, match=r"loss of (nan|inf)"):
            train_on_tinker(HERE, [wild], SEEDS, tmp_path / "a")


def test_a_bill_that_is_not_paid_ends_it(tmp_path: Path, at: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("doxa.server.tinker.application.BILLING_PATIENCE", 0)
    with rehearsal(tmp_path / "there", ["forward_backward:4-99=402"]) as there:
        at(there)
        with pytest.raises(EnvironmentFault, match=r"wants to be paid.*after 2 of 9 steps"):
            train_on_tinker(HERE, TWO, SEEDS, tmp_path / "a")


def test_a_client_that_waits_for_ever_is_made_anew(
    tmp_path: Path, at: Any, due: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it sent was carried out by the server, and is in no state that training goes on from."""
    sent = TrainingClient.forward_backward
    calls = itertools.count(1)

    class Silent:
        def result(self, timeout: float) -> None:
            raise TimeoutError

    def third_is_silent(*args: Any) -> Any:
        answer = sent(*args)
        return Silent() if next(calls) == 3 else answer

    monkeypatch.setattr(TrainingClient, "forward_backward", third_is_silent)
    with rehearsal(tmp_path / "there") as there:
        at(there)
        check_same(train_on_tinker(HERE, TWO, SEEDS, tmp_path / "a"), tmp_path / "there", due)
    assert len(said(tmp_path / "a")["tinker"]["sessions"]) == 2


def test_silence_is_asked_about_once_whatever_failed_before(
    tmp_path: Path, at: Any, due: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that cannot be read, and then a client that waits for ever: two failures, one silence."""
    step, calls = backend._step, itertools.count(1)
    fail = {3: Lost("garbage"), 4: EnvironmentFault("it has not answered for 20 seconds", way_out="Wait")}

    def failing(*given: Any) -> Any:
        if (error := fail.get(next(calls))) is not None:
            raise error
        return step(*given)

    monkeypatch.setattr(backend, "_step", failing)
    with rehearsal(tmp_path / "there") as there:
        at(there)
        check_same(train_on_tinker(HERE, TWO, SEEDS, tmp_path / "a"), tmp_path / "there", due)
    assert len(said(tmp_path / "a")["tinker"]["sessions"]) == 3


def test_the_client_of_the_first_request_is_let_go_where_no_loop_closes_it(
    tmp_path: Path, at: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go: list[str] = []

    def note(client: Any) -> None:
        if not client.is_closed:
            let_go.append(threading.current_thread().name)

    monkeypatch.setattr(AsyncHttpxClientWrapper, "__del__", note)
    gc.disable()  # nobody else finds it
    try:
        with rehearsal(tmp_path / "there") as there:
            at(there)
            with session(HERE):
                assert let_go == [threading.current_thread().name]
    finally:
        gc.enable()


def test_a_server_that_never_answers_ends_it(tmp_path: Path, at: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("doxa.server.tinker.application.PATIENCE", 0.05)
    with rehearsal(tmp_path / "there") as there:
        at(there)
        stop = threading.Event()
        work = there.house.worker._results
        monkeypatch.setattr(there.house.worker, "_results", lambda tasks: (stop.wait(20), work(tasks))[1])
        with pytest.raises(EnvironmentFault, match=r"has not answered for 0\.5 seconds"):
            train_on_tinker(replace(HERE, patience=0.5), TWO, SEEDS, tmp_path / "a")
        stop.set()
