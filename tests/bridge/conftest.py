import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
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

import doxa.vectors.vector as vectors
from doxa.models.handle import Model, adopt
from doxa.vectors.vector import Vector, VectorManifest

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def pytest_configure(config: pytest.Config) -> None:
    # Inspect leaves streams open at the end of an eval (found whenever garbage is collected), and calls tenacity in a
    # way that tenacity will drop.
    config.addinivalue_line("filterwarnings", "ignore:Unclosed <MemoryObject:ResourceWarning")
    config.addinivalue_line("filterwarnings", "ignore:The 'initial' parameter is deprecated:DeprecationWarning")


@cache
def _model(name: str) -> Model:
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    trainer = BpeTrainer(
        vocab_size=270,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["system user assistant"], trainer)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        clean_up_tokenization_spaces=False,
    )
    wrapped.chat_template = TEMPLATE
    config = LlamaConfig(
        vocab_size=len(wrapped),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        initializer_range=0.2,
        bos_token_id=None,
        eos_token_id=wrapped.eos_token_id,
        pad_token_id=wrapped.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return adopt(name, LlamaForCausalLM(config).eval(), wrapped)


@pytest.fixture
def model() -> Model:
    """A tiny random model, made once per test session: tests leave it as it is."""
    return _model("tiny")


@pytest.fixture
def offered(model: Model, monkeypatch: pytest.MonkeyPatch) -> str:
    """The tiny model's name for Inspect."""
    import doxa.bridge.offered as module

    monkeypatch.setattr(module, "_models", {})
    return module.offer(model)


@pytest.fixture
def make_vector(model: Model) -> Callable[..., Vector]:
    """`make_vector(seed, name)`: a random vector of the tiny model."""

    def make(seed: int = 0, name: str = "random") -> Vector:
        directions = np.random.default_rng(seed).standard_normal((model.n_layers, model.d_model))
        manifest = VectorManifest(
            name=name,
            positive="yes",
            negative="no",
            recipe={"kind": "extracted", "seed": seed},
            model=model.name,
            fingerprint=model.fingerprint,
            architecture="llama",
            dtype="float32",
            norms_rule="made up",
            doxa="0",
        )
        return Vector(directions.astype(np.float32), np.full(model.n_layers, 5.0, np.float32), manifest)

    return make


@pytest.fixture
def make_arm(tmp_path: Path, make_vector: Callable[..., Vector]) -> Callable[..., Path]:
    """`make_arm(name, prompt=..., strength=..., **file)`: an arm file, with its vector pinned in a folder beside it."""

    def make(name: str = "mine", *, prompt: str | None = None, strength: float | None = None, **more: Any) -> Path:
        interventions: list[dict[str, Any]] = []
        pins: dict[str, Any] = {}
        if prompt is not None:
            interventions.append({"prompt": "beliefs/made-up"})
            pins["prompt beliefs/made-up"] = {"hash": "0" * 64, "text": prompt}
        if strength is not None:
            vector = make_vector()
            vectors.save(vector, tmp_path / "vectors" / vector.digest)
            interventions.append({"steer": {"vector": "random", "layers": "every", "strength": strength}})
            pins["vector random"] = {"hash": vector.digest, "folder": f"vectors/{vector.digest}"}
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps({"arm": name, "interventions": interventions, "pins": pins, **more}))
        return path

    return make


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> list[list[Any]]:
    """What the engine is asked to compute, call by call; it still computes."""
    import doxa.bridge.queue as module

    calls: list[list[Any]] = []
    real = module.compute

    def compute(model: Model, requests: Sequence[Any], progress: Callable[[int], None]) -> list[Any]:
        calls.append(list(requests))
        return real(model, requests, progress)

    monkeypatch.setattr(module, "compute", compute)
    return calls
