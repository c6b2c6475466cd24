from dataclasses import replace
from typing import Any

import pytest
from vllm_arms import ARMS, on_server, plan, prompts

from doxa.models import engine
from doxa.models.chat import Message, render
from doxa.models.engine import Generation, Row, Sampling
from doxa.models.handle import Model
from doxa.models.vllm_link import connected
from doxa.models.vllm_writing import generate as on_vllm
from doxa.words.errors import EnvironmentFault, ModelError, NotYetError
from fake_vllm import FakeVLLM, vectors_of
from planted_adapters import random_adapter


def rows(model: Model, arm: str, **sampling: Any) -> list[Row]:
    return [Row(prompt, Sampling(**{"max_tokens": 8, **sampling}), ARMS[arm]) for prompt in prompts(model)]


def generate(model: Model, asked: list[Row]) -> list[Generation]:
    """By the engine here; what it shares among rows is its own business."""
    return [replace(one, shared_tokens=None) for one in engine.generate(model, asked)]


@pytest.mark.parametrize("arm", list(ARMS))
def test_greedy_texts_and_receipts_are_those_of_the_engine_here(llama: Model, arm: str) -> None:
    with on_server(llama) as (served, fake):
        found = on_vllm(served, rows(llama, arm))
    assert found == generate(llama, rows(llama, arm))
    plain = generate(llama, rows(llama, "plain"))
    acts = arm not in ("plain", "zero")
    assert ([one.tokens for one in found] != [one.tokens for one in plain]) == acts
    assert {body["max_tokens"] for body in fake.bodies[3:]} == {8}


def test_positions_are_sent_up_to_the_last_token_that_is_run(llama: Model) -> None:
    (row, *_) = rows(llama, "generated", max_tokens=5)
    with on_server(llama) as (served, fake):
        on_vllm(served, [row])
    (sent,) = vectors_of(fake.bodies[-1])
    first = len(row.prompt.tokens)
    assert sent["position_indices"] == list(range(first, first + 4))  # the fifth token is drawn and not run


def test_many_arms_at_once_are_told_apart(llama: Model) -> None:
    asked = [row for arm in ARMS for row in rows(llama, arm)]
    with on_server(llama) as (served, fake):
        connected(served)
        before = len(fake.bodies)
        assert on_vllm(served, asked) == generate(llama, asked)
        own = fake.bodies[before:]
    assert len(own) == len(asked)  # `zero` adds nothing, but is an arm of its own
    salts: dict[str, set[str]] = {}
    for body in own:
        said = (body.get("vllm_xargs") or {}).get("apply_steering_vectors", "")
        salts.setdefault(body["cache_salt"], set()).add(said)
    assert all(len(said) == 1 for said in salts.values())  # one salt, one thing that is added


def test_the_same_text_is_asked_for_once(llama: Model) -> None:
    (row, *_) = rows(llama, "all")
    with on_server(llama) as (served, fake):
        connected(served)
        before = len(fake.bodies)
        first, second = on_vllm(served, [row, replace(row, plans=(plan("all"),))])
        assert len(fake.bodies) == before + 1
    assert first == second


def test_a_request_says_all_that_a_server_would_otherwise_choose(llama: Model) -> None:
    sampling = Sampling(max_tokens=3, temperature=0.7, top_p=0.9, top_k=5, min_p=0.1, stop=("x",), seed=2**62)
    with on_server(llama) as (served, fake):
        on_vllm(served, [Row(prompts(llama)[0], sampling)])
    body = fake.bodies[-1]
    due = {"max_tokens": 3, "temperature": 0.7, "top_p": 0.9, "top_k": 5, "min_p": 0.1, "stop": ["x"], "seed": 2**62}
    neutral = {"repetition_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0, "logprobs": None}
    assert body.items() >= {**due, **neutral}.items()
    assert body["stop_token_ids"] == [llama.tokenizer.eos_token_id]


def test_the_seed_decides(llama: Model) -> None:
    prompt = prompts(llama)[0]
    asked = [Row(prompt, Sampling(max_tokens=8, temperature=2.0, seed=seed)) for seed in (1, 2)]
    with on_server(llama) as (served, _):
        first, again = on_vllm(served, asked), on_vllm(served, asked)
    assert first == again
    assert first[0].tokens != first[1].tokens


def test_an_end_of_turn_is_no_part_of_the_text(llama: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    end = llama.tokenizer.eos_token_id
    (row, *_) = rows(llama, "generated", max_tokens=6)
    (due,) = generate(llama, [row])

    def ends(fake: FakeVLLM, body: dict[str, Any]) -> dict[str, Any]:
        drawn = [*due.tokens[:3], end]
        return {"choices": [{"token_ids": drawn, "finish_reason": "stop", "logprobs": None}]}

    with on_server(llama) as (served, _):
        connected(served)
        monkeypatch.setattr(FakeVLLM, "complete", ends)
        (found,) = on_vllm(served, [row])
    assert (found.tokens, found.stop) == (due.tokens[:3], "stop")
    assert found.text == llama.tokenizer.decode(due.tokens[:3])
    assert found.receipt.tokens_touched == 3  # all three were run


def test_a_stop_text_ends_a_text_as_it_does_here(llama: Model) -> None:
    (whole,) = generate(llama, [Row(prompts(llama)[0], Sampling(max_tokens=8), ARMS["generated"])])
    stop = whole.text[2:4]
    row = Row(prompts(llama)[0], Sampling(max_tokens=8, stop=(stop,)), ARMS["generated"])
    with on_server(llama) as (served, _):
        (found,) = on_vllm(served, [row])
    (due,) = generate(llama, [row])
    assert found == due
    assert found.stop == "stop"
    assert stop not in found.text


def test_log_probabilities_are_those_of_the_engine_here(llama: Model) -> None:
    asked = [replace(row, logprobs=3) for row in rows(llama, "all", max_tokens=4)]
    with on_server(llama) as (served, _):
        found = on_vllm(served, asked)
    for one, due in zip(found, generate(llama, asked), strict=True):
        assert [entry.token for entry in one.logprobs] == [entry.token for entry in due.logprobs]
        for mine, theirs in zip(one.logprobs, due.logprobs, strict=True):
            assert mine.text == theirs.text
            assert mine.logprob == pytest.approx(theirs.logprob, abs=1e-4)
            assert [top.token for top in mine.top] == [top.token for top in theirs.top]


def test_a_full_context_ends_a_text(llama: Model) -> None:
    prompt = render(llama, [Message("user", "Say no. " * 20)])
    row = Row(prompt, Sampling(max_tokens=100), ARMS["generated"])
    length = len(prompt.tokens)
    with on_server(llama, context=length + 5) as (served, fake):
        (found,) = on_vllm(served, [row])
        assert fake.bodies[-1]["max_tokens"] == 5
    assert (len(found.tokens), found.stop) == (5, "model_length")
    assert found.receipt.tokens_touched == 4
    with on_server(llama, context=length) as (served, _), pytest.raises(ModelError, match=f"prompt of {length} tokens"):
        on_vllm(served, [row])


def test_what_cannot_be_told_is_refused_before_anything_is_asked(llama: Model) -> None:
    (row, *_) = rows(llama, "plain")
    with on_server(llama) as (served, fake):
        connected(served)
        before = len(fake.bodies)
        with pytest.raises(NotYetError, match="assistant"):
            on_vllm(served, [row, replace(row, plans=(plan("assistant"),))])
        with pytest.raises(NotYetError, match="an adapter on vLLM servers"):
            on_vllm(served, [row, replace(row, low_rank=random_adapter(llama, 1))])
        with pytest.raises(ModelError, match="without tokens"):
            on_vllm(served, [replace(row, prompt=replace(row.prompt, tokens=(), roles=(), text=""))])
        assert len(fake.bodies) == before


@pytest.mark.parametrize(
    "choice",
    [
        {"token_ids": None, "finish_reason": "stop"},
        {"finish_reason": "stop"},
        {"token_ids": ["x"], "finish_reason": "stop"},
        {"token_ids": [5], "finish_reason": "abort"},
        {"token_ids": [5], "finish_reason": None},
    ],
)
def test_an_answer_that_is_none_is_an_error_in_words(
    llama: Model, monkeypatch: pytest.MonkeyPatch, choice: dict[str, Any]
) -> None:
    with on_server(llama) as (served, _):
        connected(served)
        monkeypatch.setattr(FakeVLLM, "complete", lambda *_: {"choices": [choice]})
        with pytest.raises(EnvironmentFault, match=r"ends an answer|not understood"):
            on_vllm(served, rows(llama, "plain"))
