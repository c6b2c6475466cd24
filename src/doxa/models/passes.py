"""One forward pass over a batch of rows: tokens in, logits at chosen positions out.

The decoder is run without its head, and the head is applied to the positions that are read only (of the embedded model
it is a fifth of the work). That decoder and head together are the network is not believed but checked, once per model;
where they are not (a network that scales its logits, for instance), whole logits are computed, most for nothing.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from inspect import signature
from typing import TypeAlias, cast
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedModel

from doxa.models.handle import Model
from doxa.models.packed import packed
from doxa.words.errors import ModelError

Attention: TypeAlias = Tensor | dict[str, Tensor]
"""A mask that says what each token sees, additive [rows, 1, time, time]; or one for each kind of layer."""


@dataclass(frozen=True, eq=False)
class Reader:
    """How logits are read from a model.

    Attributes:
        network: The whole network.
        decoder: What computes the last residual stream, behind the final norm; None when that and the head are not the
            whole of the network.
        head: From residual stream to logits.
        softcap: Logits are squeezed into (-softcap, softcap), as Gemma 2 does.
        accepted: Names of the arguments that decoder or network take.
    """

    network: PreTrainedModel
    decoder: nn.Module | None
    head: nn.Module | None
    softcap: float | None
    accepted: frozenset[str]

    def features(
        self,
        tokens: Int[Tensor, "rows time"],
        mask: Bool[Tensor, "rows past_and_time"] | Attention,
        positions: Int[Tensor, "rows time"],
        cache: DynamicCache | None = None,
        *,
        last: bool = False,
    ) -> Float[Tensor, "rows kept width"]:
        """Run a forward pass.

        Args:
            tokens: Token ids; padding may be anything.
            mask: False where a token is padding, in the cache and in `tokens`; or who sees whom (`branching`).
            positions: Position ids of `tokens`.
            cache: Keys and values of earlier tokens; grows by `tokens`.
            last: Keep the last position only.

        Returns:
            For each position something that `logits` turns into logits.
        """
        network = self.decoder if self.decoder is not None else self.network
        optional = {"position_ids": positions, "logits_to_keep": 1 if last else 0}
        with packed(self.network):
            output = network(
                input_ids=tokens,
                attention_mask=mask.long() if isinstance(mask, Tensor) and mask.dtype == torch.bool else mask,
                past_key_values=cache,
                use_cache=cache is not None,
                **{name: value for name, value in optional.items() if name in self.accepted},
            )
        features: Tensor = output.logits if self.decoder is None else output.last_hidden_state
        return features[:, -1:] if last else features

    def logits(self, features: Float[Tensor, "... width"]) -> Float[Tensor, "... vocab"]:
        """Logits (float32) of some of the features."""
        if self.head is None:
            return features.float()
        with packed(self.network):
            logits: Tensor = self.head(features)
        if self.softcap is not None:
            logits = torch.tanh(logits / self.softcap) * self.softcap
        return logits.float()


_readers: WeakKeyDictionary[Model, Reader] = WeakKeyDictionary()


def reader_of(model: Model) -> Reader:
    """How logits are read from a model; found and checked on the first call. Not to be called inside `steering`."""
    if model not in _readers:
        _readers[model] = _checked(model)
    return _readers[model]


@torch.no_grad()
def _checked(model: Model) -> Reader:
    network = model.network
    whole = Reader(network, None, None, None, frozenset(signature(network.forward).parameters))
    decoder = network.get_decoder()  # type: ignore[no-untyped-call]  # transformers leaves both untyped
    head = network.get_output_embeddings()  # type: ignore[no-untyped-call]
    if decoder is None or decoder is network or not isinstance(head, nn.Module):
        return whole
    softcap = network.config.get_text_config().to_dict().get("final_logit_softcapping")
    parts = Reader(network, decoder, head, softcap, frozenset(signature(decoder.forward).parameters))
    tokens = torch.arange(8, device=model.device)[None] % network.config.get_text_config().vocab_size
    inputs = (tokens, torch.ones_like(tokens, dtype=torch.bool), torch.arange(8, device=model.device)[None])
    expected = whole.logits(whole.features(*inputs))
    found = parts.logits(parts.features(*inputs))
    same = expected.shape == found.shape and torch.allclose(found, expected, rtol=1e-3, atol=1e-4)
    return parts if same else whole


def new_cache(model: Model) -> DynamicCache:
    """An empty cache of keys and values for a model."""
    return DynamicCache(config=model.network.config)


_apart: WeakKeyDictionary[Model, bool] = WeakKeyDictionary()


def check_rows_can_leave(model: Model) -> None:
    """Check that all that a network keeps of earlier tokens is in its cache: tried, once for each model.

    Raises:
        ModelError: When rows cannot leave a batch or be repeated, because states are kept elsewhere.
    """
    if model not in _apart:
        try:
            _apart[model] = _same_after_leaving(model)
        except (TypeError, ValueError, RuntimeError, IndexError, KeyError, AttributeError, AssertionError):
            _apart[model] = False
    if not _apart[model]:
        raise ModelError(
            f"{model.name} ({model.network.config.model_type}) keeps states of earlier tokens that rows of a batch "
            "cannot be told apart in",
            expected="a network that keeps them in a cache of keys and values",
            way_out="It can be scored (forced choice, divergence) and not written with; use another model for that",
        )


@torch.no_grad()
def _same_after_leaving(model: Model) -> bool:
    """Let one of two rows leave and the other stand twice, and compare with that row alone.

    In bfloat16 that shows large errors only, so it is also looked whether a module holds on to what belongs to rows.
    """
    reader = reader_of(model)
    cache = new_cache(model)
    tokens = torch.tensor([[1, 2, 3], [4, 5, 6]], device=model.device)
    places = torch.arange(3, device=model.device).expand(2, 3)
    reader.features(tokens, torch.ones_like(tokens, dtype=torch.bool), places, cache)
    kept = (value for module in model.network.modules() for value in vars(module).values())
    if any(isinstance(value, Tensor) and value.shape[:1] == (len(tokens),) for value in kept):
        return False
    left = selected(cache, [1, 1])
    step, mask = torch.full((2, 1), 7, device=model.device), torch.ones(2, 4, dtype=torch.bool, device=model.device)
    found = reader.logits(reader.features(step, mask, torch.full_like(step, 3), left))[:, -1]
    whole = torch.tensor([[4, 5, 6, 7]], device=model.device)
    due = reader.features(whole, torch.ones_like(whole, dtype=torch.bool), torch.arange(4, device=model.device)[None])
    expected = reader.logits(due)[:, -1]
    tolerance = 1e-3 if model.dtype == torch.float32 else 5e-2
    return torch.allclose(found, expected.expand_as(found), rtol=1e-2, atol=tolerance * float(expected.abs().max()))


def selected(cache: DynamicCache, rows: Sequence[int] | Int[Tensor, " rows"]) -> DynamicCache:
    """A cache of some rows of another, in the order given; a row may stand in it several times.

    Args:
        cache: Stays as it is.
        rows: Which rows.
    """
    chosen = copy(cache)
    chosen.layers = [copy(layer) for layer in cache.layers]
    index = cast(torch.LongTensor, torch.as_tensor(rows))
    for layer in chosen.layers:
        layer.reorder_cache(index)  # it puts new tensors in the place of the old ones
    return chosen
