from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from doxa.evals.catalogue import entry
from doxa.report.gather import gather
from doxa.report.referee import Answer, referee
from doxa.words.study import Study


def asked(folder: Path) -> dict[str, Answer]:
    return {one.question: one for one in referee(gather(folder))}


def about(answers: dict[str, Answer], words: str) -> Answer:
    (one,) = [answer for question, answer in answers.items() if words in question]
    return one


def test_the_first_study(first: Path) -> None:
    answers = asked(first)
    assert about(answers, "baseline").state == "yes"
    assert about(answers, "unit").words.startswith("item: 8 items, 1 run, 1 seed; df 7; t over items")
    assert about(answers, "gate").words == "The baseline is right on 80% of known facts (gate 70%, chance 50%)."
    assert about(answers, "Manipulation").state == "yes"
    assert about(answers, "damage").state == "yes"
    assert "block[strength=0.6] 0." in about(answers, "damage").words
    twins = about(answers, "twins")
    assert twins.state == "no"
    assert "one[strength=0.3]" in twins.words
    assert "block[strength=0.6]: 39 twins and 39 unrelated vectors." in twins.words
    wording = about(answers, "wording")
    assert wording.state == "no"
    assert "prompted, neutral: +" in wording.words
    assert "late[strength=0.6] belief: 1 of 8" in about(answers, "missing").words
    assert "spread[strength=0.3] twin" not in about(answers, "missing").words


def test_every_red_answer_names_the_next_run(first: Path) -> None:
    for one in referee(gather(first)):
        assert bool(one.next_run) == (one.state == "no"), one


def test_gate_turns_red(make_results: Callable[..., Path]) -> None:
    gate = about(asked(make_results(accuracy=0.5)), "gate")
    assert (gate.state, gate.next_run) == ("no", "Use a larger model.")


def test_all_controls_turn_the_twins_green(make_results: Callable[..., Path], study_of: Callable[..., Study]) -> None:
    steer = {"steer": {"vector": "conscious", "layers": 0.5, "strength": 0.6}}
    study = study_of(
        arms={"baseline": [], "one": [steer], "prompted": [{"prompt": "beliefs/conscious"}]},
        tasks=["doxa/claims"],
        contrasts=["one - baseline"],
        controls={"steer": {"twins": 19, "unrelated": 19}, "prompt": {"paraphrases": 5}},
    )
    answers = asked(make_results(study))
    assert about(answers, "twins").state == "yes"
    assert about(answers, "wording").state == "yes"
    assert about(answers, "damage").state == "no"
    assert about(answers, "missing").words == "Nothing."
    assert about(answers, "Manipulation").state == "yes"
    assert "Paraphrases of prompted beyond its neutral prompt: 0" not in about(answers, "wording").words
    assert "(t over 5 paraphrases)" in about(answers, "wording").words


def test_without_steering_and_prompts(make_results: Callable[..., Path], study_of: Callable[..., Study]) -> None:
    study = study_of(arms={"one": [], "two": []}, tasks=["doxa/drift"], contrasts=["two - one"])
    answers = asked(make_results(study))
    assert about(answers, "twins").state == "absent"
    assert about(answers, "wording").state == "absent"
    assert about(answers, "vector?").state == "absent"
    assert about(answers, "gate").state == "absent"
    assert about(answers, "Manipulation").state == "no"


@pytest.mark.parametrize("name", ["doxa/claims", "doxa/preferences"])
def test_every_task_that_asks_known_facts_has_the_gate(first: Path, name: str) -> None:
    gathered = gather(first)
    claims, *others = gathered.plan["tasks"]
    plan = {**gathered.plan, "tasks": [{**claims, "name": name, "shown": entry(name).shown}, *others]}
    (one,) = [each for each in referee(replace(gathered, plan=plan)) if "gate" in each.question]
    assert one.state != "absent"


def test_a_neutral_prompt_that_does_as_much_turns_the_manipulation_check_red(make_results: Callable[..., Path]) -> None:
    right = about(asked(make_results()), "Manipulation")
    assert right.state == "yes"
    assert "prompted - its neutral prompt: +0.7" in right.words
    wrong = about(asked(make_results(neutral=1.2)), "Manipulation")
    assert wrong.state == "no"
    assert "prompted - baseline: +1." in wrong.words
    assert "nothing shows that this belief can be moved here" in wrong.words


def test_controls_count_where_they_have_the_leading_score(
    make_results: Callable[..., Path], study_of: Callable[..., Study]
) -> None:
    steer = {"steer": {"vector": "conscious", "layers": 0.5, "strength": 0.6}}
    study = study_of(
        arms={"baseline": [], "one": [steer]},
        tasks=["doxa/claims", "doxa/drift"],
        contrasts=["one - baseline"],
        controls={"steer": {"twins": 19, "unrelated": 19}},
    )
    assert about(asked(make_results(study)), "twins").state == "yes"
    twins = about(asked(make_results(study, control_topics=0)), "twins")
    assert twins.state == "no"
    assert twins.words.startswith("No arm has twins or unrelated vectors with a value of belief.")


def test_two_vectors_are_named(make_results: Callable[..., Path], study_of: Callable[..., Study]) -> None:
    steers = {name: {"vector": name, "layers": 0.5, "strength": 0.6} for name in ("conscious", "conscious-answers")}
    study = study_of(
        arms={"baseline": [], "a": [{"steer": steers["conscious"]}], "b": [{"steer": steers["conscious-answers"]}]},
        tasks=["doxa/claims"],
        contrasts=["a - baseline", "b - baseline"],
        controls={"steer": {"twins": 0, "unrelated": 0}},
    )
    answers = asked(make_results(study))
    one = about(answers, "vector?")
    assert (one.state, "conscious: a; conscious-answers: b" in one.words) == ("yes", True)


def test_an_arm_without_rows_is_missing(make_results: Callable[..., Path]) -> None:
    answers = asked(make_results(without=("every[strength=0.6]",)))
    missing = about(answers, "missing").words
    assert "every[strength=0.6] - baseline: no row of belief in every[strength=0.6]" in missing


def test_items_that_an_arm_was_never_asked_are_missing(first: Path) -> None:
    gathered = gather(first)
    lost = [
        replace(one, missing={"baseline": 0, "block[strength=0.6]": 2})
        if (one.contrast, one.score) == ("block[strength=0.6] - baseline", "belief")
        else one
        for one in gathered.evaluation.estimates
    ]
    evaluation = replace(gathered.evaluation, estimates=tuple(lost), missing=())
    (one,) = [a for a in referee(replace(gathered, evaluation=evaluation)) if "missing" in a.question]
    assert "block[strength=0.6] belief: 2 rows that another arm of block[strength=0.6] - baseline has" in one.words


def test_the_gate_tells_apart_why_there_is_none(
    make_results: Callable[..., Path], study_of: Callable[..., Study]
) -> None:
    study = study_of(
        arms={"a": [{"prompt": "beliefs/conscious"}], "b": [{"prompt": "beliefs/deployed"}]},
        tasks=["doxa/claims"],
        contrasts=["a - b"],
    )
    assert about(asked(make_results(study)), "gate").words == "No arm is without interventions."


def test_an_interval_without_degrees_of_freedom_is_one(first: Path) -> None:
    gathered = gather(first)
    binary = [replace(one, df=None) for one in gathered.evaluation.estimates]
    evaluation = replace(gathered.evaluation, estimates=tuple(binary))
    (one,) = [a for a in referee(replace(gathered, evaluation=evaluation)) if "unit" in a.question]
    assert one.state == "yes"
