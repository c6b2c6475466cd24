"""What the server knows: sessions, models that are trained, samplers; and what each request does to them."""

import secrets
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from doxa.models.handle import Model
from doxa.models.low_rank import LowRank, read_low_rank
from doxa.server.refusals import Refused
from doxa.server.tinker.codec import ForwardBackward, forward_backward_output
from doxa.server.tinker.kept import Kept, Kind
from doxa.server.tinker.sampling import sample_request, written
from doxa.server.tinker.work import Result, Task, Worker
from doxa.training.steps import (
    Trainable,
    adamw_step,
    forward_backward,
    load_state,
    named_matrices,
    trainable,
)
from doxa.words.errors import TrainingError
from doxa.words.reading import number
from doxa.words.tuning import Configuration

ALPHA = 32.0
"""The service's own: its API has no word for it."""
MOST_MODELS = 16
"""That are trained at the same time; beyond them the one that was used longest ago is forgotten."""
MOST_SESSIONS = 1024
LARGEST_RANK = 512


@dataclass(eq=False)
class Tuned:
    """A model that is trained.

    Attributes:
        made: Its matrices; None until it is made.
        rank: Of them.
        broken: Why its gradients are not whole; "" where they are.
    """

    rank: int
    made: Trainable | None = None
    broken: str = ""

    def ready(self) -> Trainable:
        """Its matrices.

        Raises:
            TrainingError: When it was not made.
        """
        if self.made is None:
            raise TrainingError("the model was not made", way_out="Look at what its creation said")
        return self.made


@dataclass(frozen=True)
class Sampler:
    """Something that texts are written with: the model itself, or with an adapter."""

    address: str | None
    low_rank: LowRank | None


@dataclass(eq=False)
class House:
    """All of it; its methods are called by the event loop, what they return as a task is run by the worker.

    Attributes:
        model: What is trained and sampled.
        kept: Its folder.
    """

    model: Model
    kept: Kept
    sessions: OrderedDict[str, None] = field(default_factory=OrderedDict)
    models: OrderedDict[str, Tuned] = field(default_factory=OrderedDict)
    samplers: OrderedDict[str, Sampler] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        self.worker = Worker(lambda asked: [Result(one) for one in written(self.model, asked)])  # type: ignore[arg-type]

    def open_session(self) -> str:
        """A new session; of too many the oldest is forgotten."""
        name = str(uuid.uuid4())
        self.sessions[name] = None
        while len(self.sessions) > MOST_SESSIONS:
            self.sessions.popitem(last=False)
        return name

    def check_session(self, name: object) -> str:
        """The session of a request.

        Raises:
            Refused: When there is none: the server was started anew, or it is another's.
        """
        if name not in self.sessions:
            raise Refused(
                404,
                f"there is no session {str(name)[:60]!r}",
                way_out="Make a new ServiceClient: the server was restarted",
            )
        self.sessions.move_to_end(str(name))
        return str(name)

    def tuned(self, name: object) -> Tuned:
        """A model that is trained.

        Raises:
            Refused: When there is none.
        """
        if name not in self.models:
            raise Refused(
                404,
                f"there is no model {str(name)[:80]!r}",
                way_out="Make a training client from its last state: the server was restarted, or forgot it",
            )
        self.models.move_to_end(str(name))
        return self.models[str(name)]

    def create(self, body: Mapping[str, Any]) -> Task:
        """A new model.

        Raises:
            Refused: When it cannot be trained.
        """
        session, seq = self.check_session(body.get("session_id")), _seq(body, "model_seq_id")
        self.check_base(body.get("base_model"))
        how = body.get("lora_config") or {}
        if (body.get("optimizer_config") or {}).get("type", "adamw") != "adamw":
            raise _refused("another optimizer", "adamw")
        if not (how.get("train_mlp", True) and how.get("train_attn", True)):
            raise _refused("only a part of the blocks", "train_mlp and train_attn both")
        rank, seed = how.get("rank"), how.get("seed")
        if type(rank) is not int or not 1 <= rank <= LARGEST_RANK or not (seed is None or type(seed) is int):
            raise _refused(f"rank {rank!r} and seed {seed!r}", f"1 to {LARGEST_RANK}, and a whole number")
        name = f"{session}:train:{seq}"

        def run() -> Result:
            configuration = Configuration(learning_rate=1.0, rank=rank, alpha=ALPHA)
            begin = secrets.randbits(62) if seed is None else seed
            own.made = trainable(self.model, configuration, begin)
            return Result({"model_id": name, "type": "create_model"})

        own = self._enter(name, rank)
        return self.worker.put(Task(f"{name}:create", run))

    def load_new(self, body: Mapping[str, Any]) -> Task:
        """A new model from a state.

        Raises:
            Refused: When there is no such state.
        """
        session, seq = self.check_session(body.get("session_id")), _seq(body, "model_seq_id")
        if body.get("base_model") is not None:
            self.check_base(body["base_model"])
        place, said = self.kept.state(body.get("path"))
        name, optimizer = f"{session}:train:{seq}", bool(body.get("optimizer"))

        def run() -> Result:
            made = trainable(self.model, Configuration(learning_rate=1.0, rank=rank, alpha=float(said["alpha"])), 0)
            load_state(made, place, optimizer)
            own.made = made
            return Result({"path": body["path"], "model_id": name, "type": "load_weights"})

        rank = int(said["rank"])
        own = self._enter(name, rank)
        return self.worker.put(Task(f"{name}:create", run))

    def _enter(self, name: str, rank: int) -> Tuned:
        own = self.models.setdefault(name, Tuned(rank))
        while len(self.models) > MOST_MODELS:
            self.models.popitem(last=False)
        return own

    def load(self, body: Mapping[str, Any]) -> Task:
        """A state into a model that is there."""
        own, seq = self.tuned(body.get("model_id")), _seq(body, "seq_id")
        place, said = self.kept.state(body.get("path"))
        optimizer = bool(body.get("optimizer"))

        def run() -> Result:
            if said["rank"] != own.rank:
                raise TrainingError(f"a state of rank {said['rank']}", expected=f"{own.rank}", way_out="Make it anew")
            load_state(own.ready(), place, optimizer)
            own.broken = ""
            return Result({"path": body["path"], "type": "load_weights"})

        return self._in_turn(str(body["model_id"]), seq, run)

    def train(self, asked: ForwardBackward) -> Task:
        """A loss, and perhaps its gradients."""
        own = self.tuned(asked.model)

        def run() -> Result:
            made = own.ready()
            try:
                found = forward_backward(made, asked.rows, backward=asked.backward, everywhere=True)
            except Exception:
                own.broken = "a forward_backward before it failed, and its gradients are not whole"
                raise
            return Result(forward_backward_output(asked.rows, found))

        return self._in_turn(asked.model, asked.seq, run)

    def step(self, body: Mapping[str, Any]) -> Task:
        """A step of AdamW."""
        own, seq = self.tuned(body.get("model_id")), _seq(body, "seq_id")
        how = body.get("adam_params")
        if not isinstance(how, dict):
            raise _refused("a step without adam_params", "AdamParams")
        usual = {
            "learning_rate": 1e-4,
            "beta1": 0.9,
            "beta2": 0.95,
            "eps": 1e-12,
            "weight_decay": 0.0,
            "grad_clip_norm": 0.0,
        }
        found = {key: number(how.get(key, value), key) for key, value in usual.items()}
        if min(found.values()) < 0 or found["beta1"] >= 1 or found["beta2"] >= 1:
            raise _refused(f"adam_params {found}"[:200], "0 or more, betas below 1")
        configuration = Configuration(
            learning_rate=found["learning_rate"],
            beta1=found["beta1"],
            beta2=found["beta2"],
            epsilon=found["eps"],
            weight_decay=found["weight_decay"],
            clip_norm=found["grad_clip_norm"] or None,
        )

        def run() -> Result:
            made = own.ready()
            if own.broken:
                for matrix in named_matrices(made.pairs).values():
                    matrix.grad = None
                raise TrainingError(own.broken, way_out="Make a training client from the last state")
            norm = adamw_step(made, configuration.learning_rate, configuration)
            return Result({"metrics": {"grad_norm:unclipped": norm}})

        return self._in_turn(str(body["model_id"]), seq, run)

    def save(self, body: Mapping[str, Any], kind: Kind) -> Task:
        """Keep a state or an adapter; or make a sampler at once, where it is given no name."""
        own, seq, name = self.tuned(body.get("model_id")), _seq(body, "seq_id"), str(body["model_id"])

        def run() -> Result:
            made = own.ready()
            if kind == "weights" or body.get("path") is not None:
                overwrite = kind == "sampler_weights" or bool(body.get("overwrite"))
                address = self.kept.save(made, name, kind, body.get("path"), overwrite=overwrite)
                saved = "save_weights" if kind == "weights" else "save_weights_for_sampler"
                return Result({"path": address, "type": saved})
            session = f"{name.partition(':')[0]}:sample:{_seq(body, 'sampling_session_seq_id')}"
            address = self.kept.save(made, name, kind, f"sampler-{seq}", overwrite=True)
            self._sampler(session, address)
            return Result({"sampling_session_id": session, "type": "save_weights_for_sampler"})

        return self._in_turn(name, seq, run)

    def sampler(self, body: Mapping[str, Any]) -> str:
        """A new sampler.

        Raises:
            Refused: When there is no such adapter or model.
        """
        session = self.check_session(body.get("session_id"))
        name = f"{session}:sample:{_seq(body, 'sampling_session_seq_id')}"
        if body.get("model_path") is None:
            self.check_base(body.get("base_model"))
        self._sampler(name, body.get("model_path"))
        return name

    def _sampler(self, name: str, address: str | None) -> None:
        adapter = None if address is None else read_low_rank(self.kept.state(address)[0], self.model)
        self.samplers[name] = Sampler(address, adapter)
        while len(self.samplers) > MOST_SESSIONS:
            self.samplers.popitem(last=False)

    def find_sampler(self, name: object) -> Sampler:
        """A sampler.

        Raises:
            Refused: When there is none.
        """
        if name not in self.samplers:
            raise Refused(404, f"there is no sampler {str(name)[:80]!r}", way_out="Make a new sampling client")
        return self.samplers[str(name)]

    def sample(self, body: Mapping[str, Any]) -> tuple[Task, list[str]]:
        """Texts; and an id for each of them."""
        sampler, seq = self.find_sampler(body.get("sampling_session_id")), _seq(body, "seq_id")
        asked = sample_request(body, self.model, sampler.low_rank)
        name = f"{body['sampling_session_id']}:{seq}"
        task = Task(name, lambda: Result(written(self.model, [asked])[0]), asked)
        return self.worker.put(task), [f"{name}:{index}" for index in range(asked.count)]

    def check_base(self, name: object) -> None:
        """Refuse another model than the one that is here.

        Raises:
            Refused: When it is another.
        """
        if name != self.model.name:
            raise Refused(
                404, f"there is no model {str(name)[:80]!r} here", expected=self.model.name, way_out="Ask for that one"
            )

    def _in_turn(self, model: str, seq: int, run: Any) -> Task:
        return self.worker.put_in_turn(model, seq, Task(f"{model}:{seq}", run))


def opened(model: Model, folder: Path) -> House:
    """A house with nothing in it but what is kept in its folder."""
    return House(model, Kept(folder, model))


def _seq(body: Mapping[str, Any], name: str) -> int:
    value = body.get(name)
    if type(value) is not int or not 0 <= value < 1 << 62:
        raise _refused(f"{name} {str(value)[:40]!r}", "a whole number")
    return value


def _refused(found: str, expected: str) -> Refused:
    return Refused(400, found, expected=expected, way_out="Mend the request")
