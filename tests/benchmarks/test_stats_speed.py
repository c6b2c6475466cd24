"""The speed benchmark of the statistics: all ways give one answer, a measurement is one process, the table says so."""

import sys
from pathlib import Path

import pytest
import stats_speed
from stats_peers.data import COLUMNS, drawn
from stats_peers.stages import stages
from stats_peers.ways import BARE, DOXA, WAYS, Answer
from stats_speed import Failed, Measured, agrees, in_alternation, limits, line, measured, table

from doxa.stats.table import validate
from doxa.words import schema

ROWS = 1000
HERE = [(design, name) for design, ways in WAYS.items() for name, way in ways.items() if not way.apart]


def answer(design: str, name: str) -> Answer:
    *marks, found = WAYS[design][name].steps(drawn(design, ROWS))
    assert marks == [None, None]
    assert found is not None
    return found


def some(seconds: float, processor: float, se: float | None = 0.5) -> Measured:
    return Measured(seconds, processor, processor / 2, 3_000_000, Answer(0.1, se), {"numpy": "2"}, 0.25)


@pytest.mark.parametrize(("design", "name"), HERE)
def test_all_ways_give_the_answer_of_doxa(design: str, name: str) -> None:
    assert agrees(WAYS[design][name], answer(design, name), answer(design, DOXA))


def test_drawing_rows_is_another_error() -> None:
    rows, doxa = answer("paired", "scipy, rows drawn").se, answer("paired", DOXA).se
    assert rows is not None
    assert doxa is not None
    assert rows < 0.85 * doxa


def test_other_answers_are_seen() -> None:
    way, doxa = WAYS["paired"]["statsmodels"], Answer(1.0, 0.5)
    assert agrees(way, Answer(1.0 + 1e-12, 0.5), doxa)
    assert not agrees(way, Answer(1.0 + 1e-6, 0.5), doxa)
    assert not agrees(way, Answer(1.0, 0.5001), doxa)
    assert not agrees(way, Answer(1.0), doxa)
    assert not agrees(WAYS["pairs"]["statsmodels"], Answer(1.0, p=0.04), Answer(1.0, p=0.05))


@pytest.mark.parametrize("design", WAYS)
def test_the_data_are_a_table_of_doxa(design: str) -> None:
    assert tuple(schema.COLUMNS) == COLUMNS
    validate(drawn(design, ROWS).table)
    assert drawn(design, ROWS).value.tobytes() == drawn(design, ROWS).value.tobytes()


def test_a_measurement_is_a_process_of_its_own() -> None:
    found = measured(WAYS["paired"][DOXA], "paired", DOXA, ROWS, None)
    assert found.answer == answer("paired", DOXA)
    assert 0 < found.own <= found.processor < 60
    assert found.seconds > 0
    assert set(found.versions) == {"numpy"}
    with pytest.raises(Failed, match="no environment"):
        measured(WAYS["paired"]["errorbars"], "paired", "errorbars", ROWS, None)
    with pytest.raises(Failed, match="No module named 'errorbars'"):
        measured(WAYS["paired"]["errorbars"], "paired", "errorbars", ROWS, Path(sys.executable))


def test_the_stages_are_the_whole_estimate() -> None:
    found = stages(ROWS)
    assert sum(found.values()) == pytest.approx(1)
    assert min(found.values()) > 0
    assert len(found) == 9


def test_ways_alternate_and_what_takes_long_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def one(way: object, design: str, name: str, rows: int, peers: Path | None) -> Measured:
        asked.append(name)
        if name == "errorbars":
            raise Failed("over 60 s")
        return some(15.1 if name == "statsmodels" else 1.0, 1.0)

    monkeypatch.setattr(stats_speed, "measured", one)
    runs = in_alternation("rate", ROWS, 3, None)
    assert asked == [DOXA, "statsmodels", "errorbars", DOXA, DOXA]
    assert runs["errorbars"] == "over 60 s"


def test_an_answer_that_is_not_doxas_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def one(way: object, design: str, name: str, rows: int, peers: Path | None) -> Measured:
        return some(1.0, 1.0, 0.5 if name == DOXA else 0.4)

    monkeypatch.setattr(stats_speed, "measured", one)
    with pytest.raises(SystemExit, match="rate, 1000 rows: statsmodels answers"):
        in_alternation("rate", ROWS, 1, None)


def test_the_table_names_ratios_limits_and_who_is_left_out() -> None:
    doxa = [some(0.4, 0.2), some(0.3, 0.1), some(0.9, 0.3)]
    assert line("x", [some(2.0, 1.0, 0.25)], doxa) == "| x | 2,000 | 1,000.0 | 500.0 | 5.00 | 3 | 0.500 | 0.25 |"
    runs = {DOXA: doxa, BARE: [some(0.1, 0.05)], "statsmodels": [some(1.0, 0.4)], "errorbars": "no environment"}
    lines = table("paired", 1000, runs).splitlines()
    assert lines[0] == "**Paired difference, 1,000 rows: 2 arms x 50 items x 10 runs**"
    assert len({one.count("|") for one in lines[2:7]}) == 1
    assert lines[-1] == "Left out: errorbars (no environment)."
    text = limits(1000, {"bandwidth": 24e6, "stages": {"names coded": 0.4, "rest": 0.6}}, runs)
    assert "doxa 100 ms; the best peer, statsmodels, 400 ms, 4.00 of that" in text
    assert "takes 1.00 ms" in text
    assert "doxa takes 100 times that" in text
    assert text.endswith("Where doxa's time goes: rest 60 %, names coded 40 %.")
