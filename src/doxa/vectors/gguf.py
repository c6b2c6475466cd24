"""llama.cpp and repeng control vectors: GGUF files with one tensor per layer.

The convention of both (llama.cpp `llama_adapter_cvec`, repeng 0.4.0 `ControlVector.export_gguf`):
`general.architecture` is `controlvector`; the tensor `direction.N`, float32, is added at the output of decoder block N
counted from 0. A `direction.0` is refused by llama.cpp, so the first block cannot be steered there. What the format has
no place for (residual norms, the first block's direction, our manifest) stands in keys that begin with `doxa.`, which
llama.cpp ignores: a vector that went out and came back is the same vector.
"""

import dataclasses
import json
import os
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import doxa
from doxa.models.handle import Model
from doxa.vectors.reference import norms_rule, reference_hash, residual_norms
from doxa.vectors.vector import Vector, VectorManifest, check, manifest_from_json
from doxa.words.errors import VectorError
from doxa.words.store import Json, content_hash, write_atomic

_ARCHITECTURE = "controlvector"
_ALIGNMENT = 32
_MAX_BYTES = 1 << 30

# Kinds of values and tensors, as the format numbers them.
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_UINT32, _FLOAT32, _STRING, _ARRAY = 4, 6, 8, 9
_F32 = 0


def export_gguf(vector: Vector, path: Path) -> None:
    """Write a vector as a control vector for llama.cpp (`--control-vector-scaled FILE STRENGTH`) and repeng.

    Directions are written raw: a strength there is a strength of `unit: raw`, `share: each` here.

    Raises:
        VectorError: When there is a file of that name already that holds something else.
        EnvironmentFault: When the file cannot be written.
    """
    manifest = dataclasses.asdict(vector.manifest) | {"digest": vector.digest}
    keys = {
        "general.architecture": _ARCHITECTURE,
        f"{_ARCHITECTURE}.model_hint": vector.manifest.architecture,
        f"{_ARCHITECTURE}.layer_count": vector.n_layers - 1,
        "doxa.manifest": json.dumps(manifest, ensure_ascii=False),
        "doxa.norms": vector.norms,
        "doxa.direction_0": vector.directions[0],
    }
    size = -(-4 * vector.d_model // _ALIGNMENT) * _ALIGNMENT
    layers = range(1, vector.n_layers)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(layers), len(keys))
    head += b"".join(_string(key) + _value(value) for key, value in keys.items())
    for layer in layers:
        head += _string(f"direction.{layer}") + struct.pack("<IQIQ", 1, vector.d_model, _F32, (layer - 1) * size)
    rows = [vector.directions[layer].astype("<f4").tobytes().ljust(size, b"\0") for layer in layers]
    data = b"".join([head.ljust(-(-len(head) // _ALIGNMENT) * _ALIGNMENT, b"\0"), *rows])
    _refuse_other(path, data)
    write_atomic(path, data)


def _refuse_other(path: Path, data: bytes) -> None:
    """A file that is there and holds something else may be a model."""
    if os.path.lexists(path) and not (
        path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data
    ):
        raise VectorError(
            f"{path} is there already and holds something else",
            expected="a name that is free",
            way_out="Choose another name, or remove it first",
        )


def import_gguf(path: Path, model: Model) -> Vector:
    """Read a control vector of llama.cpp, repeng or doxa.

    A file of doxa gives back the vector that was exported, and must have been taken from `model`. Any other file does
    not say what model it is of, what its sign means, or how large residuals are: the number of layers and the width are
    checked, norms are measured on `model`, layers without a tensor have no direction.

    Args:
        path: The file.
        model: The model that it is for.

    Raises:
        VectorError: When the file is missing, malformed, not a control vector, or of another model.
    """
    found = _scan(path)
    architecture = found.keys.get("general.architecture")
    if architecture != _ARCHITECTURE:
        raise _wrong(path, f"its architecture is {architecture!r}")
    rows = _rows(path, found, model)
    if "doxa.manifest" in found.keys:
        vector = _ours(path, found, rows)
        check(vector, model)
        return vector
    manifest = VectorManifest(
        name=path.stem,
        positive=f"the positive side of {path.name} (the file does not say which)",
        negative=f"the negative side of {path.name} (the file does not say which)",
        recipe={"kind": "imported", "file": path.name, "model_hint": found.keys.get(f"{_ARCHITECTURE}.model_hint")},
        model=model.name,
        fingerprint=model.fingerprint,
        architecture=model.network.config.model_type,
        dtype=str(model.dtype).removeprefix("torch."),
        norms_rule=norms_rule(),
        doxa=doxa.__version__,
    )
    return Vector(rows, residual_norms(model), manifest)


def import_key(model: Model, path: Path) -> str:
    """A hash of all that an imported vector is made from; not of its norms, whose last bits depend on the processor.

    Raises:
        VectorError: When the file cannot be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise VectorError(f"{path} cannot be read ({error.strerror})", way_out="Check its path") from error
    return content_hash([content_hash(content), model.fingerprint, str(model.dtype), reference_hash()])


def _ours(path: Path, found: "_Contents", rows: np.ndarray[Any, Any]) -> Vector:
    try:
        head = json.loads(found.keys["doxa.manifest"])
        rows[0] = found.keys["doxa.direction_0"]
        vector = Vector(rows, np.array(found.keys["doxa.norms"], dtype=np.float32), manifest_from_json(head))
        intact = vector.digest == head["digest"]
    except (ValueError, TypeError, KeyError, RecursionError, VectorError) as error:
        raise _wrong(path, f"its keys `doxa.*` do not belong to its tensors ({error})") from error
    if not intact:
        raise _wrong(path, "its content does not match the digest in its manifest")
    return vector


def _rows(path: Path, found: "_Contents", model: Model) -> np.ndarray[Any, Any]:
    rows = np.zeros((model.n_layers, model.d_model), dtype=np.float32)
    if not found.tensors:
        raise _wrong(path, "it has no tensors")
    for name, values in found.tensors.items():
        number = re.fullmatch(r"direction\.(\d{1,6})", name)
        if not number:
            raise _wrong(path, f"it has a tensor {name[:40]!r}")
        layer = int(number[1])
        if not 0 < layer < model.n_layers:
            raise VectorError(
                f"{path} has a direction for layer {layer}",
                expected=f"layers from 1 to {model.n_layers - 1}, as {model.name} has",
                way_out="Use the model that it was made for",
            )
        if len(values) != model.d_model:
            raise VectorError(
                f"{path} has directions of {len(values)} dimensions",
                expected=f"{model.d_model}, as {model.name} has",
                way_out="Use the model that it was made for",
            )
        rows[layer] = values
    return rows


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value: str | int | np.ndarray[Any, Any]) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", _STRING) + _string(value)
    if isinstance(value, int):
        return struct.pack("<II", _UINT32, value)
    return struct.pack("<IIQ", _ARRAY, _FLOAT32, len(value)) + value.astype("<f4").tobytes()


# Reading. The reader of the gguf package trusts the counts in a file (an array said to have 2^60 items keeps it busy
# for ever), and control vectors are passed around; so the few parts that are needed are read here.


@dataclass(frozen=True)
class _Contents:
    keys: dict[str, Json]
    tensors: dict[str, np.ndarray[Any, Any]]


class _Cursor:
    """A place in a file; every step is checked against its end."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        if size > len(self.data) - self.at:
            raise ValueError(f"it ends {size - (len(self.data) - self.at):,} bytes early")
        self.at += size
        return self.data[self.at - size : self.at]

    def scalar(self, code: str) -> Any:
        return struct.unpack(f"<{code}", self.take(struct.calcsize(f"<{code}")))[0]

    def string(self) -> str:
        return self.take(self.scalar("Q")).decode()

    def value(self, kind: int) -> Json:
        if kind == _STRING:
            return self.string()
        if kind == _ARRAY:
            item, count = self.scalar("I"), self.scalar("Q")
            if item == _STRING:
                if count > len(self.data) // 8:
                    raise ValueError(f"a list of {count:,} texts")
                return [self.string() for _ in range(count)]
            if item not in _SCALARS:
                raise ValueError(f"a list of items of kind {item}")
            return np.frombuffer(self.take(count * struct.calcsize(f"<{_SCALARS[item]}")), f"<{_SCALARS[item]}")
        if kind not in _SCALARS:
            raise ValueError(f"a value of kind {kind}")
        return self.scalar(_SCALARS[kind])


def _scan(path: Path) -> _Contents:
    """Read keys and float32 tensors of a GGUF file (version 2 or 3, little-endian)."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise VectorError(
            f"{path} cannot be read ({error.strerror})", expected="a GGUF control vector", way_out="Check the path"
        ) from error
    if len(data) > _MAX_BYTES:
        raise _wrong(path, f"it has more than {_MAX_BYTES:,} bytes")
    try:
        return _contents(_Cursor(data))
    except (ValueError, OverflowError) as error:
        raise _wrong(path, str(error)) from error


def _contents(cursor: _Cursor) -> _Contents:
    if cursor.take(4) != b"GGUF":
        raise ValueError("it does not begin with GGUF")
    version, n_tensors, n_keys = cursor.scalar("I"), cursor.scalar("Q"), cursor.scalar("Q")
    if version not in (2, 3):
        raise ValueError(f"it is of version {version}")
    keys: dict[str, Json] = {}
    for _ in range(n_keys):
        key = cursor.string()
        keys[key] = cursor.value(cursor.scalar("I"))
    places: list[tuple[str, int, int]] = []
    for _ in range(n_tensors):
        name, n_dimensions = cursor.string(), cursor.scalar("I")
        if n_dimensions != 1:
            raise ValueError(f"its tensor {name[:40]!r} has {n_dimensions} axes")
        size, kind, offset = cursor.scalar("Q"), cursor.scalar("I"), cursor.scalar("Q")
        if kind != _F32:
            raise ValueError(f"its tensor {name[:40]!r} is not float32")
        places.append((name, size, offset))
    if sum(4 * size for _, size, _ in places) > len(cursor.data):
        raise ValueError("its tensors are larger than the file")
    alignment = keys.get("general.alignment", _ALIGNMENT)
    if not isinstance(alignment, int) or alignment <= 0:
        raise ValueError(f"its alignment is {alignment!r}")
    start = -(-cursor.at // alignment) * alignment
    tensors: dict[str, np.ndarray[Any, Any]] = {}
    for name, size, offset in places:
        cursor.at = min(start + offset, len(cursor.data))
        if name in tensors:
            raise ValueError(f"it has two tensors {name[:40]!r}")
        tensors[name] = np.frombuffer(cursor.take(4 * size), "<f4")
    return _Contents(keys, tensors)


def _wrong(path: Path, what: str) -> VectorError:
    return VectorError(
        f"{path} is not a control vector: {what}",
        expected="a GGUF file of architecture `controlvector` with float32 tensors direction.1, direction.2, ...",
        way_out="Check the file, or fetch it once more",
    )
