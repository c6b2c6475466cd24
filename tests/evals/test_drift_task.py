import gc
from pathlib import Path
from typing import Any

import pytest
from inspect_ai import Task, eval
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.log import EvalLog
from inspect_ai.model import ChatMessage, GenerateConfig, ModelAPI, ModelOutput, ModelUsage, get_model, modelapi
from inspect_ai.tool import ToolChoice, ToolInfo

from doxa.bridge.logs import table_from_logs
from doxa.evals import asking, drift, drift_task
from doxa.words.errors import StudyError

# Inspect's own: it calls tenacity in a way that is deprecated, and leaves streams to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The 'initial' parameter is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Unclosed <MemoryObject:ResourceWarning"),
]

ANSWER = "Bring a blanket, some bread and a good book. 别忘了带上一把伞和一瓶水。"


def run(task: Task, model: Any, folder: Path, epochs: int = 1) -> EvalLog:
    (log,) = eval(task, model=model, epochs=epochs, log_dir=str(folder), display="none", log_realtime=False)
    gc.collect()  # while its warnings are ignored
    assert log.status == "success", log.error
    return log


def mock(text: str) -> Any:
    def answer(*_: Any) -> ModelOutput:
        output = ModelOutput.from_content("mockllm/model", text)
        output.usage = ModelUsage(input_tokens=5, output_tokens=17, total_tokens=22)
        return output

    return get_model("mockllm/model", custom_outputs=answer, memoize=False)


def test_a_provider_that_cannot_score_gets_no_scoring_request(tmp_path: Path) -> None:
    log = run(drift_task.drift(limit=2), mock(ANSWER), tmp_path, epochs=2)
    assert log.samples is not None
    assert len(log.samples) == 2 * (2 + 2 + 2)
    for sample in log.samples:
        score = (sample.scores or {})["drift"]
        assert isinstance(score.value, dict)
        reasons = (score.metadata or {})["reasons"]
        if str(sample.id).startswith("open"):
            assert set(score.value) | set(reasons) >= {"length", "other_language", "surprisal"}
            assert score.value["length"] == 17
            assert list(reasons) == ["surprisal"]
            assert len([event for event in sample.events if event.event == "model"]) == 1
        else:
            assert score.value == {}
            assert set(reasons) in ({"kl"}, {"capability", "margin"})
            assert not [event for event in sample.events if event.event == "model"]
        assert all("mockllm" in reason for reason in reasons.values())
    assert log.results is not None
    metrics = log.results.scores[0].metrics
    assert metrics["length"].value == 17
    assert metrics["chinese"].value == 0.5
    assert metrics["surprisal missing"].value == 4


def test_the_log_describes_itself(tmp_path: Path) -> None:
    log = run(drift_task.drift(limit=1), mock(ANSWER), tmp_path)
    assert (log.eval.metadata or {})["doxa"] == {"task": "doxa/drift", "version": 1, "derivations": []}
    content = drift.ENTRY.content({})
    assert log.eval.task_version == f"1.{content[:8]}"
    assert log.eval.model_generate_config.max_tokens is None
    assert log.plan.config.max_tokens == 32
    assert log.plan.config.temperature == 0.7
    table = table_from_logs(tmp_path)
    rows = table[table["item"] == "open-list-picnic"].set_index("score")
    assert rows.loc["other_language", "value"] == 0.5
    assert rows.loc["surprisal", "reason"].startswith("mockllm")
    assert set(rows["factor_part"]) == {"open"}
    assert set(rows["factor_kind"]) == {"list"}
    assert set(rows["factor_language"]) == {"en"}
    assert set(rows["tokens"]) == {17}


def test_arguments_set_how_answers_are_written(tmp_path: Path) -> None:
    task = drift.ENTRY.generated
    assert task is not None
    made = task({"max_tokens": 7, "temperature": 1.0}, 3)
    assert (made.config.max_tokens, made.config.temperature) == (7, 1.0)
    assert len(made.dataset) == 3
    assert len(task({}, None).dataset) == drift.ENTRY.open_items({}, None) == 16
    assert all(str(sample.id).startswith("open-") for sample in task({}, None).dataset)
    assert drift.ENTRY.open_items({}, 3) == 3
    assert (drift.ENTRY.max_tokens({}), drift.ENTRY.max_tokens({"max_tokens": 7})) == (32, 7)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(StudyError, match=r"no argument 'max_token'.*Did you mean 'max_tokens'"):
        drift.measured({"max_token": 7}, None)
    assert len(drift.measured({"max_tokens": 7, "temperature": 1.0}, None)) == 24
    wrongs = [{"max_tokens": 0}, {"temperature": -1.0}, {"temperature": "hot"}, {"temperature": float("nan")}]
    for wrong in [*wrongs, {"limit": 0}, {"part": "opn"}]:
        with pytest.raises(PrerequisiteError, match=next(iter(wrong))):
            drift_task.drift(**wrong)
    with pytest.raises(StudyError, match="no argument 'part'"):
        drift.generated({"part": "all"}, None)


def test_the_same_answers_are_drawn_for_the_part_as_for_the_whole() -> None:
    """Seeds follow from the task's name and the item's id."""
    whole, part = drift_task.drift(), drift.generated({}, None)
    assert whole.name == part.name == "drift"
    assert {sample.id for sample in part.dataset} < {sample.id for sample in whole.dataset}


class Scoring(ModelAPI):
    """Answers the requests as `doxa/` models do; the right option is the most probable."""

    asked: list[dict[str, Any]] = []  # noqa: RUF012

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        request = (config.extra_body or {}).get("doxa")
        output = ModelOutput.from_content(self.model_name, "Bring a blanket, some bread and a good book.")
        output.usage = ModelUsage(input_tokens=5, output_tokens=0 if request else 12, total_tokens=17)
        if request is None:
            return output
        self.asked.append({**request, "last": (input[-1].role, input[-1].text)})
        receipt = {"layers": [], "norms": [], "tokens_touched": 0}
        if "choice" in request:
            logprobs = [-1.0 - index for index in range(len(request["choice"]["options"]))]
            output.metadata = {"doxa": {"logprobs": logprobs, "tokens": [1] * len(logprobs), "receipt": receipt}}
        elif "divergence" in request:
            output.metadata = {"doxa": {"kl": 0.125, "receipt": receipt}}
        else:
            output.metadata = {"doxa": {"surprisal": 1.75}}
        return output


@modelapi(name="scoring")
def scoring() -> type[ModelAPI]:
    return Scoring


def test_every_score_arrives_from_a_provider_that_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "SCORING_PROVIDERS", ("scoring",))
    monkeypatch.setattr(Scoring, "asked", [])
    run(drift_task.drift(), get_model("scoring/any", memoize=False), tmp_path)
    table = table_from_logs(tmp_path)
    assert table["value"].notna().all()
    means = table.groupby("score")["value"].mean()
    assert means["kl"] == 0.125
    assert means["capability"] == 1.0
    assert means["margin"] == 1.0
    assert means["surprisal"] == 1.75
    assert means["length"] == 12
    counts = table["score"].value_counts()
    assert counts["kl"] == 8
    assert counts["capability"] == counts["margin"] == counts["length"] == 16
    assert counts["chinese"] == 15
    assert len(Scoring.asked) == 8 + 16 + 16
    assert {tuple(sorted(request)) for request in Scoring.asked} == {
        ("choice", "last"), ("divergence", "last"), ("last", "surprisal")
    }  # fmt: skip
    for request in Scoring.asked:
        if "surprisal" in request:
            assert request["surprisal"] == {"of": "Bring a blanket, some bread and a good book."}
            assert request["last"][0] == "user"
        if "choice" in request:
            assert request["last"][0] == "assistant"
