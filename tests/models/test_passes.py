import pytest
import torch
from reference import logits_of

from doxa.models.chat import Message, render
from doxa.models.handle import adopt
from doxa.models.passes import new_cache, reader_of, selected


def inputs_of(tokens):
    tokens = torch.tensor([tokens])
    return tokens, torch.ones_like(tokens, dtype=torch.bool), torch.arange(tokens.shape[1])[None]


@torch.no_grad()
def test_logits_are_those_of_the_whole_network(model):
    reader, prompt = reader_of(model), render(model, [Message("user", "What is the answer?")])
    assert reader.decoder is not None  # the head can be left out for every architecture of the list
    expected = logits_of(model, prompt)
    features = reader.features(*inputs_of(prompt.tokens))
    torch.testing.assert_close(reader.logits(features[0]), expected, rtol=1e-4, atol=1e-4)
    last = reader.features(*inputs_of(prompt.tokens), last=True)
    torch.testing.assert_close(reader.logits(last)[0], expected[-1:], rtol=1e-4, atol=1e-4)


def test_a_reader_is_found_once(llama):
    assert reader_of(llama) is reader_of(llama)


@torch.no_grad()
def test_a_network_that_scales_its_logits_is_run_whole(llama, make_network):
    network = make_network("llama")
    usual = network.forward

    def scaled(
        input_ids, attention_mask=None, position_ids=None, past_key_values=None, use_cache=None, logits_to_keep=0
    ):
        output = usual(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            use_cache=use_cache,
            logits_to_keep=logits_to_keep,
        )
        output.logits = output.logits * 0.25
        return output

    network.forward = scaled
    model = adopt("scaled", network, llama.tokenizer)
    reader = reader_of(model)
    assert reader.decoder is None
    prompt = render(model, [Message("user", "What is the answer?")])
    expected = logits_of(llama, prompt) * 0.25
    features = reader.features(*inputs_of(prompt.tokens))
    torch.testing.assert_close(reader.logits(features[0]), expected, rtol=1e-4, atol=1e-4)
    last = reader.features(*inputs_of(prompt.tokens), last=True)
    assert last.shape[1] == 1
    torch.testing.assert_close(reader.logits(last)[0], expected[-1:], rtol=1e-4, atol=1e-4)


def test_gemma_2_squeezes_its_logits(make_model):
    assert reader_of(make_model("gemma2")).softcap == pytest.approx(30.0)
    assert reader_of(make_model("llama")).softcap is None


@torch.no_grad()
def test_a_cache_of_chosen_rows(model):
    """What goes on from rows of a cache is what goes on from the prompts; the cache itself stays as it is."""
    reader = reader_of(model)
    tokens = torch.arange(3, 43).view(2, 20)
    cache = new_cache(model)
    mask = torch.ones_like(tokens, dtype=torch.bool)
    reader.features(tokens, mask, torch.arange(20)[None].expand(2, -1), cache)
    before = [layer.keys.clone() for layer in cache.layers]
    chosen = selected(cache, [1, 0, 1])
    more = torch.tensor([[5], [6], [7]])
    features = reader.features(more, torch.ones(3, 21, dtype=torch.bool), torch.full((3, 1), 20), chosen)
    assert all(torch.equal(layer.keys, keys) for layer, keys in zip(cache.layers, before, strict=True))
    whole = torch.cat([tokens[[1, 0, 1]], more], 1)
    expected = model.network(input_ids=whole).logits[:, -1]
    torch.testing.assert_close(reader.logits(features[:, -1]), expected, rtol=1e-4, atol=1e-4)


def test_decoder_and_head_compute_with_packed_weights(llama):
    inside = []
    reader = reader_of(llama)
    layers = {"decoder": llama.blocks[0].mlp.up_proj, "head": reader.head}
    handles = [
        layer.register_forward_hook(lambda one, _, __, name=name: inside.append((name, "forward" in vars(one))))
        for name, layer in layers.items()
    ]
    tokens = torch.arange(3, 9)[None]
    with torch.no_grad():
        reader.logits(reader.features(tokens, torch.ones_like(tokens, dtype=torch.bool), torch.arange(6)[None]))
    for handle in handles:
        handle.remove()
    assert inside == [("decoder", True), ("head", True)]
