"""Attention of one more token for every row: torch's own beside two batches of products, as a step has it.

    python benchmarks/step_attention.py [--write]

Shapes are the embedded model's: 3 heads of keys, asked by 3 query heads each, 64 wide; 80 positions, of which the store
asks 96. Both write the new key and value first. Keys and values of thirty blocks are used in turn, as a step does. The
two ways take turns; medians. `--write` puts the table into `docs/performance.md`.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from doxa.models.key_values import KeyValues  # first: it says how threads wait

import torch  # isort: skip
from torch import Tensor, nn  # isort: skip

from page import written  # isort: skip

BLOCKS, KEY_HEADS, SHARED, WIDTH, LENGTH = 30, 3, 3, 64, 80
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"


def measured(rows: int, dtype: torch.dtype) -> tuple[float, float]:
    """Microseconds of a block's attention: torch's, and the store's."""
    taken = [torch.randn(rows, KEY_HEADS, LENGTH - 1, WIDTH, dtype=dtype) for _ in range(2 * BLOCKS)]
    store = KeyValues(LENGTH - 1, taken[:BLOCKS], taken[BLOCKS:])
    store.grow()
    pairs = [
        (nn.functional.pad(key, (0, 0, 0, 81)), nn.functional.pad(value, (0, 0, 0, 81)))
        for key, value in zip(taken[:BLOCKS], taken[BLOCKS:], strict=True)
    ]
    query = torch.randn(rows, KEY_HEADS * SHARED, 1, WIDTH, dtype=dtype)
    key, value = (torch.randn(rows, KEY_HEADS, 1, WIDTH, dtype=dtype) for _ in range(2))
    mask = torch.ones(rows, LENGTH, dtype=torch.bool)
    hidden = store.hidden(mask)
    scale = WIDTH**-0.5

    def usual(block: int) -> Tensor:
        keys, values = (one[:, :, :LENGTH] for one in pairs[block])
        keys[:, :, -1:], values[:, :, -1:] = key, value
        asking = query.view(rows, KEY_HEADS, SHARED, WIDTH)
        return nn.functional.scaled_dot_product_attention(
            asking, keys, values, attn_mask=mask[:, None, None], scale=scale
        ).view(query.shape)

    def products(block: int) -> Tensor:
        return store.attend(block, hidden, query, key, value, scale)

    tolerance = 1e-5 if dtype == torch.float32 else 3e-2
    torch.testing.assert_close(products(0), usual(0), rtol=tolerance, atol=tolerance)
    rounds = [(_seconds(usual), _seconds(products)) for _ in range(9)]
    first, second = (statistics.median(times) for times in zip(*rounds, strict=True))
    return first * 1e6, second * 1e6


def _seconds(attend: Callable[[int], Tensor]) -> float:
    began = time.perf_counter()
    for _ in range(3):
        for block in range(BLOCKS):
            attend(block)
    return (time.perf_counter() - began) / (3 * BLOCKS)


@torch.no_grad()
def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    arguments = parser.parse_args()
    lines = ["| dtype | rows | torch's attention, µs | products, µs | ratio |", "|---|---|---|---|---|"]
    for dtype in (torch.float32, torch.bfloat16):
        for rows in (1, 8, 32, 128):
            usual, products = measured(rows, dtype)
            name = str(dtype).removeprefix("torch.")
            lines.append(f"| {name} | {rows} | {usual:.0f} | {products:.0f} | {usual / products:.2f} |")
    table = "\n".join(lines)
    print(table)
    if arguments.write:
        mark = "table of attention"
        written(PAGE, "<!-- table: written by benchmarks/step_attention.py -->", f"<!-- end of {mark} -->", table)


if __name__ == "__main__":
    main()
