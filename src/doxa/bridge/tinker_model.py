"""The Inspect provider `doxa-tinker/<model>`: a model on a Tinker server, with log-probabilities and scored choices.

    inspect eval doxa/claims --model doxa-tinker/smollm2 -M path=tinker://RUN/sampler_weights/final

Model arguments: `path` (an adapter's address; the model itself without it), `served` (the model as the server calls it;
the same name otherwise), `seed`. Tokens are made here, with the tokenizer and chat template of `<model>`: the server's
are never fetched.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    GenerateConfig,
    Logprob,
    Logprobs,
    ModelAPI,
    ModelOutput,
    ModelUsage,
    TopLogprob,
)
from inspect_ai.tool import ToolChoice, ToolInfo

from doxa.bridge.conversation import content_of, messages_of, no_tools
from doxa.bridge.model_arguments import model_arguments
from doxa.bridge.oneline import in_one_line
from doxa.bridge.place import place
from doxa.models import handle
from doxa.models.chat import Rendered, continuation, render
from doxa.models.engine import end_tokens
from doxa.models.tinker_service import Lost, Service, check_service, in_words, open_service
from doxa.words.errors import EnvironmentFault, NotYetError
from doxa.words.store import Json, stream_seed

ARGUMENTS = ("path", "served", "seed")
MAX_TOKENS = 512


class TinkerAPI(ModelAPI):
    """A model on a Tinker server, as Inspect sees it."""

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__(model_name, base_url, api_key, [], config or GenerateConfig())
        with in_one_line():
            text, self._seed = model_arguments(arguments, ARGUMENTS)
            self._model = handle.load(model_name)
            self._path = text.get("path")
            self._service = Service(text.get("served", model_name))
            check_service(self._service)
        self._client: Any = None
        self._opening = asyncio.Lock()
        self._calls: WeakKeyDictionary[object, int] = WeakKeyDictionary()

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        """Answer one request: text, or the scores of options that `extra_body` asks for.

        Raises:
            PrerequisiteError: When the server fails, or the request asks for what it cannot do; one line.
        """
        started = time.monotonic()
        with in_one_line():
            if tools and tool_choice != "none":
                raise no_tools()
            try:
                with in_words(self._service):
                    output = await self._answer(input, config)
            except Lost as error:
                raise EnvironmentFault(f"{self._service.url} failed ({error})", way_out="Run the eval again") from error
        output.time = time.monotonic() - started
        return output

    async def _answer(self, input: Sequence[ChatMessage], config: GenerateConfig) -> ModelOutput:
        client = await self._open()
        prompt = render(self._model, messages_of(input))
        match (config.extra_body or {}).get("doxa"):
            case None:
                return await self._write(client, prompt, config)
            case {"choice": {"options": [*options], **more}} if set(more) <= {"begun"} and options:
                return await self._choose(client, prompt, options)
            case other:
                raise NotYetError(f"extra_body asks doxa for {other!r}"[:200], way_out="Ask for a choice, or for text")

    async def _open(self) -> Any:
        async with self._opening:
            if self._client is None:
                service = await asyncio.to_thread(open_service, self._service)
                asked = {"base_model": self._service.model} if self._path is None else {"model_path": self._path}
                self._client = await service.create_sampling_client(**asked)
        return self._client

    async def _write(self, client: Any, prompt: Rendered, config: GenerateConfig) -> ModelOutput:
        from tinker import types

        how = types.SamplingParams(
            max_tokens=config.max_tokens or MAX_TOKENS,
            temperature=1.0 if config.temperature is None else config.temperature,
            top_p=1.0 if config.top_p is None else config.top_p,
            top_k=config.top_k or -1,
            seed=self._next_seed(config),
            stop=config.stop_seqs or None,
        )
        top = config.top_logprobs or 0
        found = await client.sample(_input(prompt.tokens), 1, how, topk_sample_logprobs=top)
        (done,) = found.sequences
        tokens, logprobs = list(map(int, done.tokens)), [float(one) for one in done.logprobs or ()]
        written = len(tokens)
        if tokens and tokens[-1] in end_tokens(self._model):
            tokens, logprobs = tokens[:-1], logprobs[:-1]
        text = str(self._model.tokenizer.decode(tokens, skip_special_tokens=True))
        for stop in config.stop_seqs or ():
            text = text.partition(stop)[0]
        rows = done.topk_logprobs_np
        said = [
            self._logprob(token, value, None if rows is None or not top else (rows.token_ids[at], rows.logprobs[at]))
            for at, (token, value) in enumerate(zip(tokens, logprobs, strict=True))
        ]
        wanted = config.logprobs or top
        return self._output(
            ChatCompletionChoice(
                message=ChatMessageAssistant(content=content_of(text), source="generate"),
                stop_reason="stop" if done.stop_reason == "stop" else "max_tokens",
                logprobs=Logprobs(content=said) if wanted else None,
            ),
            len(prompt.tokens),
            written,
        )

    async def _choose(self, client: Any, prompt: Rendered, options: Sequence[str]) -> ModelOutput:
        """The log-probability of each option as the answer."""
        tails = [continuation(self._model, prompt, option) for option in options]
        asked = [
            client.compute_logprobs(_input((*prompt.tokens, *tail)), prompt_logprobs_last_n=len(tail)) for tail in tails
        ]
        found = [await one for one in asked]
        scores = [sum(float(value) for value in own[-len(tail) :]) for own, tail in zip(found, tails, strict=True)]
        best = max(range(len(options)), key=lambda index: scores[index])
        message = ChatMessageAssistant(content=options[best], source="generate")
        choice = ChatCompletionChoice(message=message, stop_reason="stop")
        lengths: Json = [len(tail) for tail in tails]
        return self._output(choice, len(prompt.tokens), 0, scored=True, logprobs=scores, tokens=lengths)

    def _next_seed(self, config: GenerateConfig) -> int:
        """From the place of the request, so that a second eval draws the same."""
        at = place()
        owner = at.owner or self
        call = self._calls[owner] = self._calls.get(owner, 0) + 1
        study = self._seed if config.seed is None else config.seed
        return stream_seed("tinker row", study, at.task, at.item, at.run, call) >> 32

    def _logprob(self, token: int, value: float, top: tuple[Any, Any] | None) -> Logprob:
        others = [] if top is None else [(int(a), float(b)) for a, b in zip(*top, strict=True)]
        decode = self._model.tokenizer.decode
        return Logprob(
            token=str(decode([token])),
            logprob=value,
            top_logprobs=[TopLogprob(token=str(decode([a])), logprob=b) for a, b in others] or None,
        )

    def _output(self, choice: ChatCompletionChoice, read: int, written: int, **metadata: Json) -> ModelOutput:
        own: Mapping[str, Json] = {"served": self._service.model, "path": self._path, **metadata}
        choice.message.model = self.model_name
        usage = ModelUsage(input_tokens=read, output_tokens=written, total_tokens=read + written)
        return ModelOutput(model=self.model_name, choices=[choice], usage=usage, metadata={"doxa": dict(own)})


def _input(tokens: Sequence[int]) -> Any:
    from tinker import types

    return types.ModelInput.from_ints(list(tokens))
