"""Let modules of a network compute something else for a while, in one thread at a time."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

ALONE = threading.RLock()
"""Held by whoever has hooks or substitutes on a network: another thread that ran it would get them too."""


@contextmanager
def substituted(modules: Sequence[nn.Module], forwards: Sequence[Callable[..., Any]]) -> Iterator[None]:
    """Let modules compute something else while the context is open. Their hooks run as ever; other threads wait.

    Args:
        modules: The modules.
        forwards: What each computes instead.
    """
    with ALONE:
        own = [vars(module).get("forward") for module in modules]
        try:
            for module, forward in zip(modules, forwards, strict=True):
                vars(module)["forward"] = forward
            yield
        finally:
            for module, usual in zip(modules, own, strict=True):
                if usual is None:
                    vars(module).pop("forward", None)
                else:
                    vars(module)["forward"] = usual
