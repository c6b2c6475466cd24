"""What limits the speed of writing: products at the best rate, weights to read, and the products as they are."""

import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from doxa.models.handle import Model
from doxa.models.packed import Linear, fused, linear_of


def _median(run: Callable[[], object], repetitions: int) -> float:
    def seconds() -> float:
        began = time.perf_counter()
        run()
        return time.perf_counter() - began

    run()
    return statistics.median(seconds() for _ in range(repetitions))


def rates(dtype: torch.dtype) -> tuple[float, float]:
    """Products (FLOP/s) and reading of memory (bytes/s) at the machine's best."""
    square, inputs = nn.Linear(2048, 2048, bias=False).to(dtype), torch.randn(2048, 2048).to(dtype)
    ways = [square, *([own] if (own := linear_of(square)) is not None else [])]
    large = torch.zeros(64 << 20)
    product = min(_median(lambda way=way: way(inputs), 9) for way in ways)
    return 2 * 2048**3 / product, large.nbytes / _median(large.sum, 9)


def ceiling(model: Model, n: int, prompt: int, new: int, flops: float, bandwidth: float) -> float:
    """New tokens per second, were there nothing but products at the best rate or weights to read."""
    head = model.network.get_output_embeddings().weight
    blocks = sum(one.weight.numel() for block in model.blocks for one in block.modules() if isinstance(one, nn.Linear))
    weights = (blocks + head.numel()) * head.element_size()
    prefill = max(2 * n * (prompt * blocks + head.numel()) / flops, weights / bandwidth)
    step = max(2 * n * (blocks + head.numel()) / flops, weights / bandwidth)
    return n * new / (prefill + (new - 1) * step)


class Products:
    """The products of a pass and nothing else. Weights follow one another, so that none is in the processor's cache."""

    def __init__(self, model: Model) -> None:
        groups = [
            group
            for block in model.blocks
            for group in (
                [block.self_attn.q_proj, block.self_attn.k_proj, block.self_attn.v_proj],
                [block.self_attn.o_proj],
                [block.mlp.gate_proj, block.mlp.up_proj],
                [block.mlp.down_proj],
            )
        ]
        self._dtype = model.dtype
        self._blocks = [self._fastest(group) for group in groups]
        self._head = self._fastest([model.network.get_output_embeddings()])

    @staticmethod
    def _fastest(group: list[nn.Linear]) -> tuple[Linear, int]:
        whole = fused(group)
        return (whole if whole is not None else lambda inputs: [one(inputs) for one in group]), group[0].in_features

    @torch.no_grad()
    def _seconds(self, tokens: int, rows: int) -> float:
        inputs = {into: torch.randn(1, tokens, into).to(self._dtype) for _, into in [*self._blocks, self._head]}
        last = inputs[self._head[1]][:, :rows].clone()

        def once() -> None:
            for linear, into in self._blocks:
                linear(inputs[into])
            self._head[0](last)

        return _median(once, 3)

    def speed(self, n: int, prompt: int, new: int) -> float:
        """New tokens per second, were there nothing but these."""
        return n * new / (self._seconds(n * prompt, n) + (new - 1) * self._seconds(n, n))
