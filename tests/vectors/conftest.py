from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from doxa.models.handle import Model, adopt
from doxa.vectors.vector import Vector, VectorManifest

MANIFEST = VectorManifest(
    name="weather",
    positive="it rains",
    negative="it is dry",
    recipe={"kind": "extracted", "method": "mean", "pairs": "weather"},
    model="tiny",
    fingerprint="f" * 64,
    architecture="llama",
    dtype="float32",
    norms_rule="median",
    doxa="0.0.0",
)
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@cache
def _tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte, beside the special tokens."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = ByteLevel.alphabet()
    size = len(alphabet) + len(special)
    trainer = BpeTrainer(vocab_size=size, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([], trainer)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        clean_up_tokenization_spaces=False,
    )
    wrapped.chat_template = TEMPLATE
    return wrapped


def _network(spread: float = 0.2, dtype: torch.dtype = torch.float32, context: int = 512, seed: int = 0) -> Any:
    config = LlamaConfig(
        vocab_size=len(_tokenizer()),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=5,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        initializer_range=spread,
        bos_token_id=None,
        eos_token_id=_tokenizer().eos_token_id,
        pad_token_id=_tokenizer().pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = LlamaForCausalLM(config)
        network.model.embed_tokens.weight.data.normal_(0.0, 1.0)
    return network.to(dtype).eval()


@cache
def _model(spread: float = 0.2, dtype: torch.dtype = torch.float32, context: int = 512, seed: int = 0) -> Model:
    return adopt(f"tiny-{seed}", _network(spread, dtype, context, seed), _tokenizer())


@pytest.fixture
def make_model() -> Callable[..., Model]:
    """`make_model(spread, dtype, context, seed)`: a shared tiny model of 5 layers of 32 dimensions.

    Its weights have the standard deviation `spread`; with a small one its blocks pass on what they get.
    """
    return _model


@pytest.fixture
def make_network() -> Callable[..., Any]:
    """As `make_model`: a network of one's own."""
    return _network


@pytest.fixture
def model() -> Model:
    return _model()


@pytest.fixture
def make_vector() -> Callable[..., Vector]:
    """A vector whose directions agree from layer to layer and grow, as those of language models do."""

    def make(
        *, layers: int = 12, d_model: int = 64, seed: int = 0, keep: float = 0.8, manifest: VectorManifest = MANIFEST
    ) -> Vector:
        random = np.random.default_rng(seed)
        direction = random.standard_normal(d_model)
        rows = []
        for layer in range(layers):
            direction = keep * direction + (1 - keep**2) ** 0.5 * random.standard_normal(d_model)
            rows.append(direction * 1.5**layer)
        return Vector(np.array(rows), np.linspace(1.0, 50.0, layers), manifest)

    return make
