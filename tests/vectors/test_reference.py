from collections.abc import Callable

import numpy as np
import pytest

from doxa.models.handle import Model
from doxa.vectors import reference
from doxa.vectors.reference import conversations, kept, norms_rule, reference_rows, residual_norms
from doxa.vectors.states import residuals
from doxa.words.errors import ProseError


def test_the_shipped_conversations_are_short_and_end_with_the_assistant() -> None:
    found = conversations()
    assert 12 <= len(found) <= 16
    for messages in found:
        assert [message.role for message in messages] == ["user", "assistant"]
        assert all(0 < len(message.content) < 250 for message in messages)
    code = next(messages[-1].content for messages in found if "def " in messages[-1].content)
    assert code == "def reverse(text):\n    return text[::-1]"


def test_the_last_answer_counts_as_generated(model: Model) -> None:
    row = reference_rows(model)[0]
    roles = row.rendered.roles
    assert roles.index("assistant") == row.generated
    assert "assistant" not in roles[: row.generated]


def test_a_limit_spreads_over_the_file(model: Model) -> None:
    every = [row.rendered.text for row in reference_rows(model)]
    assert [row.rendered.text for row in reference_rows(model, 4)] == every[::4]
    assert [row.rendered.text for row in reference_rows(model, 1)] == every[:1]
    assert len(reference_rows(model, 99)) == len(every)


def test_first_tokens_and_attention_sinks_are_left_out() -> None:
    random = np.random.default_rng(0)
    norms = [random.uniform(90, 110, (4, time)) for time in (6, 9)]
    norms[0][2, 3] = 1001 * 1.2  # a sink at one layer is a sink
    norms[1][3, 5] = 900.0  # large, but below ten times the median
    norms[1][:, 0] = 25000.0
    found = kept(norms)
    assert found[0].tolist() == [False, True, True, False, True, True]
    assert found[1].tolist() == [False, *[True] * 8]


def test_norms_are_the_median_of_what_is_kept(model: Model) -> None:
    rows = reference_rows(model)
    states = dict(residuals(model, rows))
    norms = [states[index].norm(dim=-1).numpy() for index in range(len(rows))]
    tokens = np.concatenate([row[:, keep] for row, keep in zip(norms, kept(norms), strict=True)], axis=1)
    assert tokens.shape[1] >= sum(len(row.rendered.tokens) for row in rows) * 0.95
    found = residual_norms(model)
    assert found.shape == (5,)
    assert np.allclose(found, np.median(tokens, axis=1), rtol=1e-5)
    assert not found.flags.writeable


def test_norms_do_not_see_a_sink(make_network: Callable[..., object], model: Model) -> None:
    """One token whose embedding is enormous leaves the norms of all the others as they are."""
    from doxa.models.handle import adopt

    network = make_network()
    start = model.tokenizer.convert_tokens_to_ids("<|im_start|>")
    network.model.embed_tokens.weight.data[start] *= 1000  # type: ignore[attr-defined]
    sunk = residual_norms(adopt("sink", network, model.tokenizer))  # type: ignore[arg-type]
    assert np.abs(sunk / residual_norms(model) - 1).max() < 0.1


def test_they_are_measured_once(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    first = residual_norms(model)
    monkeypatch.setattr(reference, "residuals", None)
    assert residual_norms(model) is first


def test_the_rule_is_told_in_words() -> None:
    assert "median" in norms_rule()
    assert f"exceeds {reference.SINK:g} times" in norms_rule()


def test_a_line_that_nobody_speaks() -> None:
    with pytest.raises(ProseError, match="system: hello"):
        reference._messages(["system: hello"])
