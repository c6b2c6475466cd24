from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import GPT2Config, LlamaConfig

from doxa.server.service import COPIES, token_bytes

Own = Callable[..., Any]


def model(config: Any, dtype: torch.dtype) -> Any:
    return SimpleNamespace(network=SimpleNamespace(config=config), n_layers=3, d_model=32, dtype=dtype)


def test_bytes_of_a_token_count_the_heads_of_keys() -> None:
    shared = LlamaConfig(hidden_size=32, num_attention_heads=4, num_key_value_heads=2, num_hidden_layers=3)
    assert token_bytes(model(shared, torch.float32)) == 2 * 3 * 2 * 8 * 4 * COPIES
    assert token_bytes(model(shared, torch.bfloat16)) == 2 * 3 * 2 * 8 * 2 * COPIES
    every = GPT2Config(n_embd=32, n_head=4, n_layer=3)
    assert token_bytes(model(every, torch.float32)) == 2 * 3 * 32 * 4 * COPIES


def test_a_fault_of_our_own_is_said_without_its_insides(
    own: Own, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    import doxa.server.service as module

    def broken(*_: object) -> None:
        raise RuntimeError("the insides")

    with own() as served:
        monkeypatch.setattr(module, "render", broken)
        answer = served.ask()
        assert answer.status_code == 500
        assert answer.json()["error"]["type"] == "server_error"
        assert "RuntimeError" in answer.text
        assert "insides" not in answer.text
        served.wait(lambda: served.service.gate.inside == 0)
        assert served.counted("baseline", 500) == 1
        monkeypatch.undo()
        assert served.ask().status_code == 200
    assert "the insides" in capfd.readouterr().err
