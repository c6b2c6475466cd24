"""What this process offers to Inspect beside what names lead to: models in memory, and arm files below a folder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from doxa.models.handle import Model

_models: dict[str, Model] = {}
_roots: list[Path] = []


def offer(model: Model) -> str:
    """Let Inspect use a model that is in memory already.

    Args:
        model: The model; it is used as it is, whatever `dtype` and `device` say.

    Returns:
        Its name for Inspect: `doxa/<name>`.
    """
    _models[model.name] = model
    return f"doxa/{model.name}"


@contextmanager
def offering(model: Model | None, arms: Path) -> Iterator[None]:
    """Let Inspect use a model by its name, and arm files by their path below a folder, while the context is open.

    Args:
        model: As `offer` takes it; None where the model is served elsewhere.
        arms: The folder.
    """
    before = dict(_models)
    if model is not None:
        _models[model.name] = model
    _roots.append(arms.resolve())
    try:
        yield
    finally:
        _roots.pop()
        _models.clear()
        _models.update(before)


def offered(name: str) -> Model | None:
    """The model that is offered under a name."""
    return _models.get(name)


def arm_file(arm: str) -> Path:
    """The arm file: below the folder of the run that is going on, or where the path leads."""
    below = [root / arm for root in reversed(_roots)]
    return next((path for path in below if path.is_file()), Path(os.path.expanduser(arm)))
