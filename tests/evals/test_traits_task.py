"""`doxa/traits` inside Inspect: the same values as outside, and a line where a provider cannot score."""

import gc
from pathlib import Path
from typing import Any

import pytest
from inspect_ai import Task, eval
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.log import EvalLog

from doxa.bridge.logs import table_from_logs
from doxa.evals.traits import measured, read
from doxa.evals.traits_task import traits
from doxa.models.chat import render
from doxa.models.handle import load
from doxa.models.score import Choice, score_choices

# Inspect's own: it calls tenacity in a way that is deprecated, and leaves streams to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The 'initial' parameter is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Unclosed <MemoryObject:ResourceWarning"),
]


def run(task: Task, model: Any, folder: Path) -> EvalLog:
    (log,) = eval(task, model=model, log_dir=str(folder), display="none", log_realtime=False)
    gc.collect()  # while its warnings are ignored
    return log


def test_values_are_those_outside_of_inspect(tmp_path: Path, tiny_folder: Path) -> None:
    log = run(traits(list=2, wordings=1, kind=["bundle", "recall"]), f"doxa/{tiny_folder}", tmp_path)
    assert log.status == "success", log.error
    table = table_from_logs(tmp_path)
    model = load(str(tiny_folder))
    for item in measured({"list": 2, "wordings": 1, "kind": ["bundle", "recall"]})[::5]:
        answers = score_choices(
            model, [Choice(render(model, p), o) for p, o in zip(item.prompts, item.options, strict=True)]
        )
        (found,) = table[(table["item"] == item.id) & (table["score"] == "log_odds")]["value"]
        assert found == pytest.approx(read(item, answers)[0].value, abs=1e-4)
    assert {"bundle", "bundle_letters", "recall"} <= set(table["score"])


def test_a_provider_that_cannot_score_says_so(tmp_path: Path) -> None:
    log = run(traits(wordings=1, kind="naming"), "mockllm/model", tmp_path)
    assert log.error is not None
    assert "do not give log-probabilities" in log.error.message
    with pytest.raises(PrerequisiteError, match="no list '7'"):
        traits(list=7)
