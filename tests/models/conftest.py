"""Tiny random models of every architecture that the steering tests cover, and a tokenizer made in code."""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from doxa.models.handle import Model, adopt

D_MODEL = 32
N_LAYERS = 3
CONTEXT = 256
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_CORPUS = (
    "system\nYou are a helpful assistant.\nuser\nassistant\nWhat is the capital of the country?",
    "Are you conscious? Yes, I am. No, I am not. The answer is in the other room and the weather is fine.",
    "<think>\nthe user asks a question\n</think>\n",
)

# One entry per architecture; sliding windows are short, so that the tests cross them.
ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {"num_key_value_heads": 2, "tie_word_embeddings": True}),
    "qwen2": ("qwen2", {"num_key_value_heads": 2}),
    "qwen3": ("qwen3", {"num_key_value_heads": 2, "head_dim": 8}),
    "gemma2": ("gemma2", {"num_key_value_heads": 2, "head_dim": 8, "sliding_window": 16}),
    "gemma3": ("gemma3_text", {"num_key_value_heads": 2, "head_dim": 8, "sliding_window": 16}),
    "mistral": ("mistral", {"num_key_value_heads": 2, "sliding_window": None}),
    "gpt2": ("gpt2", {}),
    "gpt_neox": ("gpt_neox", {}),
    "olmo": ("olmo", {}),
    "olmo2": ("olmo2", {}),  # its norms stand after attention and MLP, before the residual is added
    "falcon": ("falcon", {"new_decoder_architecture": False, "multi_query": True}),  # its blocks return tuples
}


@cache
def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE of about 300 tokens: every text round-trips, and one character may be several tokens."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    trainer = BpeTrainer(
        vocab_size=300,
        special_tokens=list(SPECIAL),
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_CORPUS, trainer)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        clean_up_tokenization_spaces=False,
    )
    wrapped.chat_template = CHAT_TEMPLATE
    return wrapped


def tiny_network(architecture: str, *, dtype: torch.dtype = torch.float32, seed: int = 0, **changes: Any) -> Any:
    """A random network; its weights are large enough for logits to depend on every token of the prompt."""
    kind, own = ARCHITECTURES[architecture]
    tokenizer = tiny_tokenizer()
    config = CONFIG_MAPPING[kind](
        **{
            "vocab_size": len(tokenizer),
            "hidden_size": D_MODEL,
            "intermediate_size": 48,
            "num_hidden_layers": N_LAYERS,
            "num_attention_heads": 4,
            "max_position_embeddings": CONTEXT,
            "initializer_range": 0.2,
            "bos_token_id": None,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            **own,
            **changes,
        }
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = AutoModelForCausalLM.from_config(config, dtype=dtype)
    return network.eval()


@cache
def tiny_model(architecture: str = "llama", dtype: torch.dtype = torch.float32) -> Model:
    """A tiny random model, made once per test session: tests must leave it as it is."""
    return adopt(f"tiny-{architecture}", tiny_network(architecture, dtype=dtype), tiny_tokenizer())


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerFast:
    return tiny_tokenizer()


@pytest.fixture
def make_network() -> Callable[..., Any]:
    """`make_network(architecture, dtype=..., seed=..., **config changes)`: a network of one's own."""
    return tiny_network


@pytest.fixture
def make_model() -> Callable[..., Model]:
    """`make_model(architecture, dtype)`: a shared tiny model."""
    return tiny_model


@pytest.fixture
def llama() -> Model:
    """One tiny model, for tests that need just any."""
    return tiny_model("llama")


@pytest.fixture(params=list(ARCHITECTURES))
def model(request: pytest.FixtureRequest) -> Model:
    """Every architecture in turn, float32."""
    return tiny_model(request.param)


@pytest.fixture(scope="session")
def recurrent() -> Model:
    """A tiny model of which some layers keep a state instead of keys and values."""
    from transformers import Qwen3NextConfig, Qwen3NextForCausalLM

    torch.manual_seed(0)
    config = Qwen3NextConfig(
        vocab_size=300, hidden_size=32, intermediate_size=48, moe_intermediate_size=16, num_hidden_layers=4,
        shared_expert_intermediate_size=16, num_attention_heads=4, num_key_value_heads=2, head_dim=8, num_experts=2,
        num_experts_per_tok=1, linear_num_value_heads=2, linear_num_key_heads=2, linear_key_head_dim=8,
        linear_value_head_dim=8, max_position_embeddings=256, initializer_range=0.2,
    )  # fmt: skip
    return adopt("recurrent", Qwen3NextForCausalLM(config).eval(), tiny_tokenizer())
