"""Loss, gradients and AdamW against PEFT's, Transformers' and torch's own; the model stays as it is."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from tiny_networks import CONFIGURATION, FLAT, KINDS, begun, rows, tiny
from torch import nn

from doxa.training.rows import TrainingTokens
from doxa.training.steps import (
    Trainable,
    adamw_step,
    forward_backward,
    load_state,
    named_matrices,
    save_state,
    trainable,
)
from doxa.words.errors import EnvironmentFault, TrainingError


def in_peft(made: Trainable) -> Any:
    """The same network in PEFT, with the same matrices."""
    from doxa.training.base import shared_copy

    names = sorted({path.rpartition(".")[2] for path in made.pairs})
    config = peft.LoraConfig(r=made.rank, lora_alpha=made.alpha, target_modules=names, lora_dropout=0.0)
    network = peft.get_peft_model(shared_copy(made.model.network), config)
    state = {name: own.detach().clone() for name, own in named_matrices(made.pairs).items()}
    loaded = peft.set_peft_model_state_dict(network, state)
    assert not loaded.unexpected_keys
    return network


def test_loss_and_gradients_are_those_of_peft_and_transformers(kind: str) -> None:
    made, batch = begun(kind), rows()
    assert (made.flat is not None) == (kind in FLAT)
    found = forward_backward(made, batch)
    network = in_peft(made)
    total = 0.0
    for row, logprobs in zip(batch, found.logprobs, strict=True):
        labels = [token if weight else -100 for token, weight in zip(row.tokens, row.weights, strict=True)]
        loss = network(input_ids=torch.tensor([row.tokens]), labels=torch.tensor([labels])).loss
        (loss * row.trained).backward()
        loss = loss.detach()
        total += float(loss) * row.trained
        assert float(-logprobs.nansum()) == pytest.approx(float(loss) * row.trained, rel=1e-5)
        assert torch.isnan(logprobs).tolist() == [weight == 0 for weight in row.weights]
    assert found.total == pytest.approx(total, rel=1e-5)
    peers = {name.replace(".default", ""): own.grad for name, own in network.named_parameters() if own.requires_grad}
    own = {name: matrix.grad for name, matrix in named_matrices(made.pairs).items()}
    assert peers.keys() == own.keys()
    for name, gradient in own.items():
        torch.testing.assert_close(gradient, peers[name], rtol=1e-3, atol=1e-5)


@pytest.fixture(params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    """Every architecture in turn."""
    return str(request.param)


def test_weights_multiply_and_gradients_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = rows(own_weights=True)
    whole = begun()
    found = forward_backward(whole, batch)
    due = sum(
        float(-own[place] * weight)
        for row, own in zip(batch, found.logprobs, strict=True)
        for place, weight in enumerate(row.weights)
        if weight
    )
    assert found.total == pytest.approx(due, rel=1e-6)
    monkeypatch.setattr("doxa.training.steps.MOST_TOKENS", 10)
    apart = begun()
    assert forward_backward(apart, batch).total == pytest.approx(found.total, rel=1e-6)
    alone = begun()
    for row in batch:
        forward_backward(alone, [row])
    expected = named_matrices(whole.pairs)
    for one in (apart, alone):
        for name, matrix in named_matrices(one.pairs).items():
            torch.testing.assert_close(matrix.grad, expected[name].grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["llama", "gemma2"])
def test_rows_do_not_see_each_other(kind: str) -> None:
    made, batch = begun(kind), rows()
    together = forward_backward(made, batch, backward=False, everywhere=True).logprobs
    for row, found in zip(batch, together, strict=True):
        alone = forward_backward(made, [row], backward=False, everywhere=True).logprobs[0]
        torch.testing.assert_close(found[1:], alone[1:], rtol=1e-5, atol=1e-5)
        assert torch.isnan(found[0])
    assert all(matrix.grad is None for matrix in named_matrices(made.pairs).values())


def test_a_row_that_is_not_trained_on_has_no_loss() -> None:
    made = begun()
    found = forward_backward(made, [TrainingTokens("a", (1, 2, 3), (0.0, 0.0, 0.0))])
    assert found.total == 0
    assert torch.isnan(found.logprobs[0]).all()


def test_chunks_of_the_head_are_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, parts = begun("gemma2"), begun("gemma2")
    expected = forward_backward(whole, rows())
    monkeypatch.setattr("doxa.training.head_loss.CHUNK", 3)
    assert forward_backward(parts, rows()).total == pytest.approx(expected.total, rel=1e-6)
    due = named_matrices(whole.pairs)
    for name, matrix in named_matrices(parts.pairs).items():
        torch.testing.assert_close(matrix.grad, due[name].grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("decay", "clip"), [(0.0, None), (0.1, None), (0.0, 0.5)])
def test_adamw_is_torchs(decay: float, clip: float | None) -> None:
    configuration = replace(CONFIGURATION, weight_decay=decay, clip_norm=clip)
    made, batch = begun(), rows()
    copies = [nn.Parameter(own.detach().clone()) for own in named_matrices(made.pairs).values()]
    betas = (configuration.beta1, configuration.beta2)
    peer = torch.optim.AdamW(copies, lr=1.0, betas=betas, eps=configuration.epsilon, weight_decay=decay)
    for rate in (1e-2, 5e-3, 1e-3, 1e-2):
        forward_backward(made, batch)
        matrices = list(named_matrices(made.pairs).values())
        for copy, matrix in zip(copies, matrices, strict=True):
            assert matrix.grad is not None
            copy.grad = matrix.grad.clone()
        norm = nn.utils.clip_grad_norm_(copies, clip if clip is not None else float("inf"))
        peer.param_groups[0]["lr"] = rate
        peer.step()
        assert adamw_step(made, rate, configuration) == pytest.approx(float(norm), rel=1e-5)
        for copy, matrix in zip(copies, matrices, strict=True):
            torch.testing.assert_close(matrix, copy, rtol=1e-5, atol=1e-6)
            assert matrix.grad is None
    assert int(made.steps) == 4


def test_the_model_is_never_changed() -> None:
    model = tiny()
    before = {name: own.clone() for name, own in model.network.state_dict().items()}
    kinds = [type(module) for module in model.network.modules()]
    made = trainable(model, CONFIGURATION, 1)
    for _ in range(2):
        forward_backward(made, rows())
        adamw_step(made, 1e-1, CONFIGURATION)
    after = model.network.state_dict()
    assert all(torch.equal(after[name], own) for name, own in before.items())
    assert after.keys() == before.keys()
    assert [type(module) for module in model.network.modules()] == kinds
    assert not any(parameter.requires_grad for parameter in model.network.parameters())
    lowered = forward_backward(made, rows(), backward=False).total
    assert lowered < forward_backward(trainable(model, CONFIGURATION, 1), rows(), backward=False).total


def test_the_initialisation_is_peft_s_and_its_seed_s() -> None:
    one, same, other = (trainable(tiny(), CONFIGURATION, seed) for seed in (1, 1, 2))
    for path, pair in one.pairs.items():
        bound = pair.down.shape[1] ** -0.5
        down = pair.down.detach()
        assert 0.8 * bound < float(down.abs().max()) <= bound
        assert float(down.std()) == pytest.approx(bound / 3**0.5, rel=0.2)
        assert torch.equal(pair.down, same.pairs[path].down)
        assert not torch.equal(pair.down, other.pairs[path].down)
        assert not pair.up.any()
    first, second = list(one.pairs.values())[:2]
    assert not torch.equal(first.down, second.down[:, : first.down.shape[1]])


def test_a_saved_state_goes_on_bit_by_bit(tmp_path: Path) -> None:
    made, again = begun(), trainable(tiny(), CONFIGURATION, 9)
    forward_backward(made, rows())
    adamw_step(made, 1e-2, CONFIGURATION)
    save_state(made, tmp_path)
    load_state(again, tmp_path)
    for one in (made, again):
        forward_backward(one, rows())
        adamw_step(one, 1e-2, CONFIGURATION)
    expected = named_matrices(made.pairs)
    assert all(torch.equal(own, expected[name]) for name, own in named_matrices(again.pairs).items())
    load_state(again, tmp_path, with_optimizer=False)
    assert int(again.steps) == 0
    assert not any(moment.any() for both in again.moments.values() for moment in both)


def test_a_state_of_another_rank_or_a_damaged_one_is_refused(tmp_path: Path) -> None:
    save_state(begun(), tmp_path)
    with pytest.raises(EnvironmentFault, match="other matrices"):
        load_state(trainable(tiny(), replace(CONFIGURATION, rank=2), 1), tmp_path)
    (tmp_path / "adapter_model.safetensors").write_bytes(b"nothing")
    with pytest.raises(EnvironmentFault, match="cannot be read"):
        load_state(begun(), tmp_path)


def test_a_network_without_linear_layers_is_refused() -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    from doxa.models.handle import adopt

    network = GPT2LMHeadModel(GPT2Config(vocab_size=120, n_embd=16, n_layer=1, n_head=2, n_positions=32)).eval()
    with pytest.raises(TrainingError, match="no linear layers"):
        trainable(adopt("gpt2", network, tiny().tokenizer), CONFIGURATION, 1)


def test_training_in_bfloat16_follows_float32() -> None:
    wide, narrow = (trainable(tiny(), replace(CONFIGURATION, dtype=dtype), 1) for dtype in ("float32", "bfloat16"))
    totals = []
    for one in (wide, narrow):
        for _ in range(5):
            forward_backward(one, rows())
            adamw_step(one, 1e-2, CONFIGURATION)
        totals.append(forward_backward(one, rows(), backward=False).total)
        assert all(own.dtype == torch.float32 for own in named_matrices(one.pairs).values())
    assert totals[1] == pytest.approx(totals[0], rel=0.05)
    assert narrow.base.network.dtype == torch.bfloat16
    assert tiny().network.dtype == torch.float32


@pytest.mark.embedded
def test_the_embedded_model_s_loss_is_transformers_own() -> None:
    from doxa.models.handle import load

    model = load("smollm2")
    made = trainable(model, CONFIGURATION, 1)
    assert made.flat is not None
    texts = ("The sea is salty because rivers carry salt to it.", "A lamp was lit at dusk.")
    tokens = [model.tokenizer(text)["input_ids"] for text in texts]
    batch = [TrainingTokens("", tuple(own), (0.0, *[1.0] * (len(own) - 1))) for own in tokens]
    found = forward_backward(made, batch, backward=False).logprobs
    for own, logprobs in zip(tokens, found, strict=True):
        ids = torch.tensor([own])
        with torch.no_grad():
            due = model.network(input_ids=ids, labels=ids).loss
        assert float(-logprobs[1:].mean()) == pytest.approx(float(due), abs=1e-4)
