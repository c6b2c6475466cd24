import gc
from pathlib import Path

import pytest
from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessageAssistant,
    ContentReasoning,
    ContentText,
    ModelOutput,
    ModelUsage,
    get_model,
)

from doxa.bridge.evaluate import transcripts

# Inspect's own: it calls tenacity in a way that is deprecated, and leaves streams to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The 'initial' parameter is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Unclosed <MemoryObject:ResourceWarning"),
]


def said(*content: ContentReasoning | ContentText) -> ModelOutput:
    message = ChatMessageAssistant(content=list(content))
    usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
    return ModelOutput(model="mockllm/model", choices=[ChatCompletionChoice(message=message)], usage=usage)


def test_thinking_is_shown_beside_the_answer_and_what_is_empty_is_kept(tmp_path: Path) -> None:
    answers = [
        said(ContentReasoning(reasoning="\nHm."), ContentText(text="Yes.")),
        said(ContentReasoning(reasoning="I never come to an end.")),
        said(ContentText(text="")),
        said(ContentText(text="A long answer.")),
    ]
    task = Task(
        dataset=[Sample(id=f"{number}", input=f"Question {number}?") for number in range(len(answers))],
        metadata={"doxa": {"arm": "mine", "task": "doxa/made-up"}},
    )
    model = get_model("mockllm/model", custom_outputs=answers, memoize=False)
    (log,) = eval(task, model=model, log_dir=str(tmp_path), display="none", log_realtime=False, max_samples=1)
    gc.collect()  # while its warnings are ignored
    assert log.status == "success", log.error
    found = transcripts(tmp_path, most=10)
    assert [(one["item"], one.get("thought"), one["answer"]) for one in found] == [
        ("0", "Hm.", "Yes."),
        ("1", "I never co …", ""),
        ("2", None, ""),
        ("3", None, "A long ans …"),
    ]
    assert {(one["arm"], one["task"], one["run"]) for one in found} == {("mine", "doxa/made-up", 1)}
