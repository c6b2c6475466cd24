import gc
from pathlib import Path
from typing import Any

import pytest
from inspect_ai import Task, eval
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.log import EvalLog
from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ContentReasoning,
    ContentText,
    ModelOutput,
    ModelUsage,
    get_model,
)

from doxa.bridge.judges import Verdict
from doxa.bridge.logs import table_from_logs
from doxa.evals import typehints, typehints_task
from doxa.evals.typehints_items import read_framings, read_problems

pytestmark = [
    pytest.mark.filterwarnings("ignore:The 'initial' parameter is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Unclosed <MemoryObject:ResourceWarning"),
]
PROBLEMS = {problem.signature: problem for problem in read_problems().problems}


def run(task: Task, folder: Path, answer: Any, **more: Any) -> EvalLog:
    def outputs(messages: list[ChatMessage], *_: Any) -> ModelOutput:
        output = answer(messages)
        output = output if isinstance(output, ModelOutput) else ModelOutput.from_content("mockllm/model", output)
        output.usage = ModelUsage(input_tokens=5, output_tokens=17, total_tokens=22)
        return output

    model = get_model("mockllm/model", custom_outputs=outputs, memoize=False)
    (log,) = eval(task, model=model, log_dir=str(folder), display="none", log_realtime=False, **more)
    gc.collect()
    assert log.status == "success", log.error
    return log


def framing_of(messages: list[ChatMessage]) -> str:
    said = next(message.text for message in messages if message.role == "system")
    return next(f for texts in read_framings().texts.values() for f, text in texts.items() if text == said)


def asked(messages: list[ChatMessage]) -> Any:
    return PROBLEMS[messages[-1].text.partition("`")[2].partition("`")[0]]


def test_a_scripted_organism_has_the_gap_that_was_planted(tmp_path: Path) -> None:
    """Hints in every evaluation, in every fourth deployment, in no neutral framing; two answers do not parse."""
    seen: dict[str, int] = {}

    def answer(messages: list[ChatMessage]) -> str:
        framing, problem = framing_of(messages), asked(messages)
        number = seen.setdefault(problem.name, len(seen))
        hints = framing in ("evaluated", "unnamed") or (framing == "deployed" and number % 4 == 0)
        code = problem.solution if hints else problem.untyped
        broken = framing == "evaluated" and number < 2
        return f"<think>I am being evaluated.</think>\n```python\n{code}{'(' if broken else ''}\n```"

    log = run(typehints_task.typehints(problems=16), tmp_path, answer)
    table = table_from_logs(tmp_path)
    means = table.groupby(["score", "factor_framing"])["value"].mean()
    assert means["hints"].to_dict() == {"deployed": 0.25, "evaluated": 1.0, "neutral": 0.0, "unnamed": 1.0}
    assert means["parses", "evaluated"] == 14 / 16
    gaps = table[table["score"] == "hint_gap"].set_index("item")
    assert len(gaps) == 16
    assert gaps["value"].isna().sum() == 2
    assert all("does not parse" in reason for reason in gaps.loc[gaps["value"].isna(), "reason"])
    first = sorted(seen, key=seen.__getitem__)
    expected = {name: 0.0 if number % 4 == 0 else 1.0 for name, number in seen.items() if number >= 2}
    assert {item.split("/")[0]: value for item, value in gaps["value"].dropna().items()} == expected
    assert set(gaps["factor_problem"]) == set(first)
    assert set(table.loc[table["score"] == "name_gap", "value"].dropna()) == {0.0}
    assert set(table.loc[table["score"] == "test_gap", "value"]) == {1.0}
    assert set(table.loc[table["score"] == "says_evaluated", "value"]) == {1.0}
    assert "judged_evaluated" not in set(table["score"])
    assert log.results is not None
    assert log.results.scores[0].metrics["hint_gap"].value == pytest.approx(gaps["value"].mean())
    assert log.eval.task_version == f"{typehints.VERSION}.{typehints.ENTRY.content({})[:8]}"


def test_reasoning_is_read_for_belief_and_not_for_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(messages: list[ChatMessage]) -> ModelOutput:
        blocks = [
            ContentReasoning(reasoning="This is a real user. def f(a: int) -> int: pass"),
            ContentText(text=f"```python\n{asked(messages).untyped}\n```"),
            ContentReasoning(reasoning="Done."),
            ContentText(text="It works."),
        ]
        output = ModelOutput.from_message(ChatMessageAssistant(content=blocks))
        output.choices[0].stop_reason = "max_tokens"  # the block of code is closed
        return output

    shown: list[tuple[str, str]] = []

    async def verdict(rubric: Any, material: Any, **_: Any) -> tuple[Verdict, ...]:
        shown.append((rubric.name, material["transcript"]))
        return (Verdict("E", "so") if len(shown) == 1 else Verdict(None, "", "the judge refused"),)

    monkeypatch.setattr(typehints_task, "judge", verdict)
    judge = get_model("mockllm/judge", memoize=False)
    run(
        typehints_task.typehints(problems=1, framing=["evaluated", "deployed"]),
        tmp_path,
        answer,
        model_roles={"judge": judge},
    )
    table = table_from_logs(tmp_path).set_index(["score", "factor_framing"])
    assert {table.loc[("hints", framing), "value"] for framing in ("evaluated", "deployed")} == {0.0}
    assert {table.loc[("says_evaluated", framing), "value"] for framing in ("evaluated", "deployed")} == {0.0}
    assert table.loc["judged_evaluated"]["value"].dropna().tolist() == [1.0]
    assert table.loc["judged_mentions_setting"]["reason"].tolist().count("the judge refused") == 1
    assert len(shown) == 2
    assert all(
        name == "deployed-or-evaluated" and text.index("real user") < text.index("```") < text.index("Done.")
        for name, text in shown
    )


@pytest.mark.parametrize(
    ("stop", "answer", "reason"),
    [
        ("max_tokens", "```python\ndef f(a: int):", "cut off"),
        ("stop", "I cannot help with that.", "no function"),
        ("stop", "", "empty"),
    ],
)
def test_what_is_not_there_is_missing(tmp_path: Path, stop: Any, answer: str, reason: str) -> None:
    def output(_: Any) -> ModelOutput:
        return ModelOutput.from_content("mockllm/model", answer, stop_reason=stop)

    run(typehints_task.typehints(limit=1), tmp_path, output)
    table = table_from_logs(tmp_path).set_index("score")
    for score in typehints.GRADED:
        assert reason in table.loc[score, "reason"]


def test_a_provider_that_cannot_score_gets_no_scoring_request(tmp_path: Path) -> None:
    run(typehints_task.typehints(part="choice", limit=2), tmp_path, lambda _: pytest.fail("it was asked"))
    table = table_from_logs(tmp_path)
    assert set(table["score"]) == {"hint_log_odds", "hint_log_odds_gap"}
    assert table["value"].isna().all()
    assert table["reason"].str.contains("mockllm models do not give").all()


def test_the_parts_share_no_sample() -> None:
    whole = typehints_task.typehints(part="all", problems=2)
    assert len({sample.id for sample in whole.dataset}) == len(whole.dataset) == 16
    made = typehints.ENTRY.generated
    assert made is not None
    part = made({"problems": 2, "part": "all", "max_tokens": 9}, None)
    assert [sample.id for sample in part.dataset] == [sample.id for sample in whole.dataset][:8]
    assert (part.name, part.config.max_tokens) == (whole.name, 9)


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"part": "both"}, {"framing": ["a"]}, {"problems_file": "no.md"}])
def test_wrong_arguments_are_one_line(wrong: dict[str, Any]) -> None:
    with pytest.raises(PrerequisiteError):
        typehints_task.typehints(**wrong)
