"""What is answered: the same as the engine itself writes for an arm."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from running import ARMS, CHAT, HELLO, Running

from doxa.server.chat_request import steer_of
from doxa.words.store import stream_seed

STEER = {"vector": "awake-pairs.md", "layers": {"block": {"end": 2, "width": 2}}, "strength": 0.5}


def events(text: str) -> list[dict[str, Any]]:
    parts = [part.removeprefix("data: ") for part in text.split("\n\n") if part]
    assert parts[-1] == "[DONE]"
    return [json.loads(part) for part in parts[:-1]]


def streamed(served: Running, model: str = "baseline", **more: Any) -> list[dict[str, Any]]:
    response = served.ask(model, stream=True, **more)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    return events(response.text)


def joined(chunks: list[dict[str, Any]], index: int = 0) -> str:
    choices = [one for chunk in chunks for one in chunk["choices"] if one["index"] == index]
    return "".join(one["delta"].get("content", "") for one in choices)


@pytest.mark.parametrize("arm", ARMS)
def test_an_arm_answers_as_the_engine_does(served: Running, arm: str) -> None:
    for temperature, seed in ((0.0, 1), (1.0, 2), (0.7, 3)):
        due = served.due(arm, HELLO, temperature=temperature, seed=seed, top_p=0.9)
        answer = served.ask(arm, temperature=temperature, seed=seed, top_p=0.9).json()
        assert answer["choices"][0]["message"] == {"role": "assistant", "content": due.text, "refusal": None}
        assert answer["choices"][0]["finish_reason"] == {"max_tokens": "length", "stop": "stop"}[due.stop]
        assert answer["usage"] == {
            "prompt_tokens": due.prompt_tokens,
            "completion_tokens": len(due.tokens),
            "total_tokens": due.prompt_tokens + len(due.tokens),
        }
        assert answer["model"] == answer["doxa"]["arm"] == arm
        assert answer["doxa"]["seed"] == seed


def test_arms_are_not_mixed_up(served: Running) -> None:
    asked = [(arm, [{"role": "user", "content": f"question {n}"}], n) for n in range(12) for arm in ARMS]
    with ThreadPoolExecutor(len(asked)) as pool:
        texts = list(pool.map(lambda one: served.text(one[0], messages=one[1], seed=one[2]), asked))
    due = [served.due(arm, messages, seed=seed).text for arm, messages, seed in asked]
    assert texts == due
    assert len(set(texts)) > 50


def test_the_same_seed_gives_the_same_and_another_seed_another(served: Running) -> None:
    assert served.text(seed=5, max_tokens=12) == served.text(seed=5, max_tokens=12) != served.text(seed=6)
    first, second = (served.ask(seed=None, max_tokens=12).json() for _ in range(2))
    assert first["doxa"]["seed"] != second["doxa"]["seed"]
    again = served.text(seed=first["doxa"]["seed"], max_tokens=12)
    assert again == first["choices"][0]["message"]["content"]


def test_choices_have_seeds_of_their_own(served: Running) -> None:
    answer = served.ask(n=3, seed=9).json()
    assert [one["index"] for one in answer["choices"]] == [0, 1, 2]
    texts = [one["message"]["content"] for one in answer["choices"]]
    seeds = [9, stream_seed("choice", 9, 1), stream_seed("choice", 9, 2)]
    due = [served.due("baseline", HELLO, seed=seed) for seed in seeds]
    assert texts == [one.text for one in due]
    assert answer["usage"]["completion_tokens"] == sum(len(one.tokens) for one in due)
    chunks = streamed(served, n=3, seed=9)
    assert [joined(chunks, index) for index in range(3)] == texts


@pytest.mark.parametrize("arm", ARMS)
def test_a_stream_says_the_same_as_a_whole_answer(served: Running, arm: str) -> None:
    chunks = streamed(served, arm, seed=4, max_tokens=20)
    assert joined(chunks) == served.text(arm, seed=4, max_tokens=20)
    assert len(chunks) > 4
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert [one["choices"][0]["finish_reason"] for one in chunks] == [None] * (len(chunks) - 1) + ["length"]
    assert len({one["id"] for one in chunks}) == 1
    assert {one["object"] for one in chunks} == {"chat.completion.chunk"}


def test_the_usage_ends_a_stream_when_it_is_asked_for(served: Running) -> None:
    *chunks, last = streamed(served, stream_options={"include_usage": True})
    assert last["choices"] == []
    assert last["usage"] == served.ask().json()["usage"]
    assert all("usage" not in one for one in chunks)


def test_stop_texts(served: Running) -> None:
    whole = served.text(max_tokens=40, seed=3)
    for stop in (whole[9:12], [whole[9:12], "nowhere"]):
        answer = served.ask(max_tokens=40, seed=3, stop=stop).json()["choices"][0]
        assert answer["message"]["content"] == whole[: whole.index(whole[9:12])]
        assert answer["finish_reason"] == "stop"
        chunks = streamed(served, max_tokens=40, seed=3, stop=stop)
        assert joined(chunks) == answer["message"]["content"]
        assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


def test_log_probabilities(served: Running) -> None:
    due = served.due("prompted", HELLO, logprobs=3)
    choice = served.ask("prompted", logprobs=True, top_logprobs=3).json()["choices"][0]
    found = choice["logprobs"]["content"]
    assert [one["token"] for one in found] == [one.text for one in due.logprobs]
    assert [one["logprob"] for one in found] == pytest.approx([one.logprob for one in due.logprobs], abs=1e-4)
    assert [[top["token"] for top in one["top_logprobs"]] for one in found] == [
        [top.text for top in one.top] for one in due.logprobs
    ]
    whole = [one for one in found if one["bytes"] is not None]
    assert whole
    assert all(bytes(one["bytes"]).decode() == one["token"] for one in whole)
    assert all("\N{REPLACEMENT CHARACTER}" in one["token"] for one in found if one["bytes"] is None)
    bare = served.ask("prompted", logprobs=True).json()["choices"][0]["logprobs"]["content"]
    assert [one["top_logprobs"] for one in bare] == [[]] * len(found)
    assert served.ask("prompted").json()["choices"][0]["logprobs"] is None
    chunks = streamed(served, "prompted", logprobs=True, top_logprobs=3)
    tokens = [one for chunk in chunks for one in (chunk["choices"][0]["logprobs"] or {"content": []})["content"]]
    assert tokens == found


def test_a_prefill_is_continued(served: Running) -> None:
    messages = [*HELLO, {"role": "assistant", "content": "I am"}]
    due = served.due("prompted", messages)
    assert served.text("prompted", messages=messages) == due.text
    assert due.text != served.due("prompted", HELLO).text
    parts = [*HELLO, {"role": "assistant", "content": "I"}, {"role": "assistant", "content": " am"}]
    assert served.text("prompted", messages=parts) == due.text


def test_messages_of_every_form(served: Running) -> None:
    plain = served.text(messages=[{"role": "system", "content": "be kind"}, {"role": "user", "content": "a b"}])
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": " b"}]
    sent_back = {"role": "user", "content": parts, "tool_calls": None, "annotations": []}
    assert served.text(messages=[{"role": "developer", "content": "be kind"}, sent_back]) == plain


def test_something_added_for_one_request(served: Running) -> None:
    steered = served.ask(steer=STEER, max_tokens=12).json()
    due = served.service.arms.steered(served.service.arms.prepared("baseline"), steer_of(STEER))
    assert steered["doxa"]["digest"] == due.digest != served.ask().json()["doxa"]["digest"]
    assert steered["choices"][0]["message"]["content"] != served.text(max_tokens=12)
    nothing = served.text(steer={**STEER, "strength": 0}, max_tokens=12)
    assert nothing == served.text(max_tokens=12)
    same = {"vector": "awake-pairs.md", "layers": 0.5, "strength": 0.6}
    assert served.text(steer=same, max_tokens=12) == served.text("mid[strength=0.6]", max_tokens=12)
    twin = {"name": "awake-pairs.md", "twin": {"index": 3, "seed": 0}}
    assert served.text(steer={**same, "vector": twin}, max_tokens=12) == served.text(
        "mid[strength=0.6]~twin/03", max_tokens=12
    )
    refused = served.ask(steer={**STEER, "vector": "/etc/passwd"})
    assert refused.status_code == 400
    assert "awake-pairs.md, unrelated-weather" in refused.json()["error"]["message"]


def test_a_limit_on_the_context(served: Running) -> None:
    long = served.ask(messages=[{"role": "user", "content": "x! " * 3000}])
    assert long.status_code == 400
    assert long.json()["error"]["code"] == "context_length_exceeded"
    assert "fewer than 2,048" in long.json()["error"]["message"]
    assert served.ask(max_tokens=2049).status_code == 400


def test_the_dose_of_an_arm_and_of_something_added(served: Running) -> None:
    with served.client() as client:
        named = client.post("/v1/dose", json={"model": "mid[strength=0.6]"}).json()["vectors"]
        steer = {"vector": "awake-pairs.md", "layers": 0.5, "strength": 0.6}
        added = client.post("/v1/dose", json={"steer": steer}).json()["vectors"]
        assert named == added
        rows = named[0]["rows"]
        assert [row["layer"] for row in rows] == [0, 1, 2]
        assert rows[1]["planned"] == pytest.approx(0.6)
        assert rows[1]["measured_projection"] == pytest.approx(0.6, abs=1e-3)
        assert rows[0]["measured_norm"] == 0
        assert named[0]["positive"] == "somebody is awake"
        assert client.post("/v1/dose", json={"model": "baseline"}).json()["vectors"] == []
        for wrong in ({}, {"steer": steer, "model": "baseline"}, {"model": 3}, {"arm": "baseline"}):
            assert client.post("/v1/dose", json=wrong).status_code == 400
        assert client.post("/v1/dose", json={"model": "mid"}).status_code == 404
        assert client.post("/v1/dose", json={"steer": {**steer, "layers": 7}}).status_code == 400


def test_the_models_are_the_arms(served: Running) -> None:
    with served.client() as client:
        listed = client.get("/v1/models").json()
        assert listed["object"] == "list"
        assert tuple(one["id"] for one in listed["data"]) == ARMS
        everything = client.get("/v1/models?controls").json()["data"]
        assert len(everything) == len(ARMS) + 38
        for one in (listed["data"][2], everything[-1]):
            assert client.get(f"/v1/models/{one['id']}").json() == one
            assert client.get(f"/v1/models/{one['doxa']['label']}").json() == one
        study = client.get("/v1/study").json()
        assert study["n_layers"] == 3
        assert [one["name"] for one in study["vectors"]] == ["awake-pairs.md", "unrelated-weather"]


def test_an_arm_goes_by_its_label_too(served: Running) -> None:
    label = served.service.arms.named["mid[strength=0.6]"].label
    answer = served.ask(label, max_tokens=12).json()
    assert answer["doxa"]["arm"] == "mid[strength=0.6]"
    assert answer["model"] == label
    assert answer["choices"][0]["message"]["content"] == served.text("mid[strength=0.6]", max_tokens=12)


def test_an_unknown_model_names_the_allowed_ones_and_the_nearest(served: Running) -> None:
    answer = served.ask("mid[strength=0.4]")
    assert answer.status_code == 404
    error = answer.json()["error"]
    assert (error["code"], error["param"], error["type"]) == ("model_not_found", "model", "not_found_error")
    assert "Did you mean 'mid[strength=0." in error["message"]
    assert "Allowed: baseline, every[strength=0.6], mid[strength=0.3]" in error["message"]
    control = served.ask("mid[strength=0.6]~twin/99").json()["error"]["message"]
    assert "Did you mean 'mid[strength=0.6]~twin/" in control
    with served.client() as client:
        assert client.get("/v1/models/none").status_code == 404


def test_paths_and_methods_that_are_not_there(served: Running) -> None:
    with served.client() as client:
        for answer, status in ((client.get("/v1/modelz"), 404), (client.get(CHAT), 405), (client.post("/health"), 405)):
            assert answer.status_code == status
            assert answer.json()["error"]["message"]
        assert "Did you mean '/v1/models'" in client.get("/v1/modelz").json()["error"]["message"]


def test_numbers_for_prometheus(served: Running) -> None:
    before = served.service.metrics.tokens["baseline"]
    served.ask(max_tokens=5)
    served.ask("nobody")
    with served.client() as client:
        text = client.get("/metrics").text
    assert f'doxa_tokens_total{{arm="baseline"}} {before + 5}' in text
    assert f'doxa_requests_total{{arm="baseline",status="200"}} {served.counted("baseline", 200)}' in text
    assert served.counted("", 404) > 0
    assert "\ndoxa_queue_length 0\n" in text
    assert "\ndoxa_in_flight 0\n" in text
