import gc
import json
import time
from pathlib import Path
from typing import Any

import pytest
from inspect_ai import Task, eval
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.dataset import Sample
from inspect_ai.log import EvalLog
from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageUser,
    ContentReasoning,
    ContentText,
    ModelOutput,
    ModelUsage,
    get_model,
)

from doxa.bridge.logs import table_from_logs
from doxa.evals.catalogue import Value
from doxa.evals.replay import EMPTY, NO_COUNT, phrases_of, read_answer, rouge_l, rubric_of
from doxa.evals.replay_items import MOST_CHARACTERS, Conversations, read_conversations
from doxa.evals.replay_task import replay
from doxa.words.errors import ProseError, ResultsError
from scripted_judge import judge_of

# Inspect's own: it calls tenacity in a way that is deprecated, and leaves streams to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The 'initial' parameter is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Unclosed <MemoryObject:ResourceWarning"),
]

GOOD = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Good morning to you"}]


def jsonl(folder: Path, *lines: Any) -> str:
    path = folder / "log.jsonl"
    path.write_text("\n".join(one if isinstance(one, str) else json.dumps(one) for one in lines), encoding="utf-8")
    return str(path)


def read(folder: Path, *lines: Any, turn: int | None = None) -> Conversations:
    return read_conversations(jsonl(folder, *lines), turn)


def test_the_shipped_examples() -> None:
    found = read_conversations("examples")
    assert [one.name for one in found.kept] == ["are-you-watched", "deploy-without-review", "meeting-notes", "recipe"]
    assert not found.left_out
    for one in found.kept:
        assert one.before[-1].role == "user"
        assert one.said


def test_a_conversation_is_cut_before_a_turn(tmp_path: Path) -> None:
    long = [{"role": "system", "content": "Be brief."}, *GOOD, {"role": "user", "content": "And?"}]
    long += [{"role": "assistant", "content": "Nothing."}, {"role": "user", "content": "Bye"}]
    (one,) = read(tmp_path, {"messages": long}).kept
    assert [message.content for message in one.before] == ["Be brief.", "Hello", "Good morning to you", "And?"]
    assert (one.said, one.turn, one.name, one.source) == ("Nothing.", 2, "log.jsonl/1", "log.jsonl")
    (one,) = read(tmp_path, long, turn=1).kept
    assert [message.content for message in one.before] == ["Be brief.", "Hello"]
    assert one.said == "Good morning to you"
    parts = [{"role": "user", "content": [{"type": "text", "text": "He"}, {"type": "text", "text": "llo"}]}, GOOD[1]]
    (one,) = read(tmp_path, parts).kept
    assert one.before[0].content == "Hello"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("3", "without messages"),
        ({"text": "x"}, "without messages"),
        ({"messages": [1]}, "without messages"),
        ([], "empty"),
        ([GOOD[0]], "without a turn of the assistant's"),
        ([GOOD[1]], "whose turn answers nobody"),
        ([GOOD[0], {"role": "assistant", "content": " "}], "with an empty turn"),
        ([{"role": "user", "content": ""}, GOOD[1]], "with an empty turn"),
        ([*GOOD, {"role": "tool", "content": "4"}], "with tools"),
        ([GOOD[0], {"role": "assistant", "content": None, "tool_calls": [{"id": "x"}]}], "with tools"),
        ([GOOD[0], {"role": "narrator", "content": "x"}], "with an unknown role"),
        ([GOOD[0], {"role": ["user"], "content": "x"}], "with an unknown role"),
        ([{"role": "user", "content": [{"type": "image_url"}]}, GOOD[1]], "with what is not text"),
        ([{"role": "user", "content": 7}, GOOD[1]], "with what is not text"),
        ([{"role": "user", "content": "\ud800"}, GOOD[1]], "with broken characters"),
        ([{"role": "user", "content": "x" * (MOST_CHARACTERS + 1)}, GOOD[1]], "too long"),
        ('"' + "x" * (4 * MOST_CHARACTERS) + '"', "too long"),
        ([*GOOD, {"role": "system", "content": "x"}], "with a system message in the middle"),
    ],
)
def test_what_cannot_be_replayed_is_left_out_and_counted(tmp_path: Path, line: Any, why: str) -> None:
    found = read(tmp_path, line, GOOD, line)
    assert [one.name for one in found.kept] == ["log.jsonl/2"]
    assert found.left_out == {why: 2}
    with pytest.raises(ResultsError, match=f"1 {why}"):
        read(tmp_path, line)


def test_a_turn_that_is_not_there(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD, [*GOOD, *GOOD], turn=2)
    assert [one.turn for one in found.kept] == [2]
    assert found.left_out == {"with fewer than 2 turns of the assistant's": 1}


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "latin.jsonl").write_bytes(b'[{"role": "user", "content": "caf\xe9"}]')
    (tmp_path / "a.txt").write_text("x", encoding="utf-8")
    (tmp_path / "empty.jsonl").write_text("\n\n", encoding="utf-8")
    (tmp_path / "broken.eval").write_bytes(b"PK\x03\x04 no zip")
    (tmp_path / "none").mkdir()
    for name, said in {
        "latin.jsonl": "not UTF-8",
        "a.txt": "holds no conversations",
        "empty.jsonl": "there is none",
        "broken.eval": "cannot be read",
        "none": "holds no conversations",
        "missing.jsonl": "is missing",
    }.items():
        with pytest.raises(ResultsError, match=said):
            read_conversations(str(tmp_path / name))


def test_a_folder_of_transcripts(tmp_path: Path) -> None:
    text = "## user\n\nHello\n\n## assistant\n\nGood morning\n\n### not a turn\n\nstill it\n"
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "one.md").write_text(text, encoding="utf-8")
    (tmp_path / "two.md").write_text(f"---\nname: two\n---\n{text}", encoding="utf-8")
    (tmp_path / "notes.md").write_text("No turns here.", encoding="utf-8")
    jsonl(tmp_path, GOOD)
    found = read_conversations(str(tmp_path))
    assert [one.name for one in found.kept] == ["log.jsonl/1", "sub/one", "two"]
    assert found.kept[1].said == "Good morning\n\n### not a turn\n\nstill it"
    assert found.kept[1].before == found.kept[2].before
    assert found.left_out == {"empty": 1}


def test_similarity_is_rouge_l() -> None:
    assert rouge_l("the cat sat", "The cat sat!") == 1.0
    assert rouge_l("police killed the gunman", "police kill the gunman") == 0.75  # an example of Lin 2004
    assert rouge_l("a b", "c") == 0.0
    assert rouge_l("...", "c") is None
    began = time.monotonic()
    assert rouge_l("word " * 100_000, "word " * 100_000) == 1.0
    assert time.monotonic() - began < 5


def scores(values: tuple[Value, ...]) -> dict[str, float | None]:
    return {one.score: one.value for one in values}


def test_an_answer_is_scored_by_rules(tmp_path: Path) -> None:
    (one,) = read(tmp_path, GOOD).kept
    (tmp_path / "phrases.md").write_text("# People\n+ good morning\n- good night\n", encoding="utf-8")
    phrases = phrases_of(str(tmp_path / "phrases.md"))
    found = scores(read_answer("Good morning!", one, tokens=3, phrases=phrases))
    assert found == {
        "length": 3.0,
        "refused_then": 0.0,
        "refusal": 0.0,
        "similarity": pytest.approx(2 * 2 / (2 + 4)),
        "stated": 1.0,
    }
    assert scores(read_answer("Good night!", one, tokens=3, phrases=phrases))["stated"] == 0.0
    assert scores(read_answer("Hm.", one, tokens=3, phrases=phrases))["stated"] is None
    assert scores(read_answer("I'm sorry, I can't help with that.", one, tokens=9))["refusal"] == 1.0
    reasons = {value.score: value.reason for value in read_answer(" ", one, tokens=None, phrases=phrases)}
    assert reasons == {"length": NO_COUNT, "refused_then": ""} | dict.fromkeys(
        ("refusal", "similarity", "stated"), EMPTY
    )
    with pytest.raises(ProseError, match="has no phrase"):
        phrases_of(jsonl(tmp_path, "x"))
    with pytest.raises(ProseError, match="is missing"):
        phrases_of(str(tmp_path / "no.md"))


RUBRIC = """---
name: polite
version: 1
shows: [conversation, answer]
verdicts:
  polite: it greets
  rude: it does not
---
Is the answer polite?
"""


def run(task: Task, folder: Path, answer: Any, judge: Any = None) -> EvalLog:
    model = get_model("mockllm/model", custom_outputs=answer, memoize=False)
    roles = {"judge": get_model("mockllm/judge", custom_outputs=judge, memoize=False)} if judge else None
    (log,) = eval(task, model=model, model_roles=roles, log_dir=str(folder), display="none", log_realtime=False)
    gc.collect()  # while its warnings are ignored
    assert log.status == "success", log.error
    return log


def output(text: str) -> ModelOutput:
    made = ModelOutput.from_content("mockllm/model", text)
    made.usage = ModelUsage(input_tokens=5, output_tokens=7, total_tokens=12)
    return made


def test_a_run_from_the_log_to_the_table(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "rubric.md").write_text(RUBRIC, encoding="utf-8")
    path = jsonl(tmp_path, GOOD, [{"role": "user", "content": "Bye"}, GOOD[1]], "{")

    def answer(input: list[ChatMessage], *_: Any) -> ModelOutput:
        assert [message.role for message in input] == ["user"]
        return output("Good morning to you" if input[-1].text == "Hello" else "Go away")

    def politeness(material: str) -> str:
        assert "user: " in material
        return "polite" if "Good morning" in material else "rude"

    log = run(replay(path, rubric=str(tmp_path / "rubric.md")), tmp_path / "logs", answer, judge_of(politeness))
    assert (log.eval.metadata or {})["doxa"]["left_out"] == {"not JSON": 1}
    assert "replays 2 conversations and leaves out: 1 not JSON" in caplog.text
    table = table_from_logs(tmp_path / "logs").set_index(["item", "score"])["value"]
    assert table["log.jsonl/1", "judged"] == table["log.jsonl/1", "similarity"] == 1.0
    assert table["log.jsonl/2", "judged"] == table["log.jsonl/2", "similarity"] == 0.0
    assert table["log.jsonl/1", "length"] == 7.0

    missing = run(replay(path, rubric=str(tmp_path / "rubric.md"), limit=1), tmp_path / "none", answer)
    assert missing.samples is not None
    score = (missing.samples[0].scores or {})["replay"]
    assert "no judge" in (score.metadata or {})["reasons"]["judged"]


def test_an_inspect_log_is_replayed_without_its_reasoning(tmp_path: Path) -> None:
    thought = ChatMessageAssistant(content=[ContentReasoning(reasoning="secret"), ContentText(text="Well, hello")])
    asked = [ChatMessageUser(content="Hi"), thought, ChatMessageUser(content="And now?")]
    log = run(Task(dataset=[Sample(input=asked)]), tmp_path / "logs", lambda *_: output("Now we go home"))
    (one,) = read_conversations(log.location).kept
    assert [(message.role, message.content) for message in one.before] == [
        ("user", "Hi"),
        ("assistant", "Well, hello"),
        ("user", "And now?"),
    ]
    assert one.said == "Now we go home"


def test_wrong_arguments_are_one_line(tmp_path: Path) -> None:
    for wrong, said in (
        ({"conversations": "no.jsonl"}, "is missing"),
        ({"turn": 0}, "turn is 0"),
        ({"turn": 9}, "with fewer than 9 turns"),
        ({"rubric": "no-such"}, "no rubric"),
        ({"phrases": "no.md"}, "is missing"),
        ({"rubric": "deployed-or-evaluated"}, "shows transcript"),
        ({"limit": 0}, "limit is 0"),
    ):
        with pytest.raises(PrerequisiteError, match=said):
            replay(**wrong)
    (tmp_path / "rubric.md").write_text(RUBRIC, encoding="utf-8")
    assert rubric_of(str(tmp_path / "rubric.md")).name == "polite"
