import copy
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from doxa.models import fingerprint as under_test
from doxa.models.fingerprint import file_hash, fingerprint_folder, fingerprint_network, sha256_of, weight_files
from doxa.words.errors import EnvironmentFault


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


def test_the_files_are_those_that_transformers_loads(
    make_network: Any, tokenizer: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("DOXA_CACHE", str(tmp_path / "cache"))
    folder, other = tmp_path / "both", tmp_path / "other"
    make_network("gpt2").save_pretrained(folder, max_shard_size="20KB")
    sharded = fingerprint_folder(folder, tokenizer)
    make_network("gpt2", seed=1).save_pretrained(other)
    (folder / "model.safetensors").write_bytes((other / "model.safetensors").read_bytes())
    assert [file.name for file in weight_files(folder)] == ["model.safetensors"]
    assert fingerprint_folder(folder, tokenizer) == fingerprint_folder(other, tokenizer) != sharded
    loaded = AutoModelForCausalLM.from_pretrained(folder)
    expected = AutoModelForCausalLM.from_pretrained(other)
    assert torch.equal(loaded.transformer.wte.weight, expected.transformer.wte.weight)


def test_shards_may_stand_in_a_folder_and_not_outside(make_network: Any, tmp_path: Path) -> None:
    make_network("gpt2").save_pretrained(tmp_path, max_shard_size="20KB")
    index = tmp_path / "model.safetensors.index.json"
    written = json.loads(index.read_text())
    names = dict.fromkeys(written["weight_map"], "parts/one.safetensors")
    index.write_text(json.dumps({**written, "weight_map": names}))
    assert weight_files(tmp_path) == (tmp_path / "parts" / "one.safetensors",)
    for wrong in ('{"weight_map": {"a": "../secret.safetensors"}}', '{"weight_map": 3}', "{", "[]"):
        index.write_text(wrong)
        with pytest.raises(EnvironmentFault, match="index"):
            weight_files(tmp_path)


def test_what_ends_an_answer_is_part_of_a_model(
    make_network: Any, tokenizer: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("DOXA_CACHE", str(tmp_path / "cache"))
    make_network("gpt2").save_pretrained(tmp_path)
    before = fingerprint_folder(tmp_path, tokenizer)
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [2, 5]}')
    assert fingerprint_folder(tmp_path, tokenizer) != before
    network = make_network("gpt2")
    in_memory = fingerprint_network(network, tokenizer)
    network.generation_config.eos_token_id = [2, 5]
    assert fingerprint_network(network, tokenizer) != in_memory
