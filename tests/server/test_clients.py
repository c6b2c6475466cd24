"""Clients that others wrote: OpenAI's, and Inspect's for servers like it."""

import asyncio
from collections.abc import Iterator

import openai
import pytest
from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    GenerateConfig,
    ModelOutput,
    get_model,
)
from running import HELLO, TOKEN, Running

ARM = "mid[strength=0.6]"


@pytest.fixture
def client(served: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key=TOKEN, max_retries=0) as made:
        yield made


def test_openais_client(served: Running, client: openai.OpenAI) -> None:
    due = served.due(ARM, HELLO, max_tokens=16, temperature=0.8, seed=5, logprobs=2)
    answer = client.chat.completions.create(
        model=ARM, messages=HELLO, max_tokens=16, temperature=0.8, seed=5, logprobs=True, top_logprobs=2
    )
    assert answer.choices[0].message.content == due.text
    assert answer.choices[0].logprobs is not None
    assert [one.token for one in answer.choices[0].logprobs.content or []] == [one.text for one in due.logprobs]
    assert answer.usage is not None
    assert answer.usage.completion_tokens == len(due.tokens)
    stream = client.chat.completions.create(
        model=ARM, messages=HELLO, max_tokens=16, temperature=0.8, seed=5, stream=True,
        stream_options={"include_usage": True},
    )  # fmt: skip
    chunks = list(stream)
    assert "".join(one.choices[0].delta.content or "" for one in chunks if one.choices) == due.text
    assert chunks[-1].usage == answer.usage


def test_a_conversation_goes_on_with_what_the_client_was_given(served: Running, client: openai.OpenAI) -> None:
    first = client.chat.completions.create(model=ARM, messages=HELLO, max_tokens=4, seed=1).choices[0].message
    going_on = [*HELLO, first.model_dump(), {"role": "user", "content": "and then?"}]
    answer = client.chat.completions.create(model=ARM, messages=going_on, max_tokens=4, seed=1)
    plain = [*HELLO, {"role": "assistant", "content": first.content}, {"role": "user", "content": "and then?"}]
    assert answer.choices[0].message.content == served.due(ARM, plain, max_tokens=4).text


def test_openais_client_understands_what_goes_wrong(served: Running, client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="does not exist") as missing:
        client.chat.completions.create(model="mid", messages=HELLO)
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as wrong:
        client.chat.completions.create(model=ARM, messages=HELLO, frequency_penalty=1)
    assert wrong.value.param == "frequency_penalty"
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="another").models.list()
    assert next(one.id for one in client.models.list()) == "baseline"
    assert client.models.retrieve(ARM).owned_by == "doxa"


def test_inspects_provider_for_servers_like_openais(served: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOXA_BASE_URL", f"{served.url}/v1")
    monkeypatch.setenv("DOXA_API_KEY", TOKEN)
    conversation: list[ChatMessage] = [
        ChatMessageSystem(content="be kind"),
        ChatMessageUser(content="hello"),
        ChatMessageAssistant(content="I am"),
    ]
    config = GenerateConfig(max_tokens=12, seed=3, temperature=0.9, top_p=0.8, logprobs=True, top_logprobs=2)

    async def ask() -> ModelOutput:
        async with get_model(f"openai-api/doxa/{ARM}", memoize=False) as model:
            return await model.generate(conversation, config=config)

    output = asyncio.run(ask())
    plain = [{"role": one.role, "content": str(one.content)} for one in conversation]
    due = served.due(ARM, plain, max_tokens=12, seed=3, temperature=0.9, top_p=0.8, logprobs=2)
    assert output.completion == due.text
    assert output.stop_reason == "max_tokens"
    assert output.choices[0].logprobs is not None
    assert [one.token for one in output.choices[0].logprobs.content] == [one.text for one in due.logprobs]
