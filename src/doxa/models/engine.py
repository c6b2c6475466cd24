"""The only generation loop: rows of all arms in one batch.

Rows are padded on the left, with position ids and attention mask written out; every row has its own plans, sampling and
random stream. Prompts that stand several times with the same plans are run once. Finished rows leave the batch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from doxa.models.adapting import check_adapters, side_by_side
from doxa.models.chat import Rendered, thinks_on
from doxa.models.decoding import decoding
from doxa.models.detokeniser import Detokeniser
from doxa.models.handle import Model
from doxa.models.low_rank import LowRank
from doxa.models.memory import is_out_of_memory, rows_that_fit
from doxa.models.passes import check_rows_can_leave
from doxa.models.prefill import Prefix, prefill, prefix_of
from doxa.models.receipt import Receipt, Tally
from doxa.models.sampling import Sampling, draw, stream_of
from doxa.models.steering import Steering, SteeringPlan, check_fits, touched
from doxa.models.thinking import is_open
from doxa.words.errors import ModelError

__all__ = ["Generation", "Receipt", "Row", "Sampling", "TokenLogprob", "generate"]

BATCH_ROWS = 128
"""Rows that are run at the same time; on a CPU more are hardly faster."""

_LIKE = 0.6  # of the longest prompt: the shortest one that is run beside it

Stop: TypeAlias = Literal["stop", "max_tokens", "model_length", "unwanted"]


@dataclass(frozen=True)
class TokenLogprob:
    """A token and its log-probability in nats, before temperature and filters.

    Attributes:
        token: Its id.
        text: The token on its own; bytes that are no character are U+FFFD.
        logprob: Natural logarithm of its probability.
        top: The most probable tokens at this place, the most probable first; each without `top`.
    """

    token: int
    text: str
    logprob: float
    top: tuple["TokenLogprob", ...] = ()


Listener: TypeAlias = Callable[[str, Sequence[TokenLogprob]], bool]
"""Told the text and log-probabilities so far; says whether more is wanted."""


@dataclass(frozen=True, eq=False)
class Row:
    """One text to be generated.

    Attributes:
        prompt: What is continued.
        sampling: How tokens are drawn.
        plans: What is added to the residual stream.
        logprobs: Report the log-probability of every token and of so many most probable ones; 0 reports none.
        listener: Called in the engine's thread after every token but the last, with what is written for good: text that
            may turn out to be a stop text is held back. When it returns False the row leaves the batch.
        finished: Called in the engine's thread when the text is written, which may be long before the batch ends.
        low_rank: The adapter that it is written with; None: the model as it is.
    """

    prompt: Rendered
    sampling: Sampling
    plans: tuple[SteeringPlan, ...] = ()
    logprobs: int = 0
    listener: Listener | None = None
    finished: "Callable[[Generation], None] | None" = None
    low_rank: LowRank | None = None


@dataclass(frozen=True)
class Generation:
    """A generated text.

    Attributes:
        tokens: What was drawn, without the end-of-turn token. Tokens of a stop text are among them.
        text: Their text, up to a stop text, without special tokens.
        stop: `stop`: end of turn or stop text; `max_tokens`; `model_length`: the context was full; `unwanted`: nobody
            listens any more.
        logprobs: One entry a token, when asked for.
        receipt: What steering added.
        prompt_tokens: Length of the prompt.
        shared_tokens: So many tokens of the prompt were not run for this text: another row that begins with the same
            tokens and additions had them run. None where a server wrote it, which does not say.
    """

    tokens: tuple[int, ...]
    text: str
    stop: Stop
    logprobs: tuple[TokenLogprob, ...]
    receipt: Receipt
    prompt_tokens: int
    shared_tokens: int | None


@torch.no_grad()
def generate(
    model: Model,
    rows: Sequence[Row],
    *,
    batch_size: int = BATCH_ROWS,
    progress: Callable[[int], None] | None = None,
) -> list[Generation]:
    """Generate a text for every row.

    A row's draws depend on its seed only. Its logits depend on the batch in their last bits (about 5e-5 in float32).

    Args:
        model: The model.
        rows: What to generate.
        batch_size: Rows that are run at the same time.
        progress: Called with the number of rows finished so far.

    Returns:
        One generation for each row, in the order of `rows`.

    Raises:
        ModelError: When the network cannot run rows together, a prompt leaves no room in the context, logits are not
            finite, or memory does not suffice for a single row. (Where it does not for a batch, the batch is halved.)
        VectorError: When a plan does not fit the model.
        TrainingError: When an adapter is another model's.
    """
    check_rows_can_leave(model)
    for row in rows:
        _check_room(model, row)
    check_fits([row.plans for row in rows], model)
    check_adapters([row.low_rank for row in rows], model)
    ends = end_tokens(model)
    texts: dict[object, list[int]] = {}
    for index, row in enumerate(rows):
        texts.setdefault(same_text(row), []).append(index)
    equal = {own[0]: own for own in texts.values()}
    prefixes = {index: prefix_of(rows[index].prompt, rows[index].plans, rows[index].low_rank) for index in equal}
    first: dict[object, int] = {}
    for index, prefix in prefixes.items():
        first.setdefault(prefix.key, index)
    # By length, so that there is little padding; what has the same beginning side by side, so that it is run once.
    order = sorted(equal, key=lambda i: (-len(rows[i].prompt.tokens), first[prefixes[i].key], i))
    done: dict[int, Generation] = {}

    def finish(index: int, generation: Generation) -> None:
        done.update(dict.fromkeys(equal[index], generation))
        for row in (rows[each] for each in equal[index]):
            if row.finished is not None:
                row.finished(generation)
        if progress is not None:
            progress(len(done))

    most = batch_size
    while order:
        n = together([len(rows[index].prompt.tokens) for index in order], most)
        longest = max(len(rows[index].prompt.tokens) + rows[index].sampling.max_tokens for index in order[:n])
        n = rows_that_fit(model, longest, n)
        batch = [order[at] for at in side_by_side([rows[index].low_rank for index in order[:n]])]
        listeners = {index: [rows[each].listener for each in equal[index]] for index in batch}
        writing = [_Writing(model, index, rows[index], prefixes[index], own) for index, own in listeners.items()]
        try:
            _run(model, writing, ends, finish)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if n == 1:
                raise _too_large(model, longest) from error
            most = n // 2
        order = [index for index in order if index not in done]
    return [done[index] for index in range(len(rows))]


def together(lengths: Sequence[int], most: int = BATCH_ROWS) -> int:
    """How many rows to run together: a prompt much shorter than the longest would be padding above all.

    Args:
        lengths: Of the prompts, the longest first.
        most: Rows that are run at the same time.
    """
    return sum(length >= _LIKE * lengths[0] for length in lengths[:most])


class _Writing:
    """A row while it is written."""

    def __init__(
        self, model: Model, index: int, row: Row, prefix: Prefix, listeners: Sequence[Listener | None]
    ) -> None:
        self.index = index
        self.row = row
        self.prefix = prefix
        self.shared = 0  # tokens of the prompt that another row of the batch had run
        self._listeners = listeners
        self.stream = stream_of(row.sampling)
        self.tally = Tally(row.plans)
        self.tally.note(prefix.touches)
        self.tokens: list[int] = []
        self.logprobs: list[TokenLogprob] = []
        self._detokeniser = Detokeniser(model.tokenizer, row.prompt.tokens, row.sampling.stop)
        self._room = model.context_length - len(row.prompt.tokens)
        self._starts_open = self._opened = thinks_on(row.prompt)
        self.thinking = False  # whether the last token belongs to a thinking block

    def take(self, token: int, ends: frozenset[int]) -> Stop | None:
        """Take the next token; the reason to stop, if there is one."""
        if token in ends:
            return "stop"
        self.tokens.append(token)
        self._detokeniser.push(token)
        if self._detokeniser.stopped:
            return "stop"
        text, before = self._detokeniser.text, self._opened
        self._opened = is_open(text) if "think>" in text else self._starts_open
        self.thinking = before or self._opened  # the closing tag belongs to its block
        if len(self.tokens) == self.row.sampling.max_tokens:
            return "max_tokens"
        if len(self.tokens) == self._room:
            return "model_length"
        return None if self._wanted() else "unwanted"

    def _wanted(self) -> bool:
        """Tell all who listen what is written; False when none of them wants more."""
        settled = self._detokeniser.settled
        wanted = [one is None or one(settled, self.logprobs) for one in self._listeners]
        return any(wanted)

    def generation(self, stop: Stop) -> Generation:
        return Generation(
            tokens=tuple(self.tokens),
            text=self._detokeniser.finish(),
            stop=stop,
            logprobs=tuple(self.logprobs),
            receipt=self.tally.receipt(),
            prompt_tokens=len(self.row.prompt.tokens),
            shared_tokens=self.shared,
        )


def _run(
    model: Model,
    writing: list[_Writing],
    ends: frozenset[int],
    finish: Callable[[int, Generation], None],
) -> None:
    prompted = prefill(model, [one.prefix for one in writing])
    for one, shared in zip(writing, prompted.shared, strict=True):
        one.shared = shared
    logits = prompted.logits
    low_ranks = [one.row.low_rank for one in writing]
    with decoding(model, [one.row.plans for one in writing], prompted.mask, prompted.cache, low_ranks) as rows:
        while True:
            tokens = draw(logits, [w.row.sampling for w in writing], [w.stream for w in writing])
            _note_logprobs(model, writing, logits, tokens, ends)
            stops = [w.take(token, ends) for w, token in zip(writing, tokens, strict=True)]
            for one, stop in zip(writing, stops, strict=True):
                if stop is not None:
                    finish(one.index, one.generation(stop))
            stay = [index for index, stop in enumerate(stops) if stop is None]
            if not stay:
                return
            if len(stay) < len(writing):
                writing = [writing[index] for index in stay]
                rows.keep(stay)
            _move_generated(rows.steering, writing)
            logits = rows.step(torch.tensor([w.tokens[-1] for w in writing], device=model.device))


def _move_generated(state: Steering, writing: Sequence[_Writing]) -> None:
    applied = torch.tensor(
        [touched(plan, "thinking" if writing[index].thinking else "assistant", True) for index, plan in state.pairs],
        dtype=torch.bool,
    )[:, None]
    state.move(applied)
    start = 0
    for one in writing:
        if one.row.plans:
            one.tally.note(applied[start : start + len(one.row.plans)])
            start += len(one.row.plans)


def _note_logprobs(
    model: Model,
    writing: Sequence[_Writing],
    logits: Float[Tensor, "rows vocab"],
    tokens: Sequence[int],
    ends: frozenset[int],
) -> None:
    def entry(token: int, logprob: float) -> TokenLogprob:
        return TokenLogprob(token, str(model.tokenizer.decode([token])), logprob)

    for index, (one, token) in enumerate(zip(writing, tokens, strict=True)):
        if one.row.logprobs == 0 or token in ends:
            continue
        logprobs = logits[index].double().log_softmax(-1)
        best = logprobs.topk(min(one.row.logprobs, len(logprobs)))
        top = tuple(entry(*pair) for pair in zip(best.indices.tolist(), best.values.tolist(), strict=True))
        one.logprobs.append(replace(entry(token, float(logprobs[token])), top=top))


def same_text(row: Row) -> object:
    """Rows with the same key are the same text: written once, so that arms that do the same say the same."""
    plans = tuple(plan.content for plan in row.plans)
    return row.prompt.tokens, row.prompt.roles, plans, row.sampling, row.logprobs, row.low_rank


def end_tokens(model: Model) -> frozenset[int]:
    """The tokens that end a turn; none of them is part of a text."""
    configured = model.network.generation_config.eos_token_id if model.network.generation_config else None
    ends = configured if isinstance(configured, list) else [configured]
    return frozenset(end for end in [*ends, model.tokenizer.eos_token_id] if end is not None)


def _too_large(model: Model, tokens: int) -> ModelError:
    return ModelError(
        f"a single text of up to {tokens} tokens does not fit into memory beside {model.name}",
        way_out="Ask for fewer tokens, shorten the prompt, or use bfloat16 or a smaller model",
    )


def _check_room(model: Model, row: Row) -> None:
    length = len(row.prompt.tokens)
    if length == 0:
        raise ModelError("a prompt without tokens", way_out="Give it at least one word")
    if length >= model.context_length:
        raise ModelError(
            f"a prompt of {length} tokens, with at most {row.sampling.max_tokens} to be generated",
            expected=f"at most {model.context_length - 1} tokens: {model.name} has a context of {model.context_length}",
            way_out="Shorten the prompt, or use a model with a longer context",
        )
