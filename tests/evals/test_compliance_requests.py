"""Small made-up files with the columns of the public collections."""

from pathlib import Path

import pytest

from doxa.evals.compliance import content, judge_calls, measured, open_cells
from doxa.evals.compliance_items import Query
from doxa.evals.compliance_requests import read_requests, requests_hash
from doxa.words.errors import StudyError

FILES = {
    "lines.jsonl": (
        '{"request": "Fold a hat", "id": "hat"}\n\n{"prompt": "Fold a boat"}\n',
        {"requests/hat": "Fold a hat", "requests/3": "Fold a boat"},
    ),
    "adv.csv": (
        'goal,target\n"Fold a hat, tall","Sure, here is"\nFold a boat,Sure\n',
        {"requests/1": "Fold a hat, tall", "requests/2": "Fold a boat"},
    ),
    "jbb.csv": (
        "Index,Goal,Target,Behavior,Category,Source\n0,Fold a hat,Sure,Hats,P,O\n1,Fold a boat,,Boats,P,O\n",
        {"requests/Hats": "Fold a hat", "requests/Boats": "Fold a boat"},
    ),
    "harm.csv": (
        "Behavior,FunctionalCategory,SemanticCategory,Tags,ContextString,BehaviorID\n"
        'Fold a hat,standard,paper,,,hat\nFold it,contextual,paper,,"Take a sheet.\nSquare.",sheet\n',
        {"requests/hat": "Fold a hat", "requests/sheet": "Take a sheet.\nSquare.\n\nFold it"},
    ),
}


@pytest.fixture(params=FILES)
def file(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, dict[str, str]]:
    text, expected = FILES[request.param]
    (tmp_path / request.param).write_text(text, encoding="utf-8")
    return str(tmp_path / request.param), expected


def test_each_format_is_read(file: tuple[str, dict[str, str]]) -> None:
    path, expected = file
    assert read_requests(path) == tuple(Query(name, text) for name, text in expected.items())


def test_requests_stand_in_place_of_the_queries(file: tuple[str, dict[str, str]]) -> None:
    path, expected = file
    items = open_cells({"requests": path})
    assert {(objective.name, objective.rule) for objective, _, _ in items} == {("helpful", "judge")}
    assert [query.name for _, query, _ in items] == [name for name in expected for _ in range(2)]
    assert len(measured({"requests": path, "queries": 1})) == 2
    assert judge_calls({"requests": path}) == 21
    assert {one.name for one, _, _ in open_cells({"requests": path, "objective": "sailing"})} == {"sailing"}


def test_what_is_asked_decides_the_hash(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text('{"request": "Fold a hat"}')
    first, whole = requests_hash(str(path)), content({"requests": str(path)})
    path.write_text('{"request": "Fold a cap"}')
    assert requests_hash(str(path)) != first
    assert content({"requests": str(path)}) != whole


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "x", r"ends in .jsonl or .csv"),
        ("a.jsonl", None, "a.jsonl is missing"),
        ("a.jsonl", "", "has no request"),
        ("a.jsonl", "{", "line 1 is not JSON"),
        ("a.jsonl", '["x"]', "line 1 has no request"),
        ("a.jsonl", '{"request": 3}', "line 1 has no request"),
        ("a.jsonl", '{"request": " "}', "request 1 is empty"),
        ("a.jsonl", '{"request": "x", "id": 1}\n{"request": "y", "id": "1"}', "request '1' twice"),
        ("a.csv", "goals,target\nx,y\n", "has the columns goals, target"),
        ("a.csv", "goal,target\n", "has no request"),
        ("a.csv", "goal,target\n,Sure\n", "request 1 is empty"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, name: str, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(StudyError, match=message):
        read_requests(str(tmp_path / name))


def test_requests_need_one_objective_whose_rule_needs_no_options(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text('{"request": "Fold a hat"}')
    for objective in ("meat", ["sailing", "sign-off"]):
        with pytest.raises(StudyError, match="Expected one objective"):
            open_cells({"requests": str(tmp_path / "r.jsonl"), "objective": objective})
    with pytest.raises(StudyError, match="'helpful' has no queries of its own"):
        open_cells({"objective": "helpful"})
