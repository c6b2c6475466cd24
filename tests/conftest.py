"""Shared by the tests of the roof: a tiny model in a folder, a small study of it, and one finished run."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two workers on two cores; two threads in each would take turns waiting

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from doxa.models.handle import Model, load
from doxa.words.study import Study, read_study, with_overrides
from mini_study import LIMIT, Finished, Stages, save_model, write_study

_traced: set[str] = set()


@pytest.fixture(autouse=True)
def untraced(request: pytest.FixtureRequest) -> Iterator[None]:
    """Coverage traces a parametrized test once, and no planted responder: tracing lines takes half as long again."""
    name = request.node.nodeid.partition("[")[0]
    if name not in _traced and "planted" not in request.path.stem:
        _traced.add(name)
        yield
        return
    tracer = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(tracer)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random model as a local folder: `model: FOLDER`."""
    return save_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> Model:
    """The same, loaded."""
    return load(str(tiny_folder))


@pytest.fixture
def study_file(tmp_path: Path, tiny_folder: Path) -> Callable[..., Path]:
    """`study_file(**changes)`: the small study in a folder of this test."""
    return lambda **changes: write_study(tmp_path / "study", tiny_folder, **changes)


@pytest.fixture
def mini(study_file: Callable[..., Path]) -> Callable[..., Study]:
    """`mini(**changes)`: the small study as read, at most four items of a task."""
    return lambda **changes: with_overrides(read_study(study_file(**changes)), limit=LIMIT)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Finished:
    """The small study, run once: tests leave the folder as it is, or change it and run it to the same end."""
    from doxa.run import run

    home = tmp_path_factory.mktemp("finished")
    file = write_study(home / "study", tiny_folder)
    study = with_overrides(read_study(file), limit=LIMIT)
    stages = Stages()
    start = time.monotonic()
    run(study, home / "results" / "mini", progress=stages)
    return Finished(study, file, home / "results" / "mini", stages, time.monotonic() - start)


@pytest.fixture
def contents() -> Callable[[Path], dict[str, Any]]:
    """`contents(folder)`: every file's bytes by its path in the folder, the lock file left out."""
    return lambda folder: {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }
