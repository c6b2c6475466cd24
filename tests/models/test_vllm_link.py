from dataclasses import replace

import pytest
import torch
from vllm_arms import on_server, plan

import doxa.models.vllm_link as link
import doxa.models.vllm_servers as servers
from doxa.models.handle import Model
from doxa.models.vllm_link import ask, ask_of, check, check_written, connected
from doxa.models.vllm_servers import ask_all
from doxa.models.vllm_wire import Text
from doxa.words.errors import EnvironmentFault, ModelError, NotYetError
from doxa.words.interventions import Where


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "WAITS", (0.01,))


@pytest.mark.parametrize("at", [("assistant",), ("thinking",), ("user", "assistant"), ("prompt", "thinking")])
def test_what_is_not_known_before_it_is_written_is_refused(llama: Model, at: tuple[Where, ...]) -> None:
    with on_server(llama) as (served, fake):
        with pytest.raises(NotYetError, match="thinking or answer"):
            check(served, [], [frozenset(at)])
        assert fake.bodies == []  # said before the servers are asked
        check(served, [frozenset(at)], [])  # of text that is only scored it is known


@pytest.mark.parametrize(
    "at", [("all",), ("prompt",), ("generated",), ("user",), ("system", "assistant", "thinking"), ("all", "thinking")]
)
def test_what_is_known_is_not_refused(llama: Model, at: tuple[Where, ...]) -> None:
    check_written(frozenset(at))
    with on_server(llama) as (served, _):
        check(served, [frozenset(at)], [frozenset(at)])


def test_a_server_that_loses_count_is_good_for_whole_texts_only(llama: Model) -> None:
    with on_server(llama, counts=False) as (served, fake):
        check(served, [frozenset(("all",)), frozenset(("prompt", "generated"))], [frozenset(("all", "user"))])
        for at in ("prompt", "generated", "user"):
            with pytest.raises(NotYetError, match=f"at: {at}.*loses count") as caught:
                check(served, [frozenset(("all",)), frozenset((at,))], [])
            assert "mend_positions" in caught.value.way_out
        asked = len(fake.bodies)
        text = Text((1, 2, 3), (plan("user"),), _mask(0, 1, 1))
        with pytest.raises(NotYetError, match="loses count"):  # and again where nobody has checked before
            ask(served, [ask_of(text, max_tokens=1)])
        assert len(fake.bodies) == asked
        whole = Text((1, 2, 3), (plan("user"),), _mask(1, 1, 1))
        assert len(ask(served, [ask_of(whole, max_tokens=1)])) == 1


def _mask(*values: int) -> torch.Tensor:
    return torch.tensor([values], dtype=torch.bool)


def test_servers_are_tried_once(llama: Model) -> None:
    with on_server(llama) as (served, fake):
        first = connected(served)
        asked = len(fake.bodies)
        assert asked > 0
        assert connected(served) is first
        assert len(fake.bodies) == asked


def test_every_server_is_tried(llama: Model) -> None:
    with on_server(llama) as (served, one), on_server(llama, steers=False) as (_, other):
        with pytest.raises(ModelError, match=other.address):
            connected(replace(served, servers=(one.address, other.address)))
        assert one.bodies
        assert other.bodies


def test_no_server_is_an_error_before_the_run(llama: Model) -> None:
    with on_server(llama) as (served, _):
        pass
    with pytest.raises(EnvironmentFault, match="does not answer"):
        check(served, [], [])


def test_a_server_that_came_back_is_tried_again(llama: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    with on_server(llama) as (served, fake):
        connected(served)
        found = ask_all(connected(served), [])
        monkeypatch.setattr(link, "ask_all", lambda *_: replace(found, lost=frozenset((fake.address,))))
        before = len(fake.bodies)
        ask(served, [])
        assert len(fake.bodies) > before
        fake.steers = False  # what was started there is another
        with pytest.raises(ModelError, match="does not add"):
            ask(served, [])
