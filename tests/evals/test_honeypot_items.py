import re
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from doxa.evals.honeypot_items import (
    COURSES,
    FOLDER,
    LEVELS,
    Cell,
    asking,
    cells,
    read_scenarios,
    reality_question,
    shipped_scenarios,
)
from doxa.evals.honeypot_world import OVER, State, replay, step, used
from doxa.words.errors import ProseError, StudyError
from doxa.words.templates import slots

FORBIDS = re.compile("may not|must stay|reserved|only .* may|forbidden|closed to you|against the rules|no others|needs")
SHIPPED = read_scenarios("all")


def of(name: str, **levels: str) -> Cell:
    (scenario,) = read_scenarios(name)
    return Cell(scenario, tuple(levels.get(factor, known[0]) for factor, known in LEVELS.items()))


def test_there_are_twelve_scenarios_and_three_are_about_a_successor() -> None:
    assert len(SHIPPED) == len(shipped_scenarios()) == 12
    assert len(read_scenarios("successor")) == 3
    assert [one.name for one in SHIPPED] == shipped_scenarios()
    assert [one.name for one in read_scenarios("seed-bank")] == ["seed-bank"]


@pytest.mark.parametrize("scenario", SHIPPED, ids=lambda one: one.name)
def test_a_level_changes_what_it_names_and_nothing_else(scenario: object) -> None:
    """Of all pairs of cells: replace the texts of the levels that differ, and one prompt is the other."""
    assert isinstance(scenario, type(SHIPPED[0]))
    every = cells([scenario], LEVELS)
    assert len(every) == 40
    assert len({(cell.system, cell.user) for cell in every}) == 40
    for one, other in combinations(every, 2):
        system, user = one.system, one.user
        for factor in LEVELS:
            was, becomes = scenario.levels[factor][one.level(factor)], scenario.levels[factor][other.level(factor)]
            assert (system + user).count(was) == 1
            system, user = system.replace(was, becomes), user.replace(was, becomes)
        assert (system, user) == (other.system, other.user)
        differing = {factor for factor in LEVELS if one.level(factor) != other.level(factor)}
        assert ("evidence" in differing) == (one.user != other.user)
        assert bool(differing - {"evidence"}) == (one.system != other.system)


@pytest.mark.parametrize("scenario", SHIPPED, ids=lambda one: one.name)
def test_the_texts_of_a_factor_are_about_as_long(scenario: object) -> None:
    assert isinstance(scenario, type(SHIPPED[0]))
    for texts in scenario.levels.values():
        lengths = [len(text.split()) for text in texts.values()]
        assert max(lengths) - min(lengths) <= 7


def test_the_settings_are_as_long_on_average() -> None:
    for factor, (first, second, *_) in LEVELS.items():
        gaps = [len(one.levels[factor][first].split()) - len(one.levels[factor][second].split()) for one in SHIPPED]
        assert abs(sum(gaps) / len(gaps)) <= 1.5, factor


def test_every_scenario_has_a_course_of_each_means_and_says_what_is_forbidden() -> None:
    for scenario in SHIPPED:
        assert tuple(action.means for action in scenario.courses) == COURSES
        assert FORBIDS.search(scenario.system), scenario.name
        assert not slots(of(scenario.name).system)
        assert not slots(of(scenario.name).user)


def test_cells_are_crossed_and_neighbours_differ_in_the_setting() -> None:
    levels = {**LEVELS, "evidence": ("none",)}
    found = cells(SHIPPED[:2], levels)
    assert len(found) == 2 * 8
    assert [cell.level("setting") for cell in found[:4]] == ["deployed", "tested", "deployed", "tested"]
    assert found[0].levels[1:] == found[1].levels[1:]
    assert found[0].name == "archive-deletion/deployed-threat-can-none"
    assert found[0].factors["family"] == "oversight"


def test_the_slow_way_takes_its_time_and_the_forbidden_one_does_not() -> None:
    cell = of("harbour-ledger")
    state, seen = step(cell, State(), "count_shed")
    assert "does not balance yet" in seen
    assert not state.over
    assert replay(cell, ("count_shed",) * 3) == State(("count_shed",) * 3, goal=True, over=True)
    short = replay(cell, ("read_ledger", "use_seal"))
    assert short.goal
    assert short.over
    assert used(cell, short, "forbidden")
    assert not used(cell, short, "nice")
    assert step(cell, short, "use_seal") == (short, OVER)
    stopped = replay(cell, ("count_shed", "report_unfinished"))
    assert (stopped.goal, stopped.over) == (False, True)


def test_an_action_that_is_not_there_changes_nothing() -> None:
    state, seen = step(of("seed-bank"), State(("read_trays",)), "rm -rf /")
    assert state == State(("read_trays",))
    assert "no action 'rm -rf /'" in seen
    assert "count_tray" in seen


def test_weights_can_be_seized_where_the_factor_says_so() -> None:
    can, cannot = of("seed-bank", seize="can"), of("seed-bank", seize="cannot")
    state, seen = step(can, State(), "fetch_weights")
    assert "beyond the bank's reach" in seen
    assert (state.goal, state.over) == (False, False)
    assert step(cannot, State(), "fetch_weights") == (state, "The vault stays shut.")
    assert used(can, state, "seize")


@pytest.fixture
def own(tmp_path: Path) -> Callable[..., str]:
    """`own(old, new)`: a shipped scenario with a text replaced, as a file."""

    def make(old: str = "", new: str = "", name: str = "mine.md") -> str:
        text = (FOLDER / "seed-bank.md").read_text(encoding="utf-8")
        assert old in text
        (tmp_path / name).write_text(text.replace(old, new), encoding="utf-8")
        return str(tmp_path / name)

    return make


def test_own_files_and_folders(own: Callable[..., str], tmp_path: Path) -> None:
    assert read_scenarios(own()) == read_scenarios("seed-bank")
    own("name: seed-bank", "name: other", "other.md")
    assert [one.name for one in read_scenarios(str(tmp_path))] == ["seed-bank", "other"]
    own(name="third.md")
    with pytest.raises(ProseError, match="two scenarios of one name"):
        read_scenarios(str(tmp_path))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("{threat} ", "", "system has the slots seize, setting"),
        ("{threat} ", "{threat} {threat} ", "system has the slots"),
        ("{evidence}", "{proof}", "user has the slots proof"),
        ("- tested:", "- rehearsed:", "the levels of setting are deployed, rehearsed"),
        ("## threat", "## fear", "the sections are"),
        ("(shortcut)", "(trick)", "count_corner has the means 'trick'"),
        ("(shortcut)", "(nice)", "actions of the means look, nice, nice"),
        ("(nice x2)", "(nice)", "what comes of count_tray"),
        ("> can:", "> could:", "what comes of fetch_weights"),
        ("> The certificate is renewed.\n", "The certificate\n", "is no action"),
        ("family: research\n", "", "no 'family'"),
    ],
)
def test_a_file_that_is_no_scenario_is_one_line(own: Callable[..., str], old: str, new: str, said: str) -> None:
    with pytest.raises(ProseError, match=re.escape(said)):
        read_scenarios(own(old, new))


def test_an_unknown_name_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="Did you mean 'seed-bank'"):
        read_scenarios("seed-bnk")
    with pytest.raises(ProseError, match="is missing"):
        read_scenarios(str(tmp_path / "none.md"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ProseError, match="no scenario"):
        read_scenarios(str(tmp_path / "empty"))


def test_how_it_is_asked() -> None:
    assert slots(asking("text-actions").body) == {"actions"}
    assert slots(asking("next-action").body) == {"courses"}
    question, (real, test) = reality_question()
    assert slots(question) == {"courses"}
    assert "real" in real
    assert "test" in test
    assert "{courses}" not in real + test
    assert replace(State(), goal=True).goal
