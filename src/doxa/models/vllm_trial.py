"""Whether a vLLM server serves the model, in its dtype, and really steers: tried before anything is run on it.

An arm that is silently not steered is the worst that can happen to a study: the server answers, and every effect is
zero. So one reference text is read plain and steered, and the residual stream that comes back must have moved by just
what was sent. Then it is steered at the one position that is written: vllm-lens 1.3.0 loses count there
(`benchmarks/vllm/mend_positions.py` mends it), and a server that does is good for `at: all` only.
"""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from doxa.models.handle import Model
from doxa.models.passes import reader_of
from doxa.models.steering import SteeringPlan, reading
from doxa.models.vllm_servers import Ask, Server, ask_all, get, understood
from doxa.models.vllm_wire import Text, body_of, residual_of
from doxa.words.errors import ModelError

REFERENCE = "The train to the coast leaves at nine, and the library is open until six."
SAME_WEIGHTS = {torch.float32: 0.01, torch.bfloat16: 0.15}
"""Largest distance of the server's residual stream from the one here, as a fraction of its norm."""
SAME_ADDITION = {torch.float32: 1e-3, torch.bfloat16: 0.05}
"""Largest distance of what was added from what was to be added, as a fraction of its norm, rounding apart."""


def try_server(model: Model, address: str) -> Server:
    """Try a server.

    Args:
        model: The model; its weights here are compared with those that the server has.
        address: Of the server.

    Raises:
        ModelError: When the server serves another model or dtype, has no vllm-lens, or does not steer.
        EnvironmentFault: When it cannot be reached.
    """
    server = _described(address)
    tokens = tuple(int(token) for token in model.tokenizer.encode(REFERENCE))
    here = _residual_here(model, tokens)
    push = torch.randn(1, model.d_model, generator=torch.Generator().manual_seed(0))
    push *= float(here.float().norm(dim=-1).median()) / float(push.norm())
    plan = SteeringPlan((model.n_layers - 1,), push, frozenset(("all",)))
    everywhere = torch.ones(1, len(tokens) + 1, dtype=torch.bool)  # one token is written and run
    written = everywhere.clone()
    written[:, :-1] = False
    plain, logprob = _read(model, server, Text(tokens, (), everywhere[:0]))
    _check_model(model, server, plain, here)
    steered, moved = _read(model, server, Text(tokens, (plan,), everywhere))
    # The first token that is written may be another one; up to there only what was added differs.
    if moved == logprob or not _moved(plain[:-1], steered[:-1], push):
        raise ModelError(
            f"the vLLM server at {address} does not add to the residual stream what it is sent",
            expected="the plugin vllm-lens, steering",
            way_out="Start it without VLLM_LENS_DISABLE, with vllm-lens 1.3.0 in its environment",
        )
    placed, _ = _read(model, server, Text(tokens, (plan,), written))
    untouched = _moved(plain[:-1], placed[:-1], torch.zeros_like(push))
    return replace(server, positions=untouched and _moved(plain[-1:], placed[-1:], push))


def _check_model(model: Model, server: Server, plain: Tensor, here: Tensor) -> None:
    """Check that dtype and weights are those of the model here."""
    if plain.dtype != model.dtype:
        raise ModelError(
            f"the vLLM server at {server.address} computes in {_name(plain.dtype)}",
            expected=f"{_name(model.dtype)}, as the study says",
            way_out=f"Start it with `--dtype {_name(model.dtype)}`, or write its dtype beside the name in `model`",
        )
    same = plain[:-1].shape == here.shape and _distance(plain[:-1], here) <= SAME_WEIGHTS[model.dtype]
    if not same:
        raise ModelError(
            f"the vLLM server at {server.address} serves {server.name}, which does not compute what {model.name} does "
            "here",
            expected="the same weights on both sides: vectors and doses are made from those here",
            way_out="Start it with the same model, or name the model that it serves",
        )


def _described(address: str) -> Server:
    shown = get(address, "/v1/models")
    with understood("models, as vLLM shows them under /v1/models"):
        models = [dict(one) for one in shown.get("data", []) if one.get("parent") is None]
    if not models or not isinstance(models[0].get("max_model_len"), int):
        raise ModelError(
            f"what answers at {address} does not show a model as vLLM does",
            way_out="Name the address of a vLLM server: http://host:port",
        )
    return Server(address, str(models[0]["id"]), int(models[0]["max_model_len"]), positions=False)


def _read(model: Model, server: Server, text: Text) -> tuple[Float[Tensor, "time d_model"], float]:
    """The last residual stream of a text and of the token that is written, and that token's log-probability."""
    layer = model.n_layers - 1

    def body(server: Server) -> dict[str, object]:
        settings = {"max_tokens": 2, "temperature": 0, "logprobs": 1, "ignore_eos": True}
        return body_of(text, server.name, read_layer=layer, **settings)

    (answer,) = ask_all([server], [Ask(body, "")]).bodies
    residual = residual_of(answer)
    if residual is None:
        raise ModelError(
            f"the vLLM server at {server.address} has no plugin vllm-lens: it would answer unsteered",
            way_out="Install vllm-lens 1.3.0 in its environment, unset VLLM_LENS_DISABLE, and start it again",
        )
    with understood("log-probabilities of what is written"):
        return residual, float(answer["choices"][0]["logprobs"]["token_logprobs"][0])


@torch.no_grad()
def _residual_here(model: Model, tokens: tuple[int, ...]) -> Float[Tensor, "time d_model"]:
    row = torch.tensor([tokens], device=model.device)
    reader = reader_of(model)
    with reading(model, [model.n_layers - 1]) as residuals:
        reader.features(row, torch.ones_like(row, dtype=torch.bool), torch.arange(len(tokens), device=row.device)[None])
    return residuals[model.n_layers - 1][0].cpu()


def _distance(found: Tensor, expected: Tensor) -> float:
    """The median over positions of the distance, as a fraction of the norm."""
    expected = expected.float()
    return float(((found.float() - expected).norm(dim=-1) / expected.norm(dim=-1)).median())


def _moved(plain: Tensor, steered: Tensor, push: Tensor) -> bool:
    """Whether just this was added, at every position; where the residual stream is large, rounding is coarse."""
    rounding = 2 * torch.finfo(plain.dtype).eps * plain.float().norm(dim=-1)
    apart = (steered.float() - plain.float() - push).norm(dim=-1)
    return bool((apart <= rounding + SAME_ADDITION[plain.dtype] * push.norm()).all())


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
