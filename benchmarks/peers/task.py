"""What a peer is asked to do."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

Tokens = list[list[int]]
Write = Callable[[Tokens, int, bool], Tokens]
"""Continue prompts by so many tokens, steered or not: the new tokens."""


@dataclass(frozen=True)
class Task:
    """What is measured.

    Attributes:
        folder: The model: configuration, safetensors and tokenizer.
        prompts: Prompts as tokens, all equally long.
        additions: For each block what is added to the residual stream.
        dtype: `float32` or `bfloat16`.
        threads: To compute with.
    """

    folder: Path
    prompts: Tokens
    additions: Sequence[Sequence[float]]
    dtype: str
    threads: int
