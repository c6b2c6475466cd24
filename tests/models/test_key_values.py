import pytest
import torch
from torch import nn

from doxa.models.key_values import KeyValues

ROWS, KEY_HEADS, SHARED, WIDTH = 3, 2, 2, 8


def numbers(*shape, dtype=torch.float32, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def expected(keys, values, query, mask, scale):
    """By torch's attention, a head at a time."""
    repeated = (one.repeat_interleave(SHARED, 1) for one in (keys, values))
    return nn.functional.scaled_dot_product_attention(query, *repeated, attn_mask=mask[:, None, None], scale=scale)


@pytest.mark.parametrize("rows", [3, 12])
def test_large_scores_are_not_rounded(rows):
    """Biases of keys and queries, as Qwen 2 has them, make scores large and alike."""
    scale, bias = WIDTH**-0.5, 6
    numbers_of = [numbers(rows, KEY_HEADS, 41, WIDTH, seed=seed) for seed in (1, 2)]
    key, value = (numbers_of[0] + bias).bfloat16(), numbers_of[1].bfloat16()
    query = (numbers(rows, KEY_HEADS * SHARED, 1, WIDTH, seed=3) + bias).bfloat16()
    store = KeyValues(40, [key[:, :, :40]], [value[:, :, :40]])
    store.grow()
    mask = torch.ones(rows, 41, dtype=torch.bool)
    found = store.attend(0, store.hidden(mask), query, key[:, :, 40:], value[:, :, 40:], scale)
    due = expected(key.double(), value.double(), query.double(), mask, scale)
    assert float((found - due).norm() / due.norm()) < 0.01


@pytest.mark.parametrize(("rows", "dtype"), [(3, torch.float32), (3, torch.bfloat16), (12, torch.bfloat16)])
def test_a_token_sees_all_that_stands_before_it_but_padding(rows, dtype):
    """Through several enlargements, in every block."""
    tolerance = 1e-5 if dtype == torch.float32 else 3e-2
    begun = [[numbers(rows, KEY_HEADS, 5, WIDTH, dtype=dtype, seed=seed) for seed in pair] for pair in ((1, 2), (3, 4))]
    store = KeyValues(5, *begun)
    keys, values = [list(one) for one in begun]
    mask = torch.ones(rows, 5, dtype=torch.bool)
    mask[0, :2] = False
    for step in range(150):
        store.grow()
        mask = torch.cat([mask, torch.ones(rows, 1, dtype=torch.bool)], 1)
        hidden = store.hidden(mask)
        for layer in range(2):
            query = numbers(rows, KEY_HEADS * SHARED, 1, WIDTH, dtype=dtype, seed=10 * step + layer)
            key, value = (numbers(rows, KEY_HEADS, 1, WIDTH, dtype=dtype, seed=7 * step + at) for at in (layer, 3))
            keys[layer], values[layer] = torch.cat([keys[layer], key], 2), torch.cat([values[layer], value], 2)
            found = store.attend(layer, hidden, query, key, value, 0.3)
            assert found.dtype == dtype
            due = expected(keys[layer], values[layer], query, mask, 0.3)
            torch.testing.assert_close(found, due, rtol=tolerance, atol=tolerance)
    assert store.length == 155


def test_rows_leave_and_stand_twice():
    keys, values = numbers(ROWS, KEY_HEADS, 4, WIDTH), numbers(ROWS, KEY_HEADS, 4, WIDTH, seed=1)
    store = KeyValues(4, [keys], [values])
    store.keep([2, 2, 0])
    store.grow()
    query, key = numbers(ROWS, KEY_HEADS * SHARED, 1, WIDTH, seed=2), numbers(ROWS, KEY_HEADS, 1, WIDTH, seed=3)
    mask = torch.ones(ROWS, 5, dtype=torch.bool)
    found = store.attend(0, store.hidden(mask), query, key, key, 1.0)
    stayed = (torch.cat([one[[2, 2, 0]], key], 2) for one in (keys, values))
    torch.testing.assert_close(found, expected(*stayed, query, mask, 1.0))


def test_prompts_stay_as_they_are():
    keys = numbers(ROWS, KEY_HEADS, 4, WIDTH)
    before = keys.clone()
    store = KeyValues(4, [keys], [keys])
    store.grow()
    one = numbers(ROWS, KEY_HEADS, 1, WIDTH)
    store.attend(0, store.hidden(torch.ones(ROWS, 5, dtype=torch.bool)), one.repeat(1, 2, 1, 1), one, one, 1.0)
    assert torch.equal(keys, before)
