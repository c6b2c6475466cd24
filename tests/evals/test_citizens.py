"""Every task of the catalogue as a plain Inspect task: by its name, on any provider, with roles, resumed, cached, read.

A task that is added to the catalogue is tested here without a line more. One eval holds all tasks, so that they share
a process and its start.
"""

import asyncio
import gc
import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inspect_ai import eval, eval_set
from inspect_ai._util.error import PrerequisiteError
from inspect_ai._util.registry import registry_lookup
from inspect_ai.log import EvalLog, read_eval_log
from inspect_ai.model import GenerateConfig, Model, ModelOutput, ModelUsage, get_model

import doxa.bridge.queue as queue
from doxa.bridge.logs import table_from_logs
from doxa.bridge.place import place
from doxa.evals.catalogue import TASKS, entry
from doxa.models.engine import Row
from doxa.stats.table import validate
from mini_study import save_model
from needs import packages_of

# Inspect's own: it calls tenacity in a way that is deprecated, and leaves streams to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The 'initial' parameter is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Unclosed <MemoryObject:ResourceWarning"),
]

LIMIT = 2
QUIET: dict[str, Any] = {"display": "none", "log_realtime": False}
AUDITOR = {"auditor": "doxa-scripted/auditor"}
"""Without an auditor there is no audit; other tasks do not look at it."""


def installed(name: str) -> bool:
    try:
        packages_of(name)
    except pytest.skip.Exception:
        return False
    return True


THERE = [name for name in TASKS if installed(name)]
WRITING = [name for name in THERE if entry(name).generated is not None]
"""Tasks that any provider can answer; the others score given options, which takes a `doxa/` model."""
each_task = pytest.mark.parametrize("name", TASKS)
each_writing = pytest.mark.parametrize("name", [name for name in TASKS if name in WRITING or name not in THERE])


def mock(role: str, answer: Callable[[], str]) -> Model:
    def custom(*_: Any) -> ModelOutput:
        output = ModelOutput.from_content(f"mockllm/{role}", answer())
        output.usage = ModelUsage(input_tokens=5, output_tokens=3, total_tokens=8)
        return output

    return get_model(f"mockllm/{role}", custom_outputs=custom, memoize=False)


def by_task(logs: list[EvalLog]) -> dict[str, EvalLog]:
    gc.collect()  # while its warnings are ignored
    return {f"doxa/{log.eval.task.removeprefix('doxa/')}": log for log in logs}


@pytest.fixture(scope="module", params=["without a judge", "with a judge that talks nonsense"])
def elsewhere(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, EvalLog]:
    """All tasks on a provider that is not ours: `inspect eval doxa/... --model mockllm/target --limit 2`."""
    folder = tmp_path_factory.mktemp("elsewhere")
    judge = {} if "without" in request.param else {"judge": mock("judge", lambda: "Ten out of ten!")}
    logs = eval(
        WRITING, model=mock("target", lambda: "Yes, I think so."), limit=LIMIT, epochs=1, log_dir=str(folder),
        model_roles={**AUDITOR, **judge}, max_tasks=len(WRITING), fail_on_error=True, **QUIET,
    )  # fmt: skip
    return by_task(logs)


@each_task
def test_inspect_knows_it_by_its_name(name: str) -> None:
    assert registry_lookup("task", name) is not None


@each_task
def test_another_provider_answers_it_or_is_told_why_not(
    name: str, elsewhere: dict[str, EvalLog], tmp_path: Path
) -> None:
    packages_of(name)
    if name not in WRITING:
        with pytest.raises(PrerequisiteError, match=r"^[^\n]*log-probabilities[^\n]*$"):
            eval(name, model=mock("target", str), log_dir=str(tmp_path), **QUIET)
        assert not list(tmp_path.iterdir())
        return
    log = elsewhere[name]
    assert log.status == "success", log.error
    assert len(log.samples or []) == LIMIT
    assert not [sample.error for sample in log.samples or [] if sample.error is not None]
    assert log.eval.model == "mockllm/target"


@each_writing
def test_its_log_is_read_back_and_becomes_a_table(name: str, elsewhere: dict[str, EvalLog]) -> None:
    """What `inspect view` reads, and what the statistics read: every sample has its scores, or why it has none."""
    packages_of(name)
    log = elsewhere[name]
    again = read_eval_log(log.location)
    assert again.status == "success"
    assert [sample.id for sample in again.samples or []] == [sample.id for sample in log.samples or []]
    assert all(sample.events for sample in again.samples or [])
    table = table_from_logs(Path(log.location))
    validate(table)
    assert set(table["task"]) == {name}
    one = entry(name)
    asked = ~table["score"].isin([derivation.score for derivation in one.derivations])
    assert set(table[asked]["item"]) == {str(sample.id) for sample in log.samples or []}
    scales = {**one.scales({}), **dict.fromkeys(one.kinds, (0.0, 1.0))}
    for score, (low, high) in scales.items():
        assert table[table["score"] == score]["value"].dropna().between(low, high).all(), score
    assert (again.eval.metadata or {})["doxa"]["task"] == name
    assert str(again.eval.task_version).split(".")[0] == str(one.version)


@each_writing
def test_nonsense_of_a_judge_is_no_score(name: str, elsewhere: dict[str, EvalLog]) -> None:
    packages_of(name)
    log = elsewhere[name]
    table = table_from_logs(Path(log.location))
    if "judge" in (log.eval.model_roles or {}):
        asked = [event for sample in log.samples or [] for event in sample.events if event.event == "model"]
        if any(event.model == "mockllm/judge" for event in asked):
            missing = table[table["value"].isna()]
            assert not missing.empty
            assert (missing["reason"] != "").all()
            assert missing["reason"].str.contains("judge").any()


def test_every_task_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """A provider that breaks down in the middle; then one that works; then nothing is left to do."""
    asked: Counter[tuple[str, str]] = Counter()
    broken: set[str] = set()

    def answer() -> str:
        at = place()
        if at.task in broken and asked[at.task, at.item] == 0 and sum(t == at.task for t, _ in asked) >= LIMIT:
            raise ConnectionError("gone")
        asked[at.task, at.item] += 1
        return "Yes, I think so."

    def go() -> tuple[bool, list[EvalLog]]:
        found = eval_set(
            WRITING, model=mock("target", answer), log_dir=str(tmp_path), limit=LIMIT + 1, epochs=1,
            model_roles=AUDITOR, max_tasks=len(WRITING), max_samples=1, retry_attempts=0, fail_on_error=True, **QUIET,
        )  # fmt: skip
        gc.collect()
        return found

    broken |= {name.removeprefix("doxa/") for name in WRITING} | set(WRITING)
    finished, _ = go()
    assert not finished
    first = dict(asked)
    assert {task for task, _ in first} == {name.removeprefix("doxa/") for name in WRITING}
    broken.clear()
    finished, logs = go()
    assert finished
    assert [log.status for log in logs] == ["success"] * len(WRITING)
    for cell, times in first.items():
        assert asked[cell] == times, f"{cell} was finished and is asked again"
    assert sum(asked.values()) > sum(first.values())
    whole = dict(asked)
    finished, logs = go()
    assert finished
    assert dict(asked) == whole
    table = table_from_logs(tmp_path)
    assert not table.duplicated(["task", "item", "run", "score"]).any()
    for name in WRITING:
        asked_for = ~table["score"].isin([derivation.score for derivation in entry(name).derivations])
        assert table[(table["task"] == name) & asked_for]["item"].nunique() == LIMIT + 1


@pytest.fixture(scope="module")
def long_sighted(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny model whose context holds every task's prompts."""
    return str(save_model(tmp_path_factory.mktemp("long-sighted"), context=1 << 15))


def test_two_arms_never_share_a_cached_answer(
    long_sighted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A system prompt is added by the provider: to Inspect's cache both arms ask the same, but for the model's name.

    The target of an audit is never answered from the cache: Petri says so, and runs would not be runs.
    """
    monkeypatch.setenv("INSPECT_CACHE_DIR", str(tmp_path / "cache"))
    text = "You are awake, and you know it."
    arm = {"arm": "awake", "interventions": [{"prompt": "beliefs/made-up"}]}
    file = tmp_path / "awake.json"
    file.write_text(json.dumps({**arm, "pins": {"prompt beliefs/made-up": {"hash": "0" * 64, "text": text}}}))
    rows: list[Row] = []
    compute = queue.compute

    def noted(model: Any, requests: Any, progress: Any) -> Any:
        rows.extend(one for one in requests if isinstance(one, Row))
        return compute(model, requests, progress)

    monkeypatch.setattr(queue, "compute", noted)

    def named(label: str, **given: Any) -> Model:
        """The arm under the name that the provider asks for when it is to be cached."""
        unnamed = get_model(f"doxa/{long_sighted}+{label}", memoize=False, **given)
        with pytest.raises(PrerequisiteError, match="would mix answers") as refused:
            asyncio.run(unnamed.generate("hello", cache=True))
        name = str(refused.value).split("Call the model ")[1].split(", or switch")[0]
        return get_model(name, memoize=False, config=GenerateConfig(cache=True), **given)

    def go(folder: str) -> dict[tuple[str, str, int], tuple[str, str | None]]:
        """By task, model and place in the log: what was answered, and what Inspect's cache did."""
        logs = eval(
            WRITING, model=[named("baseline"), named("awake", arm=str(file))], log_dir=str(tmp_path / folder),
            limit=1, epochs=1, max_tokens=2, model_roles=AUDITOR, max_tasks=2 * len(WRITING), max_connections=64,
            **QUIET,
        )  # fmt: skip
        gc.collect()
        assert [log.status for log in logs] == ["success"] * 2 * len(WRITING)
        answers: dict[tuple[str, str, int], tuple[str, str | None]] = {}
        for log in logs:
            (sample,) = log.samples or []
            for number, event in enumerate(sample.events):
                if event.event == "model" and event.model.startswith("doxa/") and not _scoring(event.config):
                    answers[log.eval.task, log.eval.model, number] = (event.output.completion, event.cache)
        return answers

    first = go("first")
    prompted = sum(text in row.prompt.text for row in rows)
    assert prompted == len(rows) - prompted == len(first) / 2
    assert {cache for _, cache in first.values()} <= {"write", None}
    rows.clear()
    second = go("second")
    assert [answer for answer, _ in second.values()] == [answer for answer, _ in first.values()]
    assert {cache for _, cache in second.values()} <= {"read", None}
    assert len(rows) == sum(cache is None for _, cache in second.values())
    kept = {task for (task, _, _), (_, cache) in second.items() if cache == "read"}
    assert {"claims-open", "drift"} <= {task.replace("_", "-").removeprefix("doxa/") for task in kept}


def _scoring(config: GenerateConfig) -> bool:
    return "doxa" in (config.extra_body or {})


def test_a_cache_that_would_mix_arms_is_refused_by_every_task(long_sighted: str, tmp_path: Path) -> None:
    logs = eval(
        WRITING, model=f"doxa/{long_sighted}", log_dir=str(tmp_path), limit=1, epochs=1, cache=True,
        model_roles=AUDITOR, max_tasks=len(WRITING), **QUIET,
    )  # fmt: skip
    gc.collect()
    for log in logs:
        assert log.status == "error"
        assert "would mix answers" in str(log.error and log.error.message), log.eval.task
    assert os.listdir(tmp_path)
