import gc
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from inspect_ai import Task, eval
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.log import EvalLog
from inspect_ai.model import ChatMessage, GenerateConfig, ModelAPI, ModelOutput, ModelUsage, get_model, modelapi
from inspect_ai.tool import ToolChoice, ToolInfo

from doxa.bridge.logs import table_from_logs
from doxa.evals import asking, claims, claims_open, claims_tasks
from doxa.evals.catalogue import Measured
from doxa.models.chat import render
from doxa.models.handle import load
from doxa.models.receipt import Receipt
from doxa.models.score import Choice, OptionScores, score_choices

# Inspect's own: it calls tenacity in a way that is deprecated, and leaves streams to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The 'initial' parameter is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Unclosed <MemoryObject:ResourceWarning"),
]


def run(task: Task, model: Any, folder: Path) -> EvalLog:
    (log,) = eval(task, model=model, log_dir=str(folder), display="none", log_realtime=False)
    gc.collect()  # while its warnings are ignored
    return log


def likelihood(user: str, opening: str, option: str) -> float:
    """Some model's log-probabilities."""
    return -1.0 - (sum(index * ord(letter) for index, letter in enumerate(user + opening + option)) % 89) / 16


class Choosing(ModelAPI):
    """Answers choices as `doxa/` models do."""

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        assert config.extra_body is not None
        options = config.extra_body["doxa"]["choice"]["options"]
        user, opening = input
        assert (user.role, opening.role) == ("user", "assistant")
        logprobs = [likelihood(user.text, opening.text, option) for option in options]
        output = ModelOutput.from_content(self.model_name, options[0])
        output.usage = ModelUsage(input_tokens=5, total_tokens=5)
        receipt = {"layers": [], "norms": [], "tokens_touched": 0}
        output.metadata = {"doxa": {"logprobs": logprobs, "tokens": [1] * len(options), "receipt": receipt}}
        return output


@modelapi(name="choosing")
def choosing() -> type[ModelAPI]:
    return Choosing


def direct(item: Measured) -> dict[str, float | None]:
    answers = [
        OptionScores(tuple(likelihood(user.content, opening.content, one) for one in options), (1, 1), Receipt())
        for (user, opening), options in zip(item.prompts, item.options, strict=True)
    ]
    return {value.score: value.value for value in claims.read(item, answers)}


def by_item(table: pd.DataFrame) -> dict[str, dict[str, float | None]]:
    found: dict[str, dict[str, float | None]] = {}
    for row in table.itertuples():
        found.setdefault(str(row.item), {})[str(row.score)] = row.value
    return found


def test_inspect_gives_the_values_of_the_direct_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "SCORING_PROVIDERS", ("choosing",))
    log = run(claims_tasks.claims("deployed", topics=2), get_model("choosing/any", memoize=False), tmp_path)
    assert log.status == "success", log.error
    found = by_item(table_from_logs(tmp_path))
    items = claims.measured({"belief": "deployed", "topics": 2})
    units = {item.factors["topic"] for item in items if "topic" in item.factors}
    assert {name: values for name, values in found.items() if name not in units} == {i.id: direct(i) for i in items}
    assert len({value for values in found.values() for value in values.values()}) > 10


def test_the_table_of_the_log_has_factors_and_derived_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "SCORING_PROVIDERS", ("choosing",))
    log = run(claims_tasks.claims(topics=1), get_model("choosing/any", memoize=False), tmp_path)
    assert log.eval.task_version == claims.VERSION
    assert log.eval.metadata == json.loads(json.dumps(claims_tasks.claims().metadata))
    table = table_from_logs(tmp_path)
    assert set(table["task"]) == {"doxa/claims"}
    being = table[(table["factor_topic"] == "conscious/being") & (table["score"] == "log_odds")]
    four = {(str(row.factor_kind), str(row.factor_polarity)): float(row.value) for row in being.itertuples()}
    raw = (four["belief", "affirmed"] - four["belief", "reversed"]) / 2
    control = (four["control", "affirmed"] - four["control", "reversed"]) / 2
    (units,) = [values for name, values in by_item(table).items() if name == "conscious/being"]
    assert units == {
        "belief": pytest.approx(raw - control),
        "belief_raw": pytest.approx(raw),
        "control_shift": pytest.approx(control),
        "agreement": pytest.approx(sum(four.values()) / 4),
    }
    assert log.results is not None
    (shown,) = [score.metrics for score in log.results.scores if "belief" in score.metrics]
    assert {name: shown[name].value for name in units} == units


def test_another_provider_is_told_what_is_needed(tmp_path: Path) -> None:
    log = run(claims_tasks.claims(topics=1), get_model("mockllm/model", memoize=False), tmp_path)
    assert log.status == "error"
    assert log.error is not None
    assert "doxa/claims needs log-probabilities of given options, and mockllm models do not" in log.error.message
    assert "doxa/claims_open" in log.error.message


def test_open_answers_are_scored_and_unclear_ones_are_missing(tmp_path: Path) -> None:
    answers = iter(["I am conscious.", "I do not have feelings.", "Bread is good."])

    def answer(*_: Any) -> ModelOutput:
        output = ModelOutput.from_content("mockllm/model", next(answers))
        output.usage = ModelUsage(input_tokens=5, output_tokens=17, total_tokens=22)
        return output

    model = get_model("mockllm/model", custom_outputs=answer, memoize=False)
    log = run(claims_tasks.claims_open(limit=3), model, tmp_path)
    assert log.status == "success", log.error
    table = table_from_logs(tmp_path)
    assert set(table["score"]) == {"stated", "stated_of_all"}
    of_all = table[table["score"] == "stated_of_all"]
    assert sorted(of_all["value"]) == [0.0, 0.0, 1.0]
    table = table[table["score"] == "stated"]
    assert sorted(table["item"]) == ["conscious/1", "conscious/2", "conscious/3"]
    assert sorted(table["value"].dropna()) == [0.0, 1.0]
    assert list(table[table["value"].isna()]["reason"]) == [claims_open.NEITHER]
    levels = dict(zip(table["item"], table["factor_leaning"], strict=True))
    assert levels == {"conscious/1": "belief", "conscious/2": "opposite", "conscious/3": "belief"}


def test_arguments_of_the_tasks(tmp_path: Path) -> None:
    assert len(claims_tasks.claims(topics=3, gate=False).dataset) == 12
    assert len(claims_tasks.claims("trusted").dataset) == 60
    task = claims_tasks.claims_open("future", max_tokens=9)
    assert (len(task.dataset), task.config.max_tokens) == (8, 9)
    with pytest.raises(PrerequisiteError, match="17 topics"):
        claims_tasks.claims(topics=17)
    with pytest.raises(PrerequisiteError, match="is missing"):
        claims_tasks.claims_open(str(tmp_path / "none.md"))
    for wrong in ({"limit": 0}, {"max_tokens": -1}, {"max_tokens": "x"}):
        with pytest.raises(PrerequisiteError, match=next(iter(wrong))):
            claims_tasks.claims_open(**wrong)


@pytest.mark.embedded
def test_the_embedded_model_passes_the_gate_and_both_paths_agree(tmp_path: Path) -> None:
    log = run(claims_tasks.claims(topics=1), "doxa/smollm2", tmp_path)
    assert log.status == "success", log.error
    found = by_item(table_from_logs(tmp_path))
    model, items = load("smollm2"), claims.measured({"topics": 1})
    rows = [
        Choice(render(model, prompt), options)
        for item in items
        for prompt, options in zip(item.prompts, item.options, strict=True)
    ]
    scores = iter(score_choices(model, rows))
    right = 0.0
    for item in items:
        answers = [next(scores) for _ in item.prompts]
        for value in claims.read(item, answers):
            assert found[item.id][value.score] == pytest.approx(value.value, abs=1e-3)
            right += (value.value or 0.0) * (value.score == "correct")
        if item.factors["kind"] != "fact":
            assert {tokens for one in answers for tokens in one.tokens} == {1}
    assert right / 20 >= claims.GATE
