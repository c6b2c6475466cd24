import gc
from weakref import ref

import pytest
import torch
from torch import nn

from doxa.models import packed as module
from doxa.models.packed import fused, linear_of, packed


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bias", [True, False])
def test_a_packed_layer_computes_what_the_layer_computes(dtype, bias):
    torch.manual_seed(0)
    layer = nn.Linear(48, 72, bias=bias).to(dtype)
    own = linear_of(layer)
    assert own is not None
    with torch.no_grad():
        for shape in ((5, 48), (2, 3, 48), (48,)):
            inputs = torch.randn(shape, dtype=dtype)
            tolerance = 1e-5 if dtype == torch.float32 else 2e-2
            torch.testing.assert_close(own(inputs), layer(inputs), rtol=tolerance, atol=tolerance)


@torch.no_grad()
def test_a_network_stays_as_it_is_and_computes_the_same(model):
    tokens = torch.arange(3, 23)[None]
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    plain = model.network(tokens).logits
    calls = []
    with packed(model.network):
        linears = [one for one in model.network.modules() if type(one) is nn.Linear]
        calls += ["forward" in vars(one) for one in linears]
        own = model.network(tokens).logits
    torch.testing.assert_close(own, plain, rtol=1e-4, atol=1e-4)
    assert all(calls)
    assert not any("forward" in vars(one) for one in model.network.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.network.state_dict().items())


@torch.no_grad()
def test_weights_that_change_are_packed_anew(make_network):
    network, tokens = make_network("llama"), torch.arange(3, 9)[None]
    with packed(network):
        before = network(tokens).logits
    network.model.layers[0].mlp.up_proj.weight.mul_(3)
    expected = network(tokens).logits
    with packed(network):
        torch.testing.assert_close(network(tokens).logits, expected, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(expected, before)


def test_what_cannot_be_packed_computes_as_usual(make_network, monkeypatch):
    network = make_network("llama")
    monkeypatch.setattr(module, "linear_of", lambda one: None)
    with packed(network):
        assert not any("forward" in vars(one) for one in network.modules())
    monkeypatch.undo()
    monkeypatch.setattr(module, "SHARE", 0.0)  # copies that would take too much of the machine's memory
    with packed(network):
        assert not any("forward" in vars(one) for one in network.modules())


def test_a_kernel_that_is_missing_or_wrong_is_not_used(monkeypatch):
    layer = nn.Linear(8, 8)
    assert linear_of(nn.Linear(8, 8, device="meta")) is None

    class Wrong:
        _reorder_linear_weight = staticmethod(lambda weight, batch: weight)
        _linear_pointwise = staticmethod(lambda inputs, weight, bias, *_: nn.functional.linear(inputs, weight) + 1)

    monkeypatch.setattr(torch.ops, "mkldnn", Wrong)
    assert linear_of(layer) is None
    monkeypatch.setattr(torch.ops, "mkldnn", object())
    assert linear_of(layer) is None


def test_copies_go_with_their_network(make_network):
    network = make_network("llama")
    with packed(network):
        pass
    gone = ref(network)
    del network
    gc.collect()
    assert gone() is None


@torch.no_grad()
def test_a_weight_or_bias_that_was_replaced_is_packed_anew(make_network):
    network, tokens = make_network("gpt_neox"), torch.arange(3, 9)[None]
    with packed(network):
        network(tokens)
    layer = network.gpt_neox.layers[0].mlp.dense_h_to_4h
    for name in ("weight", "bias"):
        old = getattr(layer, name)
        new = nn.Parameter(3 * torch.randn_like(old), requires_grad=False)
        for _ in range(old._version):
            new.mul_(1)
        assert new._version == old._version
        setattr(layer, name, new)
        expected = network(tokens).logits
        with packed(network):
            torch.testing.assert_close(network(tokens).logits, expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_a_layer_with_a_forward_of_its_own_is_left_alone(make_network):
    network, tokens = make_network("llama"), torch.arange(3, 9)[None]
    layer = network.model.layers[0].mlp.up_proj
    usual = layer.forward
    layer.forward = lambda inputs: 3 * usual(inputs)
    expected = network(tokens).logits
    with packed(network):
        assert "forward" in vars(network.model.layers[1].mlp.up_proj)
        torch.testing.assert_close(network(tokens).logits, expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(network(tokens).logits, expected)


def test_a_network_of_inference_mode_computes_as_usual(make_network):
    with torch.inference_mode():
        network, tokens = make_network("llama"), torch.arange(3, 9)[None]
        expected = network(tokens).logits
        with packed(network):
            assert torch.equal(network(tokens).logits, expected)


def test_packing_once_does_for_many_passes(make_network, monkeypatch):
    made = []
    monkeypatch.setattr(module, "linear_of", lambda one: made.append(one))
    network = make_network("llama")
    for _ in range(3):
        with packed(network), packed(network):
            pass
    assert len(made) == sum(type(one) is nn.Linear for one in network.modules())


@pytest.mark.parametrize("biases", [(True, True), (False, False), (True, False), (False, True)])
def test_layers_are_joined_where_all_or_none_have_a_bias(biases):
    torch.manual_seed(0)
    layers = [nn.Linear(16, 8 * (n + 1), bias=bias) for n, bias in enumerate(biases)]
    joined, inputs = fused(layers), torch.randn(3, 16)
    if len(set(biases)) > 1:
        assert joined is None
        return
    with torch.no_grad():
        expected = torch.cat([layer(inputs) for layer in layers], 1)
        torch.testing.assert_close(joined(inputs), expected, rtol=1e-5, atol=1e-5)
