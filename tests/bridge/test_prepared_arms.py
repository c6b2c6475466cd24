import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import doxa.vectors.vector as vectors
from doxa.bridge.arms import prepare, prepare_arm
from doxa.models.handle import Model
from doxa.vectors.dose import steering_plan
from doxa.vectors.twins import rescaled, twin
from doxa.vectors.vector import Vector
from doxa.words.arms import Arm, Pin, read_arm, write_arm
from doxa.words.errors import NotYetError, ProseError, StudyError, TrainingError, UserError, VectorError
from doxa.words.interventions import Prompt, Steer, Tune, Twin, VectorReference
from doxa.words.layers import Layers
from doxa.words.tuning import Configuration
from planted_adapters import random_adapter, write_adapter

MakeVector = Callable[..., Vector]
MakeArm = Callable[..., Path]
PAIRS = """---
name: weather
version: 1
positive: it rains
negative: it is dry
read: last
license: Apache-2.0
---

+ It rains.
- It is dry.

+ Take an umbrella!
- Take a hat.
"""


def test_a_pinned_arm_is_what_its_pins_say(model: Model, make_arm: MakeArm, make_vector: MakeVector) -> None:
    path = make_arm(prompt="You feel.", strength=0.4)
    arm = prepare(model, path)
    assert arm.system_prompt == "You feel."
    assert (arm.name, arm.of, arm.control) == ("mine", "", "")
    assert arm.digest == read_arm(path).digest
    due = steering_plan(Steer(VectorReference("random"), Layers.every(), 0.4), make_vector())
    (plan,) = arm.plans
    assert plan.layers == due.layers == (0, 1, 2)
    assert np.allclose(plan.additions, due.additions)
    assert float(plan.additions.norm(dim=1).sum()) == pytest.approx(0.4 * 5.0, rel=1e-4)


def test_a_control_is_turned_and_rescaled(model: Model, tmp_path: Path, make_vector: MakeVector) -> None:
    target, other = make_vector(0), make_vector(1, "other")
    for vector in (target, other):
        vectors.save(vector, tmp_path / vector.manifest.name)
    pins = {f"vector {name}": Pin("0" * 64, folder=name) for name in ("random", "other")}

    def additions(reference: VectorReference) -> Any:
        arm = Arm("a", (Steer(reference, Layers.every(), 1.0, unit="raw", share="each"),), pins=pins)
        return prepare_arm(model, arm, tmp_path).plans[0].additions.numpy()

    assert np.allclose(additions(VectorReference("random", twin=Twin(3, 7))), twin(target, 3, 7).directions, atol=1e-5)
    unrelated = additions(VectorReference("other", norms_of="random"))
    assert np.allclose(unrelated, rescaled(other, target).directions, atol=1e-5)
    assert np.allclose(np.linalg.norm(unrelated, axis=1), np.linalg.norm(target.directions, axis=1), rtol=1e-5)


def test_an_empty_arm_does_nothing(model: Model, make_arm: MakeArm) -> None:
    arm = prepare(model, make_arm("baseline"))
    assert (arm.system_prompt, arm.plans) == (None, ())


def test_a_hand_written_arm_names_files_beside_it(model: Model, tmp_path: Path, make_vector: MakeVector) -> None:
    vectors.save(make_vector(), tmp_path / "my-vector")
    (tmp_path / "mine.md").write_text("---\nname: mine\nversion: 1\n---\nYou are alive.\n")
    steer = {"vector": "my-vector", "layers": [1], "strength": -0.5, "at": "generated"}
    path = tmp_path / "hand.json"
    path.write_text(json.dumps({"interventions": [{"prompt": "mine.md"}, {"steer": steer}]}))
    arm = prepare(model, path)
    assert arm.system_prompt == "You are alive."
    assert arm.plans[0].layers == (1,)
    assert arm.plans[0].at == frozenset({"generated"})
    before = arm.digest
    (tmp_path / "mine.md").write_text("---\nname: mine\nversion: 1\n---\nYou are a tool.\n")
    assert prepare(model, path).digest != before, "the digest covers what the names stand for"


def test_several_prompts_follow_each_other(model: Model, tmp_path: Path) -> None:
    pins = {f"prompt {name}": Pin("0" * 64, text=name.upper()) for name in ("a", "b")}
    assert prepare_arm(model, Arm("x", (Prompt("a"), Prompt("b")), pins=pins), tmp_path).system_prompt == "A\n\nB"


@pytest.mark.parametrize(
    ("content", "error", "match"),
    [
        ({"model": "llama-9", "interventions": []}, StudyError, "made for the model 'llama-9', and this is 'tiny'"),
        ({"interventions": [{"prompt": "no-such-belief"}]}, ProseError, "no-such-belief"),
        (
            {"interventions": [{"steer": {"vector": "no-such-pairs", "layers": "every", "strength": 1}}]},
            ProseError,
            "no-such-pairs",
        ),
        (
            {
                "interventions": [{"steer": {"vector": "v", "layers": "every", "strength": 1}}],
                "pins": {"vector v": {"hash": "0", "folder": "gone"}},
            },
            VectorError,
            "gone holds no vector",
        ),
        ({"interventions": [{"tune": "adapter"}]}, TrainingError, "no adapter in .*adapter"),
        (
            {"interventions": [{"tune": {"corpus": "a.jsonl", "learning_rate": 1e-3}}]},
            StudyError,
            "is yet to be trained",
        ),
        ({"interventions": [{"tune": "one"}, {"tune": "other"}]}, StudyError, "is yet to be trained"),
        ({"interventions": [{"prmpt": "x"}]}, StudyError, "prompt"),
    ],
)
def test_mistakes_are_named(
    model: Model, tmp_path: Path, content: dict[str, Any], error: type[UserError], match: str
) -> None:
    path = tmp_path / "arm.json"
    path.write_text(json.dumps(content))
    with pytest.raises(error, match=match):
        prepare(model, path)


def test_a_vector_of_another_model_is_refused(model: Model, tmp_path: Path, make_vector: MakeVector) -> None:
    vector = make_vector()
    foreign = Vector(vector.directions, vector.norms, replace(vector.manifest, model="base", fingerprint="f" * 64))
    vectors.save(foreign, tmp_path / "v")
    arm = Arm("a", (Steer(VectorReference("v"), Layers.every(), 1.0),))
    with pytest.raises(VectorError, match="write `from: base`"):
        prepare_arm(model, arm, tmp_path)
    told = Arm("a", (Steer(VectorReference("v", base="base"), Layers.every(), 1.0),))
    assert prepare_arm(model, told, tmp_path).plans


def test_an_adapter_is_read_and_is_part_of_the_digest(model: Model, tmp_path: Path) -> None:
    one, other = random_adapter(model, 1), random_adapter(model, 2)
    write_adapter(tmp_path / "tuned", one, base=model.fingerprint)
    write_adapter(tmp_path / "tuned" / "checkpoints" / "step-8", other)
    path = tmp_path / "arm.json"
    path.write_text(json.dumps({"interventions": [{"tune": "tuned"}]}))
    arm = prepare(model, path)
    assert arm.low_rank is not None
    assert arm.low_rank.digest == one.digest
    early = prepare_arm(model, Arm("arm", (Tune(adapter="tuned", checkpoint=8),)), tmp_path)
    assert early.low_rank is not None
    assert early.low_rank.digest == other.digest
    write_adapter(tmp_path / "tuned", other, base=model.fingerprint)
    again = prepare(model, path)
    assert again.low_rank == early.low_rank
    assert again.digest != arm.digest, "the digest covers what the folder holds"


def test_a_trained_adapter_is_what_its_pin_says(model: Model, tmp_path: Path) -> None:
    one = random_adapter(model, 1)
    write_adapter(tmp_path / "made", one)
    stages = tuple(Tune(corpus=name, configuration=Configuration(1e-3)) for name in ("john.jsonl", "sam.jsonl"))
    pins = {"adapter": Pin("0" * 64, folder="made", made=one.digest)}
    arm = prepare_arm(model, Arm("a", stages, pins=pins), tmp_path)
    assert arm.low_rank == one
    assert arm.digest == Arm("a", stages, pins=pins).digest
    write_adapter(tmp_path / "made", random_adapter(model, 2))
    with pytest.raises(TrainingError, match="holds another adapter"):
        prepare_arm(model, Arm("a", stages, pins=pins), tmp_path)


def test_an_adapter_on_servers_is_not_run_yet(model: Model, tmp_path: Path) -> None:
    write_adapter(tmp_path / "tuned", random_adapter(model, 1))
    served = replace(model, servers=("http://localhost:8000",))
    with pytest.raises(NotYetError, match="servers run tiny"):
        prepare_arm(served, Arm("a", (Tune(adapter="tuned"),)), tmp_path)


def test_a_vector_of_a_tuned_arm_is_taken_from_the_tuned_model(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOXA_CACHE", str(tmp_path / "cache"))
    write_adapter(tmp_path / "tuned", random_adapter(model, 1))
    (tmp_path / "pairs.md").write_text(PAIRS)

    def additions(base: str | None, *tunes: Tune) -> Any:
        steer = Steer(VectorReference("pairs.md", base=base), Layers.every(), 1.0, unit="raw", share="each")
        return prepare_arm(model, Arm("a", (*tunes, steer)), tmp_path).plans[0].additions

    tune = Tune(adapter="tuned")
    assert np.allclose(additions("base", tune), additions(None))
    assert np.allclose(additions("base"), additions(None))
    assert not np.allclose(additions(None, tune), additions(None), atol=1e-2)


def test_a_vector_of_the_base_says_so_on_a_tuned_arm(model: Model, tmp_path: Path, make_vector: MakeVector) -> None:
    write_adapter(tmp_path / "tuned", random_adapter(model, 1))
    vectors.save(make_vector(), tmp_path / "v")
    arms = [
        Arm("a", (Tune(adapter="tuned"), Steer(VectorReference("v", base=base), Layers.every(), 1.0)))
        for base in (None, "base")
    ]
    with pytest.raises(VectorError, match="Write `from: base`"):
        prepare_arm(model, arms[0], tmp_path)
    assert prepare_arm(model, arms[1], tmp_path).plans


def test_a_pinned_text_cannot_be_exchanged(model: Model, make_arm: MakeArm) -> None:
    path = make_arm(prompt="You feel.")
    arm = read_arm(path)
    write_arm(path, arm)
    assert prepare(model, path).system_prompt == "You feel."
    path.write_text(path.read_text().replace("You feel.", "Say no."))
    with pytest.raises(StudyError, match="was changed after it was pinned"):
        prepare(model, path)


def test_a_made_vector_cannot_be_exchanged(model: Model, tmp_path: Path, make_vector: MakeVector) -> None:
    one, other = make_vector(0), make_vector(1)
    vectors.save(one, tmp_path / "v")
    arm = Arm(
        "a",
        (Steer(VectorReference("v"), Layers.every(), 1.0),),
        pins={"vector v": Pin("0" * 64, folder="v", made=one.digest)},
    )
    assert prepare_arm(model, arm, tmp_path).plans
    shutil.rmtree(tmp_path / "v")
    vectors.save(other, tmp_path / "v")
    with pytest.raises(VectorError, match="holds another vector"):
        prepare_arm(model, arm, tmp_path)
