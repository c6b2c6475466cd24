"""The parts of a network that is built as Llama is; that they compute what it does is held in `test_decoding`."""

import pytest
import torch
from reference import logits_of, random_plan
from torch import nn

from doxa.models import strips as module
from doxa.models.chat import Message, render
from doxa.models.decoding import short_way
from doxa.models.llama_like import _attend, _hidden
from doxa.models.llama_parts import _norm
from doxa.models.passes import reader_of
from doxa.models.strips import Strip, branches, read_strips, run_strips, shared_blocks
from doxa.words.errors import VectorError

TREE = Strip((), (1, 2, 3, 4, 5, 6, 7), torch.zeros(0, 7, dtype=torch.bool), (-1, 0, 1, 2, 0, 4, 5))
PATHS = {(0, 1, 2, 3): (1, 2, 3, 4), (0, 4, 5, 6): (1, 5, 6, 7)}


class Scaled(nn.Module):
    """Looks like a norm of Llama's, and is another."""

    def __init__(self, factor):
        super().__init__()
        self.weight, self.variance_epsilon, self.factor = nn.Parameter(torch.ones(8)), 1e-5, factor

    def forward(self, inputs):
        return self.factor * torch.rms_norm(inputs, (8,), self.weight, self.variance_epsilon)


def test_a_norm_is_replaced_only_by_its_equal():
    equal, other, plain = Scaled(1.0), Scaled(1.01), nn.LayerNorm(8)
    assert _norm(equal) is not equal
    assert _norm(other) is other
    assert _norm(plain) is plain


def test_a_norm_follows_its_weight():
    module = Scaled(1.0)
    norm = _norm(module)
    inputs = torch.randn(3, 8)
    with torch.no_grad():
        module.weight.mul_(2)
        torch.testing.assert_close(norm(inputs), module(inputs))


@torch.no_grad()
@pytest.mark.parametrize("kind", ["llama", "qwen3"])
def test_trees_in_bfloat16_are_read_as_their_paths_are(make_model, kind):
    model = make_model(kind, torch.bfloat16)
    assert short_way(model) is not None
    assert branches(model, 256)
    found = run_strips(model, [TREE])[0]
    wrong = found[[0, 1, 2, 6]]
    for places, tokens in PATHS.items():
        path = run_strips(model, [Strip((), tokens, torch.zeros(0, 4, dtype=torch.bool))])[0]
        scale = float(path.float().norm())
        assert float((found[list(places)] - path).float().norm()) < 0.02 * scale
        assert float((wrong - path).float().norm()) > 0.1 * scale


@pytest.mark.parametrize("sight", [None, torch.ones(2, 60, 60, dtype=torch.bool).tril()])
def test_large_scores_of_texts_are_not_rounded(sight):
    """Biases of keys and queries, as Qwen 2 has them, make scores large and alike; a text takes no mask, or one."""
    query, key, value = (
        torch.randn(2, heads, 60, 8, generator=torch.Generator().manual_seed(heads)) for heads in (4, 2, 2)
    )
    query, key, value = (query + 6).bfloat16(), (key + 6).bfloat16(), value.bfloat16()
    hidden = None if sight is None else _hidden(sight, torch.bfloat16)
    found = _attend(hidden, query, key, value, 8**-0.5)
    repeated = (one.double().repeat_interleave(2, 1) for one in (key, value))
    due = nn.functional.scaled_dot_product_attention(query.double(), *repeated, is_causal=True, scale=8**-0.5)
    assert float((found - due).norm() / due.norm()) < 0.01


@torch.no_grad()
def test_streams_are_those_of_the_network(llama, monkeypatch):
    prompt = render(llama, [Message("user", "Is it?")])
    plan = random_plan(llama, 0, [1])
    strip = Strip((plan,), prompt.tokens, torch.ones(1, len(prompt.tokens), dtype=torch.bool))
    found = read_strips(llama, [strip], [0, 1])
    monkeypatch.setattr(module, "short_way", lambda model: None)
    expected = read_strips(llama, [strip], [0, 1])
    assert set(found) == set(expected) == {0, 1}
    for layer, stream in expected.items():
        torch.testing.assert_close(found[layer], stream, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_what_is_shared_is_steered_after_it(llama):
    """The addition at the last shared block itself is not lost."""
    prompt = render(llama, [Message("user", "Is it?")])
    plans = [(random_plan(llama, seed, [1, 2]),) for seed in range(2)]
    assert short_way(llama) is not None
    assert shared_blocks(llama, plans) == 1
    applied = torch.ones(1, len(prompt.tokens), dtype=torch.bool)
    features = run_strips(llama, [Strip(own, prompt.tokens, applied) for own in plans], shared=1)
    for row, own in enumerate(plans):
        expected = logits_of(llama, prompt, plans=own)
        torch.testing.assert_close(reader_of(llama).logits(features[row]), expected, rtol=1e-4, atol=1e-4)


def test_layers_that_a_model_does_not_have_are_refused(llama):
    none = torch.zeros(0, 2, dtype=torch.bool)
    with pytest.raises(VectorError, match="which has"):
        read_strips(llama, [Strip((), (1, 2), none)], [llama.n_layers])
