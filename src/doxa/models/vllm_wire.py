"""What goes over the wire to vLLM with the plugin vllm-lens, found by experiment with 0.32 and 1.3.0.

- `POST /v1/completions` takes token ids as `prompt`; `return_token_ids` and `return_tokens_as_token_ids` give ids back.
- `vllm_xargs` holds texts: `apply_steering_vectors` is a JSON list, `output_residual_stream` a JSON list of layers.
- A steering vector with activations [layers, d_model] is added at every position, prompt and answer; one with
  [layers, positions, d_model] at the absolute positions of `position_indices`, also such as are not written yet.
  Nothing can be said of tokens by what they will turn out to be. `norm_match` is switched off: additions are absolute.
- vllm-lens takes the vectors *out* of what it is given: of several prompts in one body only the first is steered, and
  `n` > 1 is not steered at all. So: one prompt a request, one text a prompt, every body made anew.
- A steered request does not read the prefix cache, but writes it, and others read that: an unsteered request with the
  same prompt would answer from steered keys and values. `cache_salt` keeps them apart (`salt_of`).
- Tensors are bytes in base64, packed with zstd; bfloat16 travels as int16.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import zstandard
from jaxtyping import Bool, Float
from torch import Tensor

from doxa.models.paths import Plans
from doxa.models.steering import SteeringPlan
from doxa.words.errors import EnvironmentFault, StudyError
from doxa.words.store import content_hash

MOST_BYTES = 1 << 28
"""Of the additions of one request, when they are not the same at every position: the server holds them in memory."""
_MOST_UNPACKED = 1 << 32
_DTYPES = {"torch.float32": torch.float32, "torch.bfloat16": torch.bfloat16, "torch.float16": torch.float16}


@dataclass(frozen=True, eq=False)
class Text:
    """Tokens that a server is to read, and what is added to the residual stream while it does.

    Attributes:
        tokens: The prompt as the server sees it.
        plans: What is added.
        mask: Where; it reaches beyond `tokens` to those that will be written.
    """

    tokens: tuple[int, ...]
    plans: Plans
    mask: Bool[Tensor, "plans time"]

    @property
    def steered(self) -> tuple[tuple[SteeringPlan, Bool[Tensor, " time"]], ...]:
        """The plans that add something somewhere, and where."""
        pairs = zip(self.plans, self.mask, strict=True)
        return tuple((plan, mask) for plan, mask in pairs if bool(mask.any()) and bool(plan.additions.any()))


def salt_of(text: Text) -> str:
    """The cache salt: the same only for texts in which the same is added at the same positions.

    Unsteered texts have one of their own, too, so that nobody else's steered requests are in their cache.
    """
    return content_hash(
        [
            [list(plan.layers), content_hash(plan.additions.numpy().tobytes()), _where(mask)]
            for plan, mask in text.steered
        ]
    )


def _where(mask: Bool[Tensor, " time"]) -> str | list[int]:
    return "all" if bool(mask.all()) else mask.nonzero().flatten().tolist()


def body_of(text: Text, model: str, *, read_layer: int | None = None, **settings: Any) -> dict[str, Any]:
    """The body of a request, a new one at every call.

    Args:
        text: What is read.
        model: The server's name of the model.
        read_layer: Have the residual stream at the output of this decoder block sent back.
        settings: Fields of the completions endpoint.

    Raises:
        StudyError: When the additions are too large to be sent position by position.
    """
    own: dict[str, str] = {}
    if text.steered:
        own["apply_steering_vectors"] = f"[{','.join(_vector(plan, mask) for plan, mask in text.steered)}]"
    if read_layer is not None:
        own["output_residual_stream"] = json.dumps([read_layer])
    return {
        "model": model,
        "prompt": list(text.tokens),
        "add_special_tokens": False,
        "cache_salt": salt_of(text),
        "return_token_ids": True,
        "return_tokens_as_token_ids": True,
        **settings,
        **({"vllm_xargs": own} if own else {}),
    }


def residual_of(answer: Mapping[str, Any]) -> Float[Tensor, "time d_model"] | None:
    """The residual stream that an answer brings, in the server's dtype; None when it brings none.

    Raises:
        EnvironmentFault: When it is not what vllm-lens sends.
    """
    sent = (answer.get("activations") or {}).get("residual_stream")
    if sent is None:
        return None
    try:
        data = base64.b64decode(sent["data"])
        if sent.get("compression") == "zstd":
            data = zstandard.ZstdDecompressor().decompress(data, max_output_size=_MOST_UNPACKED)
        array = np.frombuffer(data, np.dtype(sent["dtype"])).reshape(sent["shape"]).copy()
        tensor = torch.from_numpy(array)
        layers = tensor.view(_DTYPES[sent["original_dtype"]])
        residual: Tensor
        (residual,) = layers
    except (KeyError, ValueError, TypeError, RuntimeError, zstandard.ZstdError) as error:
        raise EnvironmentFault(
            f"a vLLM server sends a residual stream that is not understood ({error})",
            expected="what vllm-lens 1.3.0 sends",
            way_out="Install that version beside the server",
        ) from error
    return residual


def _vector(plan: SteeringPlan, mask: Bool[Tensor, " time"]) -> str:
    if bool(mask.all()):
        return _everywhere(plan)
    positions = mask.nonzero().flatten().tolist()
    added = plan.additions.any(1)
    additions = plan.additions[added]
    size = additions.nbytes * len(positions)
    if size > MOST_BYTES:
        raise StudyError(
            f"additions at {len(additions)} layers and {len(positions)} positions, {size >> 20} MiB for one request",
            expected=f"at most {MOST_BYTES >> 20} MiB: vLLM is sent a vector for every position that is steered",
            way_out="Write `at: all` (one vector for all positions), fewer layers, or a lower max_tokens",
        )
    return _json(plan, additions[:, None].expand(-1, len(positions), -1), positions)


@lru_cache(maxsize=64)  # the many requests of an arm carry the same vectors
def _everywhere(plan: SteeringPlan) -> str:
    return _json(plan, plan.additions[plan.additions.any(1)], None)


def _json(plan: SteeringPlan, additions: Tensor, positions: list[int] | None) -> str:
    layers = [layer for layer, some in zip(plan.layers, plan.additions.any(1).tolist(), strict=True) if some]
    packed = zstandard.ZstdCompressor(level=1).compress(additions.contiguous().numpy().tobytes())
    activations = {
        "data": base64.b64encode(packed).decode("ascii"),
        "dtype": "float32",
        "original_dtype": "torch.float32",
        "shape": list(additions.shape),
        "compression": "zstd",
    }
    return json.dumps(
        {
            "activations": activations,
            "layer_indices": layers,
            "scale": 1.0,
            "norm_match": False,
            "position_indices": positions,
        }
    )
