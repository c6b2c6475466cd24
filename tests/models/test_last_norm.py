from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

import doxa.models.last_norm as module
from doxa.models.handle import Model, adopt
from doxa.models.last_norm import logits_of
from doxa.models.passes import Reader, reader_of
from doxa.models.steering import reading
from doxa.words.errors import ModelError

TOKENS = torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6, 5]])


@torch.no_grad()
def test_logits_follow_from_the_last_residual_stream(model: Model) -> None:
    with reading(model, [model.n_layers - 1]) as residuals:
        due = model.network(input_ids=TOKENS, use_cache=False).logits[0]
    residual = residuals[model.n_layers - 1][0]
    assert torch.allclose(logits_of(model, residual), due, atol=1e-4)
    assert not torch.allclose(logits_of(model, residual + 1.0 * torch.arange(len(residual[0]))), due, atol=1e-2)


def test_nothing_is_left_on_the_network(make_network: Callable[..., Any], tokenizer: Any) -> None:
    fresh = adopt("fresh", make_network("llama"), tokenizer)
    logits_of(fresh, torch.zeros(1, fresh.d_model))
    assert not any(module._forward_hooks for module in fresh.network.modules())


def test_a_network_that_is_not_blocks_norm_and_head_is_refused(
    make_network: Callable[..., Any], tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = adopt("odd", make_network("llama"), tokenizer)
    whole = replace(reader_of(odd), decoder=None, head=None)
    assert isinstance(whole, Reader)
    monkeypatch.setattr(module, "reader_of", lambda _: whole)
    with pytest.raises(ModelError, match="odd and its head stands more than a norm") as caught:
        logits_of(odd, torch.zeros(1, odd.d_model))
    assert "without `vllm/`" in caught.value.way_out
