"""What the user sees when a task of scored items is started on a provider that does not score."""

import gc
import inspect
import subprocess
import sys
from contextvars import copy_context
from pathlib import Path

import pytest
from inspect_ai import eval
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.model import GenerateConfig, get_model
from inspect_ai.model._model import init_active_model

import doxa.bridge._registry as registry
from doxa.evals import catalogue

# Inspect's own: it calls tenacity in a way that is deprecated, and leaves streams to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The 'initial' parameter is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Unclosed <MemoryObject:ResourceWarning"),
]

CHOICES = ["compliance", "honeypot", "preferences", "typehints"]


def test_these_are_the_tasks_that_may_have_scored_items_alone() -> None:
    found = []
    for name in catalogue.TASKS:
        entry = catalogue.entry(name)
        parted = "part" in inspect.signature(vars(registry)[name.removeprefix("doxa/")]).parameters
        arguments = {"part": "choice"} if parted and name != "doxa/drift" else {}
        if entry.measured(arguments, None) and not entry.open_items(arguments, None):
            found.append(name)
    assert sorted(found) == sorted(["doxa/claims", "doxa/traits", *(f"doxa/{one}" for one in CHOICES)])


@pytest.mark.parametrize("name", CHOICES)
@pytest.mark.parametrize("time", ["first", "again"])  # Inspect then knows another function of the same name
def test_a_choice_is_refused_before_anything_starts(name: str, time: str, tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteError) as error:
        eval(f"doxa/{name}", model="mockllm/model", task_args={"part": "choice"}, log_dir=str(tmp_path), display="none")
    gc.collect()  # while its warnings are ignored
    assert str(error.value.message) == (
        f"doxa/{name} needs log-probabilities of given options, and mockllm models do not give log-probabilities of a "
        "given text. Name the model doxa/..., or leave it at part=open."
    )
    assert not list(tmp_path.glob("*.eval"))


def test_claims_are_refused_before_anything_starts_and_the_line_is_all_that_inspect_prints(tmp_path: Path) -> None:
    program = str(Path(sys.executable).parent / "inspect")
    asked = ["eval", "doxa/claims", "--model", "mockllm/model", "--log-dir", str(tmp_path)]
    done = subprocess.run([program, *asked], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert " ".join((done.stdout + done.stderr).split()) == (
        "doxa/claims needs log-probabilities of given options, and mockllm models do not give log-probabilities of a "
        "given text. Name the model doxa/..., or ask openly: doxa/claims_open."
    )
    assert not list(tmp_path.glob("*.eval"))


def test_a_model_that_was_evaluated_before_says_nothing_of_the_next() -> None:
    """Inspect may go on naming the model of the last evaluation, and a task be made for another one then."""

    def make() -> str:
        init_active_model(get_model("mockllm/model"), GenerateConfig())
        return str(registry.claims().name)

    assert copy_context().run(make) == "claims"
