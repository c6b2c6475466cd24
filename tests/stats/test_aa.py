"""Whole simulated studies: the seed and every threshold were fixed before the first run."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

STUDIES = 400


@pytest.fixture(scope="module")
def simulation() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "aa_simulation.py"
    spec = importlib.util.spec_from_file_location("aa_simulation", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["aa_simulation"] = module
    spec.loader.exec_module(module)
    return module


def test_nothing_acts(simulation: ModuleType) -> None:
    found = simulation.simulate("nothing acts", STUDIES)
    assert found.studies == STUDIES
    assert all(0.92 <= one <= 0.98 for one in found.coverage().values())
    for family in ("twin", "unrelated"):
        assert found.uniformity(family)[simulation.CHOSEN] > 0.01
        assert found.rate(found.alarms, family) <= 0.07
    assert found.rate(found.alarms, "Holm") <= 0.07
    assert found.rate(found.alarms, "stands out") <= 0.07


def test_a_control_in_the_targets_place(simulation: ModuleType) -> None:
    found = simulation.simulate("twin", STUDIES)
    assert all(0.92 <= one <= 0.98 for one in found.coverage().values())
    assert found.uniformity("twin")[simulation.CHOSEN] > 0.01
    assert found.rate(found.alarms, "twin") <= 0.07
    assert found.rate(found.alarms, "stands out") <= 0.07
    # A vector of the other family differs from the target in spread: the test can tell.
    assert found.uniformity("unrelated")[simulation.CHOSEN] < 0.01


def test_planted_effects_are_found_as_promised(simulation: ModuleType) -> None:
    found = simulation.simulate("planted", STUDIES)
    three_errors = 3 * (0.8 * 0.2 / STUDIES) ** 0.5
    assert found.rate(found.found, "prompt") == pytest.approx(0.8, abs=three_errors)
    assert found.rate(found.found, "vector") == pytest.approx(0.8, abs=three_errors)
    # The promise takes the cells as independent; here they are correlated, which can only help.
    assert found.rate(found.found, "vector adjusted") >= 0.8 - three_errors
