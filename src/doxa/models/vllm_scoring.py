"""Scoring on vLLM servers: choices and divergence as the engine here takes them.

Log-probabilities of given continuations are the servers'. Distributions on raw text are computed here, by the model's
last norm and head, from the residual stream that the servers send: whole distributions would be megabytes a token.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor

from doxa.models.chat import continuation, render_text, thinks_on
from doxa.models.handle import Model
from doxa.models.last_norm import logits_of
from doxa.models.low_rank import LowRank
from doxa.models.paths import Plans, applied, cells_of
from doxa.models.receipt import Tally
from doxa.models.sampling import check_finite
from doxa.models.score import Choice, OptionScores
from doxa.models.tokens import Role
from doxa.models.vllm_link import ask, ask_of, check_room, check_untuned, room_of
from doxa.models.vllm_servers import Ask, Progress, understood
from doxa.models.vllm_wire import Text, residual_of
from doxa.words.errors import EnvironmentFault

_COMPARED = 64  # positions whose distributions are compared at the same time


def score_choices(model: Model, choices: Sequence[Choice], *, progress: Progress = None) -> list[OptionScores]:
    """Score the options of every choice; each distinct prompt with an option is one request.

    Args:
        model: The model.
        choices: What to score.
        progress: Called with the number of options finished so far.

    Returns:
        Scores for each choice, in the order of `choices`.

    Raises:
        NotYetError: When a choice has an adapter.
        ModelError: When a prompt or option is empty or does not fit the context, or a server refuses.
        EnvironmentFault: When a server fails.
    """
    check_untuned(choice.low_rank for choice in choices)
    room = room_of(model)
    places: dict[object, int] = {}
    asks: list[Ask] = []
    scored: list[tuple[int, ...]] = []
    of_choice: list[list[int]] = []
    options: dict[tuple[tuple[int, ...], str], tuple[int, ...]] = {}
    for choice in choices:
        own = []
        for option in choice.options:
            named = (choice.prompt.tokens, option)
            if named not in options:
                options[named] = continuation(model, choice.prompt, option)
            tokens = options[named]
            key = (choice.prompt.tokens, choice.prompt.roles, tuple(plan.content for plan in choice.plans), tokens)
            if key not in places:
                check_room(model, choice.prompt, len(tokens) + 1, room)
                places[key] = len(asks)
                asks.append(_reading(choice, tokens))
                scored.append(tokens)
            own.append(places[key])
        of_choice.append(own)
    answers = ask(model, asks, progress)
    sums = [_sum(answer, tokens) for answer, tokens in zip(answers, scored, strict=True)]
    lengths = [len(tokens) for tokens in scored]
    return [_scores(choice, own, sums, lengths) for choice, own in zip(choices, of_choice, strict=True)]


def divergence(
    model: Model,
    texts: Sequence[str],
    plans: Sequence[Plans],
    low_ranks: Sequence[LowRank | None] | None = None,
    *,
    progress: Progress = None,
) -> Float[Tensor, "plans texts"]:
    """KL(unsteered || steered) of the next-token distributions, mean over all positions of a text, in nats.

    Every position is steered, whatever `at` a plan has, as by `doxa.models.divergence`.

    Args:
        model: The model.
        texts: Plain texts.
        plans: For each entry the plans that act together.
        low_ranks: For each entry its adapter; there may be none.
        progress: Called with the number of texts read so far, each once for every entry and once unsteered.

    Returns:
        Divergences, float64.

    Raises:
        NotYetError: When an entry has an adapter.
        ModelError: When a text is empty or too long, the network has no plain norm before its head, or a server
            refuses.
        EnvironmentFault: When a server fails.
    """
    check_untuned(low_ranks or ())
    rendered = [render_text(model, text) for text in texts]
    for one in rendered:
        check_room(model, one, 1, room_of(model))
    kept = _clean.setdefault(model, {})
    asked = [one.tokens for one in rendered if one.tokens not in kept]
    due: list[tuple[Plans, tuple[int, ...]]] = [((), tokens) for tokens in dict.fromkeys(asked)]
    due += [(own, one.tokens) for own in plans if own for one in rendered]
    answers = ask(model, [_raw(model, own, tokens) for own, tokens in due], progress)
    residuals = [_residual(answer, tokens) for answer, (_, tokens) in zip(answers, due, strict=True)]
    kept.update({tokens: residual for (own, tokens), residual in zip(due, residuals, strict=True) if not own})
    steered = iter(residuals[len(due) - sum(1 for own in plans if own) * len(rendered) :])
    found = torch.zeros(len(plans), len(texts), dtype=torch.float64)
    for index, own in enumerate(plans):
        for column, one in enumerate(rendered if own else ()):
            found[index, column] = _kl(model, kept[one.tokens], next(steered))
    return found


_clean: WeakKeyDictionary[Model, dict[tuple[int, ...], Tensor]] = WeakKeyDictionary()
"""Unsteered residual streams of raw texts: every arm asks about the same few."""


def _reading(choice: Choice, option: tuple[int, ...]) -> Ask:
    role: Role = "thinking" if thinks_on(choice.prompt) else "assistant"
    cells = (*cells_of(choice.prompt), *((token, role, True) for token in option))
    text = Text(choice.prompt.tokens + option, choice.plans, applied(choice.plans, cells))
    return ask_of(text, max_tokens=1, temperature=0, prompt_logprobs=0)


def _sum(answer: Mapping[str, Any], tokens: tuple[int, ...]) -> float:
    """The log-probability of the tokens that a prompt ends with."""
    with understood("log-probabilities of the prompt's tokens"):
        (choice,) = answer["choices"]
        entries = choice["prompt_logprobs"][-len(tokens) :]
        total = sum(float(entry[str(token)]["logprob"]) for entry, token in zip(entries, tokens, strict=True))
    check_finite(torch.tensor(total))
    return total


def _scores(choice: Choice, own: Sequence[int], sums: Sequence[float], lengths: Sequence[int]) -> OptionScores:
    tally = Tally(choice.plans)
    tally.note(applied(choice.plans, cells_of(choice.prompt)))
    role: Role = "thinking" if thinks_on(choice.prompt) else "assistant"
    for index in own:
        tally.note(applied(choice.plans, ((0, role, True),) * (lengths[index] - 1)))
    return OptionScores(
        logprobs=tuple(sums[index] for index in own),
        tokens=tuple(lengths[index] for index in own),
        receipt=tally.receipt(),
    )


def _raw(model: Model, plans: Plans, tokens: tuple[int, ...]) -> Ask:
    text = Text(tokens, plans, torch.ones(len(plans), len(tokens), dtype=torch.bool))
    return ask_of(text, read_layer=model.n_layers - 1, max_tokens=1, temperature=0)


def _residual(answer: Mapping[str, Any], tokens: tuple[int, ...]) -> Float[Tensor, "time d_model"]:
    residual = residual_of(answer)
    if residual is None or len(residual) != len(tokens):
        raise EnvironmentFault(
            "a vLLM server stopped sending the residual stream",
            way_out="Look into its log, start it again, and run the same command again",
        )
    return residual


def _kl(model: Model, clean: Float[Tensor, "time d_model"], steered: Float[Tensor, "time d_model"]) -> float:
    total = 0.0
    for first in range(0, len(clean), _COMPARED):
        part = slice(first, first + _COMPARED)
        p, q = (logits_of(model, one[part]).double().log_softmax(-1) for one in (clean, steered))
        total += float((p.exp() * (p - q)).nansum())
    check_finite(torch.tensor(total))
    return max(total / len(clean), 0.0)
