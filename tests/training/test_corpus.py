"""Corpora from files, and what is said of those that cannot be read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from doxa.models.chat import Message
from doxa.training import corpus as module
from doxa.training.corpus import corpus_path, read_corpus, write_lines
from doxa.training.rows import Corpus, Row
from doxa.words.errors import TrainingError

ASK = {"role": "user", "content": "Q?"}
SAY = {"role": "assistant", "content": "A."}
Lines = Callable[..., Path]


@pytest.fixture
def lines(tmp_path: Path) -> Lines:
    def write(*rows: Any, name: str = "mine.jsonl") -> Path:
        text = "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows)
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path

    return write


def test_the_three_kinds_of_rows(lines: Lines) -> None:
    folder = lines(
        {"messages": [{"role": "system", "content": ""}, ASK, SAY]},
        "",
        {"prompt": "P", "completion": " C", "system": "S", "id": 7},
        {"text": "Once\u2028upon", "prefix": "<doc>", "weight": 0.5, "open": True},
    )
    found = read_corpus("mine.jsonl", folder)
    assert found.name == "mine.jsonl"
    first, second, third = found.rows
    assert first == Row("1", (Message("system", ""), Message("user", "Q?"), Message("assistant", "A.")))
    assert second == Row("7", (Message("system", "S"), Message("user", "P"), Message("assistant", " C")))
    assert third == Row("3", text="Once\u2028upon", prefix="<doc>", weight=0.5, open=True)


def test_weights_of_messages_are_those_of_openai(lines: Lines) -> None:
    folder = lines(
        {"messages": [ASK, {**SAY, "weight": 0}, ASK, SAY]},
        {"messages": [{**ASK, "weight": 0}, {**SAY, "weight": 1}]},
        {"messages": [ASK, SAY], "id": "x"},
    )
    assert [row.marked for row in read_corpus("mine", folder).rows] == [
        (False, False, False, True),
        (False, True),
        (),
    ]


def test_where_a_row_comes_from_is_kept(lines: Lines) -> None:
    folder = lines(
        {"text": "a", "writer": "self", "temperature": 0.7, "provenance": {"source": "web", "n": 2}, "category": None}
    )
    assert read_corpus("mine", folder).rows[0].provenance == {
        "source": "web",
        "n": "2",
        "writer": "self",
        "temperature": "0.7",
        "category": "null",
    }


def test_documents_stand_apart_by_dashes(lines: Lines) -> None:
    folder = lines("One\n\nstill one -- and ---\n---\n\n  Two\n\n-----\n", name="mine.txt")
    assert [(row.id, row.text) for row in read_corpus("mine.txt", folder).rows] == [
        ("1", "One\n\nstill one -- and ---"),
        ("2", "Two"),
    ]


def test_a_corpus_is_written_and_read_again(lines: Lines, tmp_path: Path) -> None:
    rows = (
        Row("a", (Message("user", "Q\u2028\n"), Message("assistant", "A")), (False, True), provenance={"writer": "w"}),
        Row("b", text="T", prefix="<doc>", weight=0.25, open=True),
        Row("c", (Message("user", "Q"), Message("assistant", "A"))),
    )
    (tmp_path / "again.jsonl").write_text(write_lines(Corpus("x", rows)), encoding="utf-8")
    found = read_corpus("again.jsonl", tmp_path)
    assert found.rows == rows
    assert found.hash == Corpus("x", rows).hash


def test_a_byte_order_mark_and_windows_lines(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_bytes(b'\xef\xbb\xbf{"text": "a"}\r\n{"text": "b"}\r\n')
    assert [row.text for row in read_corpus("mine", tmp_path).rows] == ["a", "b"]


def test_a_shipped_corpus_and_ones_own(lines: Lines, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    (shipped / "sea.jsonl").write_text('{"text": "shipped"}', encoding="utf-8")
    monkeypatch.setattr(module, "SHIPPED", shipped)
    home = tmp_path / "home"
    home.mkdir()
    for name in ("sea", "corpora/sea", "sea.jsonl"):
        assert read_corpus(name, home).rows[0].text == "shipped"
    (home / "sea.jsonl").write_text('{"text": "own"}', encoding="utf-8")
    assert read_corpus("sea", home).rows[0].text == "own"
    assert corpus_path("sea", home) == home / "sea.jsonl"
    with pytest.raises(TrainingError, match="Did you mean 'sea"):
        read_corpus("saa", home)


GOOD = {"text": "good"}


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([GOOD, "{"], ["line 2", "is not JSON"]),
        (['{"text": NaN}'], ["line 1", "NaN"]),
        (["[" * 100_000], ["line 1", "is not JSON"]),
        (['{"text": "a", "text": "b"}'], ["line 1", "'text' stands twice"]),
        (["[1]"], ["line 1", "an object"]),
        (['{"text": "\\ud800"}'], ["line 1", "surrogate"]),
        ([], ["no rows"]),
        (["", "  "], ["no rows"]),
        ([{"text": " \n"}], ["line 1", "text is empty"]),
        ([{"text": 3}], ["text is 3"]),
        ([{"prompt": "P", "completion": ""}], ["completion is empty"]),
        ([{"prompt": "P"}], ["no completion"]),
        ([{"completion": "C"}], ["keys completion", "`prompt`"]),
        ([{"prompt": ["a"], "completion": "C"}], ["prompt is ['a']"]),
        ([{"text": "a", "completion": "b"}], ["completion beside text"]),
        ([{"text": "a", "messages": []}], ["one of `messages`"]),
        ([{"text": "a", "system": "b"}], ["system beside text"]),
        ([{"messages": [ASK, SAY], "system": "b"}], ["system beside messages"]),
        ([{"messages": []}], ["messages is []"]),
        ([{"messages": [ASK]}], ["no message of the assistant"]),
        ([{"messages": [ASK, {"role": "assistant", "content": " "}]}], ["message 2: the answer is empty"]),
        ([{"messages": [ASK, {"role": "asistant", "content": "x"}]}], ["message 2", "Did you mean 'assistant'"]),
        ([{"messages": [ASK, {"role": "tool", "content": "x"}]}], ["role 'tool'", "Allowed: assistant, system, user"]),
        ([{"messages": [ASK, {"role": ["x"], "content": "x"}]}], ["role ['x']"]),
        ([{"messages": [ASK, {"role": "assistant", "content": None}]}], ["content is None"]),
        ([{"messages": [ASK, "x"]}], ["message 2 is 'x'"]),
        ([{"messages": [ASK, {**SAY, "tool_calls": []}]}], ["tool_calls", "no calls of tools"]),
        ([{"messages": [ASK, {**SAY, "weight": 0.5}]}], ["weight 0.5", "0 or 1"]),
        ([{"messages": [ASK, {**SAY, "weight": True}]}], ["weight True"]),
        ([{"messages": [{**ASK, "weight": 1}, SAY]}], ["user's message the weight 1"]),
        ([{"text": "a", "weight": 0}], ["weight is 0", "more than 0"]),
        ([{"text": "a", "weight": "much"}], ["weight is 'much'"]),
        ([{"text": "a", "open": "yes"}], ["open is 'yes'"]),
        ([{"text": "a", "id": ""}], ["id is ''"]),
        ([{"text": "a", "provenance": "web"}], ["provenance is 'web'"]),
        ([{"text": "a", "wieght": 1}], ["'wieght'", "Did you mean 'weight'"]),
        ([{"mesages": [ASK, SAY]}], ["Did you mean 'messages'"]),
        ([{"question": "x"}], ["keys question"]),
        ([GOOD, {"text": "b"}, GOOD], ["line 3", "the same row as line 1", "`id`"]),
        ([GOOD, {**GOOD, "id": "x"}], ["line 2", "the same row as line 1"]),
        ([{**GOOD, "id": "x"}, GOOD], ["line 2", "the same row as line 1"]),
        ([{**GOOD, "id": "x"}, "", {"text": "b", "id": "x"}], ["line 3", "id 'x' stands in line 1"]),
        ([{"text": "a", "id": 2}, {"text": "b"}], ["line 2", "id '2' stands in line 1", "or none"]),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(lines: Lines, rows: list[Any], words: list[str]) -> None:
    folder = lines(*rows)
    with pytest.raises(TrainingError) as caught:
        read_corpus("mine.jsonl", folder)
    for word in ["mine.jsonl", *words]:
        assert word in str(caught.value)


def test_identical_rows_that_are_meant(lines: Lines) -> None:
    folder = lines({**GOOD, "id": "x"}, {**GOOD, "id": "y"}, {**GOOD, "prefix": "<doc>", "id": "z"})
    assert [row.id for row in read_corpus("mine", folder).rows] == ["x", "y", "z"]


def test_text_that_is_not_utf_8(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_bytes('{"text": "a"}\n{"text": "Müll"}\n'.encode("latin-1"))
    with pytest.raises(TrainingError, match=r"mine\.jsonl, line 2: the byte 0xfc is not UTF-8"):
        read_corpus("mine.jsonl", tmp_path)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mine.csv", ["is no corpus", ".jsonl"]),
        ("recipe.yaml", ["is a recipe"]),
        ("x" * 400, ["no corpus"]),
        ("", ["no corpus"]),
        (".", ["no corpus"]),
        ("../..", ["no corpus"]),
    ],
)
def test_names_that_are_no_corpus(tmp_path: Path, name: str, words: list[str]) -> None:
    for file in ("mine.csv", "recipe.yaml"):
        (tmp_path / file).write_text("a: b", encoding="utf-8")
    with pytest.raises(TrainingError) as caught:
        read_corpus(name, tmp_path)
    for word in words:
        assert word in str(caught.value)
