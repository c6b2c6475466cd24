"""Answering one request for a chat completion: rows for the engine, and what it writes, whole or as a stream."""

import asyncio
import secrets
import time
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from doxa.bridge.arms import PreparedArm
from doxa.models.chat import Rendered
from doxa.models.engine import Generation, Row
from doxa.server.answers import DONE, Heading, chunk, completion, event, usage_chunk
from doxa.server.chat_request import ChatRequest
from doxa.server.hanging_up import unless_hung_up
from doxa.server.listening import Listening
from doxa.server.refusals import HUNG_UP, error_body, refusal, status_of
from doxa.server.service import Service
from doxa.words.arms import Arm
from doxa.words.errors import DoxaError, EnvironmentFault
from doxa.words.grammar import intervention_to_json
from doxa.words.store import content_hash, stream_seed

STREAM = [(b"content-type", b"text/event-stream; charset=utf-8")]


@dataclass(eq=False)
class Answering:
    """The answer to one request: an ASGI application that is called once.

    Attributes:
        service: What requests share.
        asked: The request.
        arm: The arm that it names.
    """

    service: Service
    asked: ChatRequest
    arm: Arm

    def __post_init__(self) -> None:
        self._began = time.time()
        self._id = f"chatcmpl-{secrets.token_hex(12)}"
        self._seed = secrets.randbelow(2**63) if self.asked.seed is None else self.asked.seed
        self._texts = [""] * self.asked.n  # what was written of each choice so far
        self._sending = asyncio.Lock()
        self._begun = False  # whether anything was sent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or say why not."""
        try:
            with self.service.gate.entered(self.asked.n):
                await unless_hung_up(receive, self._answer(send))
        except DoxaError as error:
            self._keep(error=error_body(error)["error"], status=status_of(error), texts=self._texts)
            if status_of(error) == HUNG_UP:
                scope["doxa.status"] = HUNG_UP
            elif self._begun:
                await self._send(send, event(error_body(error)), last=True)
            else:
                await refusal(error)(scope, receive, send)

    async def _answer(self, send: Send) -> None:
        asked, service = self.asked, self.service
        arm = await service.prepared(self.arm, asked.steer)
        prompt = await service.read(asked, arm)
        heading = self._heading(arm)
        room = service.arms.model.context_length - len(prompt.tokens)
        async with service.gate.room(asked.n * (len(prompt.tokens) + min(asked.sampling.max_tokens, room))):
            rows = self._rows(arm, prompt)
            if asked.stream:
                done = await _together([self._streamed(send, heading, index, row) for index, row in enumerate(rows)])
            else:
                done = await _together([self._written(index, row) for index, row in enumerate(rows)])
        # Kept before it is given away: who has an answer finds it in the transcripts, whatever happens now.
        self._keep(answers=[_kept(one) for one in done], digest=arm.digest)
        if asked.stream:
            for index, one in enumerate(done):
                await self._send(send, chunk(heading, index, {}, stop=one.stop))
            if asked.include_usage:
                await self._send(send, usage_chunk(heading, done))
            await self._send(send, DONE, last=True)
        else:
            response = JSONResponse(completion(heading, done, self._top))
            await send({"type": "http.response.start", "status": 200, "headers": response.raw_headers})
            await send({"type": "http.response.body", "body": response.body})

    def _heading(self, arm: PreparedArm) -> Heading:
        parts = [self.service.arms.model.fingerprint, str(self.service.arms.model.dtype), arm.digest]
        own = {"arm": arm.name, "digest": arm.digest, "seed": self._seed}
        return Heading(self._id, int(self._began), self.asked.model, f"fp_{content_hash(parts)[:16]}", own)

    def _rows(self, arm: PreparedArm, prompt: Rendered) -> list[Row]:
        wanted = max(self.asked.top_logprobs, 1) if self.asked.logprobs else 0
        seeds = [self._seed, *(stream_seed("choice", self._seed, index) for index in range(1, self.asked.n))]
        samplings = [replace(self.asked.sampling, seed=seed) for seed in seeds]
        return [Row(prompt, sampling, arm.plans, wanted, low_rank=arm.low_rank) for sampling in samplings]

    @property
    def _top(self) -> int | None:
        return self.asked.top_logprobs if self.asked.logprobs else None

    async def _written(self, index: int, row: Row) -> Generation:
        with self._listening() as listening:
            done = await self._asked_of_engine(row, listening)
        self._texts[index] = done.text
        return done

    async def _streamed(self, send: Send, heading: Heading, index: int, row: Row) -> Generation:
        with self._listening() as listening:
            task = asyncio.ensure_future(self._asked_of_engine(row, listening))
            task.add_done_callback(lambda _: listening.wake())
            try:
                sent = 0
                role = {"role": "assistant"}
                while True:
                    await listening.news()
                    text, found = listening.text, list(listening.logprobs)
                    if task.done():
                        done = task.result()
                        text, found = done.text, list(done.logprobs)
                        if not text.startswith(self._texts[index]):
                            raise EnvironmentFault("the text was begun anew, and is another", way_out="Ask again")
                    new, tokens = text[len(self._texts[index]) :], found[sent:]
                    if new or (tokens and self._top is not None):
                        delta = {**role, "content": new}
                        await self._send(send, chunk(heading, index, delta, found=tokens, top=self._top))
                        self._texts[index], sent, role = text, len(found), {}
                    if task.done():
                        if role:
                            await self._send(send, chunk(heading, index, {**role, "content": ""}, top=self._top))
                        return done
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _asked_of_engine(self, row: Row, listening: Listening) -> Generation:
        done: Generation = await self.service.batcher.ask(self.service.arms.model, replace(row, listener=listening))
        self.service.metrics.tokens[self.arm.name] += len(done.tokens)
        return done

    @contextmanager
    def _listening(self) -> Iterator[Listening]:
        """Listen to a row, and count it as waiting until its first token, then as being written."""
        metrics = self.service.metrics

        def begins() -> None:
            metrics.waiting -= 1
            metrics.writing += 1

        listening = Listening(begins)
        metrics.waiting += 1
        try:
            yield listening
        finally:
            listening.begin()
            metrics.writing -= 1

    async def _send(self, send: Send, part: bytes, *, last: bool = False) -> None:
        async with self._sending:  # choices are written side by side
            if not self._begun:
                self._begun = True
                await send({"type": "http.response.start", "status": 200, "headers": STREAM})
            await send({"type": "http.response.body", "body": part, "more_body": not last})

    def _keep(self, **outcome: Any) -> None:
        asked = self.asked
        self.service.keep(
            {
                "id": self._id,
                "began": self._began,
                "seconds": time.time() - self._began,
                "model": asked.model,
                "arm": self.arm.name,
                "steer": None if asked.steer is None else intervention_to_json(asked.steer)["steer"],
                "messages": [vars(message) for message in asked.messages],
                "sampling": {**vars(asked.sampling), "seed": self._seed},
                "n": asked.n,
                "stream": asked.stream,
                **outcome,
            }
        )


def _kept(one: Generation) -> dict[str, Any]:
    return {"text": one.text, "stop": one.stop, "tokens": len(one.tokens), "receipt": asdict(one.receipt)}


async def _together(works: Sequence[Coroutine[Any, Any, Generation]]) -> list[Generation]:
    """All results; when one fails or all are given up, none goes on."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
