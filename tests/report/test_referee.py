from collections.abc import Callable
from pathlib import Path

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
    assert "not declared" in about(answers, "Manipulation").words
    assert about(answers, "Manipulation").state == "no"


def test_without_steering_and_prompts(make_results: Callable[..., Path], study_of: Callable[..., Study]) -> None:
    study = study_of(arms={"one": [], "two": []}, tasks=["doxa/drift"], contrasts=["two - one"])
    answers = asked(make_results(study))
    assert about(answers, "twins").state == "absent"
    assert about(answers, "wording").state == "absent"
    assert about(answers, "vector?").state == "absent"
    assert about(answers, "gate").state == "absent"
    assert about(answers, "Manipulation").state == "no"
