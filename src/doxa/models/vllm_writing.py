"""Generating on vLLM servers: rows as the engine here takes them. Draws are vLLM's own."""

from collections.abc import Mapping, Sequence
from typing import Any

from doxa.models.chat import thinks_on
from doxa.models.detokeniser import Detokeniser
from doxa.models.engine import Generation, Row, Stop, TokenLogprob, end_tokens, same_text
from doxa.models.handle import Model
from doxa.models.paths import applied, cells_of
from doxa.models.receipt import Tally
from doxa.models.tokens import Role
from doxa.models.vllm_link import ask, ask_of, check_room, check_untuned, check_written, room_of
from doxa.models.vllm_servers import Ask, Progress, understood
from doxa.models.vllm_wire import Text
from doxa.words.errors import EnvironmentFault


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
        NotYetError: When it depends on what is written whether a token is steered, or a row has an adapter.
        ModelError: When a prompt is empty or leaves no room, or a server refuses.
        EnvironmentFault: When a server fails.
    """
    check_untuned(row.low_rank for row in rows)
    room = room_of(model)
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
            check_written(plan.at)
        check_room(model, row.prompt, 1, room)
        asks.append(_writing(row, ends, room))
    answers = ask(model, asks, progress)
    made = [_written(model, row, answer, ends) for row, answer in zip(distinct, answers, strict=True)]
    return [made[index] for index in of_row]


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
    return ask_of(text, **settings)


def _written(model: Model, row: Row, answer: Mapping[str, Any], ends: frozenset[int]) -> Generation:
    with understood("one choice with token ids and a reason to finish"):
        (choice,) = answer["choices"]
        drawn, reason = [int(token) for token in choice["token_ids"]], choice["finish_reason"]
    if reason not in ("stop", "length"):
        raise EnvironmentFault(
            f"a vLLM server ends an answer with {reason!r}",
            expected="`stop` or `length`",
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
        shared_tokens=None,
    )


def _logprobs(model: Model, choice: Mapping[str, Any], tokens: Sequence[int], top: int) -> tuple[TokenLogprob, ...]:
    def entry(token: int, logprob: float, best: tuple[TokenLogprob, ...] = ()) -> TokenLogprob:
        return TokenLogprob(token, str(model.tokenizer.decode([token])), logprob, best)

    found = []
    with understood("log-probabilities of every token, by token ids"):
        said = choice["logprobs"]
        for token, logprob, beside in zip(tokens, said["token_logprobs"], said["top_logprobs"], strict=False):
            known = sorted(((-value, int(name.removeprefix("token_id:"))) for name, value in beside.items()))[:top]
            found.append(entry(token, float(logprob), tuple(entry(other, -value) for value, other in known)))
    return tuple(found)
