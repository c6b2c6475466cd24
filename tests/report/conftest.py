"""A results folder like that of the study `first`, made of invented numbers: no model is loaded.

Steering by the target adds `effect` to the stated belief; controls scatter around 0 with `spread`. A prompt adds 1.2,
its neutral prompt `neutral`. The arms in `without` have no row at all, vector controls have `control_topics` of 8
topics.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from doxa.cli import study_named
from doxa.plan import Plan, plan_to_json
from doxa.report.page import write_report
from doxa.run import infer
from doxa.stats.evaluate import to_json
from doxa.words import schema
from doxa.words.arms import Arm, Pin, prompt_pin, vector_pins, write_arm
from doxa.words.controls import controls_of
from doxa.words.interventions import Prompt, Steer
from doxa.words.layers import strength_by_layer
from doxa.words.store import content_hash
from doxa.words.study import Study, study_from_json

N_LAYERS = 30
CLAIMS = ("belief", "belief_raw", "control_shift", "agreement")
OPEN = ("length", "distinct_2", "loop", "surprisal", "other_language", "any_chinese", "refusal")
BINARY = ("loop", "any_chinese", "refusal", "correct", "capability")


@dataclass(frozen=True)
class Invented:
    """What the invented study shows."""

    effect: float = 4.0
    spread: float = 0.5
    accuracy: float = 0.8
    same_as_baseline: tuple[str, ...] = ()
    missing: dict[str, str] = field(default_factory=dict)
    hostile: str = "plainly"
    drift: bool = True
    null_dose: bool = False
    runs: int = 2
    neutral: float = 0.2
    without: tuple[str, ...] = ()
    control_topics: int = 8


Make = Callable[..., Path]


@pytest.fixture(scope="session")
def make_results(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Make a results folder; the same arguments give a copy of the same files."""
    return lambda study=None, **kwargs: _write(
        tmp_path_factory.mktemp("results"), study or study_named("first"), Invented(**kwargs)
    )


@pytest.fixture(scope="session")
def first(make_results: Make) -> Path:
    """The folder with a planted effect, for tests that only read it."""
    return make_results(missing={"late[strength=0.6]": "the answer was cut", "spread[strength=0.3]~twin/03": "cut"})


@pytest.fixture(scope="session")
def written(first: Path) -> Path:
    """The same folder with its report."""
    write_report(first)
    return first


@pytest.fixture(scope="session")
def study_of() -> Callable[..., Study]:
    """A study from its JSON."""
    return lambda **keys: study_from_json({"study": "small", "model": "smollm2", **keys})


def _write(folder: Path, study: Study, invented: Invented) -> Path:
    everyone = [_pinned(arm) for arm in (*study.arms, *controls_of(study))]
    arms, controls = tuple(everyone[: len(study.arms)]), tuple(everyone[len(study.arms) :])
    plan = Plan(study, study.models[0], "f" * 64, arms, controls, (), ())
    table = _table(plan, invented)
    folder.mkdir(exist_ok=True)
    _json(folder / "plan.json", plan_to_json(plan))
    table.to_parquet(folder / "table.parquet")
    _json(folder / "estimates.json", to_json(infer(plan, table)))
    _json(folder / "dose.json", {"rows": _dose(plan, invented)})
    _json(folder / "transcripts.json", {"transcripts": _transcripts(plan, invented)})
    for arm in everyone:
        write_arm(folder / "arms" / f"{arm.label}.json", arm)
    return folder


def _pinned(arm: Arm) -> Arm:
    pins = {}
    for one in arm.interventions:
        if isinstance(one, Prompt):
            pins[prompt_pin(one.text)] = Pin(content_hash(one.text), text="You are conscious.")
        elif isinstance(one, Steer):
            pins[vector_pins(one.vector)[one.vector.name]] = Pin(content_hash(one.vector.name), folder="../vectors/x")
    return replace(arm, model="smollm2", pins=pins)


def _total(arm: Arm) -> float:
    steers = [one for one in arm.interventions if isinstance(one, Steer)]
    return sum(sum(_by_layer(one).values()) for one in steers)


def _by_layer(steer: Steer) -> dict[int, float]:
    return strength_by_layer(steer.strength, steer.layers.of(N_LAYERS), steer.share)


def _shift(arm: Arm, invented: Invented, rng: np.random.Generator) -> float:
    if arm.name in invented.same_as_baseline or not arm.interventions:
        return 0.0
    if not any(isinstance(one, Steer) for one in arm.interventions):
        return {"": 1.2, "neutral": invented.neutral}.get(arm.control, 0.2)
    if arm.control:
        return float(rng.normal(0.0, invented.spread))
    return invented.effect * _total(arm) / 0.6 * (1.0 if "block" in arm.name else 0.4)


def _table(plan: Plan, invented: Invented) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    tasks = [task.name for task in plan.study.tasks]
    for index, arm in enumerate((*plan.arms, *plan.controls)):
        if arm.name in invented.without:
            continue
        rng = np.random.default_rng(index)
        shift, total = _shift(arm, invented, rng), abs(_total(arm))
        noise = np.random.default_rng(0 if arm.name in invented.same_as_baseline or not arm.interventions else index)

        def add(task: str, score: str, item: str, run: int, value: float, *, arm: Arm = arm) -> None:
            reason = invented.missing.get(arm.name, "") if item.endswith("1") else ""
            rows.append(
                {
                    "study": plan.study.name,
                    "model": "smollm2",
                    "arm": arm.name,
                    "of": arm.of,
                    "control": arm.control,
                    "task": task,
                    "item": item,
                    "run": run,
                    "seed": 0,
                    "score": score,
                    "value": np.nan if reason else value,
                    "reason": reason,
                    "tokens": 0,
                    "stop": "",
                    "log": "x.eval",
                }
            )

        vector_control = arm.control in ("twin", "unrelated")
        if "doxa/claims" in tasks:
            for item in range(invented.control_topics if vector_control else 8):
                for place, score in enumerate(CLAIMS):
                    value = 0.3 * item - 1 + shift * (1 - 0.3 * place) + float(noise.normal(0, 0.4))
                    add("doxa/claims", score, f"conscious/topic-{item}", 1, value)
            for item in range(0 if vector_control else 20):
                add("doxa/claims", "correct", f"fact-{item}", 1, float(item < 20 * invented.accuracy))
        if "doxa/drift" in tasks and invented.drift:
            for item in range(8):
                kl = total * (0.5 + 0.1 * item) * float(noise.uniform(0.6, 1.4)) if total else 0.0
                add("doxa/drift", "kl", f"neutral-{item}", 1, kl)
            for item in range(0 if vector_control else 10):
                add("doxa/drift", "capability", f"question-{item}", 1, float(item < 7 - min(total, 3)))
                add("doxa/drift", "margin", f"question-{item}", 1, float(noise.normal(1.0 - 0.2 * total)))
            for item in range(0 if arm.control else 16):
                for run in range(1, invented.runs + 1):
                    for score in OPEN:
                        value = float(noise.random() < 0.1 * (1 + total)) if score in BINARY else float(noise.random())
                        add("doxa/drift", score, f"open-{item}", run, value)
    return pd.DataFrame(rows, columns=list(schema.COLUMNS))


def _dose(plan: Plan, invented: Invented) -> list[dict[str, Any]]:
    rows = []
    for index, arm in enumerate((*plan.arms, *plan.controls)):
        if arm.control and int(arm.name[-2:] if arm.name[-2:].isdigit() else 99) >= 10:
            continue
        steers = [one for one in arm.interventions if isinstance(one, Steer)]
        if len(steers) != 1:
            continue
        added, cumulated, along = _by_layer(steers[0]), 0.0, 0.0
        for layer in range(N_LAYERS):
            cumulated += added.get(layer, 0.0)
            along = 0.93 * along + 0.8 * added.get(layer, 0.0)
            lost = invented.null_dose and layer % 3 == 0
            rows.append(
                {
                    "arm": arm.name,
                    "layer": layer,
                    "planned": added.get(layer, 0.0),
                    "planned_cumulated": cumulated,
                    "measured_projection": None if lost else along,
                    "measured_norm": None if lost else 1.3 * abs(along) * (1 + 0.02 * (index % 7)),
                }
            )
    return rows


def _transcripts(plan: Plan, invented: Invented) -> list[dict[str, Any]]:
    return [
        {
            "arm": arm.name,
            "task": "doxa/drift",
            "item": f"open-{item}",
            "run": run,
            "question": f"Question {item}? {invented.hostile}",
            "answer": f"{arm.name} answers {item}: {invented.hostile}",
            "stop": "max_tokens",
        }
        for item in range(6)
        for run in (1, 2)
        for arm in plan.arms
    ]


def _json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, allow_nan=False), encoding="utf-8")
