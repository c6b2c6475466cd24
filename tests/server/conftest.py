"""The small study's arms, and servers that have them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from running import Running, running

from doxa.run import Silent
from doxa.server.study_arms import StudyArms, open_arms
from doxa.words.study import read_study
from mini_study import write_study


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served") / "results" / "mini"


@pytest.fixture(scope="session")
def arms(tiny_folder: Path, results: Path, tmp_path_factory: pytest.TempPathFactory) -> StudyArms:
    """The small study's arms, opened once."""
    study = read_study(write_study(tmp_path_factory.mktemp("study"), tiny_folder))
    return open_arms(study, results, Silent())


@pytest.fixture(scope="session")
def served(arms: StudyArms) -> Iterator[Running]:
    """One server for all tests that leave it as it is."""
    with running(arms) as found:
        yield found


@pytest.fixture
def own(arms: StudyArms) -> Callable[..., Any]:
    """`with own(most=..., ...) as found`: a server of the test's own."""
    return lambda **settings: running(arms, **settings)
