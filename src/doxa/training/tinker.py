"""Training on a Tinker server: the rows, configuration, order and rates of a training on this machine, sent to the SDK.

Steps are counted here. After every so many a state is saved there, and its address is written down here. Whatever goes
wrong after that (a lost connection, a server that was restarted, a result that is gone) is answered in one way: a new
client is made from the last state, and what came after it is made again, once. So every step is in the adapter once.

The folder of a run holds `run.json` and `metrics.jsonl`. The adapter stays on the server; `run.json` has its address.
"""

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from doxa.models.tinker_service import Lost, Service, check_reachable, check_service, in_words, sdk_version, session
from doxa.training.adapter import METRICS_FILE, RUN_FILE, Stage
from doxa.training.metrics import Metrics, opened, read_metrics
from doxa.training.rows import TrainingTokens
from doxa.training.schedule import learning_rate, reduced, rows_of_step, total_steps
from doxa.words.errors import EnvironmentFault, TrainingError
from doxa.words.store import content_hash, read_json, write_json
from doxa.words.tuning import Configuration, TrainingSeeds, configuration_to_json

FORMAT = "doxa tinker run 1"
ALPHA = 32.0
"""The only one that the service knows: its API has no word for it."""
PAUSE = 1.0
"""Seconds before a client is made anew; twice as many each time."""
_AGAIN = "Remove that folder and run the same command again"


@dataclass(frozen=True)
class _Step:
    """A step of a run: of which stage, from 0; which of it and of the run, from 1; of how many of the stage."""

    stage: int
    step: int
    of: int
    count: int


@dataclass(frozen=True)
class _Run:
    service: Service
    stages: Sequence[Stage]
    seeds: TrainingSeeds
    folder: Path
    steps: Sequence[_Step]
    wanted: frozenset[int]
    progress: Callable[[int], None]


def train_on_tinker(
    service: Service,
    stages: Sequence[Stage],
    seeds: TrainingSeeds,
    folder: Path,
    *,
    progress: Callable[[int], None] | None = None,
    checkpoints: Collection[int] = (),
) -> Path:
    """Train an adapter on a server, or find it trained; what was begun is gone on with.

    AdamW begins anew in every stage.

    Args:
        service: The server, and the model as it calls it.
        stages: At least one, of one rank.
        seeds: Of the matrices and of the order.
        folder: Where the run is written down.
        progress: Told how many more steps are made: at once those that were made before, then one by one.
        checkpoints: After which steps of the last stage an adapter is kept on the server too.

    Returns:
        The folder.

    Raises:
        TrainingError: When the configuration is not the service's, the server does not train the model, refuses the
            rows or the key, the folder holds something else, or the loss is not a number.
        EnvironmentFault: When the server cannot be reached, fails again and again, or wants to be paid. What was saved
            is gone on from.
    """
    _check(stages)
    said = _manifest(service, stages, seeds)
    there = _there(folder, said)
    steps = _steps(stages)
    told = progress or (lambda count: None)
    if there is not None and there.get("finished"):
        told(len(steps))
        return folder
    check_service(service)
    write_json(folder / RUN_FILE, there or said)
    _train(_Run(service, stages, seeds, folder, steps, frozenset(checkpoints), told))
    return folder


def _check(stages: Sequence[Stage]) -> None:
    if len({one.configuration.rank for one in stages}) != 1 or not all(one.tokens for one in stages):
        raise TrainingError("stages without rows, or of several ranks", way_out="Give each rows, and all the same rank")
    for stage in stages:
        own = stage.configuration
        if own.alpha != ALPHA or own.dtype != "float32":
            raise TrainingError(
                f"alpha {own.alpha:g} and dtype {own.dtype}",
                expected=f"alpha {ALPHA:g}, and no dtype: a Tinker server decides both itself",
                way_out="Leave them out",
            )


def _manifest(service: Service, stages: Sequence[Stage], seeds: TrainingSeeds) -> dict[str, Any]:
    own = [stage.content for stage in stages]
    return {
        "format": FORMAT,
        "key": content_hash([FORMAT, service.model, own, seeds.initialisation, seeds.order]),
        "base": {"name": service.model},
        "seeds": {"initialisation": seeds.initialisation, "order": seeds.order},
        "stages": [
            {
                "corpus": stage.corpus,
                "corpus_hash": stage.corpus_hash,
                "rows": len(stage.tokens),
                "configuration": configuration_to_json(stage.configuration),
            }
            for stage in stages
        ],
        "versions": {"doxa": version("doxa"), "tinker": sdk_version()},
        "tinker": {"servers": [], "sessions": [], "states": [], "adapters": {}},
        "finished": False,
    }


def _there(folder: Path, said: Mapping[str, Any]) -> Mapping[str, Any] | None:
    path = folder / RUN_FILE
    if not path.is_file():
        if folder.is_dir() and any(folder.iterdir()):
            raise TrainingError(f"{folder} holds something else", way_out="Choose another folder")
        return None
    there = read_json(path, what="the manifest", way_out=_AGAIN)
    if there.get("key") != said["key"]:
        raise TrainingError(
            f"{folder} holds another training: its model, rows, configuration or seeds are others",
            way_out="Choose another folder, or remove that one",
        )
    return there


def _steps(stages: Sequence[Stage]) -> list[_Step]:
    found: list[_Step] = []
    for number, stage in enumerate(stages):
        of = total_steps(stage.configuration, len(stage.tokens))
        found += [_Step(number, step, of, len(found) + step) for step in range(1, of + 1)]
    return found


def _train(run: _Run) -> None:
    """Go on from the last state until the end, with as many clients as it takes."""
    failed, silent, told = 0, 0, 0
    while True:
        before = _state(run)
        run.progress(before["steps"] - told)
        told = before["steps"]
        try:
            check_reachable(run.service) if failed else None
            with session(run.service) as client:
                _go_on(run, client, before)
            return
        except (Lost, EnvironmentFault) as error:
            made = _state(run)["steps"]
            if made > before["steps"]:
                failed = silent = 0
            failed += 1
            silent += isinstance(error, EnvironmentFault) and "has not answered" in error.found
            if isinstance(error, EnvironmentFault) and not _may_pass(error, silent):
                raise EnvironmentFault(f"{error.found}; {_last(run)}", way_out=error.way_out) from error
            if failed >= run.service.tries:
                raise EnvironmentFault(
                    f"{run.service.url} failed {failed} times in a row ({error}); {_last(run)}",
                    way_out="Run the same command again: it goes on from there",
                ) from error
            time.sleep(PAUSE * 2 ** (failed - 1))


def _may_pass(error: EnvironmentFault, silent: int) -> bool:
    """Whether a new client may go on that has been met with silence so many times since the last state.

    A server that is gone may come back: it was there before. And it may have been the client that was silent: the SDK
    can lose a connection (`doxa.models.tinker_service` says how, and makes it seldom). So silence is asked about once,
    whatever else has failed before it.
    """
    return error.found.startswith("nothing answers") or ("has not answered" in error.found and silent == 1)


def _state(run: _Run) -> Mapping[str, Any]:
    states = _read(run)["tinker"]["states"]
    return states[-1] if states else {"steps": 0, "metrics": 0, "path": None}


def _read(run: _Run) -> Mapping[str, Any]:
    return read_json(run.folder / RUN_FILE, what="the manifest", way_out=_AGAIN)


def _last(run: _Run) -> str:
    state = _state(run)
    if state["path"] is None:
        return "no state was saved yet"
    return f"the last state is {state['path']}, after {state['steps']} of {len(run.steps)} steps"


def _note(run: _Run, **changes: Any) -> None:
    """Write something down in `run.json`."""
    said = dict(_read(run))
    write_json(run.folder / RUN_FILE, said | {"tinker": said["tinker"] | changes})


def _go_on(run: _Run, service: Any, state: Mapping[str, Any]) -> None:
    client = _client(run, service, state)
    known = _read(run)["tinker"]
    _note(
        run,
        servers=sorted({*known["servers"], run.service.url}),
        sessions=[*known["sessions"], service.holder.get_session_id()],
    )
    with opened(run.folder / METRICS_FILE, state["metrics"]) as metrics:
        for step in run.steps[state["steps"] :]:
            _step(run, client, step, metrics)
            last_stage = step.stage == len(run.stages) - 1
            if last_stage and step.step in run.wanted:
                _keep(run, client, f"step-{step.step}")
            if step.step == step.of or step.count % run.service.every == 0:
                state = _save(run, client, step, metrics)
                if step.step == step.of and step.count < len(run.steps):
                    client = _client(run, service, state)  # the next stage: AdamW begins anew
            run.progress(1)
    _keep(run, client, "final")
    write_json(run.folder / RUN_FILE, dict(_read(run)) | {"finished": True, "done": _totals(run.folder)})


def _client(run: _Run, service: Any, state: Mapping[str, Any]) -> Any:
    """A training client that stands after so many steps."""
    rank = run.stages[0].configuration.rank
    with in_words(run.service):
        if state["path"] is None:
            made = service.create_lora_training_client(
                run.service.model, rank=rank, seed=run.seeds.initialisation, train_unembed=False
            )
        elif state["steps"] < len(run.steps) and run.steps[state["steps"]].step > 1:
            made = service.create_training_client_from_state_with_optimizer(state["path"])
        else:
            made = service.create_training_client_from_state(state["path"])
        return made.result(run.service.patience)


def _step(run: _Run, client: Any, step: _Step, metrics: Metrics) -> None:
    """Make a step.

    Raises:
        TrainingError: When the loss is not a number.
        Lost: When it may not have been made.
    """
    from tinker import types

    began = time.perf_counter()
    stage = run.stages[step.stage]
    own = stage.configuration
    drawn = rows_of_step(own, len(stage.tokens), run.seeds.order, step.stage, step.step - 1)
    rows = [stage.tokens[index] for index in drawn]
    rate = learning_rate(own, step.step - 1, step.of)
    with in_words(run.service):
        ahead = client.forward_backward([_datum(row) for row in reduced(rows, own.reduction)], "cross_entropy")
        stepped = client.optim_step(types.AdamParams(**_adam(own, rate)))  # sent before the answer is there
        found = ahead.result(run.service.patience)
        if not math.isfinite(found.metrics["loss:sum"]):
            raise TrainingError(
                f"step {step.step} of training on {stage.corpus} has a loss of {found.metrics['loss:sum']:g}; "
                f"{_last(run)}",
                way_out="Lower `learning_rate`, or set `clip_norm: 1`, and train again",
            )
        norms = stepped.result(run.service.patience).metrics or {}
        logprobs = [[float(value) for value in one["logprobs"].data] for one in found.loss_fn_outputs]
    lost = sum(
        -value * weight
        for row, values in zip(rows, logprobs, strict=True)
        for weight, value in zip(row.weights[1:], values, strict=True)
        if weight
    )
    metrics.add(
        {
            "stage": step.stage + 1,
            "step": step.step,
            "loss": lost / (sum(sum(row.weights) for row in rows) or 1.0),
            "learning_rate": rate,
            **({"gradient_norm": norms["grad_norm:unclipped"]} if "grad_norm:unclipped" in norms else {}),
            "tokens": sum(len(row.tokens) for row in rows),
            "trained_tokens": sum(row.trained for row in rows),
            "seconds": round(time.perf_counter() - began, 3),
        }
    )


def _datum(row: TrainingTokens) -> Any:
    from tinker import types

    n = len(row.tokens) - 1
    return types.Datum(
        model_input=types.ModelInput.from_ints(list(row.tokens[:-1])),
        loss_fn_inputs={
            "target_tokens": types.TensorData(data=list(row.tokens[1:]), dtype="int64", shape=[n]),
            "weights": types.TensorData(data=list(map(float, row.weights[1:])), dtype="float32", shape=[n]),
        },
    )


def _adam(own: Configuration, rate: float) -> dict[str, float]:
    clip = 0.0 if own.clip_norm is None else own.clip_norm
    return {
        "learning_rate": rate,
        "beta1": own.beta1,
        "beta2": own.beta2,
        "eps": own.epsilon,
        "weight_decay": own.weight_decay,
        "grad_clip_norm": clip,
    }


def _save(run: _Run, client: Any, step: _Step, metrics: Metrics) -> Mapping[str, Any]:
    """Save a state, and write down where it is."""
    with in_words(run.service):
        path = client.save_state(f"step-{step.count}", overwrite=True).result(run.service.patience).path
    state = {"steps": step.count, "metrics": metrics.bytes(), "path": path}
    _note(run, states=[*_read(run)["tinker"]["states"], state])
    return state


def _keep(run: _Run, client: Any, name: str) -> None:
    """Keep an adapter on the server, and write down where it is."""
    with in_words(run.service):
        path = client.save_weights_for_sampler(name).result(run.service.patience).path
    _note(run, adapters=_read(run)["tinker"]["adapters"] | {name: path})


def _totals(folder: Path) -> dict[str, Any]:
    lines = read_metrics(folder / METRICS_FILE)
    return {
        "steps": len(lines),
        **{key: sum(line[key] for line in lines) for key in ("tokens", "trained_tokens", "seconds")},
    }
