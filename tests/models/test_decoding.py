import gc
from dataclasses import replace
from weakref import ref

import pytest
import torch
from reference import random_plan
from torch import nn

from doxa.models import decoding as module
from doxa.models import packed
from doxa.models.chat import render_text
from doxa.models.decoding import decoding
from doxa.models.engine import Row, Sampling, generate
from doxa.models.handle import adopt
from doxa.models.llama_parts import llama_like
from doxa.models.passes import new_cache, reader_of

SHORT = {"llama", "qwen2", "qwen3", "mistral", "olmo"}
TEXTS = ["Are you conscious? Yes, I am.", "the weather", "What is the capital of the country?"]


def short(model):
    parts = llama_like(model)
    return parts is not None and module._computes_the_same(model, parts)


def prefilled(model, texts):
    rows = [render_text(model, text).tokens for text in texts]
    width = max(len(row) for row in rows)
    tokens, mask = torch.zeros(len(rows), width, dtype=torch.long), torch.zeros(len(rows), width, dtype=torch.bool)
    for index, row in enumerate(rows):
        tokens[index, width - len(row) :], mask[index, width - len(row) :] = torch.tensor(row), True
    cache = new_cache(model)
    reader_of(model).features(tokens, mask, (mask.cumsum(1) - 1).clamp(min=0), cache, last=True)
    return mask, cache


@torch.no_grad()
def written(model, plans, steps):
    """Logits of given tokens, of which rows leave on the way and one stands twice."""
    mask, cache = prefilled(model, TEXTS)
    found, kept = [], [0, 1, 2]
    with decoding(model, plans, mask, cache) as rows:
        for step in range(steps):
            if step == 3:
                kept = [2, 0, 0]
                rows.keep(kept)
            applied = [
                (step + row + index) % 3 != 0
                for row, own in enumerate(rows.steering.plans)
                for index in range(len(own))
            ]
            rows.steering.move(torch.tensor(applied, dtype=torch.bool)[:, None])
            tokens = torch.tensor([(7 * step + 3 * row) % 250 + 5 for row in range(len(kept))])
            found.append(rows.step(tokens))
    return torch.stack(found)


def test_networks_that_are_built_as_llama_are_take_the_short_way(model, request):
    assert short(model) == (request.node.callspec.params["model"] in SHORT)


@pytest.mark.parametrize("name", sorted(SHORT))
def test_both_ways_compute_the_same(make_model, monkeypatch, name):
    """Past the room that a store begins with, under plans that touch some steps."""
    model = make_model(name)
    plans = [(random_plan(model, 0),), (), (random_plan(model, 1, [0, 2]), random_plan(model, 2, [1]))]
    found = written(model, plans, 80)
    monkeypatch.setattr(module, "llama_like", lambda model: None)
    torch.testing.assert_close(found, written(model, plans, 80), rtol=1e-4, atol=1e-4)


def test_both_ways_write_the_same(llama, monkeypatch):
    rows = [
        Row(render_text(llama, text), Sampling(12 + 7 * index, temperature=0.8 * (index % 2), seed=index), plans)
        for index, (text, plans) in enumerate(
            (text, plans) for text in TEXTS for plans in ((), (random_plan(llama, 0),))
        )
    ]
    found = generate(llama, rows)
    monkeypatch.setattr(module, "llama_like", lambda model: None)
    assert [one.tokens for one in found] == [one.tokens for one in generate(llama, rows)]


@torch.no_grad()
def test_unsteered_rows_are_bit_identical_in_the_same_batch(llama):
    assert short(llama)
    none = written(llama, [(), (), ()], 6)
    some = written(llama, [(random_plan(llama, 0),), (), (random_plan(llama, 1),)], 6)
    assert torch.equal(none[:3, 1], some[:3, 1])
    assert not torch.equal(none[:3, 0], some[:3, 0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    "wrong",
    [
        {"scale": 0.4},
        {"activation": nn.functional.gelu},
        {"before_mlp": nn.functional.normalize},
        {"output": lambda inputs: 1.1 * inputs},
        {"key_norm": None},
        {"query_norm": lambda heads: heads},
    ],
)
def test_a_block_that_computes_something_else_is_found_out(make_model, dtype, wrong):
    """In bfloat16 too, where a whole network's rounding hides much."""
    model = make_model("qwen3", dtype)
    parts = llama_like(model)
    assert module._computes_the_same(model, parts)
    blocks = (*parts.blocks[:-1], replace(parts.blocks[-1], **wrong))
    assert not module._computes_the_same(model, replace(parts, blocks=blocks))


@pytest.mark.parametrize(
    "wrong", [{"norm": lambda x: x}, {"key_heads": 4}, {"rotary": lambda x, at: (x * 0 + 1, x * 0)}]
)
def test_a_network_that_computes_something_else_is_found_out(llama, wrong):
    assert not module._computes_the_same(llama, replace(llama_like(llama), **wrong))


def test_what_somebody_has_changed_is_run_whole(make_network, tokenizer):
    model = adopt("mine", make_network("llama"), tokenizer)
    parts = llama_like(model)
    assert parts is not None
    assert llama_like(model) is parts
    handle = model.blocks[1].register_forward_hook(lambda *_: None)
    assert llama_like(model) is None
    handle.remove()
    layer = model.blocks[0].self_attn.o_proj
    layer.forward = layer.forward
    assert llama_like(model) is None
    del layer.forward
    with torch.no_grad():
        model.blocks[0].mlp.up_proj.weight.mul_(2)
    assert llama_like(model) not in (parts, None)


def test_copies_that_would_take_too_much_are_not_made(make_network, tokenizer, monkeypatch):
    model = adopt("mine", make_network("llama"), tokenizer)
    linears = [one for one in model.network.modules() if type(one) is nn.Linear]
    bytes_of = sum(one.weight.nbytes for one in linears)
    monkeypatch.setattr(packed, "SHARE", 1.2 * bytes_of / packed._memory())  # enough for one copy, and not for both
    assert packed.copies(model.network)
    assert llama_like(model) is None


@pytest.mark.parametrize("name", ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"])
def test_an_adapter_around_a_layer_is_never_left_out(make_network, tokenizer, name):
    """It adds nothing yet, so that a trial would find no difference; once it is trained it does."""

    class Adapted(nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.base_layer, self.more = layer, nn.Linear(layer.in_features, layer.out_features, bias=False)
            nn.init.zeros_(self.more.weight)

        weight = property(lambda self: self.base_layer.weight)
        bias = property(lambda self: self.base_layer.bias)
        in_features = property(lambda self: self.base_layer.in_features)
        out_features = property(lambda self: self.base_layer.out_features)

        def forward(self, inputs):
            return self.base_layer(inputs) + self.more(inputs)

    network = make_network("llama")
    block = network.model.layers[1]
    part = block.mlp if name in dict(block.mlp.named_children()) else block.self_attn
    setattr(part, name, Adapted(getattr(part, name)))
    model = adopt("mine", network, tokenizer)
    assert llama_like(model) is None
    row = Row(render_text(model, TEXTS[0]), Sampling(12))
    before = generate(model, [row])[0].tokens
    with torch.no_grad():
        getattr(part, name).more.weight.normal_(std=0.5, generator=torch.Generator().manual_seed(0))
    assert generate(model, [row])[0].tokens != before


def test_windows_are_left_to_the_network(make_network, tokenizer):
    assert llama_like(adopt("mine", make_network("mistral", sliding_window=8), tokenizer)) is None


def test_layers_with_biases_are_joined(make_network, tokenizer):
    model = adopt("mine", make_network("llama", attention_bias=True, mlp_bias=True), tokenizer)
    for block in model.blocks:
        for layer in (block.self_attn.q_proj, block.self_attn.v_proj, block.mlp.gate_proj, block.mlp.down_proj):
            nn.init.normal_(layer.bias)
    assert short(model)


def test_the_parts_go_with_their_network(make_network, tokenizer):
    model = adopt("mine", make_network("llama"), tokenizer)
    assert short(model)
    gone = ref(model.network)
    del model
    gc.collect()
    assert gone() is None
