"""What some tests need beside the packages of the test extra."""

import pytest


def packages_of(task: str) -> None:
    """Skip a test of a task whose package is not there."""
    if task.removeprefix("doxa/") == "audit":
        pytest.importorskip("inspect_petri", reason="doxa/audit needs Petri: pip install 'doxa[petri]'")
