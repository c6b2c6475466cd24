import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
from safetensors.torch import save as save_tensors

from doxa.vectors.vector import DIRECTIONS_FILE, MANIFEST_FILE, Vector, combine, load, mean, save
from doxa.words.errors import EnvironmentFault, VectorError
from doxa.words.store import content_hash

Make = Callable[..., Vector]


def with_manifest(vector: Vector, **changes: object) -> Vector:
    return Vector(vector.directions, vector.norms, dataclasses.replace(vector.manifest, **changes))


def test_what_is_loaded_is_what_was_saved(make_vector: Make, tmp_path: Path) -> None:
    vector = make_vector()
    save(vector, tmp_path / "a" / "b")
    again = load(tmp_path / "a" / "b")
    assert np.array_equal(again.directions, vector.directions)
    assert np.array_equal(again.norms, vector.norms)
    assert again.manifest == vector.manifest
    assert again.digest == vector.digest
    head = json.loads((tmp_path / "a" / "b" / MANIFEST_FILE).read_text())
    assert (head["n_layers"], head["d_model"], head["positive"]) == (12, 64, "it rains")


def test_saving_twice_is_the_same_and_over_another_is_an_error(make_vector: Make, tmp_path: Path) -> None:
    save(make_vector(), tmp_path / "v")
    save(make_vector(), tmp_path / "v")
    with pytest.raises(VectorError, match="holds another vector"):
        save(make_vector(seed=1), tmp_path / "v")
    assert load(tmp_path / "v").digest == make_vector().digest
    (tmp_path / "empty").mkdir()
    save(make_vector(seed=1), tmp_path / "empty")
    assert load(tmp_path / "empty").digest == make_vector(seed=1).digest
    (tmp_path / "file").write_text("")
    with pytest.raises(VectorError, match="holds no vector"):
        save(make_vector(), tmp_path / "file")


def test_the_digest_covers_what_the_vector_is(make_vector: Make) -> None:
    vector = make_vector()
    bumped = vector.directions.copy()
    bumped[3, 5] = np.nextafter(bumped[3, 5], np.float32(9e9))
    others = [
        Vector(bumped, vector.norms, vector.manifest),
        Vector(vector.directions, vector.norms * 2, vector.manifest),
        *(
            with_manifest(vector, **{key: value})
            for key, value in {
                "positive": "it pours",
                "negative": "drought",
                "recipe": {},
                "fingerprint": "0",
                "dtype": "bfloat16",
                "norms_rule": "mean",
            }.items()
        ),
    ]
    assert len({vector.digest, *(other.digest for other in others)}) == 9
    assert with_manifest(vector, model="another/name", doxa="9").digest == vector.digest


def test_a_vector_cannot_be_changed(make_vector: Make) -> None:
    source = np.ones((3, 4))
    vector = Vector(source, np.ones(3), make_vector().manifest)
    source[0, 0] = 7
    assert vector.directions[0, 0] == 1
    assert vector.directions.dtype == np.float32
    with pytest.raises(ValueError, match="read-only"):
        vector.directions[0, 0] = 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        vector.norms = np.zeros(3)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("directions", "norms"),
    [
        (np.ones(4), np.ones(4)),
        (np.ones((3, 4)), np.ones(4)),
        (np.ones((0, 4)), np.ones(0)),
        (np.full((3, 4), np.nan), np.ones(3)),
        (np.full((3, 4), 1e300), np.ones(3)),
        (np.ones((3, 4)), np.array([1.0, 0.0, 1.0])),
        (np.ones((3, 4)), np.array([1.0, np.inf, 1.0])),
    ],
)
def test_numbers_that_no_vector_has(make_vector: Make, directions: np.ndarray, norms: np.ndarray) -> None:
    with pytest.raises(VectorError, match="weather"):
        Vector(directions, norms, make_vector().manifest)


def test_arithmetic(make_vector: Make) -> None:
    a, b = make_vector(), with_manifest(make_vector(seed=1), name="fog", positive="it is foggy", negative="it is clear")
    assert np.allclose((a + b).directions, a.directions + b.directions)
    assert np.allclose((a - b).directions, a.directions - b.directions)
    assert np.allclose((2 * a).directions, 2 * a.directions)
    assert np.allclose((a * 0.5).directions, a.directions / 2)
    assert np.allclose((-a).directions, -a.directions)
    assert np.allclose(mean([a, b]).directions, (a.directions + b.directions) / 2)
    assert np.array_equal((a + b).norms, a.norms)


def test_arithmetic_says_what_was_done(make_vector: Make) -> None:
    a, b = make_vector(), with_manifest(make_vector(seed=1), name="fog", positive="it is foggy", negative="it is clear")
    difference = (2 * a - b).manifest
    assert difference.name == "2 weather - fog"
    assert difference.positive == "it rains + it is clear"
    assert difference.negative == "it is dry + it is foggy"
    assert difference.recipe["kind"] == "sum"
    assert [term["weight"] for term in difference.recipe["terms"]] == [1.0, -1.0]
    assert difference.recipe["terms"][1]["digest"] == b.digest
    assert difference.recipe["terms"][0]["recipe"]["terms"][0]["recipe"] == a.manifest.recipe
    assert (-a).manifest.name == "-weather"
    assert ((-a).manifest.positive, (-a).manifest.negative) == ("it is dry", "it rains")
    assert mean([a, b], name="weather at large").manifest.name == "weather at large"


def test_arithmetic_that_makes_no_sense(make_vector: Make) -> None:
    vector = make_vector()
    for factor in (0, float("nan"), float("inf")):
        with pytest.raises(VectorError, match="weight"):
            factor * vector
    with pytest.raises(VectorError, match="no vectors"):
        combine([])
    with pytest.raises(VectorError, match="vectors of one model"):
        vector + with_manifest(vector, fingerprint="0" * 64)
    with pytest.raises(VectorError, match="64 dimensions"):
        vector + make_vector(d_model=32)


def test_a_folder_without_a_vector(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(VectorError, match="holds no vector"):
            load(folder)


def damage(folder: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    path = folder / name
    path.write_bytes(change(path.read_bytes()))


def edit(change: Callable[[dict[str, object]], object]) -> Callable[[bytes], bytes]:
    def apply(data: bytes) -> bytes:
        value = json.loads(data)
        change(value)
        return json.dumps(value).encode()

    return apply


ARRAYS = {"directions": np.ones((12, 64), np.float32), "norms": np.ones(12, np.float32)}


@pytest.mark.parametrize(
    ("name", "change"),
    [
        *((DIRECTIONS_FILE, lambda data, n=n: data[:n]) for n in (0, 4, 100, 2000, -1)),
        (DIRECTIONS_FILE, lambda data: b"\xff" * 200),
        (DIRECTIONS_FILE, lambda data: data[:-3] + b"abc"),
        (DIRECTIONS_FILE, lambda data: safetensors.numpy.save({"directions": ARRAYS["directions"]})),
        (DIRECTIONS_FILE, lambda data: safetensors.numpy.save(ARRAYS | {"more": np.ones(1, np.float32)})),
        (DIRECTIONS_FILE, lambda data: safetensors.numpy.save({k: v.astype(np.float16) for k, v in ARRAYS.items()})),
        (DIRECTIONS_FILE, lambda data: safetensors.numpy.save(ARRAYS | {"norms": np.ones(3, np.float32)})),
        (DIRECTIONS_FILE, lambda data: save_tensors({"directions": torch.ones(2, 2, dtype=torch.bfloat16)})),
        (MANIFEST_FILE, lambda data: data[:50]),
        (MANIFEST_FILE, lambda data: b"[" * 100_000),
        (MANIFEST_FILE, lambda data: b"[1]"),
        (MANIFEST_FILE, lambda data: b"\xff\xfe"),
        (MANIFEST_FILE, lambda data: b" " * ((1 << 24) + 1)),
        (MANIFEST_FILE, edit(lambda head: head.pop("positive"))),
        (MANIFEST_FILE, edit(lambda head: head.update(recipe="none"))),
        (MANIFEST_FILE, edit(lambda head: head.update(recipe={"weight": float("nan")}))),
        (MANIFEST_FILE, edit(lambda head: head.update(positive="it is dry"))),
        (MANIFEST_FILE, edit(lambda head: head.update(name="\ud800"))),
    ],
)
def test_a_damaged_vector_is_a_fault_in_words(
    make_vector: Make, tmp_path: Path, name: str, change: Callable[[bytes], bytes]
) -> None:
    save(make_vector(), tmp_path / "v")
    damage(tmp_path / "v", name, change)
    with pytest.raises(EnvironmentFault) as caught:
        load(tmp_path / "v")
    assert str(tmp_path / "v") in str(caught.value)
    assert "Remove that folder" in caught.value.way_out


def test_a_vector_of_another_format(make_vector: Make, tmp_path: Path) -> None:
    save(make_vector(), tmp_path / "v")
    damage(tmp_path / "v", MANIFEST_FILE, edit(lambda head: head.update(format="doxa vector 7")))
    with pytest.raises(VectorError, match="doxa vector 7"):
        load(tmp_path / "v")


def test_names_that_json_must_quote(make_vector: Make, tmp_path: Path) -> None:
    vector = with_manifest(make_vector(), positive='il "pleut"\n\u2028 — 雨')
    save(vector, tmp_path / "v")
    assert load(tmp_path / "v").manifest == vector.manifest
    assert content_hash(load(tmp_path / "v").digest) == content_hash(vector.digest)
