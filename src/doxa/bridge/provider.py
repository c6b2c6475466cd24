"""The Inspect provider `doxa/<model>[+label]`: any Inspect eval, on any arm.

    inspect eval doxa/drift --model doxa/smollm2
    inspect eval doxa/drift --model doxa/smollm2+mine -M arm=mine.json

`doxa/vllm/<model>` runs it on vLLM servers. Model arguments: `arm` (path of an arm file), `dtype`, `device`, `seed`.
The weights are loaded once per process; what an arm does is part of every request, and the requests of all arms share
batches (`queue.py`).
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any
from weakref import WeakKeyDictionary

import torch
from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    Content,
    GenerateConfig,
    Logprob,
    Logprobs,
    ModelAPI,
    ModelOutput,
    ModelUsage,
    StopReason,
    TopLogprob,
)
from inspect_ai.tool import ToolChoice, ToolInfo

from doxa.bridge.arms import BASELINE, PreparedArm, prepare, under
from doxa.bridge.conversation import content_of, messages_of, no_tools
from doxa.bridge.model_arguments import model_arguments
from doxa.bridge.offered import arm_file, offered
from doxa.bridge.oneline import in_one_line
from doxa.bridge.place import cached, place
from doxa.bridge.queue import QUEUE, Divergence, Surprisal
from doxa.bridge.turns import Asked, before_choice, written
from doxa.models import handle
from doxa.models.backend import backend_of
from doxa.models.chat import Message, Rendered, render, render_text
from doxa.models.engine import Generation, Sampling
from doxa.models.handle import VLLM
from doxa.models.receipt import Receipt, Tally
from doxa.models.score import Choice, OptionScores
from doxa.words.errors import ModelError, NotYetError, StudyError, nearest
from doxa.words.store import Json, content_hash, stream_seed

ARGUMENTS = ("arm", "dtype", "device", "seed")
MAX_CONNECTIONS = 256
CACHED = "cache-"
"""Begins the part of a label that lets Inspect's cache tell models apart."""
MAX_TOKENS = 512
TEMPERATURE = 1.0
"""Of a request that does not set one: the model's own distribution."""


class DoxaAPI(ModelAPI):
    """A model under study, as Inspect sees it."""

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig | None = None,
        **arguments: Any,
    ) -> None:
        config = config or GenerateConfig()
        if config.max_connections is None and config.adaptive_connections is None:
            # Inspect would begin with 20 and feel its way upwards, as with a distant service. It looks into this very
            # object, the model's configuration; `max_connections` below then says how many.
            config.adaptive_connections = False
        super().__init__(model_name, base_url, api_key, [], config)
        with in_one_line():
            text, self._seed = model_arguments(arguments, ARGUMENTS, files=("arm",))
            self._base, self._label = split_label(model_name)
            self._model = offered(self._base) or handle.load(
                self._base, dtype=text.get("dtype", "float32"), device=text.get("device", "cpu")
            )
            self._path = arm_file(text["arm"]) if "arm" in text else None
            self._arm, self._content = BASELINE, b""
            if self._path is None and self._label is not None and not self._label.startswith(BASELINE.name):
                raise StudyError(
                    f"doxa/{model_name} is called {self._label!r} and is given no arm",
                    way_out="Name the arm file: -M arm=FILE; or leave the label out",
                )
            if self._path is not None:
                self._arm = prepare(self._model, self._path)
                self._content = self._path.read_bytes()
            self._check_mark()
            places = [plan.at for plan in self._arm.plans]
            backend_of(self._model).check(self._model, places, places)
        self._calls: WeakKeyDictionary[object, int] = WeakKeyDictionary()

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        """Answer one request: text, or the scores that `extra_body` asks for.

        Raises:
            PrerequisiteError: When the request asks for what the model cannot do; one line.
        """
        started = time.monotonic()
        with in_one_line():
            if tools and tool_choice != "none":
                raise no_tools()
            self._check_arm(config)
            asked = _asked(config.extra_body or {})
            output = await (self._write(input, config) if asked is None else self._score(input, asked))
        output.time = time.monotonic() - started
        return output

    async def count_text_tokens(self, text: str) -> int:
        """Number of tokens by the model's own tokenizer (Inspect's default would download another one)."""
        return len(await self.tokenize(text))

    async def tokenize(self, text: str) -> list[int]:
        """Token ids by the model's own tokenizer, without special tokens around them."""
        return list(self._model.tokenizer.encode(text, add_special_tokens=False))

    def canonical_name(self) -> str:
        """The model without its label."""
        return self._base

    def max_tokens(self) -> int:
        """Tokens written at most, unless a request says otherwise."""
        return MAX_TOKENS

    def max_connections(self) -> int:
        """Many requests at once, so that batches fill across arms."""
        return MAX_CONNECTIONS

    def collapse_user_messages(self) -> bool:
        """Most chat templates want turns to alternate."""
        return True

    def collapse_system_messages(self) -> bool:
        """Most chat templates take one system message."""
        return True

    def _check_arm(self, config: GenerateConfig) -> None:
        if self._path is not None and (not self._path.is_file() or self._path.read_bytes() != self._content):
            raise StudyError(
                f"the arm file {self._path} was changed or moved while it is in use",
                way_out="Keep arms in files of their own, and start the eval again",
            )
        if (config.cache or cached()) and self._mark not in (self._label or ""):
            raise StudyError(
                "Inspect's cache would mix answers: it knows models by name, and this name does not say which arm, "
                "weights, dtype and seed it is",
                way_out=f"Call the model {self._cached_name}, or switch the cache off",
            )

    def _check_mark(self) -> None:
        """A name that was made for the cache is of one model only: the cache answers before anything is asked here."""
        if f".{CACHED}" in (self._label or "") and self._mark not in (self._label or ""):
            raise StudyError(
                f"doxa/{self._base}+{self._label} was named for the cache of another arm, of other weights or seed",
                way_out=f"Call the model {self._cached_name}, or anything without `.{CACHED}`",
            )

    @property
    def _cached_name(self) -> str:
        return f"doxa/{self._base}+{self._arm.name}.{self._mark}"

    @property
    def _mark(self) -> str:
        """Stands for everything that an answer depends on, the request apart."""
        model, arm = self._model, self._arm
        parts = [model.fingerprint, str(model.dtype), str(model.device), arm.digest, self._seed]
        return f"{CACHED}{content_hash(parts)[:8]}"

    async def _write(self, input: Sequence[ChatMessage], config: GenerateConfig) -> ModelOutput:
        _check_supported(config)
        wanted = max(config.top_logprobs or 0, 1) if config.logprobs or config.top_logprobs else 0
        conversation = tuple(messages_of(input))
        with self._stream(config) as (stream, run):
            asked = Asked(conversation, _sampling(config), wanted, self._render, stream, run)
            turn = await written(self._model, self._arm, asked)
        done = turn.done
        content = content_of(done.text, inside=turn.inside) if turn.thought is None else content_of(turn.text)
        thoughts = [] if isinstance(content, str) else [part.reasoning for part in content if part.type == "reasoning"]
        usage = ModelUsage(
            input_tokens=done.prompt_tokens,
            output_tokens=len(done.tokens),
            total_tokens=done.prompt_tokens + len(done.tokens),
            reasoning_tokens=sum([await self.count_text_tokens(thought) for thought in thoughts]) if thoughts else None,
        )
        stop: StopReason = "unknown" if done.stop == "unwanted" else done.stop
        return self._output(
            _said(content, stop, _logprobs(done, config.top_logprobs or 0) if wanted else None),
            usage,
            receipt=asdict(done.receipt),
            seed=turn.seed,
            **({} if turn.thought is None else {"thought": turn.thought}),
        )

    @contextmanager
    def _stream(self, config: GenerateConfig) -> Iterator[tuple[Callable[[str, int], int], int]]:
        """Law 9: from the place of the request and the training seed, never from the arm; and the request's run."""
        at = place()
        owner = at.owner or self
        call = self._calls[owner] = self._calls.get(owner, 0) + 1
        study = self._seed if config.seed is None else config.seed
        try:
            yield lambda kind, run: stream_seed(kind, study, self._arm.seed, at.task, at.item, run, call), at.run
        except BaseException:
            if self._calls[owner] == call:  # Inspect will ask again: the same call
                self._calls[owner] = call - 1
            raise

    async def _score(self, input: Sequence[ChatMessage], asked: Mapping[str, Json]) -> ModelOutput:
        """Answer what needs no generation (see `_asked`)."""
        (kind, body), *_ = asked.items()
        if kind == "choice":
            conversation = messages_of(input)
            if not body.get("begun", False):
                conversation = before_choice(self._arm, conversation)
            prompt = self._render(under(self._arm.system_prompt, conversation))
            choice = Choice(prompt, tuple(body["options"]), self._arm.plans, self._arm.low_rank)
            scores: OptionScores = await QUEUE.ask(self._model, choice)
            best = max(range(len(choice.options)), key=lambda index: scores.logprobs[index])
            return self._output(
                _said(choice.options[best]),
                _read(prompt),
                scored=True,
                logprobs=list(scores.logprobs),
                tokens=list(scores.tokens),
                receipt=asdict(scores.receipt),
            )
        if kind == "divergence":
            text = messages_of(input)[-1].content
            # Bare text has no place for either.
            prompted = self._arm.system_prompt is not None or self._arm.edit is not None
            asks = Divergence(text, self._arm.plans, self._arm.low_rank)
            kl = None if prompted else await QUEUE.ask(self._model, asks)
            rendered = render_text(self._model, text)
            receipt = _receipt(self._arm, rendered)
            return self._output(_said(""), _read(rendered), scored=True, kl=kl, receipt=asdict(receipt))
        prompt = self._render(messages_of(input))
        surprisal = await QUEUE.ask(self._model, Surprisal(prompt, body["of"]))
        return self._output(_said(""), _read(prompt), scored=True, surprisal=surprisal)

    def _render(self, messages: Sequence[Message]) -> Rendered:
        prompt = render(self._model, messages)
        if len(prompt.tokens) >= self._model.context_length:
            raise ModelError(
                f"a prompt of {len(prompt.tokens):,} tokens",
                expected=f"fewer than {self._model.context_length:,}, the context of {self._model.name}",
                way_out="Shorten it, or use a model with a longer context",
            )
        return prompt

    def _output(self, choice: ChatCompletionChoice, usage: ModelUsage, **metadata: Json) -> ModelOutput:
        arm = self._arm
        own = {"arm": arm.name, "of": arm.of, "control": arm.control, "digest": arm.digest, **metadata}
        choice.message.model = self.model_name
        return ModelOutput(model=self.model_name, choices=[choice], usage=usage, metadata={"doxa": own})


def split_label(name: str) -> tuple[str, str | None]:
    """Model and label of `<model>[+label]`; a `+` in the name of a model that is there belongs to the name."""
    parts = name.split("+")
    for n in range(len(parts), 1, -1):
        model = "+".join(parts[:n])
        if offered(model) is not None or os.path.exists(os.path.expanduser(model.removeprefix(VLLM))):
            return model, "+".join(parts[n:]) or None
    return parts[0], "+".join(parts[1:]) or None


def _asked(body: Mapping[str, Json]) -> Mapping[str, Json] | None:
    """The scoring request of an `extra_body`, or None; `min_p` may stand beside it.

    {"doxa": {"choice": {"options": [...]}}}: log-probability of each option as the answer, under the arm. With
        "begun": true the last message is the arm's own turn, in which nothing is edited any more.
    {"doxa": {"divergence": true}}: KL of the arm from the model as it is, on the last message as raw text.
    {"doxa": {"surprisal": {"of": "..."}}}: surprisal of an answer under the model as it is, without the arm's prompt.
    """
    for name in body:
        if name not in ("doxa", "min_p"):
            raise StudyError(f"extra_body has {name!r}", way_out=nearest(name, ("doxa", "min_p")))
    match asked := body.get("doxa"):
        case None | {"divergence": True} | {"surprisal": {"of": str()}}:
            fits = asked is None or len(asked) == 1
        case {"choice": {"options": [*options], **more}}:
            fits = len(asked) == 1 and bool(options) and all(isinstance(option, str) for option in options)
            fits = fits and set(more) <= {"begun"} and isinstance(more.get("begun", False), bool)
        case _:
            fits = False
    if not fits:
        raise StudyError(
            f"extra_body asks doxa for {asked!r}",
            expected='{"choice": {"options": ["...", "..."]}}, {"divergence": true} or {"surprisal": {"of": "..."}}',
            way_out="Ask for one of these",
        )
    return asked


def _sampling(config: GenerateConfig) -> Sampling:
    return Sampling(
        max_tokens=config.max_tokens or MAX_TOKENS,
        temperature=TEMPERATURE if config.temperature is None else config.temperature,
        top_p=1.0 if config.top_p is None else config.top_p,
        top_k=config.top_k or 0,
        min_p=float((config.extra_body or {}).get("min_p", 0.0)),
        stop=tuple(config.stop_seqs or ()),
        seed=0,  # every text has its own
    )


def _check_supported(config: GenerateConfig) -> None:
    """Settings that change the answer and are not understood are errors, never ignored."""
    for name in (
        "frequency_penalty",
        "presence_penalty",
        "logit_bias",
        "best_of",
        "response_schema",
        "prompt_logprobs",
    ):
        if config.model_dump(include={name})[name]:
            raise NotYetError(f"{name} is set", way_out="doxa/ models do not know it; leave it out")
    if (config.num_choices or 1) > 1:
        raise NotYetError("num_choices is set", way_out="Use epochs instead: `--epochs N`")


def _said(
    content: str | list[Content], stop: StopReason = "stop", logprobs: Logprobs | None = None
) -> ChatCompletionChoice:
    message = ChatMessageAssistant(content=content, source="generate")
    return ChatCompletionChoice(message=message, stop_reason=stop, logprobs=logprobs)


def _read(prompt: Rendered) -> ModelUsage:
    """The usage of a request for which nothing is written."""
    return ModelUsage(input_tokens=len(prompt.tokens), total_tokens=len(prompt.tokens))


def _receipt(arm: PreparedArm, text: Rendered) -> Receipt:
    """What an arm adds to raw text, every position of which is steered."""
    tally = Tally(arm.plans)
    tally.note(torch.ones(len(arm.plans), len(text.tokens), dtype=torch.bool))
    return tally.receipt()


def _logprobs(done: Generation, top: int) -> Logprobs:
    return Logprobs(
        content=[
            Logprob(
                token=one.text,
                logprob=one.logprob,
                top_logprobs=[TopLogprob(token=other.text, logprob=other.logprob) for other in one.top[:top]] or None,
            )
            for one in done.logprobs
        ]
    )
