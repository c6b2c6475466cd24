from dataclasses import replace

import pytest

from doxa.words.arms import Arm
from doxa.words.controls import controls_of
from doxa.words.errors import StudyError
from doxa.words.interventions import Prompt, Steer, VectorReference
from doxa.words.layers import Layers
from doxa.words.study import Study, study_from_json
from doxa.words.sweeps import BASELINE, sweep_of

STEER = Steer(VectorReference("conscious"), Layers.block(end=2, width=2), 0.4, share="each", at=("user",))


@pytest.fixture
def study() -> Study:
    body = {"study": "mine", "model": "m", "arms": {"both": []}, "tasks": ["doxa/claims", "doxa/drift"]}
    own = Arm("both[strength=0.4]", (Prompt("beliefs/conscious"), STEER))
    return replace(study_from_json(body), arms=(Arm("plain"), own, Arm("two", (STEER, STEER))))


def test_layers_and_strength_are_swept_and_all_else_stays(study: Study) -> None:
    sweep = sweep_of(study, "both[strength=0.4]", n_layers=3, strengths=(0.1, -0.2))
    names = [arm.name for arm in sweep.study.arms]
    assert names[:3] == [BASELINE, "both[layers=0,strength=0.1]", "both[layers=0,strength=-0.2]"]
    assert len(names) == 1 + 3 * 2
    assert sweep.study.arms[0].interventions == (Prompt("beliefs/conscious"),)
    for arm in sweep.study.arms[1:]:
        prompt, steer = arm.interventions
        assert prompt == Prompt("beliefs/conscious")
        assert isinstance(steer, Steer)
        cell = sweep.cells[arm.name]
        assert steer.layers.of(3) == cell.layers
        assert replace(steer, layers=STEER.layers, strength=0.4) == STEER
        assert (steer.strength, arm.levels["strength"]) == (cell.strength, f"{cell.strength:g}")
    assert [one.name for one in sweep.study.tasks] == ["doxa/claims"]
    assert [one.terms[1].arm for one in sweep.study.contrasts] == [BASELINE] * 6
    assert sweep.study.name == "mine-sweep-both"


def test_strengths_are_multiples_of_the_arms_own(study: Study) -> None:
    sweep = sweep_of(study, "both[strength=0.4]", n_layers=1)
    assert sorted(cell.strength for cell in sweep.cells.values()) == [-0.4, 0.2, 0.4, 0.8]


def test_blocks_of_each_width_end_wherever_they_can(study: Study) -> None:
    sweep = sweep_of(study, "both[strength=0.4]", n_layers=4, strengths=(1.0,), widths=(1, 3))
    assert [cell.layers for cell in sweep.cells.values()] == [(0,), (0, 1, 2), (1,), (1, 2, 3), (2,), (3,)]
    assert "both[layers=1..3,strength=1]" in sweep.cells


def test_every_twin_goes_through_the_whole_sweep(study: Study) -> None:
    sweep = sweep_of(study, "both[strength=0.4]", n_layers=3, strengths=(0.1, 0.2), twins=19)
    controls = controls_of(sweep.study)
    assert {arm.control for arm in controls} == {"twin"}
    assert len(controls) == 19 * 6
    twins = {steer.vector.twin for arm in controls for steer in arm.interventions if isinstance(steer, Steer)}
    assert len(twins) == 19  # number j is one rotation in every cell
    assert controls_of(sweep_of(study, "both[strength=0.4]", n_layers=3, twins=0).study) == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"arm": "plain"}, "steers with 0 vectors"),
        ({"arm": "two"}, "steers with 2 vectors"),
        ({"arm": "bth"}, "no arm 'bth'"),
        ({"task": "doxa/other"}, "no task 'doxa/other'"),
        ({"strengths": (0.0,)}, "strength 0"),
        ({"strengths": (0.5, 0.5)}, "strength 0.5 stands twice"),
        ({"widths": (4,)}, "blocks of 4 layers"),
        ({"widths": (0,)}, "blocks of 0 layers"),
        ({"twins": 5}, "5 twins"),
        ({"n_layers": 900, "strengths": (1.0, 2.0, 3.0)}, "a sweep of 2700 cells"),
    ],
)
def test_what_cannot_be_swept_is_said(study: Study, change: dict[str, object], words: str) -> None:
    given: dict[str, object] = {"arm": "both[strength=0.4]", "n_layers": 3, **change}
    arm = str(given.pop("arm"))
    with pytest.raises(StudyError, match=words):
        sweep_of(study, arm, **given)  # type: ignore[arg-type]
