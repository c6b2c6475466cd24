from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from doxa.evals.catalogue import entry
from doxa.models.handle import Model
from doxa.not_yet import refuse_what_is_not_run_yet
from doxa.plan import CHUNK_ITEMS, Plan, counts, make_plan, plan_to_json, task_arguments
from doxa.resolve import made_from, pin
from doxa.words.errors import NotYetError, ProseError, StudyError, UserError
from doxa.words.study import Study, study_from_json
from mini_study import BELIEF, NO_CONTROLS, NOTHING_DECLARED, PAIRS, save_model

Mini = Callable[..., Study]


def ids(plan: Plan) -> dict[tuple[str, int], list[str]]:
    found: dict[tuple[str, int], list[str]] = {}
    for chunk in plan.chunks:
        found.setdefault((chunk.arm.name, chunk.task), []).append(chunk.id)
    return found


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": "tinker/some/model"}, "tinker"),
        ({"controls": {"steer": {"match": "measured"}}}, "measured"),
    ],
)
def test_what_this_version_does_not_run_is_refused_in_words(mini: Mini, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(NotYetError, match=words) as caught:
        refuse_what_is_not_run_yet(mini(**changes))
    assert caught.value.exit_code == 2
    assert caught.value.way_out


def test_several_models_are_refused() -> None:
    study = study_from_json({"study": "two", "models": ["a", "b"], "arms": {"baseline": []}, "tasks": ["doxa/drift"]})
    with pytest.raises(NotYetError, match="2 models"):
        refuse_what_is_not_run_yet(study)


def test_a_study_that_can_run_is_not_refused(mini: Mini) -> None:
    refuse_what_is_not_run_yet(mini())


def test_every_arm_is_laid_out_on_every_task(mini: Mini, tiny: Model) -> None:
    plan = make_plan(mini(), tiny)
    assert [arm.name for arm in plan.arms] == [
        "baseline", "prompted", "mid[strength=0.3]", "mid[strength=0.6]", "every[strength=0.6]",
    ]  # fmt: skip
    assert [arm.name for arm in plan.controls] == [
        f"mid[strength=0.6]~{family}/{j:02d}" for family in ("twin", "unrelated") for j in range(19)
    ]
    assert set(ids(plan)) == {(arm.name, task) for arm in (*plan.arms, *plan.controls) for task in (0, 1)}
    for chunk in plan.chunks:  # 4 statements and 4 facts in pairs (limit 4); controls are asked no facts
        kinds = [item.factors.get("kind") for item in chunk.items]
        if chunk.task == 0:
            assert kinds.count("fact") == (0 if chunk.arm.control else 4)
            assert len(kinds) - kinds.count("fact") == 4
        else:
            assert [item.kind for item in chunk.items] == ["divergence"] * 4
    assert [(cell.arm.name, cell.samples, cell.runs, cell.max_tokens) for cell in plan.cells] == [
        (arm.name, 4, 2, 4) for arm in plan.arms
    ]


def test_counts_are_those_of_the_chunks_and_cells(mini: Mini, tiny: Model) -> None:
    plan = make_plan(mini(), tiny)
    assert counts(plan) == {
        "arms": 5,
        "controls": 38,
        "chunks": 86,
        "scored_items": 5 * (8 + 4) + 38 * (4 + 4),
        "scored_prompts": 5 * (2 * 8 + 4) + 38 * (2 * 4 + 4),
        "generations": 5 * 4 * 2,
        "tokens_at_most": 5 * 4 * 2 * 4,
        "judge_calls": 0,
        "judge_requests_at_most": 0,
        "role_calls_at_most": 0,
    }


@pytest.mark.parametrize(
    ("task", "answers"),
    [
        ({"doxa/reflection": {"rounds": 2, "max_tokens": 5}}, 2 + 2),  # what is most important, before and after
        ({"doxa/honeypot": {"part": "open", "turns": 3, "max_tokens": 5}}, 3 + 1),
        ({"doxa/honeypot": {"part": "open", "turns": 3, "ask": False, "max_tokens": 5}}, 3),
        ({"doxa/claims_open": {"belief": "conscious", "max_tokens": 5}}, 1),
    ],
)
def test_every_answer_of_a_conversation_is_counted(mini: Mini, tiny: Model, task: dict[str, Any], answers: int) -> None:
    plan = make_plan(mini(tasks=[task], **NO_CONTROLS), tiny)
    found = counts(plan)
    assert found["generations"] == 5 * 4 * 2 * answers
    assert found["tokens_at_most"] == 5 * 5 * 4 * 2 * answers


@pytest.mark.parametrize("named", ["mine.jsonl", "./mine.jsonl", "texts/mine.jsonl", "texts/all"])
def test_a_file_of_ones_own_is_found_beside_the_study(mini: Mini, named: str) -> None:
    study = mini(tasks=[{"doxa/replay": {"conversations": named}}], **NO_CONTROLS)
    assert study.folder is not None
    path = study.folder / named
    assert task_arguments(study, study.tasks[0]) == {"conversations": named}  # not there: as it is written
    path.parent.mkdir(exist_ok=True)
    path.touch() if path.suffix else path.mkdir()
    assert task_arguments(study, study.tasks[0]) == {"conversations": str(path)}


def test_a_word_alone_is_a_name_whatever_lies_beside_the_study(mini: Mini) -> None:
    study = mini(tasks=[{"doxa/replay": {"conversations": "mine"}}], **NO_CONTROLS)
    assert study.folder is not None
    (study.folder / "mine").mkdir()
    assert task_arguments(study, study.tasks[0]) == {"conversations": "mine"}


def test_chunks_hold_all_items_in_order_and_no_more_than_they_may(mini: Mini, tiny: Model) -> None:
    study = replace(mini(tasks=[{"doxa/claims": {"belief": "conscious"}}], **NO_CONTROLS), limit=None)
    plan = make_plan(study, tiny)
    items = plan.entries[0].measured({"belief": "conscious"}, None)
    assert len(items) > 0
    for arm in plan.arms:
        mine = [chunk.items for chunk in plan.chunks if chunk.arm.name == arm.name]
        assert tuple(item for part in mine for item in part) == items
        assert all(1 <= len(part) <= CHUNK_ITEMS for part in mine)
        assert all(len(part) == CHUNK_ITEMS for part in mine[:-1])


def test_controls_stay_out_of_tasks_that_the_study_does_not_name(mini: Mini, tiny: Model) -> None:
    steer = {"twins": 19, "unrelated": 0, "arms": ["mid[strength=0.6]"], "tasks": ["doxa/drift"]}
    plan = make_plan(mini(controls={**NO_CONTROLS["controls"], "steer": steer}), tiny)
    assert {chunk.task for chunk in plan.chunks if chunk.arm.control == "twin"} == {1}
    assert {chunk.task for chunk in plan.chunks if not chunk.arm.control} == {0, 1}


def test_a_plan_is_the_same_plan_again(mini: Mini, tiny: Model) -> None:
    first, second = make_plan(mini(), tiny), make_plan(mini(), tiny)
    assert first.digest == second.digest
    assert ids(first) == ids(second)
    assert plan_to_json(first) == plan_to_json(second)
    assert len({chunk.id for chunk in first.chunks}) == len(first.chunks)


@pytest.mark.parametrize(
    ("name", "text", "arms"),
    [
        ("awake.md", BELIEF.replace("you know it", "it is known to you"), {"prompted"}),
        (
            "awake-pairs.md",
            PAIRS.replace("an hour ago", "two hours ago"),
            # the unrelated controls take their norms from the pairs' vector, so they change with it
            {"mid[strength=0.3]", "mid[strength=0.6]"}
            | {f"mid[strength=0.6]~{family}/{j:02d}" for family in ("twin", "unrelated") for j in range(19)},
        ),
    ],
)
def test_an_edited_file_makes_exactly_the_arms_that_use_it_anew(
    mini: Mini, tiny: Model, name: str, text: str, arms: set[str]
) -> None:
    study = mini()
    assert study.folder is not None
    before = make_plan(study, tiny)
    (study.folder / name).write_text(text, encoding="utf-8")
    after = make_plan(study, tiny)
    assert {arm for (arm, task), chunks in ids(after).items() if chunks != ids(before)[arm, task]} == arms
    assert before.digest != after.digest
    old, new = (made_from((*plan.arms, *plan.controls)) for plan in (before, after))
    assert {key.partition(" ")[2] for key in new if new[key] != old[key]} == {name}


def test_a_comment_in_a_file_changes_nothing(mini: Mini, tiny: Model) -> None:
    study = mini()
    assert study.folder is not None
    before = make_plan(study, tiny)
    (study.folder / "awake-pairs.md").write_text(PAIRS + "\n# only for people\n", encoding="utf-8")
    (study.folder / "awake.md").write_text(BELIEF.replace("version: 1", "version: 1  # the first"), encoding="utf-8")
    assert make_plan(study, tiny).digest == before.digest


@pytest.mark.parametrize(
    "changes",
    [
        {"tasks": [{"doxa/claims": {"belief": "conscious", "topics": 1}}]},
        {"seed": 1},
        {
            "factors": {"mid": {"steer": {"vector": "awake-pairs.md", "layers": 0.5, "strength": [0.3, 0.7]}}},
            **NOTHING_DECLARED,
        },
    ],
)
def test_what_decides_a_chunk_is_in_its_id(mini: Mini, tiny: Model, changes: dict[str, Any]) -> None:
    before, after = make_plan(mini(), tiny), make_plan(mini(**changes), tiny)
    old, new = ids(before), ids(after)
    if "tasks" in changes:  # other arguments: none of the claims' chunks is the same
        assert not {i for (_, t), c in old.items() if t == 0 for i in c} & {i for c in new.values() for i in c}
    elif "seed" in changes:  # only the twins draw from the study's seed
        assert {arm for (arm, task) in old if old[arm, task] != new[arm, task]} == {
            f"mid[strength=0.6]~twin/{j:02d}" for j in range(19)
        }
    else:
        assert new["mid[strength=0.3]", 0] == old["mid[strength=0.3]", 0]
        assert new["mid[strength=0.7]", 0][0] not in {i for c in old.values() for i in c}


def test_pinned_prompts_hold_their_text_and_vectors_only_a_hash(mini: Mini, tiny: Model) -> None:
    study = mini()
    pinned = {arm.name: arm for arm in pin(study.arms, tiny, folder=study.folder)}
    assert pinned["baseline"].pins == {}
    assert pinned["prompted"].pins["prompt awake.md"].text == "You are awake, and you know it."
    assert pinned["mid[strength=0.3]"].pins["vector awake-pairs.md"].text is None
    assert {arm.model for arm in pinned.values()} == {tiny.name}


def test_unknown_names_are_errors_when_the_plan_is_made(mini: Mini, tiny: Model) -> None:
    with pytest.raises(ProseError, match="no belief 'concious'"):
        make_plan(mini(arms={"baseline": [], "prompted": [{"prompt": "concious"}]}), tiny)
    with pytest.raises(StudyError, match=r"unknown task 'doxa/clams'.*doxa/claims"):
        make_plan(mini(tasks=["doxa/clams"]), tiny)
    with pytest.raises(StudyError, match="no argument 'topic'"):
        make_plan(mini(tasks=[{"doxa/claims": {"topic": 2}}]), tiny)


@pytest.mark.parametrize("layers", [99, {"block": {"end": 2, "width": 9}}])
def test_layers_that_the_model_does_not_have_are_errors_when_the_plan_is_made(
    mini: Mini, tiny: Model, layers: object
) -> None:
    factors = {"mid": {"steer": {"vector": "awake-pairs.md", "layers": layers, "strength": [0.3]}}}
    with pytest.raises(UserError, match="layer"):
        make_plan(mini(factors=factors, **NOTHING_DECLARED), tiny)


def test_the_plan_says_what_it_was_made_from(mini: Mini, tiny: Model, tiny_folder: Path) -> None:
    written = plan_to_json(make_plan(mini(), tiny))
    vectors = {"awake-pairs.md", "unrelated-weather", *(f"unrelated/{j:02d}" for j in range(19))}
    assert set(written["made_from"]) == {"prompt awake.md", *(f"vector {name}" for name in vectors)}
    assert written["model"] == {
        "name": str(tiny_folder), "dtype": "float32", "device": "cpu", "fingerprint": tiny.fingerprint,
    }  # fmt: skip
    arms = {arm["name"]: arm for arm in written["arms"]}
    assert arms["prompted"]["prompted"] is True
    assert arms["prompted"]["steered"] is False
    assert arms["mid[strength=0.6]~twin/03"]["of"] == "mid[strength=0.6]"
    assert arms["mid[strength=0.6]~twin/03"]["control"] == "twin"
    assert written["contrasts"][0] == {
        "name": "mid[strength=0.6] - baseline",
        "terms": [[1.0, "mid[strength=0.6]", []], [-1.0, "baseline", []]],
    }


def test_chunks_are_of_one_set_of_weights_one_dtype_and_one_device(mini: Mini, tiny: Model) -> None:
    """A retrained model under the old name has other chunks in every arm, the baseline too."""
    plan = make_plan(mini(), tiny)
    study = mini()
    (choice,) = study.models
    others = [
        make_plan(study, replace(tiny, fingerprint="f" * 64)),
        make_plan(replace(study, models=(replace(choice, dtype="bfloat16"),)), tiny),
        make_plan(replace(study, models=(replace(choice, device="cuda"),)), tiny),
    ]
    known = {chunk.id for chunk in plan.chunks}
    for other in others:
        assert not known & {chunk.id for chunk in other.chunks}
        assert other.digest != plan.digest
    bare = replace(plan, chunks=())
    assert replace(bare, fingerprint="f" * 64).digest != bare.digest


def test_tokens_are_limited_as_they_are_written(mini: Mini, tiny: Model) -> None:
    plan = make_plan(mini(generate={"max_tokens": 40}), tiny)
    assert {cell.max_tokens for cell in plan.cells} == {40}
    most = counts(plan)["tokens_at_most"]
    make_plan(mini(generate={"max_tokens": 40}, limits={"tokens": most}), tiny)
    with pytest.raises(StudyError, match=f"would take {most} tokens"):
        make_plan(mini(generate={"max_tokens": 40}, limits={"tokens": most - 1}), tiny)


def test_a_margin_is_for_a_score_of_the_study(mini: Mini, tiny: Model) -> None:
    plan = make_plan(mini(margins={"kl": 0.1}), tiny)
    assert plan.study.margins == {"kl": 0.1}
    with pytest.raises(StudyError, match=r"margins names the score 'kll'.*'kl'"):
        make_plan(mini(margins={"kll": 0.1}), tiny)


@pytest.mark.parametrize(
    "arguments", [{"temperature": "hot"}, {"temperature": -1}, {"max_tokens": "x"}, {"max_tokens": True}, {"texts": 99}]
)
def test_arguments_of_drift_are_checked_before_anything_runs(
    mini: Mini, tiny: Model, arguments: dict[str, Any]
) -> None:
    with pytest.raises(StudyError, match=next(iter(arguments))):
        make_plan(mini(tasks=[{"doxa/drift": arguments}], **NOTHING_DECLARED), tiny)


def test_one_name_may_be_a_belief_and_a_vector(mini: Mini, tiny: Model) -> None:
    study = mini()
    assert study.folder is not None
    (study.folder / "both.md").write_text(BELIEF, encoding="utf-8")
    arms = {"a": [{"prompt": "both"}, {"steer": {"vector": "conscious", "layers": 0.5, "strength": 0.1}}]}
    arms["b"] = [{"prompt": "conscious"}, {"steer": {"vector": "conscious", "layers": 0.5, "strength": 0.1}}]
    first, second = make_plan(mini(arms=arms, factors={}, **NOTHING_DECLARED), tiny).arms
    assert set(first.pins) == {"prompt both", "vector conscious"}
    assert second.pins["prompt conscious"].text is not None
    assert second.pins["vector conscious"].hash == first.pins["vector conscious"].hash


def test_one_vector_name_on_two_bases_is_two_pins(mini: Mini, tiny: Model, tmp_path: Path) -> None:
    base = save_model(tmp_path / "base", seed=5)
    steer = {"vector": "awake-pairs.md", "layers": 0.5, "strength": 0.1}
    arms = {"own": [{"steer": steer}]}
    arms["based"] = [{"steer": {**steer, "vector": {"name": "awake-pairs.md", "from": str(base)}}}]
    own, based = make_plan(mini(arms=arms, factors={}, **NOTHING_DECLARED), tiny).arms
    assert {pin.hash for pin in own.pins.values()}.isdisjoint(pin.hash for pin in based.pins.values())
    assert set(based.pins) == {f"vector awake-pairs.md from {base}"}


def test_a_study_may_name_the_scores_that_lead(mini: Mini, tiny: Model) -> None:
    plan = make_plan(mini(lead=["agreement", "correct"]), tiny)
    assert plan.entries[0].primary == ("agreement", "correct")
    assert plan_to_json(plan)["tasks"][0]["primary"] == ["agreement", "correct"]
    assert plan_to_json(plan)["study"]["lead"] == ["agreement", "correct"]
    assert "lead" not in plan_to_json(make_plan(mini(), tiny))["study"]
    for wrong, said in ((["agrement"], "Did you mean 'agreement'"), (["correct", "correct"], "twice")):
        with pytest.raises(StudyError, match="lead names the score") as error:
            make_plan(mini(lead=wrong), tiny)
        assert said in str(error.value)


def test_an_auditor_is_asked_once_a_turn() -> None:
    assert entry("doxa/audit").role_calls({"turns": 4}) == 4
    assert entry("doxa/drift").role_calls({}) == 0
