import base64
import json
from typing import Any

import pytest
import torch
import zstandard
from vllm_arms import plan

import doxa.models.vllm_wire as wire
from doxa.models.paths import Plans
from doxa.models.vllm_wire import Text, body_of, residual_of, salt_of
from doxa.words.errors import EnvironmentFault, StudyError
from fake_vllm import packed, unpacked, vectors_of


def text(plans: Plans, *masks: list[int], tokens: tuple[int, ...] = (1, 2, 3)) -> Text:
    return Text(tokens, plans, torch.tensor(masks, dtype=torch.bool).view(len(plans), len(masks[0]) if masks else 3))


def test_a_vector_for_all_positions_is_absolute_and_sent_once() -> None:
    one = plan("all", layers=(0, 2))
    (sent,) = vectors_of(body_of(text((one,), [1, 1, 1, 1]), "m"))
    assert torch.equal(unpacked(sent["activations"]), one.additions)
    assert sent["layer_indices"] == [0, 2]
    assert (sent["norm_match"], sent["scale"], sent["position_indices"]) == (False, 1.0, None)


def test_chosen_positions_are_absolute_and_reach_beyond_the_prompt() -> None:
    one = plan("generated")
    (sent,) = vectors_of(body_of(text((one,), [0, 1, 0, 1, 1]), "m"))
    assert sent["position_indices"] == [1, 3, 4]
    vectors = unpacked(sent["activations"])
    assert vectors.shape == (2, 3, 32)
    assert all(torch.equal(vectors[:, place], one.additions) for place in range(3))


def test_nothing_is_sent_that_adds_nothing() -> None:
    nowhere, zero = plan("user"), plan("all", norm=0.0)
    body = body_of(text((nowhere, zero), [0, 0, 0], [1, 1, 1]), "m")
    assert "vllm_xargs" not in body
    half = plan("all")
    half.additions[0] = 0
    (sent,) = vectors_of(body_of(text((half,), [1, 1, 1]), "m"))
    assert sent["layer_indices"] == [1]
    assert unpacked(sent["activations"]).shape == (1, 32)


def test_a_body_says_all_and_is_made_anew() -> None:
    made = text((plan("all"),), [1, 1, 1])
    first, second = (body_of(made, "m", read_layer=2, max_tokens=3) for _ in range(2))
    assert first == second
    assert first is not second
    assert first["vllm_xargs"] is not second["vllm_xargs"]
    assert first["prompt"] == [1, 2, 3]
    assert (first["model"], first["max_tokens"]) == ("m", 3)
    assert json.loads(first["vllm_xargs"]["output_residual_stream"]) == [2]
    assert first["cache_salt"] == salt_of(made)
    assert json.dumps(first)
    assert set(body_of(text(()), "m")) == {
        "model", "prompt", "add_special_tokens", "cache_salt", "return_token_ids", "return_tokens_as_token_ids"
    }  # fmt: skip


def test_the_salt_is_that_of_what_is_added_where() -> None:
    plain = salt_of(text(()))
    assert plain
    same = salt_of(text((plan("all"),), [1, 1, 1]))
    assert same == salt_of(text((plan("all"),), [1, 1, 1, 1, 1], tokens=(7, 8)))
    assert plain == salt_of(text((plan("all", norm=0.0),), [1, 1, 1])) == salt_of(text((plan("user"),), [0, 0, 0]))
    others = {
        plain,
        same,
        salt_of(text((plan("all", seed=1),), [1, 1, 1])),
        salt_of(text((plan("all", layers=(1, 2)),), [1, 1, 1])),
        salt_of(text((plan("user"),), [0, 1, 1])),
        salt_of(text((plan("user"),), [0, 0, 1])),
        salt_of(text((plan("all"), plan("all")), [1, 1, 1], [1, 1, 1])),
    }
    assert len(others) == 7


def test_too_much_for_one_request_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MOST_BYTES", 2 * 32 * 4 * 3 - 1)
    body_of(text((plan("user"),), [0, 1, 1]), "m")
    body_of(text((plan("all"),), [1, 1, 1, 1, 1]), "m")
    with pytest.raises(StudyError, match="2 layers and 3 positions") as caught:
        body_of(text((plan("user"),), [0, 1, 1, 1]), "m")
    assert "at: all" in caught.value.way_out


@pytest.mark.parametrize("dtype", ["torch.float32", "torch.bfloat16"])
def test_a_residual_stream_is_read_in_its_dtype(dtype: str) -> None:
    sent = torch.randn(1, 4, 32)
    found = residual_of({"activations": {"residual_stream": packed(sent, dtype)}})
    assert found is not None
    assert str(found.dtype) == dtype
    assert torch.equal(found, sent[0].to(found.dtype))
    assert residual_of({}) is None
    assert residual_of({"activations": None}) is None


def test_a_residual_stream_may_be_unpacked() -> None:
    sent = torch.randn(1, 2, 32)
    whole = {"data": base64.b64encode(sent.numpy().tobytes()).decode(), "dtype": "float32"}
    whole |= {"original_dtype": "torch.float32", "shape": [1, 2, 32]}
    found = residual_of({"activations": {"residual_stream": whole}})
    assert found is not None
    assert torch.equal(found, sent[0])


@pytest.mark.parametrize(
    "change",
    [
        {"dtype": "object"},
        {"shape": [1, 5, 32]},
        {"shape": [128]},
        {"original_dtype": "torch.float8"},
        {"data": "%%%"},
        {"data": base64.b64encode(b"no zstd").decode()},
        {"data": base64.b64encode(zstandard.compress(b"123")).decode()},
    ],
)
def test_what_is_no_residual_stream_is_refused(change: dict[str, Any]) -> None:
    sent = {**packed(torch.zeros(1, 4, 32)), **change}
    with pytest.raises(EnvironmentFault, match="residual stream that is not understood"):
        residual_of({"activations": {"residual_stream": sent}})
