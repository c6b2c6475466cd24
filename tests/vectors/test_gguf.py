import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGUFReader, GGUFWriter

from doxa.models.handle import Model
from doxa.vectors import gguf
from doxa.vectors.gguf import export_gguf, import_gguf
from doxa.vectors.library import vector_key
from doxa.vectors.reference import residual_norms
from doxa.vectors.vector import Vector
from doxa.words.errors import VectorError


@pytest.fixture
def vector(make_vector: Callable[..., Vector], model: Model) -> Vector:
    """A vector as if it had been taken from the tiny model."""
    made = make_vector(layers=5, d_model=32)
    manifest = replace(made.manifest, model=model.name, fingerprint=model.fingerprint)
    return Vector(made.directions, made.norms, manifest)


def foreign(
    path: Path,
    tensors: dict[str, np.ndarray],
    *,
    architecture: str = "controlvector",
    hint: str | None = "llama",
) -> Path:
    """A control vector as repeng 0.4.0 writes it: a hint, a count, a tensor a layer, nothing else."""
    writer = GGUFWriter(path, architecture)
    if hint is not None:
        writer.add_string("controlvector.model_hint", hint)
    writer.add_uint32("controlvector.layer_count", len(tensors))
    for name, values in tensors.items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_vector_that_went_out_comes_back_the_same(vector: Vector, model: Model, tmp_path: Path) -> None:
    export_gguf(vector, tmp_path / "v.gguf")
    again = import_gguf(tmp_path / "v.gguf", model)
    assert np.array_equal(again.directions, vector.directions)
    assert np.array_equal(again.norms, vector.norms)
    assert again.manifest == vector.manifest
    assert again.digest == vector.digest


def test_the_file_is_what_llama_cpp_and_repeng_read(vector: Vector, tmp_path: Path) -> None:
    export_gguf(vector, tmp_path / "v.gguf")
    reader = GGUFReader(tmp_path / "v.gguf")
    field = reader.get_field("general.architecture")
    assert field is not None
    assert field.contents() == "controlvector"
    hint = reader.get_field("controlvector.model_hint")
    assert hint is not None
    assert hint.contents() == "llama"
    assert [tensor.name for tensor in reader.tensors] == ["direction.1", "direction.2", "direction.3", "direction.4"]
    for tensor in reader.tensors:
        layer = int(tensor.name.split(".")[1])
        assert tensor.data.dtype == np.float32
        assert np.array_equal(tensor.data, vector.directions[layer])


def test_a_foreign_file_steers_the_blocks_that_it_names(model: Model, tmp_path: Path) -> None:
    rows = {f"direction.{layer}": np.full(32, layer, np.float32) for layer in (3, 1)}
    found = import_gguf(foreign(tmp_path / "happy.gguf", rows), model)
    assert np.array_equal(found.directions[:, 0], [0, 1, 0, 3, 0])
    assert np.array_equal(found.norms, residual_norms(model))
    assert found.manifest.name == "happy"
    assert found.manifest.fingerprint == model.fingerprint
    assert dict(found.manifest.recipe) == {"kind": "imported", "file": "happy.gguf", "model_hint": "llama"}
    assert "does not say" in found.manifest.positive


def test_the_key_of_a_foreign_file_is_of_its_bytes_and_the_model(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not of the norms that are measured for it, whose last bits another processor computes otherwise."""
    path = foreign(tmp_path / "happy.gguf", {"direction.1": np.ones(32, np.float32)})
    key = vector_key(str(path), model)
    norms = residual_norms(model) * np.float32(1 + 1e-6)
    monkeypatch.setattr(gguf, "residual_norms", lambda model: norms)
    assert vector_key(str(path), model) == key
    assert vector_key(str(path), replace(model, dtype=torch.bfloat16)) != key
    assert vector_key(str(path), replace(model, fingerprint="f" * 64)) != key
    foreign(path, {"direction.1": np.full(32, 2, np.float32)})
    assert vector_key(str(path), model) != key


def test_a_file_without_a_hint(model: Model, tmp_path: Path) -> None:
    path = foreign(tmp_path / "v.gguf", {"direction.1": np.ones(32, np.float32)}, hint=None)
    assert import_gguf(path, model).manifest.recipe["model_hint"] is None


def test_a_vector_of_another_model(vector: Vector, make_model: Callable[..., Model], tmp_path: Path) -> None:
    export_gguf(vector, tmp_path / "v.gguf")
    with pytest.raises(VectorError, match="was taken from tiny-0"):
        import_gguf(tmp_path / "v.gguf", make_model(seed=1))


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({"direction.5": np.ones(32, np.float32)}, "layer 5"),
        ({"direction.0": np.ones(32, np.float32)}, "layer 0"),
        ({"direction.1": np.ones(16, np.float32)}, "16 dimensions"),
        ({"direction.1": np.ones(32, np.float16)}, "not float32"),
        ({"direction.1": np.ones((2, 16), np.float32)}, "2 axes"),
        ({"direction.one": np.ones(32, np.float32)}, "direction.one"),
        ({"blk.0.attn_q.weight": np.ones(32, np.float32)}, "blk.0"),
        ({"direction.1": np.full(32, np.nan, np.float32)}, "NaN"),
        ({}, "no tensors"),
    ],
)
def test_tensors_that_no_control_vector_of_this_model_has(
    model: Model, tmp_path: Path, tensors: dict[str, np.ndarray], said: str
) -> None:
    with pytest.raises(VectorError) as caught:
        import_gguf(foreign(tmp_path / "v.gguf", tensors), model)
    assert said in str(caught.value)


def test_a_language_model_is_not_a_control_vector(model: Model, tmp_path: Path) -> None:
    path = foreign(tmp_path / "v.gguf", {"direction.1": np.ones(32, np.float32)}, architecture="llama")
    with pytest.raises(VectorError, match="its architecture is 'llama'"):
        import_gguf(path, model)


def test_missing_files_and_folders(model: Model, tmp_path: Path) -> None:
    for path in (tmp_path / "no.gguf", tmp_path):
        with pytest.raises(VectorError, match="cannot be read"):
            import_gguf(path, model)


def test_every_truncation_is_an_error_in_words(vector: Vector, model: Model, tmp_path: Path) -> None:
    export_gguf(vector, tmp_path / "v.gguf")
    data = (tmp_path / "v.gguf").read_bytes()
    cut = tmp_path / "cut.gguf"
    for end in [*range(0, len(data), 13), len(data) - 1]:
        cut.write_bytes(data[:end])
        with pytest.raises(VectorError, match="not a control vector"):
            import_gguf(cut, model)


def test_damaged_bytes_are_an_error_in_words_or_do_no_harm(vector: Vector, model: Model, tmp_path: Path) -> None:
    export_gguf(vector, tmp_path / "v.gguf")
    data = (tmp_path / "v.gguf").read_bytes()
    random, refused = np.random.default_rng(0), 0
    for _ in range(600):
        damaged = bytearray(data)
        damaged[random.integers(len(data))] ^= 1 << int(random.integers(8))
        (tmp_path / "bad.gguf").write_bytes(damaged)
        try:
            found = import_gguf(tmp_path / "bad.gguf", model)
        except VectorError:
            refused += 1
        else:  # a flipped bit in a key that nobody reads, or one that turns our file into a foreign one
            ours = found.digest == vector.digest
            assert ours or found.manifest.recipe["kind"] == "imported"
    assert refused > 500


HEAD = struct.pack("<4sI", b"GGUF", 3)
KEY = struct.pack("<Q", 1) + b"k"


def _overlapping(n: int) -> bytes:
    """A tensor that takes nearly the whole file, as seven others do: read one by one, they are many times its size."""
    return struct.pack("<Q", 1) + b"%d" % n + struct.pack("<IQIQ", 1, 900, 0, 0)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GGML" + HEAD[4:],
        struct.pack(">4sI", b"GGUF", 3) + bytes(16),
        struct.pack("<4sIQQ", b"GGUF", 9, 0, 0),
        HEAD + struct.pack("<QQ", 1 << 60, 0),
        HEAD + struct.pack("<QQ", 0, 1 << 60),
        HEAD + struct.pack("<QQ", 0, 1) + struct.pack("<Q", 1 << 62),
        HEAD + struct.pack("<QQ", 0, 1) + KEY + struct.pack("<IIQ", 9, 6, 1 << 60),
        HEAD + struct.pack("<QQ", 0, 1) + KEY + struct.pack("<IIQ", 9, 8, 1 << 60),
        HEAD + struct.pack("<QQ", 0, 1) + KEY + struct.pack("<IIQ", 9, 9, 1),
        HEAD + struct.pack("<QQ", 0, 1) + KEY + struct.pack("<I", 99),
        HEAD + struct.pack("<QQ", 0, 1) + struct.pack("<Q", 1) + b"\xff" + struct.pack("<IB", 0, 0),
        HEAD + struct.pack("<QQ", 1, 0) + KEY + struct.pack("<IQIQ", 1, 1 << 62, 0, 0),
        HEAD + struct.pack("<QQ", 1, 0) + KEY + struct.pack("<IQIQ", 1, 4, 0, 1 << 63),
        HEAD + struct.pack("<QQ", 2, 0) + 2 * (KEY + struct.pack("<IQIQ", 1, 0, 0, 0)) + bytes(64),
        HEAD + struct.pack("<QQ", 8, 0) + b"".join(_overlapping(n) for n in range(8)) + bytes(4096),
        HEAD + struct.pack("<QQ", 0, 1) + struct.pack("<Q", 17) + b"general.alignment" + struct.pack("<II", 4, 0),
    ],
)
def test_hostile_files_are_refused_at_once(model: Model, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "v.gguf").write_bytes(data)
    with pytest.raises(VectorError, match="not a control vector"):
        import_gguf(tmp_path / "v.gguf", model)
