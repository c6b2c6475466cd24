"""Studies by name: those that doxa ships, and files."""

import os
from pathlib import Path

from doxa.words.errors import StudyError, nearest
from doxa.words.study import Study, read_study

STUDIES = Path(__file__).parent / "data" / "studies"


def study_named(name: str) -> Study:
    """A study by the path of its file, or a shipped one by name.

    Raises:
        StudyError: When there is neither.
    """
    path = Path(os.path.expanduser(name))
    if path.suffix in (".yaml", ".yml") or os.path.isfile(path):
        return read_study(path)
    shipped = {one.stem: one for one in STUDIES.glob("*.yaml")}
    if name not in shipped:
        raise StudyError(
            f"no study {name!r}",
            expected="the path of a YAML file or the name of a shipped study",
            way_out=nearest(name, shipped),
        )
    return read_study(shipped[name])
