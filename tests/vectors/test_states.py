from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from doxa.models.chat import Message, render
from doxa.models.handle import Model
from doxa.models.steering import SteeringPlan
from doxa.models.strips import Strip
from doxa.vectors import states
from doxa.vectors.states import Row, residuals
from doxa.words.errors import ModelError

TEXTS = ("A", "Some longer text than that one.", "Middling.")


def rows_of(model: Model, *plans: SteeringPlan) -> list[Row]:
    return [Row(render(model, [Message("user", text)]), generated=999, plans=plans) for text in TEXTS]


def by_hand(model: Model, tokens: tuple[int, ...]) -> torch.Tensor:
    """Each block's output by plain forward hooks, one sequence, no padding."""
    found: list[torch.Tensor] = []
    hooks = [
        block.register_forward_hook(lambda m, i, output: found.append(output[0].clone())) for block in model.blocks
    ]
    with torch.no_grad():
        model.network(input_ids=torch.tensor([tokens]))
    for hook in hooks:
        hook.remove()
    return torch.stack(found)


def test_every_layer_is_read_whatever_the_padding(model: Model) -> None:
    rows = rows_of(model)
    found = dict(residuals(model, rows))
    assert sorted(found) == [0, 1, 2]
    for index, row in enumerate(rows):
        assert found[index].shape == (5, len(row.rendered.tokens), 32)
        assert torch.allclose(found[index], by_hand(model, row.rendered.tokens), atol=1e-5)


def watched(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """For every forward pass from now on the numbers of cells of its rows."""
    ran: list[list[int]] = []
    one_pass = states.read_strips

    def watch(model: Model, strips: Sequence[Strip], layers: Sequence[int]) -> Any:
        ran.append([len(strip.tokens) for strip in strips])
        return one_pass(model, strips, layers)

    monkeypatch.setattr(states, "read_strips", watch)
    return ran


def test_a_shared_beginning_is_run_once_for_each_set_of_plans(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = SteeringPlan((1, 3), torch.ones(2, 32), frozenset({"all"}))
    told = SteeringPlan((0,), -torch.ones(1, 32), frozenset({"prompt"}))
    rows = [row for own in ((), (plan,), (told, plan)) for row in rows_of(model, *own)]
    apart = [next(iter(residuals(model, [row])))[1] for row in rows]
    ran = watched(monkeypatch)
    together = dict(residuals(model, rows))
    shared = len("<user\n")  # a special token, then one token a byte
    assert ran == [[sum(len(row.rendered.tokens) for row in rows[:3]) - 2 * shared] * 3]
    assert all(torch.allclose(together[index], apart[index], atol=1e-5) for index in range(9))


def test_a_beginning_is_shared_where_the_same_speaker_writes_it(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    both = [Row(render(model, [Message("user", "Hello")]), generated=end) for end in (99, 3)]
    tokens = len(both[0].rendered.tokens)
    ran = watched(monkeypatch)
    list(residuals(model, both))
    roles = ("template",) * tokens
    stranger = Row(replace(both[0].rendered, roles=roles), generated=99)
    list(residuals(model, [both[0], stranger]))
    assert ran == [[2 * tokens - 3], [2 * tokens - both[0].rendered.roles.index("user")]]


def test_batches_hold_no_more_than_they_may(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    plans = [SteeringPlan((layer,), torch.ones(1, 32), frozenset({"all"})) for layer in range(3)]
    rows = [row for plan in plans for row in rows_of(model, plan)]
    whole = dict(residuals(model, rows))
    ran = watched(monkeypatch)
    list(residuals(model, rows_of(model, plans[0])))
    ((cells,),) = ran
    ran.clear()
    monkeypatch.setattr(states, "_MAX_NUMBERS", 2 * cells * 5 * 32)
    parts = dict(residuals(model, rows))
    assert ran == [[cells, cells], [cells]]
    assert all(torch.allclose(parts[index], whole[index], atol=1e-5) for index in range(9))


def test_plans_act_on_their_own_rows_and_tokens(model: Model) -> None:
    plan = SteeringPlan((2,), torch.ones(1, 32), frozenset({"user"}))
    rows = [rows_of(model)[1], rows_of(model, plan)[1], rows_of(model)[1]]
    found = dict(residuals(model, rows))
    user = torch.tensor([role == "user" for role in rows[1].rendered.roles])
    assert torch.equal(found[0], found[2])
    difference = found[1] - found[0]
    assert torch.equal(difference[:2], torch.zeros_like(difference[:2]))
    assert torch.allclose(difference[2, user], torch.ones(int(user.sum()), 32), atol=1e-5)
    assert torch.equal(difference[2, ~user], torch.zeros_like(difference[2, ~user]))


def test_what_counts_as_generated_is_told_apart(model: Model) -> None:
    rendered = render(model, [Message("user", "Hello")])
    plan = SteeringPlan((0,), torch.ones(1, 32), frozenset({"generated"}))
    assert Row(rendered, generated=4).touches(plan) == [at >= 4 for at in range(len(rendered.tokens))]


def test_hooks_are_gone_while_the_caller_works(model: Model) -> None:
    plan = SteeringPlan((0,), torch.ones(1, 32), frozenset({"all"}))
    for _ in residuals(model, rows_of(model, plan)):
        assert not any(block._forward_hooks for block in model.blocks)


def test_a_text_longer_than_the_context(make_model: Callable[..., Model]) -> None:
    short = make_model(context=64)
    with pytest.raises(ModelError, match="the context of tiny-0"):
        dict(residuals(short, [Row(render(short, [Message("user", "word " * 20)]), generated=0)]))
