from collections.abc import Callable
from typing import Any

import pytest
import torch

from doxa.models.handle import Model, adopt
from doxa.models.vllm_trial import try_server
from doxa.words.errors import EnvironmentFault, ModelError
from fake_vllm import FakeVLLM, serving


def test_a_good_server(llama: Model) -> None:
    with serving(FakeVLLM(llama, context=300)) as fake:
        server = try_server(llama, fake.address)
    assert (server.address, server.name, server.context_length) == (fake.address, "served", 300)
    assert server.positions
    assert len({body["cache_salt"] for body in fake.bodies}) == 3


def test_an_adapter_is_not_the_model(llama: Model) -> None:
    shown = {"data": [{"id": "adapter", "max_model_len": 1, "parent": "x"}, {"id": "base", "max_model_len": 64}]}
    with serving(FakeVLLM(llama, shown=shown)) as fake:
        assert try_server(llama, fake.address).name == "base"
        assert {body["model"] for body in fake.bodies} == {"base"}


def test_a_server_that_loses_count_of_positions_is_known(llama: Model) -> None:
    with serving(FakeVLLM(llama, counts=False)) as fake:
        assert not try_server(llama, fake.address).positions
    with serving(FakeVLLM(llama, scatters=True)) as fake:
        assert not try_server(llama, fake.address).positions


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"plugin": False}, "no plugin vllm-lens"),
        ({"steers": False}, "does not add to the residual stream"),
        ({"first": 1}, "does not add to the residual stream"),
        ({"heeds": False}, "does not add to the residual stream"),
        ({"scale": 1.5}, "does not add to the residual stream"),
        ({"scale": -1.0}, "does not add to the residual stream"),
        ({"dtype": "torch.bfloat16"}, "computes in bfloat16.*Expected float32"),
        ({"shown": {"data": []}}, "does not show a model"),
        ({"shown": {"object": "list", "data": [{"id": "gpt"}]}}, "does not show a model"),
    ],
)
def test_a_server_that_would_not_do_is_refused(llama: Model, wrong: dict[str, Any], words: str) -> None:
    with serving(FakeVLLM(llama, **wrong)) as fake, pytest.raises(ModelError, match=words) as caught:
        try_server(llama, fake.address)
    assert fake.address in str(caught.value)
    assert caught.value.way_out


@pytest.mark.parametrize("shown", ["hello", [1], {"data": [1]}, {"data": 3}])
def test_what_is_no_vllm_server_at_all_is_an_error_in_words(llama: Model, shown: Any) -> None:
    with serving(FakeVLLM(llama, shown=shown)) as fake, pytest.raises(EnvironmentFault, match="not understood"):
        try_server(llama, fake.address)


@pytest.mark.parametrize("change", [{"seed": 1}, {"hidden_size": 64}])
def test_other_weights_are_refused(llama: Model, make_network: Callable[..., Any], change: dict[str, Any]) -> None:
    other = adopt("other", make_network("llama", **change), llama.tokenizer)
    with (
        serving(FakeVLLM(other)) as fake,
        pytest.raises(ModelError, match="serves served, which does not compute what"),
    ):
        try_server(llama, fake.address)


def test_bfloat16_on_both_sides(make_model: Callable[..., Model]) -> None:
    model = make_model("llama", torch.bfloat16)
    with serving(FakeVLLM(model, dtype="torch.bfloat16")) as fake:
        assert try_server(model, fake.address).positions
