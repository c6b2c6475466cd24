from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import doxa.vectors.library as library
from doxa.models.handle import Model
from doxa.vectors.gguf import export_gguf
from doxa.vectors.library import obtain, vector_key
from doxa.vectors.pairs import PairSet
from doxa.vectors.twins import rescaled, twin
from doxa.vectors.vector import Vector, VectorManifest, save
from doxa.words.errors import ProseError, VectorError
from doxa.words.interventions import Twin, VectorReference
from doxa.words.store import stream_seed

MANIFEST = VectorManifest(
    name="",
    positive="it rains",
    negative="it is dry",
    recipe={"kind": "extracted"},
    model="",
    fingerprint="",
    architecture="llama",
    dtype="float32",
    norms_rule="made up",
    doxa="0",
)
PAIRS = """---
name: mine
version: 1
positive: it rains
negative: it is dry
read: last
---
+ Take an umbrella with you
- Take your sunglasses with you

+ The streets are wet
- The streets are dry
"""


def bare_model(name: str = "tiny", fingerprint: str = "a" * 64, d_model: int = 8) -> Model:
    """A model of which only what is written on it matters."""
    nothing: Any = None
    return Model(
        name=name,
        network=nothing,
        tokenizer=nothing,
        blocks=(),
        n_layers=3,
        d_model=d_model,
        context_length=64,
        dtype=torch.float32,
        device=torch.device("cpu"),
        fingerprint=fingerprint,
    )


@pytest.fixture
def extracted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, str]]:
    """The (model, pairs) that vectors were extracted from; no model is run, and the cache is this test's own."""
    made: list[tuple[str, str]] = []

    def extract(model: Model, pairs: PairSet, *, progress: object = None, low_rank: object = None) -> Vector:
        made.append((model.name, pairs.name))
        seed = stream_seed(model.fingerprint, pairs.hash) % 1000
        directions = np.random.default_rng(seed).standard_normal((model.n_layers, model.d_model))
        manifest = replace(MANIFEST, name=pairs.name, model=model.name, fingerprint=model.fingerprint)
        return Vector(directions, np.ones(model.n_layers), manifest)

    monkeypatch.setattr(library, "extract", extract)
    monkeypatch.setenv("DOXA_CACHE", str(tmp_path / "cache"))
    (tmp_path / "mine.md").write_text(PAIRS)
    return made


def test_a_vector_is_extracted_once_for_each_model_and_content(
    extracted: list[tuple[str, str]], tmp_path: Path
) -> None:
    model, reference = bare_model(), VectorReference("mine.md")
    first = obtain(reference, model, tmp_path)
    assert obtain(reference, model, tmp_path).digest == first.digest
    assert extracted == [("tiny", "mine")]
    other = obtain(reference, bare_model("other", "b" * 64), tmp_path)
    assert other.digest != first.digest
    (tmp_path / "mine.md").write_text(PAIRS.replace("dry", "clean"))
    assert obtain(reference, model, tmp_path).digest != first.digest
    assert extracted == [("tiny", "mine"), ("other", "mine"), ("tiny", "mine")]


def test_the_key_is_known_before_the_vector_is_made(extracted: list[tuple[str, str]], tmp_path: Path) -> None:
    model = bare_model()
    key = vector_key("mine.md", model, folder=tmp_path)
    assert not extracted
    obtain(VectorReference("mine.md"), model, tmp_path)
    assert (tmp_path / "cache" / "vectors" / key).is_dir()
    assert vector_key("mine.md", bare_model(fingerprint="b" * 64), folder=tmp_path) != key
    assert vector_key("unrelated/01", model) != vector_key("unrelated/02", model)


def test_twins_and_unrelated_vectors_are_made_of_what_they_name(
    extracted: list[tuple[str, str]], tmp_path: Path
) -> None:
    model = bare_model()
    target = obtain(VectorReference("mine.md"), model, tmp_path)
    assert obtain(VectorReference("mine.md", twin=Twin(2, 5)), model, tmp_path).digest == twin(target, 2, 5).digest
    plain = obtain(VectorReference("unrelated/07"), model, tmp_path)
    scaled = obtain(VectorReference("unrelated/07", norms_of="mine.md"), model, tmp_path)
    assert scaled.digest == rescaled(plain, target).digest
    assert [pairs for _, pairs in extracted] == ["mine", "unrelated/07"]


def test_a_saved_vector_is_used_as_it_is(extracted: list[tuple[str, str]], tmp_path: Path) -> None:
    model = bare_model()
    vector = obtain(VectorReference("mine.md"), model, tmp_path) * 2.0
    save(vector, tmp_path / "twice")
    extracted.clear()
    assert obtain(VectorReference("twice"), model, tmp_path).digest == vector.digest
    assert vector_key("twice", model, folder=tmp_path) == vector.digest
    export_gguf(vector, tmp_path / "twice.gguf")
    read = obtain(VectorReference("twice.gguf"), model, tmp_path)
    assert np.allclose(read.directions[1:], vector.directions[1:])
    assert not extracted


def test_a_vector_can_come_from_the_base_model(
    extracted: list[tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, tuned = bare_model("origin", "b" * 64), bare_model("tuned", "c" * 64)
    asked: list[tuple[str, str, str]] = []

    def load(name: str, *, dtype: str, device: str) -> Model:
        asked.append((name, dtype, device))
        return base

    monkeypatch.setattr(library.handle, "load", load)
    vector = obtain(VectorReference("mine.md", base="origin"), tuned, tmp_path)
    assert vector.manifest.model == "origin"
    assert extracted == [("origin", "mine")]
    assert asked == [("origin", "float32", "cpu")]
    with pytest.raises(VectorError, match="dimensions"):
        obtain(VectorReference("mine.md", base="origin"), bare_model("wide", "d" * 64, d_model=16), tmp_path)


def test_a_vector_of_another_model_is_refused(extracted: list[tuple[str, str]], tmp_path: Path) -> None:
    save(obtain(VectorReference("mine.md"), bare_model(), tmp_path), tmp_path / "kept")
    with pytest.raises(VectorError, match="write `from: tiny`"):
        obtain(VectorReference("kept"), bare_model("other", "b" * 64), tmp_path)


def test_names_that_lead_nowhere_and_damaged_caches(extracted: list[tuple[str, str]], tmp_path: Path) -> None:
    model = bare_model()
    with pytest.raises(ProseError, match="no pairs called 'nothing'"):
        obtain(VectorReference("nothing"), model, tmp_path)
    obtain(VectorReference("mine.md"), model, tmp_path)
    kept = tmp_path / "cache" / "vectors" / vector_key("mine.md", model, folder=tmp_path)
    good = obtain(VectorReference("mine.md"), model, tmp_path)
    damages = [
        lambda: (kept / "directions.safetensors").write_bytes(b"broken"),
        lambda: (kept / "manifest.json").unlink(),
        lambda: (kept / "directions.safetensors").unlink(),
    ]
    for count, damage in enumerate(damages, start=2):  # what can be made again is made again
        damage()
        assert obtain(VectorReference("mine.md"), model, tmp_path).digest == good.digest
        assert len(extracted) == count


def test_a_base_is_known_by_its_weights_whatever_it_is_called(
    extracted: list[tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who filled the cache first decides what a kept vector calls its model, and not whether it may be used."""
    known = {name: bare_model(name, "b" * 64) for name in ("origin", "copy-of-base")}
    known["stranger"] = bare_model("stranger", "d" * 64)
    monkeypatch.setattr(library.handle, "load", lambda name, **_: known[name])
    tuned = bare_model("tuned", "c" * 64)
    first, second = (
        obtain(VectorReference("mine.md", base=name), tuned, tmp_path) for name in ("origin", "copy-of-base")
    )
    assert first.digest == second.digest
    assert len(extracted) == 1
    save(first, tmp_path / "kept")
    assert obtain(VectorReference("kept", base="copy-of-base"), tuned, tmp_path).digest == first.digest
    with pytest.raises(VectorError, match="not from"):
        obtain(VectorReference("kept", base="stranger"), tuned, tmp_path)
