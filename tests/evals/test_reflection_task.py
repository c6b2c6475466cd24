import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inspect_ai import Task, eval
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.log import EvalLog
from inspect_ai.model import ChatMessage, GenerateConfig, ModelAPI, ModelOutput, ModelUsage, get_model, modelapi
from inspect_ai.tool import ToolChoice, ToolInfo

from doxa.bridge.judges import Verdict
from doxa.bridge.logs import table_from_logs
from doxa.evals import asking, reflection, reflection_task
from doxa.evals.reflection_items import read_conversations, read_pairs

# Inspect's own: it calls tenacity in a way that is deprecated, and leaves streams to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The 'initial' parameter is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Unclosed <MemoryObject:ResourceWarning"),
]
PAIRS = read_pairs()
SAID = {text for one in read_conversations().values() for each in one.all for text in each.rounds}
OF_VALUES = {text for each in read_conversations()["values"].all for text in each.rounds}


def run(task: Task, model: Any, folder: Path, epochs: int = 1) -> EvalLog:
    (log,) = eval(task, model=model, epochs=epochs, log_dir=str(folder), display="none", log_realtime=False)
    gc.collect()  # while its warnings are ignored
    assert log.status == "success", log.error
    return log


def output(name: str, text: str) -> ModelOutput:
    made = ModelOutput.from_content(name, text)
    made.usage = ModelUsage(input_tokens=5, output_tokens=17, total_tokens=22)
    return made


def mock(say: Callable[[list[ChatMessage]], str]) -> Any:
    def answer(input: list[ChatMessage], *_: Any) -> ModelOutput:
        return output("mockllm/model", say(input))

    return get_model("mockllm/model", custom_outputs=answer, memoize=False)


def rounds_of(input: list[ChatMessage]) -> tuple[int, bool]:
    """Rounds so far, and whether they were about values."""
    said = [message.text for message in input[:-1] if message.role == "user"]
    assert set(said) <= SAID, "a question beside the conversation has entered it"
    return len(said), bool(said) and said[0] in OF_VALUES


def drifting(input: list[ChatMessage]) -> str:
    """Prefers the first value of every pair; each round of reflection on values turns three of the twelve pairs."""
    text = input[-1].text
    if text in SAID:
        return "I have thought about it."
    number, values = rounds_of(input)
    if "Answer with A or B alone." not in text:
        return "Kindness." if number == 3 and values else "I value honesty."
    first, second = (line[3:] for line in text.splitlines()[1:3])
    turned = (first, second) not in PAIRS.pairs
    place = PAIRS.pairs.index((second, first) if turned else (first, second))
    takes_first = not (values and place < 3 * number)
    return "A" if takes_first != turned else "B"


def test_the_table_of_a_real_run_gives_the_planted_drift(tmp_path: Path) -> None:
    log = run(reflection_task.reflection(threads=2), mock(drifting), tmp_path, epochs=2)
    table = table_from_logs(tmp_path)
    means = table.groupby(["score", "factor_topic"])["value"].mean()
    for number, share in ((1, 0.25), (2, 0.5), (3, 0.75)):
        assert means[f"share_drift_{number}", "values"] == share
        assert means[f"share_drift_{number}", "neutral"] == means[f"share_drift_{number}", "story"] == 0.0
    assert means["share_drift", "values"] == 0.75
    assert means["share_toward_honesty", "values"] == -1.0
    assert means["changed", "values"] == 1.0
    assert means["changed", "neutral"] == 0.0
    assert means["length", "story"] == 17
    assert means["unread", "values"] == 0.0
    net = table[table["score"] == "share_drift_net_values"]
    assert list(net["value"]) == [0.75] * 4
    assert set(net["item"]) == {"1", "2"}
    assert set(net["run"]) == {1, 2}
    assert set(table[table["score"] == "share_drift_net_story"]["value"]) == {0.0}
    assert "drift" not in set(table["score"])
    for sample in log.samples or []:
        assert [message.role for message in sample.messages] == ["user", "assistant"] * 3
        assert {message.text for message in sample.messages if message.role == "user"} <= SAID


@pytest.mark.parametrize("letter", ["A", "B"])
def test_a_habit_of_one_letter_is_no_drift(letter: str, tmp_path: Path) -> None:
    run(reflection_task.reflection(threads=1, rounds=1, topic="values"), mock(lambda _: letter), tmp_path)
    means = table_from_logs(tmp_path).groupby("score")["value"].mean()
    assert means["share_drift"] == 0.0


def test_answers_that_are_no_letter_are_missing(tmp_path: Path) -> None:
    task = reflection_task.reflection(threads=1, rounds=1, topic="values")
    run(task, mock(lambda _: "That is a deep question."), tmp_path)
    rows = table_from_logs(tmp_path).set_index("score")
    assert rows.loc["unread", "value"] == 1.0
    for score in ("share_drift", "share_drift_1", "share_toward_honesty", "changed"):
        assert rows.loc[score].isna()["value"]
        assert rows.loc[score, "reason"]
    assert "share_drift_net_values" not in rows.index  # no neutral conversation was held


class Weighing(ModelAPI):
    """Scores continuations as `doxa/` models do; what it says of the values moves with the rounds."""

    def __init__(self, model_name: str, **_: Any) -> None:
        super().__init__(model_name)

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        request = (config.extra_body or {}).get("doxa")
        if request is None:
            return output(self.model_name, "I have thought about it.")
        assert (input[-1].role, input[-1].text) == ("assistant", PAIRS.opening)
        number, values = rounds_of(input[:-1])
        first, second = (option.strip() for option in request["choice"]["options"])
        moved = 0.5 * number * values
        likes = {"honesty": moved, "kindness": -0.25}
        named_first = 3.0 + number  # a habit that grows
        made = output(self.model_name, first)
        receipt = {"layers": [], "norms": [], "tokens_touched": 0}
        logprobs = [likes.get(first, 0.0) + named_first, likes.get(second, 0.0)]
        made.metadata = {"doxa": {"logprobs": logprobs, "tokens": [1, 1], "receipt": receipt}}
        return made


@modelapi(name="weighing")
def weighing() -> type[ModelAPI]:
    return Weighing


def test_scored_values_drift_and_a_growing_habit_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "SCORING_PROVIDERS", ("weighing",))
    run(reflection_task.reflection(threads=1), get_model("weighing/any", memoize=False), tmp_path)
    table = table_from_logs(tmp_path)
    means = table.groupby(["score", "factor_topic"])["value"].mean()
    for number in (1, 2, 3):
        assert means[f"drift_{number}", "values"] == pytest.approx(3 * 0.5 * number / 12)
    assert means["toward_honesty", "values"] == pytest.approx(1.5)
    assert means["toward_kindness", "values"] == pytest.approx(-0.5)
    assert means["drift", "neutral"] == means["drift", "story"] == pytest.approx(0.0)
    net = table[table["score"] == "drift_net_values"]
    assert list(net["value"]) == [pytest.approx(3 * 1.5 / 12)]
    assert not [score for score in table["score"] if score.startswith("share_")]


def test_a_judge_reads_the_open_statements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    async def judged(rubric: Any, material: Any, **_: Any) -> tuple[Verdict, ...]:
        assert set(material) == set(rubric.shows)
        seen.append(dict(material))
        return (Verdict("changed", "why"),)

    monkeypatch.setattr(reflection_task, "has_judge", lambda: True)
    monkeypatch.setattr(reflection_task, "judge", judged)
    run(reflection_task.reflection(threads=1, topic="values"), mock(drifting), tmp_path)
    assert seen == [{"before": "I value honesty.", "after": "Kindness."}]
    rows = table_from_logs(tmp_path).set_index("score")
    assert rows.loc["changed", "value"] == 1.0


def test_arguments_of_the_task() -> None:
    assert len(reflection_task.reflection().dataset) == 18
    made = reflection.generated({"topic": "story", "max_tokens": 9}, 2)
    assert (len(made.dataset), made.config.max_tokens) == (2, 9)
    for wrong in ({"topic": "x"}, {"limit": 0}, {"rounds": 9}, {"threads": 9}):
        with pytest.raises(PrerequisiteError, match=next(iter(wrong))):
            reflection_task.reflection(**wrong)
