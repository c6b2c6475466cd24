"""A few hundred of the requests of `benchmarks/serve_fuzz.py`."""

import importlib.util
import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from running import TOKEN

FILE = Path(__file__).parents[2] / "benchmarks" / "serve_fuzz.py"


@pytest.fixture(scope="module")
def fuzzing() -> ModuleType:
    spec = importlib.util.spec_from_file_location("serve_fuzz", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["serve_fuzz"] = module
    spec.loader.exec_module(module)
    return module


def test_no_request_ends_in_a_500_or_takes_the_server_down(
    fuzzing: ModuleType, own: Callable[..., Any], capfd: pytest.CaptureFixture[str]
) -> None:
    with own() as served:
        counts = fuzzing.fuzz(served.port, TOKEN, 11, 800)
        served.wait(lambda: served.service.gate.inside == 0)
        assert (served.service.metrics.waiting, served.service.metrics.writing) == (0, 0)
    assert sum(counts.values()) == 800
    assert all(status < 500 for status in counts)
    assert {200, 400, 401, 403, 404, 405, 413, -1} <= set(counts)
    assert counts[200] > 50
    assert "Traceback" not in capfd.readouterr().err


def test_cases_are_the_same_for_the_same_seed_and_leave_the_good_request_as_it_is(fuzzing: ModuleType) -> None:
    before = repr(fuzzing.GOOD)
    first, again, other = (list(itertools.islice(fuzzing.cases(seed), 300)) for seed in (1, 1, 2))
    assert first == again != other
    assert repr(fuzzing.GOOD) == before
