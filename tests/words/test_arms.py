import json
from dataclasses import replace
from pathlib import Path

import pytest

from doxa.words.arms import Arm, Pin, read_arm, write_arm
from doxa.words.difference import differences
from doxa.words.errors import EnvironmentFault, StudyError
from doxa.words.interventions import Prompt, Steer, VectorReference
from doxa.words.layers import Layers

ARM = Arm(
    "block[strength=0.4]",
    (Prompt("beliefs/mine"), Steer(VectorReference("conscious"), Layers.block(end=0.5, width=6), 0.4)),
    model="smollm2",
    pins={"beliefs/mine": Pin("aa", text="You are."), "conscious": Pin("bb", folder="../vectors/bb")},
    levels={"strength": "0.4"},
)


def test_an_arm_file_is_read_back(tmp_path: Path) -> None:
    write_arm(tmp_path / "arm.json", ARM)
    assert read_arm(tmp_path / "arm.json") == ARM


def test_the_digest_covers_name_and_pinned_hashes_and_not_folders() -> None:
    moved = replace(ARM, pins={**ARM.pins, "conscious": Pin("bb", folder="elsewhere")})
    edited = replace(ARM, pins={**ARM.pins, "conscious": Pin("cc")})
    assert moved.digest == ARM.digest
    assert len({ARM.digest, edited.digest, replace(ARM, name="other").digest, replace(ARM, model="x").digest}) == 4


def test_a_label_is_safe_in_a_file_name() -> None:
    assert ARM.label.startswith("block-strength-0.4.")
    assert ARM.label.endswith(ARM.digest[:8])


def test_a_changed_arm_file_is_refused(tmp_path: Path) -> None:
    write_arm(tmp_path / "arm.json", ARM)
    data = json.loads((tmp_path / "arm.json").read_text())
    data["interventions"][1]["steer"]["strength"] = 4.0
    (tmp_path / "arm.json").write_text(json.dumps(data))
    with pytest.raises(StudyError, match="changed after it was pinned"):
        read_arm(tmp_path / "arm.json")


def test_a_hand_written_arm_needs_interventions_only(tmp_path: Path) -> None:
    (tmp_path / "arm.json").write_text('{"interventions": [{"prompt": "beliefs/conscious"}]}')
    assert read_arm(tmp_path / "arm.json").interventions == (Prompt("beliefs/conscious"),)


@pytest.mark.parametrize(
    ("content", "error", "says"),
    [
        ("{", EnvironmentFault, "cannot be read"),
        ('{"interventions": [], "x": 1}', StudyError, "unknown key 'x'"),
        ('{"interventions": [], "format": 9}', StudyError, "format 9"),
        ('{"interventions": [], "pins": {"a": {}}}', StudyError, "no 'hash'"),
    ],
)
def test_a_bad_arm_file(tmp_path: Path, content: str, error: type[Exception], says: str) -> None:
    (tmp_path / "arm.json").write_text(content)
    with pytest.raises(error, match=says):
        read_arm(tmp_path / "arm.json")


def test_a_missing_arm_file(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="no arm file"):
        read_arm(tmp_path / "none.json")


def test_difference_of_two_arms() -> None:
    other = replace(ARM, interventions=(Steer(VectorReference("conscious"), Layers.every(), 0.8),), pins={})
    found = {one.where: (one.a, one.b) for one in differences(ARM, other)}
    assert found["prompt"] == ("beliefs/mine", "(absent)")
    assert found["steer.strength"] == ("0.4", "0.8")
    assert found["steer.layers"] == ("(absent)", "every")
    assert found["steer.layers.block.width"] == ("6", "(absent)")
    assert "steer.vector" not in found
    assert differences(ARM, ARM) == ()
