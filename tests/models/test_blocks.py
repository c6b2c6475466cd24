from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import (
    BertConfig,
    BertLMHeadModel,
    GPT2Config,
    GPT2LMHeadModel,
    PretrainedConfig,
    PreTrainedModel,
    T5Config,
    T5ForConditionalGeneration,
    ViTConfig,
    ViTModel,
)

from doxa.models.blocks import find_blocks, residual_of, with_residual
from doxa.models.handle import Model
from doxa.words.errors import ModelError

WHERE = {"gpt2": "transformer.h", "falcon": "transformer.h", "gpt_neox": "gpt_neox.layers"}


def test_the_blocks_are_the_ones_of_the_architecture(model: Model) -> None:
    architecture = model.name.removeprefix("tiny-")
    expected = model.network.get_submodule(WHERE.get(architecture, "model.layers"))
    assert isinstance(expected, nn.ModuleList)
    assert model.blocks == tuple(expected)
    assert (model.n_layers, model.d_model) == (3, 32)
    assert not any(module._forward_hooks for module in model.network.modules())


def test_what_falcon_blocks_return_is_a_tuple(make_model: Any) -> None:
    model = make_model("falcon")
    outputs: list[Any] = []
    hook = model.blocks[0].register_forward_hook(lambda module, args, output: outputs.append(output))
    try:
        model.network(input_ids=torch.tensor([[3, 4]]))
    finally:
        hook.remove()
    assert isinstance(outputs[0], tuple)
    assert residual_of(outputs[0]).shape == (1, 2, 32)


def test_residual_of_and_with_residual() -> None:
    old, new, cache = torch.zeros(1, 2, 3), torch.ones(1, 2, 3), object()
    assert residual_of(old) is old
    assert residual_of((old, cache)) is old
    assert with_residual(old, new) is new
    assert with_residual((old, cache), new) == (new, cache)
    with pytest.raises(AssertionError, match="returned NoneType"):
        residual_of((None,))


def test_a_single_block_and_tied_weights_are_found(make_network: Any) -> None:
    blocks, width = find_blocks(make_network("llama", num_hidden_layers=1))
    assert (len(blocks), width) == (1, 32)


def test_experts_are_not_taken_for_blocks() -> None:
    """Lists of modules inside a block (more of them than blocks) do not hand a residual stream on."""

    class Experts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.experts = nn.ModuleList(nn.Linear(8, 8) for _ in range(5))

        def forward(self, hidden: Tensor) -> Tensor:
            return hidden + sum((expert(hidden) for expert in self.experts), torch.zeros(()))

    network = Homemade([Experts(), Experts()])
    blocks, width = find_blocks(network)
    assert blocks == tuple(network.layers)
    assert width == 8


class Homemade(PreTrainedModel):
    config_class = PretrainedConfig

    def __init__(self, layers: list[nn.Module], between: Any = lambda hidden: hidden) -> None:
        super().__init__(PretrainedConfig())
        self.embedding = nn.Embedding(10, 8)
        self.layers = nn.ModuleList(layers)
        self.between = between

    def get_input_embeddings(self) -> nn.Module:
        return self.embedding

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, use_cache: bool = False) -> Tensor:
        hidden = self.embedding(input_ids)
        for layer in self.layers:
            hidden = self.between(layer(hidden))
        return hidden


class Mixing(nn.Module):
    """Every position sees every other: no decoder."""

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden + hidden.mean(1, keepdim=True)


def bert() -> PreTrainedModel:
    config = BertConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        is_decoder=False,
    )
    return BertLMHeadModel(config).eval()


def t5() -> PreTrainedModel:
    return T5ForConditionalGeneration(T5Config(vocab_size=50, d_model=16, d_kv=8, d_ff=16, num_layers=2, num_heads=2))


def vit() -> PreTrainedModel:
    return ViTModel(
        ViTConfig(
            hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, image_size=8, patch_size=4
        )
    )


def without_blocks() -> PreTrainedModel:
    network = GPT2LMHeadModel(GPT2Config(vocab_size=50, n_embd=16, n_layer=2, n_head=2))
    network.transformer.h = nn.ModuleList()
    return network


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (t5, "T5ForConditionalGeneration is an encoder-decoder"),
        (bert, r"none of bert\.encoder\.layer \(2 x BertLayer\)"),
        (vit, "ViTModel has no embedding of tokens"),
        (without_blocks, "GPT2LMHeadModel has no list of modules of one class"),
        (lambda: Homemade([Mixing(), Mixing()]), "none of layers"),
        (lambda: Homemade([nn.Linear(8, 8), nn.Linear(8, 8)], between=lambda hidden: 2 * hidden), "none of layers"),
        (lambda: Homemade([nn.Linear(8, 6), nn.Linear(8, 8)]), "does not take token ids alone"),
    ],
)
def test_what_is_not_understood_is_refused_and_says_what_was_looked_for(make: Any, why: str) -> None:
    network = make()
    with pytest.raises(ModelError, match=why) as caught:
        find_blocks(network)
    assert "called once and in order with the residual stream" in str(caught.value)
    assert "decoder-only" in caught.value.way_out
    assert not any(module._forward_hooks for module in network.modules())
