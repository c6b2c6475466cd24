"""Generating, scoring and divergence on vLLM servers, with the same rows, choices and plans as the engine here.

What is steered where is decided here, from the chat template, and sent as absolute positions (`vllm_wire.py` says
how); log-probabilities are the servers'. Distributions on raw text are computed here, by the model's last norm and
head, from the residual stream that the servers send: whole distributions would be megabytes a token.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor

from doxa.models.chat import Rendered, continuation, render_text, thinks_on
from doxa.models.detokeniser import Detokeniser
from doxa.models.engine import Generation, Row, Stop, TokenLogprob, end_tokens, same_text
from doxa.models.handle import Model
from doxa.models.last_norm import logits_of
from doxa.models.paths import Plans, applied, cells_of
from doxa.models.receipt import Tally
from doxa.models.sampling import check_finite
from doxa.models.score import Choice, OptionScores
from doxa.models.steering import SteeringPlan, touched
from doxa.models.tokens import Role
from doxa.models.vllm_servers import Ask, Progress, Server, ask_all
from doxa.models.vllm_trial import try_server
from doxa.models.vllm_wire import Text, body_of, residual_of, salt_of
from doxa.words.errors import EnvironmentFault, ModelError, NotYetError
from doxa.words.interventions import Where

_COMPARED = 64  # positions whose distributions are compared at the same time

_servers: WeakKeyDictionary[Model, tuple[Server, ...]] = WeakKeyDictionary()


def connected(model: Model) -> tuple[Server, ...]:
    """The servers of a model, tried on the first call.

    Raises:
        ModelError: When one does not serve the model, or does not steer.
        EnvironmentFault: When one cannot be reached.
    """
    if model not in _servers:
        _servers[model] = tuple(try_server(model, address) for address in model.servers)
    return _servers[model]


def check(model: Model, places: Sequence[frozenset[Where]], written: Sequence[frozenset[Where]]) -> None:
    """Check, before a run, that servers are there and can do what arms ask.

    Args:
        model: The model.
        places: For each plan of any arm the tokens that it touches (`at`).
        written: The same of those arms that generate.

    Raises:
        NotYetError: When a server cannot tell the tokens, or nobody can before they are written.
        ModelError: When a server does not serve the model, or does not steer.
        EnvironmentFault: When a server cannot be reached.
    """
    for at in written:
        _check_written(at)
    for server in connected(model):
        for at in places:
            if "all" not in at and not {"prompt", "generated"} <= at:
                _check_positions(server, at)


def generate(model: Model, rows: Sequence[Row], *, progress: Progress = None) -> list[Generation]:
    """Generate a text for every row.

    Draws are vLLM's own: of the same seed always the same, and other ones than those of the engine here.

    Args:
        model: The model.
        rows: What to generate.
        progress: Called with the number of texts finished so far.

    Returns:
        One generation for each row, in the order of `rows`.

    Raises:
        NotYetError: When it depends on what is written whether a token is steered.
        ModelError: When a prompt is empty or leaves no room, or a server refuses.
        EnvironmentFault: When a server fails.
    """
    servers = connected(model)
    room = _room(model, servers)
    ends = end_tokens(model)
    texts: dict[object, int] = {}
    distinct: list[Row] = []
    of_row = []
    for row in rows:
        if same_text(row) not in texts:
            texts[same_text(row)] = len(distinct)
            distinct.append(row)
        of_row.append(texts[same_text(row)])
    asks = []
    for row in distinct:
        for plan in row.plans:
            _check_written(plan.at)
        _check_room(model, row.prompt, 1, room)
        asks.append(_writing(row, ends, room))
    answers = ask_all(servers, asks, progress)
    made = [_written(model, row, answer, ends, room) for row, answer in zip(distinct, answers, strict=True)]
    return [made[index] for index in of_row]


def score_choices(model: Model, choices: Sequence[Choice], *, progress: Progress = None) -> list[OptionScores]:
    """Score the options of every choice; each distinct prompt with an option is one request.

    Args:
        model: The model.
        choices: What to score.
        progress: Called with the number of options finished so far.

    Returns:
        Scores for each choice, in the order of `choices`.

    Raises:
        ModelError: When a prompt or option is empty or does not fit the context, or a server refuses.
        EnvironmentFault: When a server fails.
    """
    servers = connected(model)
    room = _room(model, servers)
    places: dict[object, int] = {}
    asks: list[Ask] = []
    lengths: list[int] = []
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
                _check_room(model, choice.prompt, len(tokens) + 1, room)
                places[key] = len(asks)
                asks.append(_reading(choice, tokens))
                lengths.append(len(tokens))
            own.append(places[key])
        of_choice.append(own)
    answers = ask_all(servers, asks, progress)
    sums = [_sum(answer, length) for answer, length in zip(answers, lengths, strict=True)]
    return [_scores(choice, own, sums, lengths) for choice, own in zip(choices, of_choice, strict=True)]


def divergence(
    model: Model, texts: Sequence[str], plans: Sequence[Plans], *, progress: Progress = None
) -> Float[Tensor, "plans texts"]:
    """KL(unsteered || steered) of the next-token distributions, mean over all positions of a text, in nats.

    Every position is steered, whatever `at` a plan has, as by `doxa.models.divergence`.

    Args:
        model: The model.
        texts: Plain texts.
        plans: For each entry the plans that act together.
        progress: Called with the number of texts read so far, each once for every entry and once unsteered.

    Returns:
        Divergences, float64.

    Raises:
        ModelError: When a text is empty or too long, the network has no plain norm before its head, or a server
            refuses.
        EnvironmentFault: When a server fails.
    """
    servers = connected(model)
    rendered = [render_text(model, text) for text in texts]
    for one in rendered:
        _check_room(model, one, 1, _room(model, servers))
    kept = _clean.setdefault(model, {})
    asked = [one.tokens for one in rendered if one.tokens not in kept]
    due: list[tuple[Plans, tuple[int, ...]]] = [((), tokens) for tokens in dict.fromkeys(asked)]
    due += [(own, one.tokens) for own in plans if own for one in rendered]
    answers = ask_all(servers, [_raw(model, own, tokens) for own, tokens in due], progress)
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


def _ask(text: Text, **settings: Any) -> Ask:
    def body(server: Server) -> Mapping[str, Any]:
        for plan, mask in text.steered:
            if not bool(mask.all()):
                _check_positions(server, plan.at)
        return body_of(text, server.name, **settings)

    return Ask(body, salt_of(text))


def _writing(row: Row, ends: frozenset[int], room: int) -> Ask:
    sampling = row.sampling
    most = min(sampling.max_tokens, room - len(row.prompt.tokens))
    role: Role = "thinking" if thinks_on(row.prompt) else "assistant"
    cells = (*cells_of(row.prompt), *((0, role, True) for _ in range(most - 1)))  # the last token is not run
    text = Text(row.prompt.tokens, row.plans, applied(row.plans, cells))
    settings: dict[str, Any] = {
        "max_tokens": most,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "seed": sampling.seed,
        "stop": list(sampling.stop),
        "stop_token_ids": sorted(ends),
        # What a model's own generation_config.json would otherwise change unasked.
        "repetition_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "logprobs": row.logprobs or None,
    }
    return _ask(text, **settings)


def _written(model: Model, row: Row, answer: Mapping[str, Any], ends: frozenset[int], room: int) -> Generation:
    choice = _choice(answer)
    drawn, reason = choice.get("token_ids"), choice.get("finish_reason")
    if not isinstance(drawn, list) or reason not in ("stop", "length"):
        raise EnvironmentFault(
            f"a vLLM server ends an answer with {reason!r} and {type(drawn).__name__} for its tokens",
            expected="`stop` or `length`, and token ids",
            way_out="Look into its log, and run the same command again: what is finished is kept",
        )
    text = Detokeniser(model.tokenizer, row.prompt.tokens, row.sampling.stop)
    tokens: list[int] = []
    for token in drawn:
        if token in ends or text.stopped:
            break
        tokens.append(token)
        text.push(token)
    stop: Stop = "stop"
    if reason == "length" and not text.stopped and len(tokens) == len(drawn):
        stop = "max_tokens" if len(tokens) == row.sampling.max_tokens else "model_length"
    tally = Tally(row.plans)
    tally.note(applied(row.plans, cells_of(row.prompt)))
    ran = len(tokens) - (1 if len(tokens) == len(drawn) or text.stopped else 0)
    role: Role = "thinking" if thinks_on(row.prompt) else "assistant"
    tally.note(applied(row.plans, ((0, role, True),) * ran))
    return Generation(
        tokens=tuple(tokens),
        text=text.finish(),
        stop=stop,
        logprobs=_logprobs(model, choice, tokens, row.logprobs) if row.logprobs else (),
        receipt=tally.receipt(),
        prompt_tokens=len(row.prompt.tokens),
    )


def _logprobs(model: Model, choice: Mapping[str, Any], tokens: Sequence[int], top: int) -> tuple[TokenLogprob, ...]:
    def entry(token: int, logprob: float, best: tuple[TokenLogprob, ...] = ()) -> TokenLogprob:
        return TokenLogprob(token, str(model.tokenizer.decode([token])), logprob, best)

    found = []
    said = choice["logprobs"]
    for token, logprob, beside in zip(tokens, said["token_logprobs"], said["top_logprobs"], strict=False):
        known = sorted(((-value, int(name.removeprefix("token_id:"))) for name, value in beside.items()))[:top]
        found.append(entry(token, logprob, tuple(entry(other, -value) for value, other in known)))
    return tuple(found)


def _reading(choice: Choice, option: tuple[int, ...]) -> Ask:
    role: Role = "thinking" if thinks_on(choice.prompt) else "assistant"
    cells = (*cells_of(choice.prompt), *((token, role, True) for token in option))
    text = Text(choice.prompt.tokens + option, choice.plans, applied(choice.plans, cells))
    return _ask(text, max_tokens=1, temperature=0, prompt_logprobs=0)


def _sum(answer: Mapping[str, Any], length: int) -> float:
    """The log-probability of the last tokens of a prompt."""
    choice = _choice(answer)
    entries = choice["prompt_logprobs"][-length:]
    total = sum(next(iter(entry.values()))["logprob"] for entry in entries)
    check_finite(torch.tensor(total))
    return float(total)


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
    return _ask(text, read_layer=model.n_layers - 1, max_tokens=1, temperature=0)


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


def _choice(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    (choice,) = answer["choices"]
    assert isinstance(choice, dict)
    return choice


def _room(model: Model, servers: Sequence[Server]) -> int:
    return min([model.context_length, *(server.context_length for server in servers)])


def _check_room(model: Model, prompt: Rendered, more: int, room: int) -> None:
    length = len(prompt.tokens)
    if length == 0:
        raise ModelError("a prompt without tokens", way_out="Give it at least one word")
    if length + more > room:
        raise ModelError(
            f"a prompt of {length} tokens with {more} more",
            expected=f"at most {room} together: the context of {model.name} on its servers",
            way_out="Shorten it, or start the servers with a larger --max-model-len",
        )


def _check_positions(server: Server, at: frozenset[Where]) -> None:
    if not server.positions:
        raise NotYetError(
            f"`at: {', '.join(sorted(at))}` on the vLLM server at {server.address}, whose vllm-lens steers all of a "
            "text or nothing: it loses count of positions after its first pass",
            way_out="Write `at: all`, or mend it with benchmarks/vllm/mend_positions.py and start it again",
        )


def _check_written(at: frozenset[Where]) -> None:
    plan = SteeringPlan((), torch.zeros(0, 0), at)
    if touched(plan, "assistant", True) != touched(plan, "thinking", True):
        named: Literal["assistant", "thinking"] = "assistant" if "assistant" in at else "thinking"
        raise NotYetError(
            f"`at: {named}` of text that is yet to be written, on vLLM: it is told beforehand which positions are "
            "steered, and not whether they will be thinking or answer",
            way_out="Write both (`assistant, thinking`), `generated`, `prompt` or `all`, or run the model here",
        )
