"""How many rows fit into what memory is free, and what to do when they do not."""

from typing import TYPE_CHECKING

import psutil
import torch

if TYPE_CHECKING:
    from doxa.models.handle import Model

SHARE = 0.5
"""Of the free memory: what the keys and values of a batch may take; the rest is for what passes compute."""


def free_bytes(device: torch.device) -> int:
    """Bytes that are free where a model lies."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def row_bytes(model: "Model", tokens: int) -> int:
    """Bytes that a row of so many tokens takes while it is written: keys and values twice (once anew), and logits."""
    config = model.network.config.get_text_config().to_dict()
    heads = int(config.get("num_attention_heads") or config.get("n_head") or 1)
    width = int(config.get("head_dim") or model.d_model // heads)
    key_heads = int(config.get("num_key_value_heads") or heads)
    number = 4 if model.device.type == "cpu" else model.dtype.itemsize  # keys of steps stand in float32 on a CPU
    each = 2 * model.n_layers * key_heads * width * number
    return 2 * tokens * each + 3 * 4 * int(config.get("vocab_size", 0))


def rows_that_fit(model: "Model", tokens: int, most: int) -> int:
    """How many rows of so many tokens to write together: as many as fit, at least one and at most `most`.

    On a machine with room to spare this is always `most`, so that batches, and the last bits of their logits, do not
    depend on what else is running.
    """
    return max(1, min(most, int(SHARE * free_bytes(model.device)) // row_bytes(model, tokens)))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory did not suffice: torch says so in several ways."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "allocate memory" in str(error)
