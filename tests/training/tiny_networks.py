"""Tiny random networks of several architectures, with low-rank matrices that are not zero, and rows to train on."""

from functools import cache
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from doxa.models.handle import Model, adopt
from doxa.training.rows import TrainingTokens
from doxa.training.steps import Trainable, named_matrices, trainable
from doxa.words.tuning import Configuration

VOCABULARY = 120
KINDS: dict[str, dict[str, Any]] = {
    "llama": {"num_key_value_heads": 2, "tie_word_embeddings": True},
    "qwen2": {"num_key_value_heads": 2},  # its queries, keys and values have biases
    "qwen3": {"num_key_value_heads": 2, "head_dim": 8},
    "gemma2": {"num_key_value_heads": 2, "head_dim": 8, "sliding_window": 4, "final_logit_softcapping": 3.0},
    "gpt_neox": {},
    "cohere": {"num_key_value_heads": 2, "logit_scale": 0.5},  # decoder and head are not all of it
}
FLAT = {"llama", "qwen2", "qwen3"}
CONFIGURATION = Configuration(learning_rate=1e-2, rank=4, alpha=12.0)


@cache
def tiny(kind: str = "llama", dtype: torch.dtype = torch.float32) -> Model:
    """A random network; tests leave it as it is."""
    config = CONFIG_MAPPING[kind](
        **{
            "vocab_size": VOCABULARY,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": 64,
            "initializer_range": 0.2,
            "bos_token_id": None,
            "eos_token_id": 0,
            "pad_token_id": 0,
            **KINDS[kind],
        }
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = AutoModelForCausalLM.from_config(config, dtype=dtype).eval().requires_grad_(False)
    words = {f"w{n}": n for n in range(VOCABULARY)}
    tokenizer = Tokenizer(WordLevel(words, unk_token="w0"))
    tokenizer.pre_tokenizer = Whitespace()
    return adopt(f"tiny-{kind}", network, PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="w0"))


def rows(lengths: tuple[int, ...] = (9, 5, 12, 7), *, own_weights: bool = False) -> list[TrainingTokens]:
    """Rows of random tokens; the first two of each are not trained on."""
    generator = torch.Generator().manual_seed(3)
    made = []
    for index, length in enumerate(lengths):
        tokens = torch.randint(VOCABULARY, (length,), generator=generator).tolist()
        drawn = (torch.rand(length, generator=generator) + 0.5).tolist() if own_weights else [1.0] * length
        made.append(TrainingTokens(str(index), tuple(tokens), (0.0, 0.0, *drawn[2:])))
    return made


def begun(kind: str = "llama", configuration: Configuration = CONFIGURATION, *, seed: int = 1) -> Trainable:
    """Something to train whose B is not zero, so that every gradient is there to be wrong."""
    made = trainable(tiny(kind), configuration, seed)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, matrix in named_matrices(made.pairs).items():
            if "lora_B" in name:
                matrix.copy_(torch.randn(matrix.shape, generator=generator) * 0.2)
    return made
