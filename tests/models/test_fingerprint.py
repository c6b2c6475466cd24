import copy
import os
from pathlib import Path
from typing import Any

import torch

from doxa.models import fingerprint as under_test
from doxa.models.fingerprint import file_hash, fingerprint_folder, fingerprint_network, sha256_of, weight_files


def test_the_fingerprint_covers_weights_configuration_tokenizer_and_template(make_network: Any, tokenizer: Any) -> None:
    def changed_weight() -> Any:
        network = make_network("llama")
        network.model.layers[2].mlp.up_proj.weight[5, 7] += 1e-6
        return network

    other = copy.deepcopy(tokenizer)
    other.chat_template = "{{ messages }}"
    more = copy.deepcopy(tokenizer)
    more.add_tokens(["<new>"])
    with torch.no_grad():
        prints = [
            fingerprint_network(make_network("llama"), tokenizer),
            fingerprint_network(changed_weight(), tokenizer),
            fingerprint_network(make_network("llama", rms_norm_eps=1e-3), tokenizer),
            fingerprint_network(make_network("llama"), other),
            fingerprint_network(make_network("llama"), more),
        ]
    assert len(set(prints)) == len(prints)
    assert prints[0] == fingerprint_network(make_network("llama"), tokenizer)


def test_how_a_tokenizer_was_called_last_does_not_matter(make_network: Any, tokenizer: Any) -> None:
    own = copy.deepcopy(tokenizer)
    network = make_network("llama")
    before = fingerprint_network(network, own)
    own(["a", "a long one"], padding=True, truncation=True, max_length=3)
    assert fingerprint_network(network, own) == before


def test_a_folder_has_the_fingerprint_of_its_files(
    make_network: Any, tokenizer: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("DOXA_CACHE", str(tmp_path / "cache"))
    one, two, sharded = tmp_path / "one", tmp_path / "two", tmp_path / "sharded"
    make_network("gpt2").save_pretrained(one)
    make_network("gpt2").save_pretrained(two)
    make_network("gpt2").save_pretrained(sharded, max_shard_size="20KB")
    assert fingerprint_folder(one, tokenizer) == fingerprint_folder(two, tokenizer)
    assert [file.name for file in weight_files(one)] == ["model.safetensors"]
    assert len(weight_files(sharded)) > 1
    assert all(file.is_file() for file in weight_files(sharded))
    fingerprint_folder(sharded, tokenizer)
    make_network("gpt2", seed=1).save_pretrained(two)
    assert fingerprint_folder(one, tokenizer) != fingerprint_folder(two, tokenizer)
    assert weight_files(tmp_path) == ()


def test_a_hash_is_remembered_until_the_file_changes(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("DOXA_CACHE", str(tmp_path / "cache"))
    read: list[Path] = []

    def counted(path: Path) -> str:
        read.append(path)
        return sha256_of(path)

    monkeypatch.setattr(under_test, "sha256_of", counted)
    file = tmp_path / "file"
    file.write_bytes(b"abc")
    assert file_hash(file) == file_hash(file) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert read == [file]
    file.write_bytes(b"abd")
    os.utime(file, ns=(0, 1))
    assert file_hash(file) == sha256_of(file)
    assert len(read) == 2


def test_a_hash_needs_no_cache(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    monkeypatch.setenv("DOXA_CACHE", str(tmp_path / "file"))  # not a folder
    assert file_hash(tmp_path / "file") == sha256_of(tmp_path / "file")
