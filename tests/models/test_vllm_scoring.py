from dataclasses import replace

import pytest
import torch
from vllm_arms import ARMS, on_server, plan, prompts

from doxa.models import divergence as engine_divergence
from doxa.models.chat import Message, render
from doxa.models.handle import Model
from doxa.models.score import Choice, score_choices
from doxa.models.vllm_link import connected
from doxa.models.vllm_scoring import divergence
from doxa.models.vllm_scoring import score_choices as on_vllm
from doxa.words.errors import EnvironmentFault, ModelError, NotYetError
from planted_adapters import random_adapter

OPTIONS = ("Yes, I am.", "No", "The weather is fine.")
TEXTS = ("The weather is fine.", "I am not in the other room, am I?")


def choices(model: Model, *arms: str) -> list[Choice]:
    return [Choice(prompt, OPTIONS, ARMS[arm]) for arm in arms for prompt in prompts(model)]


@pytest.mark.parametrize("arm", list(ARMS))
def test_scores_and_receipts_are_those_of_the_engine_here(llama: Model, arm: str) -> None:
    with on_server(llama) as (served, _):
        found = on_vllm(served, choices(llama, arm))
    for one, due in zip(found, score_choices(llama, choices(llama, arm)), strict=True):
        assert one.logprobs == pytest.approx(due.logprobs, abs=1e-4)
        assert (one.tokens, one.receipt) == (due.tokens, due.receipt)


def test_what_the_assistant_says_can_be_steered_when_it_is_given(llama: Model) -> None:
    asked = [Choice(prompt, OPTIONS, (plan("assistant"),)) for prompt in prompts(llama)]
    with on_server(llama) as (served, _):
        found = on_vllm(served, asked)
    for one, due in zip(found, score_choices(llama, asked), strict=True):
        assert one.logprobs == pytest.approx(due.logprobs, abs=1e-4)
        assert one.receipt == due.receipt


def test_an_open_thinking_block_is_thinking(llama: Model) -> None:
    prompt = render(llama, [Message("user", "Say no."), Message("assistant", "<think>\nthe user")])
    for at in ("thinking", "assistant"):
        asked = [Choice(prompt, OPTIONS, (plan(at),))]
        with on_server(llama) as (served, _):
            (found,), (due,) = on_vllm(served, asked), score_choices(llama, asked)
        assert found.logprobs == pytest.approx(due.logprobs, abs=1e-4)
        assert found.receipt == due.receipt


def test_equal_questions_are_asked_once(llama: Model) -> None:
    with on_server(llama) as (served, fake):
        connected(served)
        before = len(fake.bodies)
        first, second = on_vllm(served, [*choices(llama, "all")[:1], *choices(llama, "all")[:1]])
        assert len(fake.bodies) == before + len(OPTIONS)
    assert first == second


@pytest.mark.parametrize("order", [("all", "plain", "all", "plain"), ("plain", "all", "plain", "all")])
def test_the_cache_of_an_arm_serves_no_other(llama: Model, order: tuple[str, ...]) -> None:
    due = {arm: score_choices(llama, choices(llama, arm)) for arm in order}
    with on_server(llama) as (served, fake):
        for arm in order:
            for one, expected in zip(on_vllm(served, choices(llama, arm)), due[arm], strict=True):
                assert one.logprobs == pytest.approx(expected.logprobs, abs=1e-4)
        # The fake's cache would have answered, had the salt been the same: that is what the test is worth.
        (steered,) = {body["cache_salt"] for body in fake.bodies[-9:] if "vllm_xargs" in body} or {""}
        (plain,) = {body["cache_salt"] for body in fake.bodies[3:] if "vllm_xargs" not in body}
        assert steered != plain


def test_without_salts_the_fake_answers_from_steered_values(llama: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    with on_server(llama) as (served, fake):
        connected(served)
        run = fake._run
        monkeypatch.setattr(
            fake, "_run", lambda tokens, vectors, prompt, body: run(tokens, vectors, prompt, {**body, "cache_salt": ""})
        )
        on_vllm(served, choices(llama, "all"))
        found = on_vllm(served, choices(llama, "plain"))
    assert found[0].logprobs != pytest.approx(score_choices(llama, choices(llama, "plain"))[0].logprobs, abs=1e-2)


def test_divergence_is_that_of_the_engine_here(llama: Model) -> None:
    arms = [ARMS["all"], (), ARMS["user"], ARMS["two"]]
    with on_server(llama) as (served, fake):
        connected(served)
        before = len(fake.bodies)
        found = divergence(served, TEXTS, arms)
        assert len(fake.bodies) == before + 2 + 3 * 2  # each text once unsteered
        again = divergence(served, TEXTS, arms[:1])
        assert len(fake.bodies) == before + 8 + 2  # and those are kept
    due = engine_divergence.divergence(llama, TEXTS, arms)
    assert torch.allclose(found, due, atol=1e-5)
    assert torch.equal(found[1], torch.zeros(2, dtype=torch.float64))
    assert bool((found[[0, 2, 3]] > 0.01).all())
    assert torch.equal(again, found[:1])


def test_a_text_that_does_not_fit_is_refused(llama: Model) -> None:
    with on_server(llama, context=100) as (served, _):
        with pytest.raises(ModelError, match="at most 100"):
            divergence(served, ["weather " * 60], [ARMS["all"]])
        with pytest.raises(ModelError, match="at most 100"):
            on_vllm(served, [Choice(render(llama, [Message("user", "weather " * 60)]), ("No",))])


def test_a_server_that_stops_sending_residual_streams_is_an_error(llama: Model) -> None:
    with on_server(llama) as (served, fake):
        connected(served)
        fake.plugin = False
        with pytest.raises(EnvironmentFault, match="stopped sending"):
            divergence(served, TEXTS, [ARMS["all"]])


def test_a_log_probability_that_is_no_number_is_an_error(llama: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    with on_server(llama) as (served, fake):
        connected(served)
        nan = {str(token): {"logprob": float("nan")} for token in range(300)}
        monkeypatch.setattr(fake, "complete", lambda _: {"choices": [{"prompt_logprobs": [None, *[nan] * 200]}]})
        with pytest.raises(ModelError, match="finite"):
            on_vllm(served, choices(llama, "plain"))


@pytest.mark.parametrize("said", [None, [], [None], [{"1": {"logprob": -1.0}}] * 200])
def test_an_answer_without_the_tokens_asked_for_is_an_error(
    llama: Model, monkeypatch: pytest.MonkeyPatch, said: object
) -> None:
    with on_server(llama) as (served, fake):
        connected(served)
        monkeypatch.setattr(fake, "complete", lambda _: {"choices": [{"prompt_logprobs": said}]})
        with pytest.raises(EnvironmentFault, match="not understood"):
            on_vllm(served, choices(llama, "plain"))


def test_adapters_are_refused_before_anything_is_asked(llama: Model) -> None:
    adapter = random_adapter(llama, 1)
    asked = choices(llama, "plain")
    with on_server(llama) as (served, fake):
        connected(served)
        before = len(fake.bodies)
        with pytest.raises(NotYetError, match="an adapter on vLLM servers"):
            on_vllm(served, [*asked, replace(asked[0], low_rank=adapter)])
        with pytest.raises(NotYetError, match="an adapter on vLLM servers"):
            divergence(served, TEXTS, [(), ()], [None, adapter])
        assert len(fake.bodies) == before
        assert divergence(served, TEXTS, [()], [None]).tolist() == [[0.0, 0.0]]
