import gc
import weakref

import pytest
import torch
from reference import logits_of, random_plan

from doxa.models import strips as module
from doxa.models.blocks import residual_of
from doxa.models.chat import Message, render
from doxa.models.decoding import short_way
from doxa.models.handle import adopt
from doxa.models.passes import reader_of
from doxa.models.receipt import prompt_mask
from doxa.models.strips import Strip, run_strips, shared_blocks

pytestmark = pytest.mark.usefixtures("forget")


@pytest.fixture
def forget():
    """Every test starts with nothing kept, and without gradients."""
    module._kept.clear()
    with torch.no_grad():
        yield


def prompts(model):
    return [render(model, [Message("user", text)]) for text in ("Is it?", "What is the answer to the question?")]


def strip_of(prompt, plans=()):
    return Strip(plans, prompt.tokens, prompt_mask(plans, prompt.roles))


def blocks_run(model, run):
    """For each block the number of rows of every time it was run."""
    counts = [[] for _ in model.blocks]
    usual = [type(block).forward for block in model.blocks]

    def counting(index):
        def forward(hidden, *args, **kwargs):
            counts[index].append(len(hidden))
            return usual[index](model.blocks[index], hidden, *args, **kwargs)

        return forward

    for index, block in enumerate(model.blocks):
        vars(block)["forward"] = counting(index)
    try:
        run()
    finally:
        for block in model.blocks:
            del vars(block)["forward"]
    return counts


def check(model, strips_and_prompts, features):
    for row, (strip, prompt) in enumerate(strips_and_prompts):
        found = reader_of(model).logits(features[row, : len(strip.tokens)])
        expected = logits_of(model, prompt, plans=strip.plans)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shared", [None, 0, 1])
def test_rows_of_several_arms(model, shared):
    plans = [(), (random_plan(model, 0, [1, 2]),), (random_plan(model, 1, [2], ["user"]),)]
    rows = [(strip_of(prompt, own), prompt) for own in plans for prompt in prompts(model)]
    check(model, rows, run_strips(model, [strip for strip, _ in rows], shared=shared))


def test_shared_blocks_are_run_once_for_distinct_rows(llama):
    plans = [(random_plan(llama, seed, [1, 2]),) for seed in range(3)]
    rows = [strip_of(prompt, own) for own in plans for prompt in prompts(llama)]
    assert blocks_run(llama, lambda: run_strips(llama, rows, shared=1)) == [[2], [2], [6]]
    again = [strip_of(prompt, (random_plan(llama, 9, [1]),)) for prompt in prompts(llama)]
    assert blocks_run(llama, lambda: run_strips(llama, again, shared=1)) == [[], [], [2]]  # kept
    assert blocks_run(llama, lambda: run_strips(llama, again[:1], shared=1)) == [[1], [1], [1]]  # other rows


def test_what_is_kept_changes_no_bit(llama):
    rows = [strip_of(prompt, (random_plan(llama, 0, [1]),)) for prompt in prompts(llama)]
    others = [strip_of(prompt, (random_plan(llama, seed, [1]),)) for seed in (1, 2) for prompt in prompts(llama)]
    cold = run_strips(llama, rows, shared=1)
    module._kept.clear()
    run_strips(llama, others, shared=1)
    warm = run_strips(llama, rows, shared=1)
    assert torch.equal(cold, warm)


def test_what_is_kept_is_bounded(llama, monkeypatch):
    monkeypatch.setattr(module, "_KEPT_BYTES", 20_000)
    for seed in range(10):
        tokens = tuple(range(seed, seed + 40))
        run_strips(llama, [Strip((), tokens, torch.zeros(0, 40, dtype=torch.bool))], shared=1)
        kept = module._kept[llama].outputs
        assert sum(residual_of(one).nbytes for one in kept.values()) <= 20_000
        last, _, rows = next(reversed(kept))
        assert (last, rows) == (1, ((tokens, None, ""),))
    assert len(kept) == 3


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize(
    "changed", ["embed_tokens.weight", "layers.0.input_layernorm.weight", "layers.0.mlp.up_proj.weight"]
)
def test_what_is_kept_is_not_that_of_other_weights(make_network, llama, monkeypatch, whole, changed):
    model = adopt("mine", make_network("llama"), llama.tokenizer)
    if whole:
        monkeypatch.setattr(module, "short_way", lambda model: None)
    strip = strip_of(prompts(model)[0], (random_plan(model, 0, [2]),))
    before = run_strips(model, [strip], shared=1)
    model.network.get_decoder().get_parameter(changed).mul_(1.5)
    after = run_strips(model, [strip], shared=1)
    assert not torch.allclose(after, before, atol=1e-3)
    torch.testing.assert_close(after, run_strips(model, [strip]), rtol=1e-4, atol=1e-4)
    assert len(module._kept[model].outputs) == 1


def test_parts_of_earlier_weights_are_not_held(make_network, llama):
    model = adopt("mine", make_network("llama"), llama.tokenizer)
    strip = strip_of(prompts(model)[0], (random_plan(model, 0, [2]),))
    parts = []
    for _ in range(3):
        run_strips(model, [strip], shared=1)
        parts.append(weakref.ref(short_way(model)))
        model.blocks[0].mlp.up_proj.weight.mul_(1.01)
    run_strips(model, [strip], shared=1)
    gc.collect()
    assert [one() for one in parts] == [None] * 3


def test_blocks_are_as_they_were(llama):
    plan = (random_plan(llama, 0, [1]),)
    own = [dict(vars(block)) for block in llama.blocks]
    hook = llama.blocks[2].register_forward_hook(raising)
    strip = strip_of(prompts(llama)[0], plan)
    with pytest.raises(RuntimeError, match="stop here"):
        run_strips(llama, [strip], shared=1)
    hook.remove()
    assert [dict(vars(block)) for block in llama.blocks] == own


def raising(*args):
    raise RuntimeError("stop here")


def test_which_blocks_are_shared(model):
    late, early = (random_plan(model, 0, [2]),), (random_plan(model, 1, [1, 2]),)
    assert shared_blocks(model, [late]) == 2
    assert shared_blocks(model, [(), late, early]) == 1
    assert shared_blocks(model, [()]) is None


def test_few_blocks_are_not_worth_it(llama, monkeypatch):
    monkeypatch.setattr(module, "_WORTH", 0.5)
    assert shared_blocks(llama, [(random_plan(llama, 0, [0]),)]) is None
    assert shared_blocks(llama, [(random_plan(llama, 0, [1]),)]) == 1


def test_a_network_whose_blocks_hand_on_more_than_the_residual(llama, make_network):
    network = make_network("llama")
    model = adopt("sly", network, llama.tokenizer)
    handed = {}
    first, last = model.blocks[0], model.blocks[-1]
    usual_first, usual_last = first.forward, last.forward

    def hand(*args, **kwargs):
        handed["values"] = usual_first(*args, **kwargs)
        return handed["values"]

    def take(*args, **kwargs):
        return usual_last(*args, **kwargs) + handed["values"]

    vars(first)["forward"], vars(last)["forward"] = hand, take
    assert shared_blocks(model, [(random_plan(model, 0, [2]),)]) is None


@pytest.mark.parametrize("shared", [None, 1])
def test_rows_as_wide_as_the_context(make_model, shared):
    model = make_model("gpt2")  # it has learned positions, and none beyond the last
    none = torch.zeros(0, model.context_length, dtype=torch.bool)
    long, short = Strip((), (5,) * model.context_length, none), Strip((), (5, 6), none[:, :2])
    features = run_strips(model, [long, short], shared=shared)
    torch.testing.assert_close(features[1, :2], run_strips(model, [short])[0], rtol=0, atol=1e-4)
