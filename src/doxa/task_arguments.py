"""The arguments of a task in a study: files that they name are looked for beside the study."""

from pathlib import Path
from typing import Any

from doxa.evals.catalogue import Arguments
from doxa.words.study import Study, TaskChoice


def task_arguments(study: Study, task: TaskChoice) -> Arguments:
    """The arguments of a task, files found beside the study; elsewhere they are written as the study writes them."""
    if study.folder is None:
        return task.arguments
    return {name: _beside(study.folder, value) for name, value in task.arguments.items()}


def _beside(folder: Path, value: Any) -> Any:
    """A file or folder that an argument names and that is there; a word alone is a name, as of a belief."""
    if isinstance(value, list):
        return [_beside(folder, one) for one in value]
    if not isinstance(value, str):
        return value
    path = folder / value
    there = ("/" in value and path.exists()) or (path.suffix != "" and path.is_file())
    return str(path) if there else value
