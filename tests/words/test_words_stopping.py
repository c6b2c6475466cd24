from typing import Any

import pytest

from doxa.words.errors import StudyError
from doxa.words.stopping import Decided, Stopping, Width, looks_at, read_runs, runs_to_json


@pytest.mark.parametrize(
    ("written", "runs", "stopping"),
    [
        (4, 4, None),
        ("until width 0.05", 200, Stopping(Width(0.05))),
        ("until  width .1", 200, Stopping(Width(0.1))),
        ("until decided", 200, Stopping(Decided())),
        ({"until": {"width": 0.05}}, 200, Stopping(Width(0.05), 10)),
        ({"until": "decided", "at_most": 60, "step": 20}, 60, Stopping(Decided(), 20)),
        ({"until": "decided", "at_most": 4}, 4, Stopping(Decided(), 4)),
        ({"until": "decided", "margin": 0.02, "score": "loop"}, 200, Stopping(Decided(0.02), 10, "loop")),
        ({"until": {"width": "1e-2"}, "margin": None, "score": None}, 200, Stopping(Width(0.01))),
    ],
)
def test_runs_are_read_and_written_back(written: Any, runs: int, stopping: Stopping | None) -> None:
    assert read_runs(written) == (runs, stopping)
    assert read_runs(runs_to_json(runs, stopping)) == (runs, stopping)


@pytest.mark.parametrize(
    ("written", "says"),
    [
        (0, "at least 1"),
        (True, "whole number"),
        (1.5, "whole number"),
        (None, "whole number"),
        ("4", "until width 0.05"),
        ("until", "until width 0.05"),
        ("until dawn", "until decided"),
        ("until width", "until width 0.05"),
        ("until width narrow", "a finite number"),
        ("until width -1", "more than 0"),
        ("until width nan", "a finite number"),
        ("until decided 0.05", "until decided"),
        ([4], "whole number"),
        ({}, "no 'until'"),
        ({"at_most": 10}, "no 'until'"),
        ({"until": "decided", "atmost": 10}, "Did you mean 'at_most'"),
        ({"until": "decidd"}, "Did you mean 'decided'"),
        ({"until": 0.05}, "a mapping with width"),
        ({"until": {"wide": 0.05}}, "Allowed: width"),
        ({"until": {}}, "no 'width'"),
        ({"until": {"width": 0}}, "more than 0"),
        ({"until": {"width": True}}, "a finite number"),
        ({"until": {"width": 0.1}, "margin": 0.1}, "beside `until: decided`"),
        ({"until": "decided", "margin": 0}, "more than 0"),
        ({"until": "decided", "at_most": 0}, "at least 1"),
        ({"until": "decided", "step": 0}, "at least 1"),
        ({"until": "decided", "step": 2.5}, "whole number"),
        ({"until": "decided", "at_most": 10, "step": 20}, "not beyond the most"),
        ({"until": "decided", "score": ""}, "a text"),
    ],
)
def test_a_mistake_is_one_message(written: Any, says: str) -> None:
    with pytest.raises(StudyError, match=says) as caught:
        read_runs(written)
    assert caught.value.way_out


def test_the_last_look_is_at_the_most() -> None:
    assert looks_at(30, Stopping(Decided(), 10)) == (10, 20, 30)
    assert looks_at(25, Stopping(Decided(), 10)) == (10, 20, 25)
    assert looks_at(4, Stopping(Decided(), 4)) == (4,)
