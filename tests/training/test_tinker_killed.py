"""`doxa tinker-serve` as a process of its own, killed without a word while somebody trains on it; and a recipe."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file
from tiny_networks import rows, tiny

from doxa.models.handle import load
from doxa.progress import Lines
from doxa.training import tinker as backend
from doxa.training.adapter import Stage
from doxa.training.local import train
from doxa.training.metrics import read_metrics
from doxa.tune import tune
from doxa.words.errors import StudyError
from doxa.words.tune_recipes import read_tune_recipe
from doxa.words.tuning import Configuration, TrainingSeeds

pytest.importorskip("tinker", reason="the SDK is not installed: pip install 'doxa[tinker]'")
from tinker_rehearsal import KEY, forget_clients, make_quick, rehearsal

from doxa.models.tinker_service import Service
from doxa.training.tinker import train_on_tinker

# The SDK leaves connections open (of its first request, of clients in the process).
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    make_quick(monkeypatch)
    monkeypatch.setattr(backend, "PAUSE", 0.5)
    monkeypatch.setenv("TINKER_API_KEY", KEY)
    yield
    forget_clients()


def saved(folder: Path) -> Path:
    """The tiny network as a model of a folder."""
    tiny().network.save_pretrained(folder)
    tiny().tokenizer.save_pretrained(folder)
    return folder


def begun(model: Path, kept: Path, port: int) -> subprocess.Popen[str]:
    words = ["tinker-serve", "--model", str(model), "--folder", str(kept), "--port", str(port), "--own-key"]
    command = [sys.executable, "-c", "from doxa.cli import main; main()", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    assert process.stdout is not None
    assert any(line.startswith("Stop with") for line in process.stdout), "the server did not start"
    return process


def test_a_server_that_is_killed_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = saved(tmp_path / "model")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    monkeypatch.setenv("TINKER_BASE_URL", f"http://127.0.0.1:{port}")
    stages = [Stage(tuple(rows((9, 5, 12, 7))), Configuration(1e-2, rank=4, batch_size=2, epochs=3), "claims", "")]
    due = train(load(str(model)), stages, TrainingSeeds(1, 2), tmp_path / "due")
    servers = [begun(model, tmp_path / "kept", port)]
    made = [0]

    def progress(count: int) -> None:
        made[0] += count
        if made[0] == 3 and len(servers) == 1:
            servers[0].kill()
            servers[0].wait()
            servers.append(begun(model, tmp_path / "kept", port))

    try:
        service = Service(str(model), every=2, patience=60)
        folder = train_on_tinker(service, stages, TrainingSeeds(1, 2), tmp_path / "a", progress=progress)
    finally:
        servers[-1].send_signal(signal.SIGINT)
        assert servers[-1].wait(30) == 0
    assert len(servers) == 2
    losses = [[line["loss"] for line in read_metrics(one / "metrics.jsonl")] for one in (folder, due)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    address = json.loads((folder / "run.json").read_text())["tinker"]["adapters"]["final"]
    found = load_file(tmp_path / "kept" / address.removeprefix("tinker://") / "adapter_model.safetensors")
    for name, matrix in load_file(due / "adapter_model.safetensors").items():
        assert (found[name] - matrix).abs().max() < 1e-5
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or KEY.encode() not in file.read_bytes()


def test_a_recipe_says_who_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOXA_CACHE", str(tmp_path / "cache"))
    model = saved(tmp_path / "model")
    (tmp_path / "mine.jsonl").write_text('{"text": "w3 w4 w5 w6"}\n{"text": "w9 w8 w7"}\n')
    text = "model: model\nstages: [{corpus: mine.jsonl, learning_rate: 1e-2, epochs: 3, rank: 4}]\n"
    (tmp_path / "here.yaml").write_text(text)
    (tmp_path / "there.yaml").write_text(text + "backend: tinker\ntinker_model: tiny-llama\nseeds: 2\n")
    (here,) = tune(read_tune_recipe(tmp_path / "here.yaml"), tmp_path / "here", Lines(lambda line: None))
    with rehearsal(tmp_path / "kept", model=replace(load(str(model)), name="tiny-llama")) as there:
        monkeypatch.setenv("TINKER_BASE_URL", there.url)
        first, second = tune(read_tune_recipe(tmp_path / "there.yaml"), tmp_path / "there", Lines(lambda line: None))
    assert first["loss"] == pytest.approx(here["loss"], abs=1e-5)
    assert first["steps"] == second["steps"] == 3
    assert second["loss"] != first["loss"]
    (tmp_path / "wrong.yaml").write_text(text + "tinker_model: x\n")
    with pytest.raises(StudyError, match="tinker_model"):
        read_tune_recipe(tmp_path / "wrong.yaml")
