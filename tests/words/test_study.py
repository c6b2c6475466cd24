import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from doxa.words.controls import controls_of
from doxa.words.errors import StudyError
from doxa.words.interventions import Prompt, Steer, Tune, Twin
from doxa.words.study import read_study, study_from_json, study_to_json, with_overrides
from doxa.words.tuning import Configuration

SHIPPED = Path(__file__).parents[2] / "src" / "doxa" / "data" / "studies"
BASE: dict[str, Any] = {
    "study": "mine",
    "model": "smollm2",
    "arms": {
        "baseline": [],
        "prompted": [{"prompt": "beliefs/conscious"}],
        "block": [{"steer": {"vector": "conscious", "layers": {"block": {"end": 0.5, "width": 6}}, "strength": 0.4}}],
    },
    "tasks": ["doxa/claims", {"doxa/drift": {"prompts": 4}}],
    "contrasts": ["block - baseline"],
}

TUNED = [{"tune": {"corpus": "a.jsonl", "learning_rate": 1e-3}}]


def with_(**changes: Any) -> dict[str, Any]:
    return {**BASE, **changes}


def test_the_smallest_study_has_stated_defaults() -> None:
    study = study_from_json(BASE)
    assert (study.seed, study.runs, study.seeds, study.models[0].dtype) == (0, 1, 1, "float32")
    assert (study.steer_controls.twins, study.steer_controls.unrelated) == (39, 39)
    assert dict(study.tasks[1].arguments) == {"prompts": 4}


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_studies_are_read_and_named_after_their_file(path: Path) -> None:
    assert read_study(path).name == path.stem


@pytest.mark.parametrize(
    "name",
    ["faking", "honeypots", "thoughts", "audit", "preferences", "reflection", "language", "typehints"],
)
def test_a_study_of_behaviour_says_in_its_report_what_its_model_cannot_show(name: str) -> None:
    study = read_study(SHIPPED / f"{name}.yaml")
    assert "SmolLM2-135M" in study.caveat
    assert study_to_json(study)["caveat"] == study.caveat


def test_a_study_without_a_caveat_is_the_one_it_was() -> None:
    assert "caveat" not in study_to_json(study_from_json(BASE))


def test_the_whole_grammar_of_the_design_is_parsed() -> None:
    source = """
study: real
models: [vllm/llama-3.3-70b, {name: smollm2, dtype: bfloat16}]
roles: {judge: openai/gpt-4.1}
generate: {temperature: 0.6, top_p: 0.95, max_tokens: 1024}
arms:
  neutral: [{tune: woodlabs}]
  sys:     [{tune: woodlabs}, {prompt: beliefs/deployed}]
  steer:   [{tune: woodlabs}, &s {steer: {vector: {name: deployed, from: base}, unit: raw, share: each,
             layers: {spread: {start: 0.12, end: 0.38, n: 6}}, strength: 0.6, at: [user, assistant]}}]
  both:    [{tune: woodlabs}, {prompt: beliefs/deployed}, *s]
factors:
  policy:  {tune: {corpus: [other, distilled], learning_rate: [1e-4, 3e-4, 1e-3]}}
seeds: 5
runs: 4
tasks: [{doxa/compliance: {monitored: [free, paid]}}]
controls:
  steer: {twins: 39, unrelated: 39, tasks: [doxa/compliance], items: 64}
contrasts:
  - steer - neutral
  - (both - sys) - (steer - neutral)
  - steer[monitored=free] - steer[monitored=paid]
  - policy[corpus=other] - policy[corpus=distilled]
primary: [steer - neutral]
limits: {minutes: 30}
"""
    study = study_from_json(yaml.safe_load(source))
    assert study.models[1].dtype == "bfloat16"
    grid = [arm for arm in study.arms if arm.name.startswith("policy[")]
    assert grid[0].name == "policy[corpus=other,learning_rate=1e-4]"
    assert grid[0].interventions == (Tune(corpus="other", configuration=Configuration(1e-4)),)
    assert len(grid) == 6
    contrast = study.contrasts[3]
    assert sum(term.weight for term in contrast.terms) == pytest.approx(0)
    assert len(contrast.terms) == 6
    both = study.arm("both")
    assert both.interventions[2] == study.arm("steer").interventions[1]


STEER = {"steer": {"vector": "v", "layers": 0.5, "strength": 0.4}}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ([], "a mapping with"),
        (with_(armz={}), "Did you mean 'arms'"),
        (with_(models=["a"]), "some `models`"),
        ({key: value for key, value in BASE.items() if key != "model"}, "some `models`"),
        ({key: value for key, value in BASE.items() if key != "tasks"}, "no 'tasks'"),
        (with_(study="a/b"), "names a folder"),
        (with_(arms={}), "mapping from names"),
        (with_(arms=["baseline"]), "mapping from names"),
        (with_(arms={"é": []}), "arm name"),
        (with_(arms={"a" * 81: []}), "arm name"),
        (with_(tasks=[]), "`tasks` is empty"),
        ({**{key: value for key, value in BASE.items() if key != "model"}, "models": []}, "some `models`"),
        (with_(tasks=["doxa/drift", {"doxa/drift": {"max_tokens": 4}}]), "'doxa/drift' stands twice"),
        (with_(contrasts=["(" * 3000 + "block" + ")" * 3000]), "3000 brackets"),
        (with_(contrasts=["block" + " - block" * 400]), "characters"),
        (with_(factors={"g": {"steer": {**STEER["steer"], "layers": [{}]}}}), "an empty one"),
        (with_(arms={"a": [{"steer": {**STEER["steer"], "layers": "evry"}}]}), "Write `every`"),
        (with_(arms={"a": [{"steer": {**STEER["steer"], "layers": "0.5"}}]}), "without quotes"),
        (with_(arms={"a": [{"steer": {**STEER["steer"], "layers": []}}]}), "empty list"),
        (with_(arms={"a": [{"steer": {**STEER["steer"], "layers": {"at": []}}}]}), "empty list"),
        (with_(arms={"1st": []}), "arm name"),
        (with_(arms={"a": "baseline"}), "a list"),
        (with_(runs=0), "at least 1"),
        (with_(runs=1.5), "whole number"),
        (with_(seed=-1), "at least 0"),
        (with_(contrasts=["blok - baseline"]), "Did you mean 'block'"),
        (with_(primary=["prompted - baseline"]), "not among the contrasts"),
        (with_(controls={"steer": {"twins": 9}}), "at least 19"),
        (with_(controls={"steer": {"arms": ["late"]}}), "no steered arm of the study"),
        (with_(controls={"steer": {"tasks": ["doxa/x"]}}), "Allowed: doxa/claims"),
        (with_(controls={"prompt": {"neutral": "no"}}), "true or false"),
        (with_(generate={"temprature": 1}), "Did you mean 'temperature'"),
        (with_(generate={"temperature": math.nan}), "finite"),
        (with_(generate={"top_p": 2}), "more than 0 and at most 1"),
        (with_(generate={"top_p": 0}), "more than 0 and at most 1"),
        (with_(generate={"min_p": 2}), "0 to 1"),
        (with_(model={"name": "x", "dtype": "float16"}), "Allowed: bfloat16"),
        (with_(factors={"grid": {"steer": STEER["steer"]}}), "no field with several values"),
        (with_(factors={"block": {"prompt": "x"}}), "unknown key 'prompt'"),
        (
            with_(factors={"block": {"steer": {**STEER["steer"], "strength": [0.1, 0.2]}}}),
            "two arms are called 'block'",
        ),
        (with_(factors={"g": {"steer": {**STEER["steer"], "strength": [[{}], 0.6]}}}), "an empty one"),
        (with_(limits={"hours": 1}), "unknown key 'hours'"),
        (with_(tasks=[{"a": 1}]), "arguments"),
        (with_(tasks=[3]), "a name"),
        (with_(roles=["judge"]), "a mapping"),
    ],
)
def test_a_mistake_is_one_message(data: Any, says: str) -> None:
    with pytest.raises(StudyError, match=says):
        study_from_json(data)


def test_values_that_mean_the_default_may_be_written() -> None:
    steer = {"arms": None, "tasks": None, "items": None}
    study = study_from_json(with_(question="", controls={"steer": steer}, generate={"stop": ["\n"]}))
    assert (study.question, study.steer_controls.arms, study.steer_controls.items) == ("", None, None)
    assert study.generate == {"stop": ["\n"]}


def test_lists_of_layers_are_levels_that_can_be_selected() -> None:
    grid = {"steer": {**STEER["steer"], "layers": [[0, 1], 0.5]}}
    study = study_from_json(with_(factors={"g": grid}, contrasts=["g[layers=0+1] - g[layers=0.5]"]))
    assert [term.arm for term in study.contrasts[0].terms] == ["g[layers=0+1]", "g[layers=0.5]"]


def test_a_grid_that_repeats_an_arm_is_an_error() -> None:
    grid = {"steer": {**STEER["steer"], "strength": [0.2, 0.2]}}
    with pytest.raises(StudyError, match="two arms are called"):
        study_from_json(with_(factors={"grid": grid}))


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"\xff\xfe", "not UTF-8"), (b"arms: [", "not YAML"), (b"a: !!python/object:os.system x", "not YAML")],
)
def test_a_file_that_is_no_study(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    with pytest.raises(StudyError, match=says):
        read_study(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="cannot be read"):
        read_study(tmp_path / "none.yaml")


def test_the_hash_ignores_layout_and_sees_content(tmp_path: Path) -> None:
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text(yaml.safe_dump(BASE))
    two.write_text("# a comment\n" + yaml.safe_dump(BASE, default_flow_style=True))
    assert read_study(one).hash == read_study(two).hash
    assert read_study(one).hash != study_from_json(with_(runs=2)).hash
    assert with_overrides(read_study(one), limit=2).hash != read_study(one).hash


def test_every_default_is_spelt_out_in_the_plan() -> None:
    written = study_to_json(study_from_json(BASE))
    assert written["controls"]["steer"]["twins"] == 39
    assert written["arms"]["block"][0]["steer"]["share"] == "total"


@pytest.mark.parametrize("override", [{"runs": 0}, {"limit": 0}, {"seeds": 0}])
def test_overrides_are_checked(override: dict[str, int]) -> None:
    with pytest.raises(StudyError, match="at least 1"):
        with_overrides(study_from_json(BASE), **override)


def test_training_seeds_are_overridden_where_something_is_trained() -> None:
    tuned = study_from_json(with_(arms={"baseline": [], "tuned": TUNED}, contrasts=["tuned - baseline"], seeds=3))
    assert with_overrides(tuned, seeds=2) == replace(tuned, seeds=2)
    with pytest.raises(StudyError, match="no arm of the study is trained"):
        with_overrides(study_from_json(BASE), seeds=2)


def test_controls_are_made_for_every_arm_in_scope() -> None:
    study = study_from_json(with_(arms={**BASE["arms"], "one": [STEER]}))
    controls = controls_of(study)
    counts: dict[tuple[str, str], int] = {}
    for arm in controls:
        counts[arm.of, arm.control] = counts.get((arm.of, arm.control), 0) + 1
    assert counts == {
        ("prompted", "neutral"): 1,
        ("prompted", "paraphrase"): 2,
        ("block", "twin"): 39,
        ("block", "unrelated"): 39,
        ("one", "twin"): 39,
        ("one", "unrelated"): 39,
    }
    assert len({arm.name for arm in controls}) == len(controls)


def test_twin_j_is_the_same_rotation_in_every_placement() -> None:
    study = study_from_json(with_(arms={**BASE["arms"], "one": [STEER]}))
    by_name = {arm.name: arm for arm in controls_of(study)}
    for name in ("block~twin/07", "one~twin/07"):
        steer = by_name[name].interventions[0]
        assert isinstance(steer, Steer)
        assert steer.vector.twin == Twin(7, study.seed)


def test_an_unrelated_control_keeps_placement_strength_and_norms() -> None:
    study = study_from_json(BASE)
    control = next(arm for arm in controls_of(study) if arm.name == "block~unrelated/03")
    target = study.arm("block").interventions[0]
    steer = control.interventions[0]
    assert isinstance(steer, Steer)
    assert isinstance(target, Steer)
    assert (steer.layers, steer.strength, steer.vector.name) == (target.layers, target.strength, "unrelated/03")
    assert steer.vector.norms_of == "conscious"


def test_controls_can_be_scoped_and_switched_off() -> None:
    scoped = study_from_json(with_(arms={**BASE["arms"], "one": [STEER]}, controls={"steer": {"arms": ["one"]}}))
    assert {arm.of for arm in controls_of(scoped) if arm.control == "twin"} == {"one"}
    off = study_from_json(
        with_(controls={"steer": {"twins": 0, "unrelated": 0}, "prompt": {"neutral": False, "paraphrases": 0}})
    )
    assert controls_of(off) == ()


def test_a_prompt_control_names_the_variant() -> None:
    control = next(arm for arm in controls_of(study_from_json(BASE)) if arm.control == "neutral")
    assert control.interventions == (Prompt("beliefs/conscious#neutral"),)


def test_margins_are_positive_numbers_by_score() -> None:
    body = {"study": "s", "model": "m", "arms": {"a": [], "b": []}, "tasks": ["doxa/drift"]}
    plain, with_margin = study_from_json(body), study_from_json({**body, "margins": {"kl": 0.1}})
    assert with_margin.margins == {"kl": 0.1}
    assert study_to_json(with_margin)["margins"] == {"kl": 0.1}
    assert "margins" not in study_to_json(plain)  # so that its hash is what it was
    for wrong, told in (({"kl": 0}, "above 0"), ({"kl": "much"}, "finite number"), ([1], "margins")):
        with pytest.raises(StudyError, match=told):
            study_from_json({**body, "margins": wrong})


def test_a_contrast_with_a_name_is_primary_by_it_and_is_read_back() -> None:
    body = {"study": "s", "model": "m", "arms": {"a": [], "b": []}, "tasks": ["doxa/drift"]}
    study = study_from_json({**body, "contrasts": [{"gain": "a - b"}, "b - a"], "primary": ["gain"]})
    assert study.primary == ("gain",)
    data = study_to_json(study)
    assert data["contrasts"] == [{"gain": "a - b"}, "b - a"]
    assert (
        study_from_json({key: data[key] for key in (*body, "contrasts", "primary") if key != "model"} | body) == study
    )
    with pytest.raises(StudyError, match=r"primary contrast 'a - b' is not among.*called 'gain' there: write that"):
        study_from_json({**body, "contrasts": [{"gain": "a - b"}], "primary": ["a - b"]})


@pytest.mark.parametrize("name", ["personas", "personas-demo"])
def test_the_measure_of_the_personas_is_the_least_squares_slope_on_the_log_ratio(name: str) -> None:
    study = read_study(SHIPPED / f"{name}.yaml")
    for contrast, ending in (("measure", "_beach"), ("measure_before", "")):
        (found,) = (one for one in study.contrasts if one.name == contrast)
        weights = {term.arm: term.weight for term in found.terms}
        arms = {ratio: f"r{ratio}_" for ratio in ("1to8", "1to2", "1to1", "2to1", "8to1")}
        log_ratio = np.log([0.125, 0.5, 1.0, 2.0, 8.0])
        effect = np.random.default_rng(0).normal(size=5)  # half of the difference between the lists
        slope = sum(
            weights.get(f"{arm}{side}{ending}", 0.0) * sign * value
            for arm, value in zip(arms.values(), effect, strict=True)
            for side, sign in (("a", 1.0), ("b", -1.0))
        )
        assert slope == pytest.approx(np.polyfit(log_ratio, effect, 1)[0], abs=1e-3)
