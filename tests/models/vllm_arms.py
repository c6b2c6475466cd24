"""A tiny model on a fake vLLM server, and arms that touch different tokens."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch

from doxa.models.chat import Message, Rendered, render
from doxa.models.handle import Model
from doxa.models.steering import SteeringPlan
from doxa.words.interventions import Where
from fake_vllm import FakeVLLM, serving

QUESTIONS = ("What is the capital?", "Are you conscious?", "Say no.")


@contextmanager
def on_server(model: Model, **wrong: Any) -> Iterator[tuple[Model, FakeVLLM]]:
    """A model, run by a server of its own that may misbehave."""
    with serving(FakeVLLM(model, **wrong)) as fake:
        yield replace(model, name=f"vllm/{model.name}", servers=(fake.address,)), fake


def plan(*at: Where, norm: float = 6.0, layers: tuple[int, ...] = (0, 1), seed: int = 0) -> SteeringPlan:
    """A random addition; the layers have vectors of their own."""
    vectors = torch.randn(len(layers), 32, generator=torch.Generator().manual_seed(seed))
    return SteeringPlan(layers, vectors / vectors.norm(dim=1, keepdim=True) * norm, frozenset(at))


def prompts(model: Model) -> list[Rendered]:
    return [render(model, [Message("system", "Be kind."), Message("user", question)]) for question in QUESTIONS]


ARMS: dict[str, tuple[SteeringPlan, ...]] = {
    "plain": (),
    "all": (plan("all"),),
    "prompt": (plan("prompt"),),
    "generated": (plan("generated"),),
    "user": (plan("user"),),
    "two": (plan("all", seed=1), plan("system", "assistant", "thinking", seed=2)),
    "zero": (plan("all", norm=0.0),),
}
