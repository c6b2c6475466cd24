"""Clients that hang up, a house that is full, an end in the middle: what happens to answers that are being written."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from running import CHAT, HELLO, Running

import doxa.models.engine as engine
from doxa.models.chat import Message, render
from doxa.models.engine import Row, Sampling, generate
from doxa.server.study_arms import StudyArms
from planted_adapters import random_adapter

Own = Callable[..., Any]
LONG: dict[str, Any] = {"model": "baseline", "messages": HELLO, "max_tokens": 1900, "seed": 1}


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows were in the batch at each step of the engine; a step takes a moment."""
    found: list[int] = []
    draw = engine.draw

    def counted(logits: Any, samplings: Sequence[Any], streams: Sequence[Any]) -> list[int]:
        found.append(len(samplings))
        time.sleep(0.002)
        return draw(logits, samplings, streams)

    monkeypatch.setattr(engine, "draw", counted)
    return found


@contextlib.contextmanager
def streaming(served: Running, **more: Any) -> Iterator[Iterator[str]]:
    with (
        served.client() as client,
        client.stream("POST", CHAT, json={**LONG, "stream": True, **more}) as response,
    ):
        assert response.status_code == 200, response.read()
        yield response.iter_lines()


def stays_idle(rows: list[int]) -> bool:
    time.sleep(0.1)  # the step that was going on may end
    before = len(rows)
    time.sleep(0.3)
    return len(rows) == before


def test_a_client_that_hangs_up_frees_its_slot(own: Own, rows: list[int]) -> None:
    with own(most=1) as served:
        with streaming(served) as lines:
            assert next(lines).startswith("data: ")
            full = served.ask()
            assert full.status_code == 429
            assert full.headers["retry-after"] == "2"
            assert full.json()["error"]["type"] == "rate_limit_error"
        served.wait(lambda: served.service.gate.inside == 0, 5)
        assert stays_idle(rows)
        assert len(rows) < 1000
        assert served.ask().status_code == 200
        assert served.counted("baseline", 499) == 1
        assert served.counted("baseline", 429) == 1
        assert (served.service.metrics.waiting, served.service.metrics.writing) == (0, 0)


def test_a_client_that_waits_for_a_whole_answer_may_hang_up_too(own: Own, rows: list[int]) -> None:
    with own() as served:
        with served.client() as client, pytest.raises(httpx.ReadTimeout):
            client.post(CHAT, json=LONG, timeout=httpx.Timeout(5, read=0.5))
        served.wait(lambda: served.service.gate.inside == 0, 5)
        assert stays_idle(rows)
        assert 0 < len(rows) < 1000
        assert served.counted("baseline", 499) == 1


def test_who_hangs_up_leaves_the_batch_and_the_others_go_on(own: Own, rows: list[int]) -> None:
    with own() as served, ThreadPoolExecutor(2) as pool:
        together = threading.Barrier(2)

        def stay() -> str:
            together.wait()
            return served.text(messages=[{"role": "user", "content": "other"}], max_tokens=400, seed=2)

        def leave() -> None:
            together.wait()
            with streaming(served) as lines:
                next(lines)
                served.wait(lambda: bool(rows))

        staying, leaving = pool.submit(stay), pool.submit(leave)
        leaving.result()
        text = staying.result()
        assert text == served.due("baseline", [{"role": "user", "content": "other"}], max_tokens=400, seed=2).text
        if 2 in rows:  # they met in one batch
            assert rows[-1] == 1
            assert rows.count(2) < 400


def test_a_stream_comes_as_it_is_written(own: Own, rows: list[int]) -> None:
    with own() as served, streaming(served, max_tokens=300) as lines:
        while not next(lines).startswith("data: "):
            pass
        assert len(rows) < 250
        rest = list(lines)
    assert rest[-2] == "data: [DONE]"


def test_an_arm_with_an_adapter_answers_with_it(own: Own, arms: StudyArms, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = random_adapter(arms.model, 1)
    prepared = {**arms._prepared, "baseline": replace(arms._prepared["baseline"], low_rank=adapter)}
    asked = {"model": "baseline", "messages": HELLO, "max_tokens": 8, "temperature": 0, "seed": 1}
    with own() as served, served.client() as client:
        plain = client.post(CHAT, json=asked).json()["choices"][0]["message"]["content"]
        monkeypatch.setattr(arms, "_prepared", prepared)
        tuned = client.post(CHAT, json=asked).json()["choices"][0]["message"]["content"]
    prompt = render(arms.model, [Message(one["role"], one["content"]) for one in HELLO])
    (due,) = generate(arms.model, [Row(prompt, Sampling(8), low_rank=adapter)])
    assert tuned == due.text != plain


def test_n_answers_take_n_places(own: Own) -> None:
    with own(most=3) as served:
        assert served.ask(n=4).status_code == 429
        assert served.ask(n=3).status_code == 200
        served.wait(lambda: served.service.gate.inside == 0, 5)


def test_more_than_memory_allows_waits_and_is_answered(own: Own, arms: StudyArms) -> None:
    with own(memory=1e-9) as served, ThreadPoolExecutor(8) as pool:
        assert served.service.gate.budget == 1
        texts = list(pool.map(lambda seed: served.text(seed=seed), range(8)))
        assert texts == [served.due("baseline", HELLO, seed=seed).text for seed in range(8)]


def test_the_end_finishes_what_is_short_and_cuts_off_what_is_long(own: Own, rows: list[int]) -> None:
    with own() as served, ThreadPoolExecutor(3) as pool:
        whole = pool.submit(served.ask, max_tokens=1900, seed=1)
        short = pool.submit(served.text, max_tokens=200, seed=7)
        served.wait(lambda: served.service.metrics.writing > 0)
        with streaming(served, seed=3) as lines:
            served.server.should_exit = True
            text = "\n".join(lines)
        assert short.result() == served.due("baseline", HELLO, max_tokens=200, seed=7).text
        cut = whole.result()
        if cut.status_code != 200:  # a fast machine writes it in time
            assert cut.status_code == 503
            assert cut.json()["error"]["code"] == "stopping"
        *_, last = [line for line in text.split("\n") if line.startswith("data: ")]
        assert last == "data: [DONE]" or json.loads(last.removeprefix("data: "))["error"]["code"] == "stopping"


def test_an_engine_that_fails_is_said_in_the_stream_or_before_it(own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    from doxa.words.errors import ModelError

    calls: list[int] = []
    draw = engine.draw

    def failing(*arguments: Any) -> list[int]:
        calls.append(1)
        if len(calls) > due[0]:
            raise ModelError("the model's logits are not finite numbers", way_out="Lower the strength")
        return draw(*arguments)

    due = [0]
    monkeypatch.setattr(engine, "draw", failing)
    with own() as served:
        for stream in (False, True):
            answer = served.ask(stream=stream)
            assert answer.status_code == 400
            assert "not finite" in answer.json()["error"]["message"]
        due[0] = len(calls) + 3
        answer = served.ask(stream=True)
        assert answer.status_code == 200
        last = answer.text.strip().split("\n\n")[-1]
        assert "not finite" in json.loads(last.removeprefix("data: "))["error"]["message"]
        assert "[DONE]" not in answer.text
        monkeypatch.undo()
        assert served.ask().status_code == 200


def test_what_is_asked_and_answered_is_kept(own: Own, tmp_path: Path) -> None:
    kept = tmp_path / "deep" / "chats.jsonl"
    hostile = [{"role": "user", "content": "<script>alert(1)</script>\u2028\nü"}]
    with own(transcripts=kept) as served:
        steer = {"vector": "awake-pairs.md", "layers": 0.5, "strength": 0.3}
        answer = served.ask("prompted", messages=hostile, steer=steer).json()
        stream = served.ask(stream=True, n=2)
        served.ask(messages=[{"role": "user", "content": "x " * 5000}])
        with streaming(served) as lines:
            next(lines)
        served.wait(lambda: served.counted("baseline", 499) == 1)
    lines_kept = kept.read_bytes().split(b"\n")
    assert lines_kept.pop() == b""
    records = [json.loads(line) for line in lines_kept]
    assert len(records) == 4
    first, second, third, fourth = records
    assert first["messages"] == hostile
    assert first["id"] == answer["id"]
    assert first["answers"][0]["text"] == answer["choices"][0]["message"]["content"]
    assert (first["arm"], first["sampling"]["seed"], first["steer"]["strength"]) == ("prompted", 1, 0.3)
    assert first["answers"][0]["receipt"]["layers"] == [1]
    assert second["id"] in stream.text
    assert len(second["answers"]) == 2
    assert third["status"] == 400
    assert fourth["status"] == 499
    assert kept.stat().st_mode & 0o077 == 0


def test_a_full_disk_costs_transcripts_and_no_answer(
    own: Own, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with own(transcripts=Path("/dev/full")) as served:
        assert served.ask().status_code == 200
        assert served.ask().status_code == 200
        assert served.service.metrics.lost == 2
    assert capfd.readouterr().err.count("transcripts are lost") == 1
