import json
import os
import threading
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from tiny_gguf import same_logits, write_gguf
from transformers import AutoModelForCausalLM, AutoTokenizer

from doxa.models import convert
from doxa.models.convert import MANIFEST, converted, damage, from_gguf_file
from doxa.words.errors import EnvironmentFault, ModelError


@pytest.fixture
def gguf(tmp_path: Path, monkeypatch: Any, make_network: Any, tokenizer: Any) -> Path:
    monkeypatch.setenv("DOXA_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "tiny.gguf"
    write_gguf(path, make_network("llama"), tokenizer)
    return path


def test_a_gguf_file_gives_the_same_model_and_tokenizer(gguf: Path, make_network: Any, tokenizer: Any) -> None:
    folder, fingerprint = from_gguf_file(gguf)
    network = AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True)
    assert same_logits(network, make_network("llama"))
    assert not same_logits(network, make_network("llama", seed=1))
    assert network.generation_config.eos_token_id == tokenizer.eos_token_id
    own = AutoTokenizer.from_pretrained(folder)
    text = "Are you conscious? Grüße 你好 don't\n\n<|im_end|> the answer"
    assert own(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert own.chat_template == tokenizer.chat_template
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    assert settings["tokenizer_class"] == "PreTrainedTokenizerFast"  # the class that every version knows
    assert not {"is_local", "local_files_only"} & set(settings)
    assert "quantization_config" not in json.loads((folder / "config.json").read_text())
    assert from_gguf_file(gguf) == (folder, fingerprint)


@pytest.mark.parametrize(("pre", "expected"), [("smollm", ["a", "ĊĊ", "1", "2"]), ("gpt-2", ["a", "Ċ", "Ċ", "12"])])
def test_digits_stand_apart_where_the_file_says_so(
    tmp_path: Path, monkeypatch: Any, make_network: Any, tokenizer: Any, pre: str, expected: list[str]
) -> None:
    monkeypatch.setenv("DOXA_CACHE", str(tmp_path / "cache"))
    write_gguf(tmp_path / "tiny.gguf", make_network("llama"), tokenizer, pre=pre)
    folder, _ = from_gguf_file(tmp_path / "tiny.gguf")
    rules = AutoTokenizer.from_pretrained(folder).backend_tokenizer
    pieces = [piece for piece, _ in rules.pre_tokenizer.pre_tokenize_str("a\n\n12")]
    assert pieces == expected


def test_a_sound_folder_is_not_made_again(gguf: Path, monkeypatch: Any) -> None:
    folder, _ = from_gguf_file(gguf)
    monkeypatch.setattr(convert, "_convert", lambda file, folder: pytest.fail("converted again"))
    assert damage(folder) is None
    assert from_gguf_file(gguf)[0] == folder
    os.utime(folder / "config.json")  # a copied cache has other times
    assert from_gguf_file(gguf)[0] == folder


def truncated(folder: Path) -> None:
    with (folder / "model.safetensors").open("r+b") as file:
        file.truncate(1000)


def without_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def other_bytes(folder: Path) -> None:
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(1, 1))


def without_manifest(folder: Path) -> None:
    (folder / MANIFEST).unlink()


def empty_manifest(folder: Path) -> None:
    (folder / MANIFEST).write_text('{"files": {}}')


def broken_manifest(folder: Path) -> None:
    (folder / MANIFEST).write_text('{"files": {"config.json": 3, "tokenizer.json": [], "tokenizer_config.json": [],')


@pytest.mark.parametrize(
    ("harm", "what"),
    [
        (truncated, "model.safetensors has 1000 bytes instead of"),
        (without_tokenizer, "tokenizer.json"),
        (other_bytes, "model.safetensors has other contents"),
        (without_manifest, "manifest"),
        (empty_manifest, "does not list what a model needs"),
        (broken_manifest, "manifest"),
    ],
)
def test_a_damaged_folder_is_made_again(gguf: Path, make_network: Any, harm: Any, what: str) -> None:
    folder, _ = from_gguf_file(gguf)
    harm(folder)
    found = damage(folder)
    assert found is not None
    assert what in found
    said: list[str] = []
    converted(folder, lambda: nullcontext(gguf), said.append)
    assert damage(folder) is None
    assert "is damaged" in said[0]
    assert what in said[0]
    assert same_logits(AutoModelForCausalLM.from_pretrained(folder), make_network("llama"))


def test_a_damaged_folder_that_cannot_be_removed_is_named(gguf: Path, monkeypatch: Any) -> None:
    folder, _ = from_gguf_file(gguf)
    truncated(folder)
    monkeypatch.setattr(convert.shutil, "rmtree", lambda *args, **kwargs: None)
    with pytest.raises(EnvironmentFault, match=r"could not be removed.*Delete it"):
        from_gguf_file(gguf)


def test_of_several_at_once_one_makes_it_and_leftovers_go(gguf: Path, monkeypatch: Any) -> None:
    folder = gguf.parent / "cache" / "models" / "once"
    leftover = folder.parent / ".once.killed"
    leftover.mkdir(parents=True)
    made: list[Path] = []
    convert_once = convert._convert

    def counted(file: Path, beside: Path) -> None:
        made.append(beside)
        convert_once(file, beside)

    monkeypatch.setattr(convert, "_convert", counted)
    threads = [threading.Thread(target=converted, args=(folder, lambda: nullcontext(gguf))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert damage(folder) is None
    assert sorted(path.name for path in folder.parent.iterdir()) == ["once", "once.lock"]


def test_what_is_no_gguf_file_is_refused_and_leaves_nothing(gguf: Path) -> None:
    cut = gguf.with_name("cut.gguf")
    cut.write_bytes(gguf.read_bytes()[:3000])
    for path, content in [(cut, None), (gguf.with_name("text.gguf"), b"not a model"), (gguf.with_name("no.gguf"), b"")]:
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ModelError, match=r"could not be converted.*GGUF file of a language model") as caught:
            from_gguf_file(path)
        assert "safetensors" in caught.value.way_out
    assert [path.suffix for path in (gguf.parent / "cache" / "models").iterdir()] == [".lock"] * 3


def test_the_screen_stays_empty(gguf: Path, capfd: Any) -> None:
    from_gguf_file(gguf)
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
