"""Steering is held against transformers with plain forward hooks, one row at a time, unpadded and without a cache."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import DynamicCache

from doxa.models.fingerprint import fingerprint_network
from doxa.models.handle import Model
from doxa.models.steering import Steering, SteeringPlan, reading, steering, touched
from doxa.words.errors import VectorError

TOLERANCE = 1e-4
# The batch is padded on the left to 20 columns: longer than the sliding windows of the fixtures.
LENGTHS = (9, 20, 4, 13, 6, 20)
DECODED = 5


def plan(model: Model, layers: Sequence[int], *, seed: int, norm: float = 3.0) -> SteeringPlan:
    directions = torch.randn(len(layers), model.d_model, generator=torch.Generator().manual_seed(seed))
    additions = norm * directions / directions.norm(dim=1, keepdim=True)
    return SteeringPlan(tuple(layers), additions, frozenset({"all"}))


class Case:
    """Six rows of unequal length under six arms, and the positions that each plan touches, from a row's start."""

    def __init__(self, model: Model) -> None:
        generator = torch.Generator().manual_seed(1)
        vocabulary = len(model.tokenizer)
        self.model = model
        self.tokens = [torch.randint(3, vocabulary, (n + DECODED,), generator=generator) for n in LENGTHS]
        one, every = plan(model, [1], seed=1), plan(model, range(model.n_layers), seed=2)
        two, back = plan(model, [0, 2], seed=3), plan(model, [1], seed=4, norm=-5.0)
        self.plans = [(), (one,), (every,), (one, back), (every, two, one), ()]
        self.touched = {
            (row, own): torch.rand(LENGTHS[row] + DECODED, generator=generator) < share
            for row, plans in enumerate(self.plans)
            for own, share in zip(plans, (1.0, 0.5, 0.5), strict=False)
        }
        self.width = max(LENGTHS)

    def inputs(self, start: int, end: int) -> dict[str, Tensor]:
        """Columns start to end of the left-padded batch: token ids and positions; the attention mask up to end."""
        ids = torch.zeros(len(LENGTHS), self.width + DECODED, dtype=torch.long)
        attention = torch.zeros_like(ids)
        for row, tokens in enumerate(self.tokens):
            ids[row, self.width - LENGTHS[row] :] = tokens
            attention[row, self.width - LENGTHS[row] :] = 1
        positions = (attention.cumsum(1) - 1).clamp(min=0)
        return {
            "input_ids": ids[:, start:end],
            "attention_mask": attention[:, :end],
            "position_ids": positions[:, start:end],
        }

    def mask(self, state: Steering, start: int, end: int) -> Tensor:
        mask = torch.zeros(len(state.pairs), self.width + DECODED, dtype=torch.bool)
        for index, (row, own) in enumerate(state.pairs):
            mask[index, self.width - LENGTHS[row] :] = self.touched[row, own]
        return mask[:, start:end]

    def expected(self, row: int) -> Tensor:
        """Logits of one row alone, steered by plain hooks."""
        hooks = []
        for own in self.plans[row]:
            for layer, addition in zip(own.layers, own.additions, strict=True):
                hooks.append(
                    self.model.blocks[layer].register_forward_hook(plain(self.touched[row, own][:, None] * addition))
                )
        try:
            with torch.no_grad():
                return self.model.network(input_ids=self.tokens[row][None], use_cache=False).logits[0]
        finally:
            for hook in hooks:
                hook.remove()


def plain(added: Tensor) -> Any:
    def hook(module: Any, args: Any, output: Any) -> Any:
        return (output[0] + added, *output[1:]) if isinstance(output, tuple) else output + added

    return hook


def hooks_of(model: Model) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.network.modules())


def full(case: Case) -> Tensor:
    """Logits of the left-padded batch [row, column, vocabulary], unsteered by us."""
    with torch.no_grad():
        return case.model.network(**case.inputs(0, case.width + DECODED), use_cache=False).logits


def test_a_full_forward_pass_equals_plain_hooks_arm_by_arm(model: Model) -> None:
    case = Case(model)
    with steering(model, case.plans) as state:
        state.move(case.mask(state, 0, case.width + DECODED))
        logits = full(case)
    for row, length in enumerate(LENGTHS):
        torch.testing.assert_close(logits[row, case.width - length :], case.expected(row), atol=TOLERANCE, rtol=0)
    # The arms must differ by far more than the tolerance, or the comparison would say nothing.
    assert (logits - full(case))[1:5, -1].abs().amax(1).min() > 100 * TOLERANCE


def test_cached_decoding_equals_plain_hooks_arm_by_arm(model: Model) -> None:
    case = Case(model)
    with steering(model, case.plans) as state, torch.no_grad():
        cache = DynamicCache(config=model.network.config)
        logits = []
        for start, end in [(0, case.width), *((case.width + i, case.width + i + 1) for i in range(DECODED))]:
            state.move(case.mask(state, start, end))
            logits.append(model.network(**case.inputs(start, end), past_key_values=cache).logits)
    decoded = torch.cat(logits, 1)
    for row, length in enumerate(LENGTHS):
        torch.testing.assert_close(decoded[row, case.width - length :], case.expected(row), atol=TOLERANCE, rtol=0)


def test_unsteered_rows_and_earlier_positions_are_bit_identical(model: Model) -> None:
    case = Case(model)
    clean = full(case)
    with steering(model, case.plans) as state:
        mask = case.mask(state, 0, case.width + DECODED)
        mask[:, : case.width] = False  # nothing before the last columns is touched
        state.move(mask)
        steered = full(case)
    assert torch.equal(steered[[0, 5]], clean[[0, 5]])
    # Padding itself may differ: eager attention lets a fully masked position look at everything.
    for row, length in enumerate(LENGTHS):
        own = slice(case.width - length, case.width)
        assert torch.equal(steered[row, own], clean[row, own])
    assert not torch.equal(steered[2, case.width :], clean[2, case.width :])


def test_the_model_is_as_it_was(model: Model) -> None:
    case = Case(model)
    weights, clean = fingerprint_network(model.network, model.tokenizer), full(case)
    with steering(model, case.plans) as state, reading(model, [0, 2]):
        assert hooks_of(model) == model.n_layers + 2
        state.move(case.mask(state, 0, case.width + DECODED))
        full(case)
    assert hooks_of(model) == 0
    assert fingerprint_network(model.network, model.tokenizer) == weights
    assert torch.equal(full(case), clean)


def test_hooks_stand_only_where_something_is_added(llama: Model) -> None:
    with steering(llama, [(), (plan(llama, [2], seed=0),)]) as state:
        assert state.layers == (2,)
        assert [len(block._forward_hooks) for block in llama.blocks] == [0, 0, 1]
    with steering(llama, [(), ()]) as state:
        state.move(torch.zeros(0, 4, dtype=torch.bool))
        assert hooks_of(llama) == 0


def test_strength_zero_equals_no_hook(llama: Model) -> None:
    nothing = SteeringPlan((0, 1), torch.tensor([[0.0], [-0.0]]).expand(2, llama.d_model).contiguous(), frozenset())
    with steering(llama, [(nothing,)]) as state:
        assert hooks_of(llama) == 0
        assert state.pairs == ((0, nothing),)  # it still has its row in the mask
        state.move(torch.ones(1, 3, dtype=torch.bool))


def test_bfloat16_stays_bfloat16_and_rounds_the_sum_once(make_model: Any) -> None:
    model = make_model("falcon", torch.bfloat16)
    first, second = plan(model, [1], seed=1, norm=1.0), plan(model, [1], seed=2, norm=0.01)
    ids = torch.arange(8).reshape(2, 4)
    with torch.no_grad(), reading(model, [1]) as clean:
        model.network(input_ids=ids, attention_mask=torch.ones_like(ids))
    with torch.no_grad(), steering(model, [(), (first, second)]) as state, reading(model, [1]) as read:
        state.move(torch.tensor([[True] * 4, [False, True, True, True]]))
        model.network(input_ids=ids, attention_mask=torch.ones_like(ids))
    assert read[1].dtype == torch.bfloat16
    assert torch.equal(read[1][0], clean[1][0])
    assert torch.equal(read[1][1, 0], clean[1][1, 0] + first.additions[0].bfloat16())
    both = (first.additions + second.additions)[0].bfloat16()
    assert torch.equal(read[1][1, 1:], clean[1][1, 1:] + both)


def test_infinity_nan_and_negative_zero_pass_where_nothing_is_touched() -> None:
    addition = torch.ones(1, 4)
    residual = torch.randn(3, 2, 4)
    residual[0, 0], residual[1, 1], residual[2, 0] = torch.inf, torch.nan, -0.0
    state = Steering([(), (SteeringPlan((0,), addition, frozenset()),), ()], torch.device("cpu"))
    state.move(torch.tensor([[True, False]]))
    new = state.add(0, residual)
    assert new is not None
    changed = new.view(torch.int32) != residual.view(torch.int32)  # bit by bit: NaN != NaN, -0.0 == 0.0
    assert changed.any(2).tolist() == [[False, False], [True, False], [False, False]]
    assert torch.equal(new[1, 0], residual[1, 0] + 1)


def test_a_block_output_seen_by_others_is_not_changed(llama: Model) -> None:
    seen: list[tuple[Tensor, Tensor]] = []
    handle = llama.blocks[1].register_forward_hook(lambda module, args, output: seen.append((output, output.clone())))
    try:
        with torch.no_grad(), steering(llama, [(plan(llama, [1], seed=0),), ()]) as state:
            for mask in ([True, True, True], [False, True, False]):
                state.move(torch.tensor([mask]))
                llama.network(input_ids=torch.tensor([[3, 4, 5], [6, 7, 8]]))
    finally:
        handle.remove()
    assert len(seen) == 2
    assert all(torch.equal(output, copy) for output, copy in seen)


def test_a_step_without_touched_positions_returns_nothing_new() -> None:
    own = SteeringPlan((0, 1), torch.ones(2, 4), frozenset())
    state = Steering([(own,)], torch.device("cpu"))
    state.move(torch.zeros(1, 3, dtype=torch.bool))
    assert state.add(0, torch.zeros(1, 3, 4)) is None


@pytest.mark.parametrize("seed", range(20))
def test_any_mask_adds_exactly_what_a_loop_adds(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    batch, time, width, layers = 5, 4, 3, 3
    plans = [
        SteeringPlan(tuple(own), torch.randn(len(own), width, generator=generator), frozenset())
        for own in ([0], [1, 2], [0, 1, 2], [2])
    ]
    picks = torch.rand(batch, len(plans), generator=generator) < 0.5
    rows = [tuple(own for own, pick in zip(plans, picks[row], strict=True) if pick) for row in range(batch)]
    state = Steering(rows, torch.device("cpu"))
    stay = torch.randperm(batch, generator=generator)[: 2 + seed % 4].tolist()
    for rows_now in (rows, [rows[row] for row in stay]):
        if rows_now is not rows:
            state.keep(stay)
        mask = torch.rand(len(state.pairs), time, generator=generator) < (0.2 + seed / 20)
        state.move(mask)
        assert state.pairs == tuple((row, own) for row, owns in enumerate(rows_now) for own in owns)
        for layer in range(layers):
            residual = torch.randn(len(rows_now), time, width, generator=generator)
            expected = residual.clone()
            for index, (row, own) in enumerate(state.pairs):
                if layer in own.layers:
                    expected[row, mask[index]] += own.additions[own.layers.index(layer)]
            new = state.add(layer, residual) if layer in state.layers else None
            torch.testing.assert_close(residual if new is None else new, expected)
            untouched = torch.ones(len(rows_now), time, dtype=torch.bool)
            for index, (row, own) in enumerate(state.pairs):
                untouched[row] &= ~mask[index] if layer in own.layers else True
            if new is not None:
                assert torch.equal(new[untouched], residual[untouched])


def test_keep_may_repeat_a_row(llama: Model) -> None:
    own = plan(llama, [0], seed=0)
    with steering(llama, [(), (own,)]) as state:
        state.keep([1, 1, 0])
        assert state.plans == ((own,), (own,), ())
        assert state.pairs == ((0, own), (1, own))
        state.keep([2])
        assert state.pairs == ()
        state.move(torch.zeros(0, 1, dtype=torch.bool))
        assert state.add(0, torch.zeros(1, 1, llama.d_model)) is None


def test_a_pass_without_move_or_of_another_shape_is_refused(llama: Model) -> None:
    own = plan(llama, [0, 2], seed=0)
    ids = torch.tensor([[3, 4, 5], [6, 7, 8]])
    with torch.no_grad(), steering(llama, [(own,), ()]) as state:
        with pytest.raises(AssertionError, match="move must be called"):
            llama.network(input_ids=ids)
        state.move(torch.ones(1, 3, dtype=torch.bool))
        llama.network(input_ids=ids)
        with pytest.raises(AssertionError, match="move must be called"):
            llama.network(input_ids=ids)
        state.move(torch.ones(1, 2, dtype=torch.bool))
        with pytest.raises(AssertionError, match=r"\(2, 2\), not \(2, 3\)"):
            llama.network(input_ids=ids)
        state.move(torch.ones(1, 3, dtype=torch.bool))
        with pytest.raises(AssertionError, match=r"\(2, 3\), not \(1, 3\)"):
            llama.network(input_ids=ids[:1])
        state.keep([0])
        with pytest.raises(AssertionError, match="move must be called"):
            llama.network(input_ids=ids[:1])
        for mask, why in [
            (torch.ones(2, 3, dtype=torch.bool), "2 rows for 1 pairs"),
            (torch.ones(1, 3), "float32"),
            (torch.ones(1, dtype=torch.bool), "pairs, time"),
        ]:
            with pytest.raises(AssertionError, match=why):
                state.move(mask)


def test_hooks_are_removed_after_an_exception(llama: Model) -> None:
    with (
        pytest.raises(RuntimeError, match="stop"),
        steering(llama, [(plan(llama, [0, 1], seed=0),)]),
        reading(llama, [1]),
    ):
        raise RuntimeError("stop")
    assert hooks_of(llama) == 0


def test_nested_steering_adds_up(llama: Model) -> None:
    ids = torch.tensor([[3, 4, 5]])
    first, second = plan(llama, [1], seed=1), plan(llama, [1], seed=2)
    everywhere = torch.ones(1, 3, dtype=torch.bool)
    with torch.no_grad(), reading(llama, [1]) as clean:
        llama.network(input_ids=ids)
        with steering(llama, [(first,)]) as outer, steering(llama, [(second,)]) as inner, reading(llama, [1]) as read:
            outer.move(everywhere)
            inner.move(everywhere)
            before = clean[1]
            llama.network(input_ids=ids)
    torch.testing.assert_close(read[1], before + first.additions[0] + second.additions[0])


def test_reading_sees_the_residual_after_steering_and_is_a_copy(model: Model) -> None:
    ids = torch.tensor([[3, 4, 5, 6]])
    own = plan(model, [1], seed=0)
    with torch.no_grad(), reading(model, [0, 1]) as clean:
        model.network(input_ids=ids, attention_mask=torch.ones_like(ids))
    with torch.no_grad(), steering(model, [(own,)]) as state, reading(model, [1, 0]) as read:
        state.move(torch.tensor([[False, True, True, False]]))
        logits = model.network(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        read[1].zero_()
        state.move(torch.tensor([[False, True, True, False]]))
        again = model.network(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    assert torch.equal(again, logits)
    assert set(read) == {0, 1}
    assert read[1].shape == (1, 4, model.d_model)
    assert torch.equal(read[0], clean[0])
    torch.testing.assert_close(read[1][0, 1:3], clean[1][0, 1:3] + own.additions)
    assert torch.equal(read[1][0, [0, 3]], clean[1][0, [0, 3]])


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_an_addition_that_is_not_finite_is_refused(value: float) -> None:
    additions = torch.zeros(2, 8)
    additions[1, 3] = value
    with pytest.raises(VectorError, match="layer 7 holds NaN or infinity"):
        SteeringPlan((4, 7), additions, frozenset({"all"}))


def test_a_plan_of_another_model_is_refused(llama: Model) -> None:
    with (
        pytest.raises(VectorError, match=r"layer 3 of tiny-llama.*0 to 2"),
        steering(llama, [(plan(llama, [1, 3], seed=0),)]),
    ):
        pass
    wide = SteeringPlan((0,), torch.ones(1, 64), frozenset())
    with (
        pytest.raises(VectorError, match="width 64 for tiny-llama, whose residual stream has width 32"),
        steering(llama, [(), (wide,)]),
    ):
        pass
    for layer in (-1, 3):
        with pytest.raises(VectorError, match=f"layer {layer}"), reading(llama, [layer]):
            pass
    assert hooks_of(llama) == 0


@pytest.mark.parametrize(
    ("layers", "additions", "why"),
    [
        ((0,), torch.ones(2, 4), "one addition per layer"),
        ((1, 0), torch.ones(2, 4), "ascend"),
        ((1, 1), torch.ones(2, 4), "ascend"),
        ((0,), torch.ones(1, 4, dtype=torch.float64), "float32"),
        ((0,), torch.ones(4), "steered, d_model"),
    ],
)
def test_a_plan_is_well_formed(layers: tuple[int, ...], additions: Tensor, why: str) -> None:
    with pytest.raises(AssertionError, match=why):
        SteeringPlan(layers, additions, frozenset())


@pytest.mark.parametrize(
    ("at", "role", "generated", "expected"),
    [
        ({"all"}, "template", False, True),
        ({"prompt"}, "user", False, True),
        ({"prompt"}, "assistant", True, False),
        ({"generated"}, "assistant", True, True),
        ({"generated"}, "assistant", False, False),
        ({"assistant"}, "assistant", False, True),
        ({"assistant"}, "assistant", True, True),
        ({"assistant"}, "thinking", True, False),
        ({"thinking"}, "thinking", True, True),
        ({"system", "user"}, "user", False, True),
        ({"system", "user"}, "template", False, False),
        (set(), "user", False, False),
    ],
)
def test_which_tokens_a_plan_touches(at: Any, role: Any, generated: bool, expected: bool) -> None:
    assert touched(SteeringPlan((0,), torch.ones(1, 2), frozenset(at)), role, generated) is expected
