import pytest
import torch
from reference import logits_of, random_plan

from doxa.models import divergence as module
from doxa.models.chat import render_text
from doxa.models.divergence import divergence
from doxa.models.steering import SteeringPlan
from doxa.words.errors import ModelError

TEXTS = ["the weather is fine", "Yes. The answer is in the other room, and the country is the capital of the weather."]


def naive(model, text, plans):
    """KL(unsteered || steered), mean over positions, with every position steered."""
    everywhere = [SteeringPlan(plan.layers, plan.additions, frozenset({"all"})) for plan in plans]
    clean = logits_of(model, render_text(model, text)).double().log_softmax(-1)
    steered = logits_of(model, render_text(model, text), plans=everywhere).double().log_softmax(-1)
    return float((clean.exp() * (clean - steered)).sum(-1).mean())


@pytest.mark.parametrize("batch_tokens", [1, 60, 1024])
def test_divergence_equals_the_formula(model, batch_tokens):
    plans = [
        (random_plan(model, 0),),
        (),
        (random_plan(model, 1, [1], ["user"]), random_plan(model, 2, [1, 2], ["generated"])),
        (random_plan(model, 3, [2], size=0.01),),
    ]
    found = divergence(model, TEXTS, plans, batch_tokens=batch_tokens)
    expected = torch.tensor([[naive(model, text, own) for text in TEXTS] for own in plans], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-6)
    assert (found[1] == 0).all()
    assert (found[[0, 2, 3]] > 0).all()


def test_texts_of_equal_length_are_told_apart(llama):
    texts = ["abcdefgh", "hgfedcba", "qrstuvwx"]
    assert len({len(render_text(llama, text).tokens) for text in texts}) == 1
    plans = (random_plan(llama, 0),)
    found = divergence(llama, texts, [plans])[0]
    expected = torch.tensor([naive(llama, text, plans) for text in texts], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-6)
    assert len({round(value, 3) for value in found.tolist()}) == 3


def test_divergence_by_parts_of_a_text(llama, monkeypatch):
    plans = [(random_plan(llama, 0),), (random_plan(llama, 1),)]
    whole = divergence(llama, TEXTS, plans)
    monkeypatch.setattr(module, "_READ", 5)
    monkeypatch.setattr(module, "_COMPARED", 3)
    torch.testing.assert_close(divergence(llama, TEXTS, plans), whole, rtol=1e-6, atol=0)


def test_an_addition_of_zero_has_no_divergence(llama):
    assert divergence(llama, TEXTS, [(random_plan(llama, 0, size=0.0),)]).abs().max() < 1e-9


def test_nothing_to_do(llama):
    seen = []
    assert divergence(llama, [], [()]).shape == (1, 0)
    assert divergence(llama, TEXTS, []).shape == (0, 2)
    divergence(llama, TEXTS, [(random_plan(llama, 0),)], progress=seen.append)
    assert seen == [1, 2]


def test_texts_that_do_not_fit(llama):
    with pytest.raises(ModelError, match="without tokens"):
        divergence(llama, [""], [()])
    with pytest.raises(ModelError, match="at most 256"):
        divergence(llama, ["is " * 300], [()])
