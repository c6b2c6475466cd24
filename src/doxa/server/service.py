"""What the server has: the arms, the queue of the engine, the gate before it, and two threads for what takes time."""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar

from doxa.bridge.arms import PreparedArm, under
from doxa.bridge.queue import Batcher
from doxa.models.chat import Rendered, render
from doxa.models.handle import Model
from doxa.server.admission import Gate
from doxa.server.chat_request import ChatRequest, steer_of
from doxa.server.metrics import Metrics
from doxa.server.refusals import Refused
from doxa.server.study_arms import StudyArms
from doxa.server.transcripts import Transcripts
from doxa.vectors.dose import doses
from doxa.words.arms import Arm
from doxa.words.errors import EnvironmentFault
from doxa.words.grammar import intervention_to_json
from doxa.words.interventions import Steer

T = TypeVar("T")
KEPT_DOSES = 256
COPIES = 3
"""How much more memory keys and values take than they hold: padding, and a copy while rows leave the batch."""


def token_bytes(model: Model) -> int:
    """Bytes of memory that a token of a text takes while the text is written: its keys and values."""
    config = model.network.config.get_text_config().to_dict()
    heads = config.get("num_attention_heads") or 1
    width = config.get("head_dim") or model.d_model // heads
    key_heads = config.get("num_key_value_heads") or heads
    return int(2 * model.n_layers * key_heads * width * model.dtype.itemsize * COPIES)


@dataclass(eq=False)
class Service:
    """All that requests share.

    Attributes:
        arms: The study's arms.
        gate: Admits answers.
        batcher: The queue of the engine.
        metrics: Counts.
        transcripts: Where exchanges are kept; None keeps none.
        created: Start of the server, seconds since 1970.
    """

    arms: StudyArms
    gate: Gate
    batcher: Batcher = field(default_factory=lambda: Batcher(linger=0.02, patience=0.2))
    metrics: Metrics = field(default_factory=Metrics)
    transcripts: Transcripts | None = None
    created: int = field(default_factory=lambda: int(time.time()))

    def __post_init__(self) -> None:
        self._reading = ThreadPoolExecutor(1, "doxa-reading")  # one at a time: a tokenizer is not made for more
        self._measuring = ThreadPoolExecutor(1, "doxa-measuring")
        self._dose = lru_cache(KEPT_DOSES)(self._measured)

    async def prepared(self, arm: Arm, steer: Steer | None) -> PreparedArm:
        """An arm as the engine takes it, with what a request adds."""

        def prepare() -> PreparedArm:
            own = self.arms.prepared(arm.name)
            if own.edit is not None:
                raise Refused(
                    400,
                    f"the arm {arm.name!r} edits the chain of thought of a rollout, which a server does not have",
                    way_out="Run it in a study, or ask another arm",
                    param="model",
                )
            return own if steer is None else self.arms.steered(own, steer)

        return await self._in(self._reading if self.arms.is_ready(arm.name) else self._measuring, prepare)

    async def read(self, asked: ChatRequest, arm: PreparedArm) -> Rendered:
        """The conversation as the model reads it.

        Raises:
            Refused: When it leaves no room in the model's context.
            ModelError: When the chat template refuses it.
        """
        model = self.arms.model
        prompt = await self._in(self._reading, lambda: render(model, under(arm.system_prompt, asked.messages)))
        if len(prompt.tokens) >= model.context_length:
            raise Refused(
                400,
                f"the messages have {len(prompt.tokens):,} tokens",
                expected=f"fewer than {model.context_length:,}, the context of {model.name}",
                way_out="Shorten them",
                param="messages",
                code="context_length_exceeded",
            )
        return prompt

    async def dose(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The dose of an arm, or of something that would be added to one.

        Args:
            body: {"model": NAME} or {"steer": {...}}.

        Raises:
            Refused: When it is neither.
            VectorError: When the vector cannot be used so.
        """
        if len(body) != 1 or not {*body} <= {"model", "steer"} or not isinstance(body.get("model", ""), str):
            raise Refused(
                400,
                "the request does not say of what",
                expected='{"model": "ARM"} or {"steer": {...}}',
                way_out="Send one of them",
            )
        if "steer" in body:
            key = json.dumps(intervention_to_json(steer_of(body["steer"])), sort_keys=True)
        else:
            key = self.arms.find(body["model"]).name
        return {"object": "dose", "vectors": await self._in(self._measuring, lambda: self._dose(key))}

    def keep(self, record: Mapping[str, Any]) -> None:
        """Keep a transcript; a full disk is reported, and the answer is given all the same."""
        if self.transcripts is None:
            return
        try:
            self.transcripts.keep(record)
        except EnvironmentFault as error:
            if not self.metrics.lost:
                print(f"doxa: transcripts are lost: {error}", file=sys.stderr, flush=True)
            self.metrics.lost += 1

    def close(self) -> None:
        """Give up what is being computed."""
        for pool in (self._reading, self._measuring):
            pool.shutdown(wait=False, cancel_futures=True)
        self.batcher.close()
        if self.transcripts is not None:
            self.transcripts.close()

    def _measured(self, key: str) -> list[dict[str, Any]]:
        low_rank = None
        if key.startswith("{"):
            steer = steer_of(json.loads(key)["steer"])
            steered = [(steer, self.arms.vector(steer.vector))]
        else:
            steered = self.arms.steers(key)
            low_rank = self.arms.prepared(key).low_rank
        found = doses(self.arms.model, steered, [low_rank] * len(steered)) if steered else []
        return [
            {
                "vector": steer.vector.name,
                "positive": vector.manifest.positive,
                "negative": vector.manifest.negative,
                "layers": list(steer.layers.of(self.arms.model.n_layers)),
                "rows": [vars(row) for row in rows],
            }
            for (steer, vector), rows in zip(steered, found, strict=True)
        ]

    async def _in(self, pool: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(pool, work)
