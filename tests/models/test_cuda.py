"""What is computed on a GPU is what is computed on the CPU, up to rounding. Skipped where there is no GPU."""

import copy
from dataclasses import replace

import pytest
import torch
from reference import random_plan

from doxa.models.chat import render_text
from doxa.models.engine import Row, Sampling, generate
from doxa.models.handle import adopt
from doxa.models.memory import free_bytes, rows_that_fit
from doxa.models.score import Choice, divergence, score_choices

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device here")

TEXTS = ["Are you conscious? Yes, I am.", "the weather", "What is the capital of the country?"]


@pytest.fixture
def there(model):
    """The model on the GPU."""
    return adopt(f"{model.name}-cuda", copy.deepcopy(model.network).cuda(), model.tokenizer)


def arms(model):
    return [(), (random_plan(model, 0),), (random_plan(model, 1, [1], ["generated"], size=4.0),)]


def test_texts_are_the_same(model, there):
    prompts = [render_text(model, text) for text in TEXTS]
    rows = [Row(prompt, Sampling(8), plans, 1) for plans in arms(model) for prompt in prompts]
    for here, far in zip(generate(model, rows), generate(there, rows), strict=True):
        assert far.receipt == here.receipt
        assert [one.logprob for one in far.logprobs[:2]] == pytest.approx(
            [one.logprob for one in here.logprobs[:2]], abs=1e-3
        )


def test_draws_are_the_same(model, there):
    rows = [Row(render_text(model, text), Sampling(8, temperature=1.0, top_p=0.9, seed=3)) for text in TEXTS]
    agree = [here.tokens == far.tokens for here, far in zip(generate(model, rows), generate(there, rows), strict=True)]
    assert sum(agree) >= 2  # a draw may fall between two tokens by the last bits


def test_scores_and_divergence_are_the_same(model, there):
    choices = [Choice(render_text(model, text), (" yes", " no"), plans) for plans in arms(model) for text in TEXTS]
    for here, far in zip(score_choices(model, choices), score_choices(there, choices), strict=True):
        assert far.logprobs == pytest.approx(here.logprobs, abs=1e-3)
    plans = arms(model)
    torch.testing.assert_close(
        divergence(there, TEXTS, plans), divergence(model, TEXTS, plans), rtol=1e-2, atol=1e-4, check_device=False
    )


def test_an_unsteered_row_is_bit_identical(model, there):
    prompts = [render_text(model, text) for text in TEXTS]
    mixed = [Row(p, Sampling(1), own, 3) for p, own in zip(prompts, [(), arms(model)[1], ()], strict=True)]
    plain = generate(there, [replace(row, plans=()) for row in mixed])
    found = generate(there, mixed)
    assert found[0].logprobs == plain[0].logprobs
    assert found[2].logprobs == plain[2].logprobs
    assert found[1].logprobs != plain[1].logprobs


def test_memory_is_the_devices(there):
    assert 0 < free_bytes(there.device) <= torch.cuda.get_device_properties(0).total_memory
    assert rows_that_fit(there, 64, 128) == 128
