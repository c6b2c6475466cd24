import asyncio
import socket
import threading
import time
from typing import Any

import pytest

import doxa.models.vllm_servers as servers
from doxa.models.handle import Model
from doxa.models.vllm_servers import ADDRESSES, KEY, Ask, Server, addresses, ask_all, dealt, get
from doxa.words.errors import EnvironmentFault, ModelError
from fake_vllm import FakeVLLM, serving

BODY = {"prompt": [5, 6, 7], "max_tokens": 1}


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "WAITS", (0.01, 0.01))


def at(address: str) -> Server:
    return Server(address, "served", 1024, True)


def asking(**more: Any) -> Ask:
    return Ask(lambda server: {**BODY, "model": server.name, **more}, "salt")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (None, ("http://127.0.0.1:8000",)),
        ("http://a:1", ("http://a:1",)),
        (" http://a:1/ ,https://b:2/v1,http://a:1", ("http://a:1", "https://b:2")),
    ],
)
def test_addresses(monkeypatch: pytest.MonkeyPatch, said: str | None, found: tuple[str, ...]) -> None:
    monkeypatch.delenv(ADDRESSES, raising=False)
    if said is not None:
        monkeypatch.setenv(ADDRESSES, said)
    assert addresses() == found


@pytest.mark.parametrize("said", ["", " , ", "localhost:8000", "ftp://a", "http://a:1,b:2"])
def test_what_is_no_address_is_refused(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setenv(ADDRESSES, said)
    with pytest.raises(ModelError, match=ADDRESSES):
        addresses()


def test_an_arm_stays_on_a_server_and_few_arms_are_dealt_out() -> None:
    assert dealt(["a", "a", "a", "a"], 2) == [0, 1, 0, 1]
    found = dealt(["c", "a", "b", "a", "c", "d"], 2)
    assert {"a": found[1], "b": found[2], "c": found[0], "d": found[5]} == {"a": 0, "b": 1, "c": 0, "d": 1}
    assert (found[1], found[0]) == (found[3], found[4])
    assert dealt(["a", "b"], 1) == [0, 0]
    assert dealt([], 3) == []


def test_answers_come_in_order_from_several_servers(llama: Model) -> None:
    with serving(FakeVLLM(llama)) as one, serving(FakeVLLM(llama)) as other:
        asks = [Ask(lambda server, n=n: {"prompt": [n], "max_tokens": n, "model": ""}, "s") for n in range(1, 6)]
        answers = ask_all([at(one.address), at(other.address)], asks)
    assert [len(body["choices"][0]["token_ids"]) for body in answers.bodies] == [1, 2, 3, 4, 5]
    assert sorted(body["max_tokens"] for body in one.bodies) == [1, 3, 5]
    assert sorted(body["max_tokens"] for body in other.bodies) == [2, 4]
    assert answers.lost == frozenset()


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again_with_a_body_made_anew(llama: Model, status: int) -> None:
    made = []

    def body(server: Server) -> dict[str, Any]:
        made.append(dict(BODY))
        return made[-1]

    with serving(FakeVLLM(llama, failing=[status, status])) as fake:
        answers = ask_all([at(fake.address)], [Ask(body, "salt")])
    assert len(answers.bodies) == 1
    assert len(made) == len(fake.bodies) == 3
    assert answers.lost == frozenset()


def test_a_server_that_goes_on_failing_is_an_error_in_words(llama: Model) -> None:
    with serving(FakeVLLM(llama, failing=[500] * 9)) as fake:
        with pytest.raises(EnvironmentFault, match=r"fails \(500: this is status 500") as caught:
            ask_all([at(fake.address)], [asking()])
        assert len(fake.bodies) == 3
    assert "what is finished is kept" in caught.value.way_out


def test_what_a_server_refuses_is_not_asked_again(llama: Model) -> None:
    with serving(FakeVLLM(llama, failing=[400])) as fake:
        with pytest.raises(ModelError, match=r"refuses a request \(400: this is status 400"):
            ask_all([at(fake.address)], [asking()])
        assert len(fake.bodies) == 1


def test_a_server_that_is_not_there_is_an_error_in_words() -> None:
    address = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(EnvironmentFault, match=f"{address} does not answer") as caught:
        ask_all([at(address)], [asking()])
    assert ADDRESSES in caught.value.way_out
    with pytest.raises(EnvironmentFault, match="does not answer"):
        get(address, "/v1/models")


def test_a_server_that_comes_back_was_lost(llama: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "WAITS", (0.2,) * 20)
    port = free_port()
    found = []
    thread = threading.Thread(
        target=lambda: found.append(ask_all([at(f"http://127.0.0.1:{port}")], [asking()])), daemon=True
    )
    thread.start()
    time.sleep(0.1)
    with serving(FakeVLLM(llama), port=port) as fake:
        thread.join(10)
        assert found[0].lost == {fake.address}
    assert len(found[0].bodies) == 1


def test_the_key_is_sent(llama: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(FakeVLLM(llama, failing=[401])) as fake:
        with pytest.raises(ModelError, match="asks for a key") as caught:
            ask_all([at(fake.address)], [asking()])
        assert KEY in caught.value.way_out
        assert "authorization" not in {name.lower() for name in fake.headers[-1]}
        monkeypatch.setenv(KEY, "secret")
        ask_all([at(fake.address)], [asking()])
        assert fake.headers[-1]["Authorization"] == "Bearer secret"


def test_progress_is_told_and_can_end_the_work(llama: Model) -> None:
    told: list[int] = []

    def stop(done: int) -> None:
        raise EnvironmentFault("nobody waits", way_out="Go on")

    with serving(FakeVLLM(llama)) as fake:
        ask_all([at(fake.address)], [asking()] * 7, told.append)
        assert told[-1] == 7
        assert told == sorted(told)
        with pytest.raises(EnvironmentFault, match="nobody waits"):
            ask_all([at(fake.address)], [asking()] * 3, stop)


def test_so_many_at_once_and_no_more(llama: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "AT_ONCE", 3)
    inside, most = 0, 0
    lock = threading.Lock()

    class Slow(FakeVLLM):
        def complete(self, body: dict[str, Any]) -> dict[str, Any]:
            nonlocal inside, most
            with lock:
                inside += 1
                most = max(most, inside)
            time.sleep(0.05)
            with lock:
                inside -= 1
            return {"choices": [{}]}

    with serving(Slow(llama)) as fake:
        ask_all([at(fake.address)], [asking()] * 12)
    assert most == 3


def test_asking_works_where_a_loop_runs_already(llama: Model) -> None:
    async def inside() -> Any:
        return get(fake.address, "/v1/models")

    with serving(FakeVLLM(llama)) as fake:
        assert asyncio.run(inside())["data"][0]["id"] == "served"


def test_a_message_that_is_no_json_is_shown(llama: Model) -> None:
    with (
        serving(FakeVLLM(llama)) as fake,
        pytest.raises(ModelError, match=r"refuses a request \(404: there is nothing"),
    ):
        get(fake.address, "/nowhere")
