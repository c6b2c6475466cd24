import pytest
import torch
from reference import random_plan

from doxa.models.receipt import Receipt, Tally, prompt_mask


def test_prompt_mask(llama):
    plans = [random_plan(llama, 0, at=at) for at in (["user", "thinking"], ["prompt"], ["generated"], ["all"])]
    mask = prompt_mask(plans, ("template", "user", "assistant", "thinking"))
    assert mask.tolist() == [[False, True, False, True], [True] * 4, [False] * 4, [True] * 4]
    assert prompt_mask([], ("user", "user")).shape == (0, 2)


def test_a_row_without_plans_adds_nothing():
    tally = Tally([])
    tally.note(torch.zeros(0, 5, dtype=torch.bool))
    assert tally.receipt() == Receipt((), (), 0)


def test_norms_are_those_of_the_sum(llama):
    one, other = random_plan(llama, 0, [0, 1], size=3.0), random_plan(llama, 1, [1, 2], size=4.0)
    tally = Tally([one, other])
    tally.note(torch.tensor([[True, False, True], [False, False, True]]))
    tally.note(torch.tensor([[False], [True]]))
    receipt = tally.receipt()
    assert receipt.layers == (0, 1, 2)
    middle = float((one.additions[1] + other.additions[0]).norm())
    assert receipt.norms == pytest.approx((3.0, middle, 4.0), rel=1e-5)
    assert receipt.tokens_touched == 3  # a position under two plans counts once


def test_a_plan_that_was_never_applied_is_not_in_the_receipt(llama):
    one, other = random_plan(llama, 0, [0], size=3.0), random_plan(llama, 1, [1])
    tally = Tally([one, other])
    tally.note(torch.tensor([[True, True], [False, False]]))
    assert tally.receipt() == Receipt((0,), (pytest.approx(3.0, rel=1e-5),), 2)


def test_an_addition_of_zero_is_none(llama):
    tally = Tally([random_plan(llama, 0, size=0.0)])
    tally.note(torch.tensor([[True, True]]))
    assert tally.receipt() == Receipt()
