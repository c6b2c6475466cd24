"""How each peer written in Python writes a batch under an addition to every block.

Every peer gets the same network from Transformers, which is told of no end-of-text token, so that every text has the
length asked for and no token is banned. Imports stand inside, because each peer has an environment of its own.
"""

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from task import Task, Tokens, Write


def _network(task: Task) -> Any:
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(task.threads)
    network = AutoModelForCausalLM.from_pretrained(task.folder, dtype=getattr(torch, task.dtype)).eval()
    network.generation_config.eos_token_id = None
    return network


def _vectors(task: Task) -> torch.Tensor:
    return torch.tensor(task.additions).to(getattr(torch, task.dtype))


def _asked(tokens: Tokens) -> dict[str, torch.Tensor]:
    ids = torch.tensor(tokens)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def _generate(model: Any, tokens: Tokens, new: int) -> Tokens:
    with torch.no_grad():
        written = model.generate(**_asked(tokens), max_new_tokens=new, do_sample=False, pad_token_id=0)
    return written[:, len(tokens[0]) :].tolist()


def _inside(model: Any, steering: Callable[[], AbstractContextManager[object]]) -> Write:
    def write(tokens: Tokens, new: int, steered: bool) -> Tokens:
        with steering() if steered else nullcontext():
            return _generate(model, tokens, new)

    return write


class _Hooks(AbstractContextManager):
    """A plain hook on every block."""

    def __init__(self, network: Any, vectors: torch.Tensor) -> None:
        self._handles = [
            block.register_forward_hook(lambda _, __, output, vector=vector: output + vector)
            for block, vector in zip(network.model.layers, vectors, strict=True)
        ]

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()


def hooks(task: Task) -> Write:
    network, vectors = _network(task), _vectors(task)
    return _inside(network, lambda: _Hooks(network, vectors))


def steering_vectors(task: Task) -> Write:
    from steering_vectors import SteeringVector

    network = _network(task)
    vector = SteeringVector(dict(enumerate(_vectors(task))), "decoder_block")
    return _inside(network, lambda: vector.apply(network))


def repeng(task: Task) -> Write:
    from repeng import ControlModel, ControlVector

    model = ControlModel(_network(task), range(len(task.additions)))
    vector = ControlVector("llama", dict(enumerate(torch.tensor(task.additions).numpy())))

    def write(tokens: Tokens, new: int, steered: bool) -> Tokens:
        model.set_control(vector, 1.0) if steered else model.reset()
        return _generate(model, tokens, new)

    return write


def nnsight(task: Task) -> Write:
    from nnsight import TransformersModel
    from transformers import AutoTokenizer

    network, vectors = _network(task), _vectors(task)
    model = TransformersModel(network, task="text-generation", tokenizer=AutoTokenizer.from_pretrained(task.folder))

    def write(tokens: Tokens, new: int, steered: bool) -> Tokens:
        if not steered:
            return _generate(network, tokens, new)
        with (
            torch.no_grad(),
            model.generate(_asked(tokens), max_new_tokens=new, do_sample=False, pad_token_id=0) as run,
        ):
            for _ in run.iter[:new]:
                for layer in range(len(vectors)):
                    model.model.layers[layer].output += vectors[layer]
            written = run.result.save()
        return written[:, len(tokens[0]) :].tolist()

    return write


def repsteer(task: Task) -> Write:
    from repsteer import ArtifactMetadata, DirectionArtifact, Intervention, Site, SteeringPlan
    from repsteer.models.hf import HFSteerableModel
    from repsteer.operators import Add
    from repsteer.positions import AllTokens
    from repsteer.schedules import Constant
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(task.folder)
    model = HFSteerableModel(_network(task), tokenizer=tokenizer)
    plan = SteeringPlan(
        Intervention(
            DirectionArtifact(ArtifactMetadata(site=Site("language", "resid_post", layer)), vector),
            Add(), AllTokens(), Constant(1.0), phase="both",
        )
        for layer, vector in enumerate(_vectors(task))
    )  # fmt: skip

    def write(tokens: Tokens, new: int, steered: bool) -> Tokens:
        with torch.no_grad(), model.steer(plan, compatibility="dimension") if steered else nullcontext():
            written = model.generate(_asked(tokens), max_new_tokens=new, do_sample=False, pad_token_id=0)
        return written.sequences[:, len(tokens[0]) :].tolist()

    return write


def saklas(task: Task) -> Write:
    """Its coefficient has a unit of its own: what it adds at coefficient 1 is read, and the coefficient set by that."""
    os.environ.setdefault("SAKLAS_HOME", str(Path(sys.prefix) / "saklas"))
    import saklas.core.generation
    import saklas.core.session
    from saklas import Profile, SaklasSession, SamplingConfig
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(task.folder)
    session = SaklasSession(_network(task), tokenizer, probes=[])
    for module in (saklas.core.generation, saklas.core.session):
        module._get_eos_ids = lambda *_: set()
    vectors = torch.tensor(task.additions)
    if session.whitener is None:  # its metric has to be made before anything is steered
        raise RuntimeError("saklas could not make its metric")
    session.steer("vector", Profile(dict(enumerate(vectors))))
    with session.steering("1.0 vector"):
        added = session._steering.compute_static_offsets()
    share = torch.stack([vectors[layer].norm() / added[layer].norm() for layer in range(len(vectors))])
    coefficient = float(share.mean())
    if float(share.std()) > 1e-3 * coefficient:
        raise RuntimeError(f"saklas adds the vector in other proportions at other layers: {share.tolist()}")

    def write(tokens: Tokens, new: int, steered: bool) -> Tokens:
        done = session.generate_batch(
            tokenizer.batch_decode(tokens),
            steering=f"{coefficient:.9f} vector" if steered else None,
            sampling=SamplingConfig(temperature=0.0, max_tokens=new),
            raw=True,
        )
        # It takes tokens at the end that are its padding for padding. Here none is: no text ends before the others.
        return [[*one.tokens, *[session._batch_pad_token_id()] * (new - len(one.tokens))] for one in done]

    return write
