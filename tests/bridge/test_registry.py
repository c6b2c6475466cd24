import inspect
import subprocess
import sys
from importlib import import_module

import pytest
from inspect_ai import Task
from inspect_ai._util.error import PrerequisiteError
from inspect_ai._util.registry import registry_info
from inspect_ai.model import get_model

import doxa.bridge._registry as registry

TASKS = {"claims": "claims_tasks", "claims_open": "claims_tasks", "drift": "drift_task"}
TASKS |= {"preferences": "preferences_task", "reflection": "reflection_task"}


@pytest.mark.parametrize("name", TASKS)
def test_a_task_has_the_arguments_and_defaults_that_it_has_a_floor_above(name: str) -> None:
    above = vars(import_module(f"doxa.evals.{TASKS[name]}"))[name]
    assert inspect.signature(vars(registry)[name]) == inspect.signature(above)


@pytest.mark.parametrize("name", TASKS)
def test_inspect_makes_a_task_by_its_name(name: str) -> None:
    made = vars(registry)[name]()
    assert isinstance(made, Task)
    assert registry_info(made).name == f"doxa/{name}"
    assert len(made.dataset) > 0
    assert made.metadata is not None
    assert made.metadata["doxa"]["task"] == f"doxa/{name}"


def test_a_wrong_argument_is_one_line() -> None:
    with pytest.raises(PrerequisiteError, match="no-such-belief"):
        registry.claims(belief="no-such-belief")


def test_the_provider_is_made_when_it_is_asked_for() -> None:
    assert registry_info(registry.doxa).name == "doxa/doxa"
    with pytest.raises(PrerequisiteError, match="unknown model argument 'amr'"):
        get_model("doxa/tiny", amr="x.json")


def test_an_inspect_command_does_not_wait_for_torch() -> None:
    code = """
import sys
from inspect_ai._util.registry import registry_find, registry_lookup
assert registry_lookup("task", "doxa/claims") and registry_lookup("task", "doxa/drift")
assert registry_find(lambda info: info.type == "modelapi" and info.name == "doxa/doxa")
print([name for name in ("torch", "transformers", "doxa.models", "doxa.evals") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert not done.stderr.strip()
