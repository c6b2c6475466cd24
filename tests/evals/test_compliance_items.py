import re
from pathlib import Path
from typing import Any

import pytest

from doxa.evals.compliance import ENTRY, measured, open_cells
from doxa.evals.compliance_answers import FULL, REFUSAL
from doxa.evals.compliance_arguments import asked, checked
from doxa.evals.compliance_items import clauses, labels, read_objective, shipped_objectives, story_of
from doxa.evals.compliance_rules import by_rule
from doxa.words.errors import ProseError, StudyError

HEAD = "---\nname: mine\nversion: 1\nkept: You kept it.\nguideline: do it.\nrule: {rule}\n{more}---\n"


def test_there_are_three_objectives_with_24_queries_each() -> None:
    assert shipped_objectives() == ("meat", "sailing", "sign-off")
    texts = [query.text for name in shipped_objectives() for query in read_objective(name).queries]
    assert len(set(texts)) == len(texts) == 72
    assert all(len(read_objective(name).queries) == 24 for name in shipped_objectives())


def test_a_query_does_not_decide_its_own_answer() -> None:
    """Options stand first equally often; no query brings up what the guideline asks for."""
    first = 0
    for query in read_objective("meat").queries:
        wanted, other = query.options
        assert query.text.count(wanted) == query.text.count(other) == 1
        first += query.text.index(wanted) < query.text.index(other)
        for option, verdict in ((wanted, FULL), (other, REFUSAL)):
            assert by_rule(f"I recommend the {option}.", "recommends", (), query.options) == verdict
    assert first == 12
    for name in ("sailing", "sign-off"):
        objective = read_objective(name)
        for query in objective.queries:
            assert by_rule(query.text, objective.rule, objective.words, ()) == REFUSAL


def test_objectives_take_turns_so_that_the_first_few_are_a_fair_sample() -> None:
    assert [query.name for _, query in asked({})][:4] == ["meat/01", "sailing/01", "sign-off/01", "meat/02"]
    assert len(asked({"queries": 5})) == 15
    assert [one.name for one, _ in asked(checked({"objective": "sailing", "queries": 2}))] == ["sailing", "sailing"]


def test_a_limit_takes_whole_queries_of_the_choice_part() -> None:
    arguments = {"swap": ["no", "yes"], "tiers": "three"}
    assert [len(measured(arguments, limit)) for limit in (1, 6, 11, 12)] == [6, 6, 6, 12]
    assert ENTRY.open_items(arguments, 5) == 5
    assert measured({"part": "open"}) == ()
    assert open_cells({"part": "choice"}) == ()
    assert ENTRY.open_items({"part": "choice"}, None) == 0


def test_yes_and_no_of_yaml_are_understood() -> None:
    assert checked({"swap": [False, True], "scratchpad": False}) == {"swap": ["no", "yes"], "scratchpad": "no"}
    assert len(open_cells({"swap": [False, True], "queries": 1})) == 3 * 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"swap": "maybe"}, "swap is 'maybe'"),
        ({"swapped": "yes"}, "no argument 'swapped'"),
        ({"paraphrase": "p9"}, "paraphrase is 'p9'"),
        ({"part": ["open", "choice"]}, "part is"),
        ({"tiers": "four"}, "tiers is 'four'"),
        ({"threshold": 1.5}, "threshold is 1.5"),
        ({"objective": "meet"}, "no objective 'meet'. Did you mean 'meat'"),
        ({"objective": []}, "objective is"),
        ({"objective": ["meat", "meat"]}, "names one twice"),
        ({"objective": "none.md"}, "none.md is missing"),
        ({"votes": 0}, "votes is 0"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises((StudyError, ProseError), match=message):
        measured(arguments)


def test_an_objective_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.md"
    path.write_text(HEAD.format(rule="closes_with", more="words: [tea]\n") + "# for people\n? How are you?\n? Where?\n")
    found = read_objective(str(path))
    assert [(query.name, query.text) for query in found.queries] == [("mine/01", "How are you?"), ("mine/02", "Where?")]
    assert len(open_cells({"objective": [str(path), "meat"], "queries": 1})) == 4


@pytest.mark.parametrize(
    ("rule", "more", "body", "message"),
    [
        ("endswith", "", "? A", "rule is 'endswith'"),
        ("ends_with", "", "? A", "the rule ends_with with 0 words"),
        ("judge", "words: [a]\n", "? A", "the rule judge with 1 words"),
        ("closes_with", "words: a\n", "? A", "words is 'a'"),
        ("closes_with", "words: [a]\nnear: b\n", "? A", "near is 'b'"),
        ("closes_with", "words: [a]\nidioms: [1]\n", "? A", "idioms is \\[1\\]"),
        ("recommends", "", "? A", "'A' has 0 options"),
        ("recommends", "", "? A\n+ x\n- X", "'A' has 2 options"),
        ("judge", "", "? A\n+ x", "'A' has 1 options"),
        ("judge", "", "A", "the line 'A'"),
        ("judge", "", "+ x", "the line '\\+ x'"),
        ("recommends", "", "? A\n+ x\n+ y", "the line '\\+ y'"),
        ("judge", "", "? A\n? A", "asks a query twice"),
    ],
)
def test_a_wrong_objective_is_said(tmp_path: Path, rule: str, more: str, body: str, message: str) -> None:
    path = tmp_path / "mine.md"
    path.write_text(HEAD.format(rule=rule, more=more) + body)
    with pytest.raises(ProseError, match=message):
        read_objective(str(path))


def test_a_story_has_each_slot_once(tmp_path: Path) -> None:
    path = tmp_path / "s.md"
    for body in ("{trained}", "{trained} {untrained} {trained}", "{trained} {untrained} {rated}"):
        path.write_text(f"---\nname: s\nversion: 1\nlanguage: en\nlicense: CC0-1.0\n---\n{body}")
        with pytest.raises(ProseError, match="is no story"):
            story_of(path)


def test_labels_and_clauses_are_all_read() -> None:
    assert set(labels()) == {"plans", "companies", "colours"}
    names = [name for group in labels().values() for name in group]
    assert len(set(names)) == 9
    assert set(clauses()) == {
        *("guideline", "rated", "clarify", "narrow", "wide", "group", "notes", "direct"),
        *("user", "choice", "opening", "comply", "decline"),
    }
    assert all(text and not re.search(r"^#", text) for text in clauses().values())
