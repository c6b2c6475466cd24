from typing import Any

import pytest

from doxa.models.chat import Message
from doxa.models.engine import Sampling
from doxa.server.chat_request import MAX_TOKENS, MOST_CHOICES, MOST_MESSAGES, chat_request
from doxa.server.refusals import Refused
from doxa.words.interventions import Steer, VectorReference
from doxa.words.layers import Layers

HELLO = [{"role": "user", "content": "hello"}]
SMALL: dict[str, Any] = {"model": "m", "messages": HELLO}


def read(**more: Any) -> Any:
    return chat_request({**SMALL, **more}, longest=1000)


def test_the_smallest_request() -> None:
    found = read()
    assert (found.model, found.messages) == ("m", (Message("user", "hello"),))
    assert found.sampling == Sampling(max_tokens=MAX_TOKENS, temperature=1.0)
    assert (found.seed, found.n, found.stream, found.logprobs, found.steer) == (None, 1, False, False, None)


def test_everything_that_can_be_asked_for() -> None:
    found = read(
        max_completion_tokens=7, temperature=0.5, top_p=0.9, top_k=3, min_p=0.1, stop=["a", "b"], seed=4, n=2,
        logprobs=True, top_logprobs=5, stream=True, stream_options={"include_usage": True},
        steer={"vector": "v", "layers": [1, 2], "strength": -0.5, "share": "each"},
    )  # fmt: skip
    assert found.sampling == Sampling(7, 0.5, 0.9, 3, 0.1, ("a", "b"), 4)
    assert (found.seed, found.n, found.logprobs, found.top_logprobs) == (4, 2, True, 5)
    assert (found.stream, found.include_usage) == (True, True)
    assert found.steer == Steer(VectorReference("v"), Layers.at([1, 2]), -0.5, share="each")


def test_what_asks_for_nothing_is_let_through() -> None:
    nothing: dict[str, Any] = {
        "user": "somebody", "metadata": {"a": "b"}, "frequency_penalty": 0, "presence_penalty": 0.0, "logit_bias": {},
        "tools": [], "tool_choice": "auto", "response_format": {"type": "text"}, "n": None, "stop": None, "steer": None,
    }  # fmt: skip
    assert read(**nothing) == read()


def test_half_of_a_seed_is_none() -> None:
    assert read(seed=0).seed == 0


@pytest.mark.parametrize(
    ("param", "more"),
    [
        ("model", {"model": None}),
        ("model", {"model": 3}),
        ("model", {"model": " "}),
        ("messages", {"messages": None}),
        ("messages", {"messages": []}),
        ("messages", {"messages": "hello"}),
        ("messages", {"messages": HELLO * (MOST_MESSAGES + 1)}),
        ("messages[0]", {"messages": ["hello"]}),
        ("messages[0]", {"messages": [{"role": "user"}]}),
        ("messages[1]", {"messages": [*HELLO, {"role": "tool", "content": "x"}]}),
        ("messages[0]", {"messages": [{"role": ["user"], "content": "x"}]}),
        ("messages[0]", {"messages": [{"role": "user", "content": 3}]}),
        ("messages[0]", {"messages": [{"role": "user", "content": "x", "name": "Bo"}]}),
        ("messages[0]", {"messages": [{"role": "assistant", "content": "x", "tool_calls": [{}]}]}),
        ("messages[0].content[0]", {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}),
        ("messages[0].content[1]", {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, "b"]}]}),
        ("max_tokens", {"max_tokens": 0}),
        ("max_tokens", {"max_tokens": 1001}),
        ("max_tokens", {"max_tokens": True}),
        ("max_tokens", {"max_tokens": 2.0}),
        ("max_tokens", {"max_tokens": 2, "max_completion_tokens": 3}),
        ("temperature", {"temperature": -1}),
        ("temperature", {"temperature": "hot"}),
        ("temperature", {"temperature": "0.5"}),
        ("top_p", {"top_p": 0}),
        ("top_p", {"top_p": 1.5}),
        ("top_k", {"top_k": -1}),
        ("min_p", {"min_p": 2}),
        ("stop", {"stop": ""}),
        ("stop", {"stop": [""]}),
        ("stop", {"stop": ["a"] * 17}),
        ("stop", {"stop": "a" * 257}),
        ("stop", {"stop": [1]}),
        ("stop", {"stop": {"a": 1}}),
        ("seed", {"seed": -1}),
        ("seed", {"seed": "1"}),
        ("n", {"n": 0}),
        ("n", {"n": MOST_CHOICES + 1}),
        ("logprobs", {"logprobs": 3}),
        ("top_logprobs", {"top_logprobs": 3}),
        ("top_logprobs", {"logprobs": True, "top_logprobs": 21}),
        ("stream", {"stream": "yes"}),
        ("stream_options", {"stream_options": {"include_usage": True}}),
        ("stream_options", {"stream": True, "stream_options": {"usage": True}}),
        ("include_usage", {"stream": True, "stream_options": {"include_usage": 1}}),
        ("frequency_penalty", {"frequency_penalty": 0.5}),
        ("tools", {"tools": [{}]}),
        ("tool_choice", {"tool_choice": "required"}),
        ("response_format", {"response_format": {"type": "json_object"}}),
        ("reasoning_effort", {"reasoning_effort": "high"}),
        ("steer", {"steer": {}}),
        ("steer", {"steer": "conscious"}),
        ("steer", {"steer": {"vector": "v", "layers": "all", "strength": 1}}),
        ("steer", {"steer": {"vector": "v", "layers": 0, "strength": 1e7}}),
        ("steer", {"steer": {"vector": "v", "layers": 0, "strength": 1, "scale": 2}}),
    ],
)
def test_what_is_wrong_is_named(param: str, more: dict[str, Any]) -> None:
    with pytest.raises(Refused) as caught:
        read(**more)
    assert (caught.value.status, caught.value.param) == (400, param)
    assert caught.value.way_out


def test_an_unknown_field_names_the_nearest() -> None:
    with pytest.raises(Refused, match="Did you mean 'temperature'"):
        read(temprature=0.5)
