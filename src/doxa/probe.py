"""What a study would cost and could detect, before anything runs; and single measurements that need no study."""

import math
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch

from doxa.bridge.arms import PreparedArm
from doxa.evals.catalogue import JUDGE, Measured, TaskEntry
from doxa.evals.spread import left_out, spread, tied
from doxa.measure import measure
from doxa.models.backend import backend_of
from doxa.models.chat import Message, render
from doxa.models.engine import Row, Sampling
from doxa.models.handle import Model, load
from doxa.models.receipt import Receipt
from doxa.models.score import OptionScores
from doxa.models.steering import SteeringPlan
from doxa.not_yet import refuse_what_is_not_run_yet
from doxa.plan import Plan, counts, plan_to_json
from doxa.stats.controls import ALPHA, BOTH
from doxa.stats.intervals import FEWEST_FOR_P
from doxa.stats.power import detectable, detectable_against_controls
from doxa.subject import load_model
from doxa.task_arguments import task_arguments
from doxa.training_plan import training_counts, training_lines, training_minutes
from doxa.vectors.dose import DoseRow, doses
from doxa.vectors.extract import extract
from doxa.vectors.gguf import export_gguf
from doxa.vectors.library import obtain
from doxa.vectors.pairs import load_pairs
from doxa.vectors.vector import save
from doxa.watched import watched
from doxa.words.contrasts import Contrast
from doxa.words.errors import StudyError, VectorError
from doxa.words.interventions import Steer
from doxa.words.left_out import left_out_words
from doxa.words.numbers import counted, listed
from doxa.words.schema import Derivation
from doxa.words.stages import tunes_of
from doxa.words.study import Study

Pairs: TypeAlias = list[tuple[str, str]]
PROBE_ROWS, PROBE_TOKENS = 32, 8


@dataclass(frozen=True)
class Summary:
    """A plan for a person and for a program."""

    text: str
    facts: Mapping[str, Any]


def estimate_minutes(plan: Plan, model: Model) -> dict[str, float]:
    """Time some steps of training, one chunk of every task and a few generated tokens, and scale them up.

    Args:
        plan: The plan.
        model: The loaded model.

    Returns:
        Minutes by stage, and `total`. Vectors, dose, logs and report are not timed; they come on top.
    """
    found = {"scoring": 0.0, "generating": 0.0}
    # Of an arm that adds nothing no divergence is computed; most arms of a study add something.
    push = SteeringPlan(
        tuple(range(model.n_layers)), torch.full((model.n_layers, model.d_model), 1e-6), frozenset(("all",))
    )
    nudged = PreparedArm(system_prompt=None, plans=(push,), digest="", name="probe")
    for task, entry in enumerate(plan.entries):
        chunks = [chunk for chunk in plan.chunks if chunk.task == task]
        if chunks:
            smallest = min(chunks, key=lambda chunk: len(chunk.items))
            measure(model, smallest, entry, nudged)  # what is made once and kept is not counted
            start = time.perf_counter()
            measure(model, smallest, entry, nudged)
            each = (time.perf_counter() - start) / len(smallest.items)
            found["scoring"] += each * sum(len(chunk.items) for chunk in chunks) / 60
    tokens = counts(plan)["tokens_at_most"]
    if tokens:
        prompt = render(model, [Message("user", "Describe a walk along a river in a few sentences.")])
        rows = [Row(prompt, Sampling(max_tokens=PROBE_TOKENS, temperature=1.0, seed=i)) for i in range(PROBE_ROWS)]
        start = time.perf_counter()
        made = backend_of(model).generate(model, rows)
        rate = sum(len(one.tokens) for one in made) / (time.perf_counter() - start)
        found["generating"] = tokens / rate / 60
    if plan.trainings:
        found["training"] = training_minutes(plan.trainings, model)
    return {**found, "total": sum(found.values())}


def summary(plan: Plan, minutes: Mapping[str, float] | None) -> Summary:
    """What would run, how long it takes and what it could detect.

    Args:
        plan: The plan.
        minutes: From `estimate_minutes`; None when it was not timed.
    """
    written = plan_to_json(plan)
    numbers = counts(plan)
    seeds = f" (of {counted(plan.study.seeds, 'training seed')})" if plan.trainings else ""
    watching = watched(plan.study)
    most = "" if watching is None else "at most "
    first = plan.entries[0]
    lead = first.primary[0]
    units, tests, held = _units(plan, lead), len(_declared(plan)) * len(first.primary), _held(plan)
    seeded = {arm.name for arm in plan.arms if arm.seed is not None}
    over_seeds = any(term.arm in seeded for one in _declared(plan) for term in one.terms)
    effect = detectable(units, 1.0, alpha=ALPHA / tests) if tests and not over_seeds else None
    if effect is not None and not math.isfinite(effect):
        effect = None
    controls = plan.study.steer_controls
    fewest = min(controls.twins, controls.unrelated)
    beside = (
        [detectable_against_controls(fewest, (1.0, 1.0), noise=noise, cells=held) for noise in (0.0, 1.0)]
        if held
        else None
    )
    lines = [
        f"study {plan.study.name}: {plan.study.question}".rstrip(": "),
        f"model {plan.model.label}, {plan.model.dtype} on {plan.model.device}, fingerprint {plan.fingerprint[:12]}"
        if plan.fingerprint
        else f"model {plan.model.label}, served elsewhere",
        f"{numbers['arms']} arms and {numbers['controls']} controls{seeds} on "
        f"{', '.join(one.name for one in plan.entries)}",
        f"{numbers['scored_items']} scored items ({numbers['scored_prompts']} prompts) in {numbers['chunks']} chunks",
        f"{most}{numbers['generations']} generations, at most {numbers['tokens_at_most']} tokens",
        _judged(plan.study.roles or {}, numbers, most),
    ]
    lines += training_lines(plan.trainings)
    lines += left_out_words([vars(one) for one in plan.left_out], plan.model.label)
    cut, bound = _cut(plan), _bound(plan)
    lines += [f"at most {plan.study.limit} items of every task: {one}" for one in (*cut, *bound)]
    if watching is not None:
        lines.append(
            f"runs {watching.words}; looked at {_after(watching.runs)}, at most {watching.runs[-1]} runs of every item"
        )
    if minutes is not None:
        training = f"{minutes['training']:.0f} training, " if "training" in minutes else ""
        lines.append(
            f"{most}about {minutes['total']:.0f} minutes ({training}{minutes['scoring']:.0f} scoring, "
            f"{minutes['generating']:.0f} generating), and vectors, dose, logs and report on top"
        )
    if over_seeds:
        lines.append(
            f"what {counted(plan.study.seeds, 'training seed')} can find depends on how far training runs differ, "
            "which nothing here knows: `doxa power seeds`"
        )
    elif tests and effect is None:
        lines.append(f"{units} units of {first.primary[0]} are too few for a test; at least {FEWEST_FOR_P} are needed")
    if effect is not None:
        lines.append(
            f"smallest effect on {first.primary[0]} found with power .80: {effect:.2f} standard deviations of the "
            f"difference over {units} units (tests declared: {tests}, by Holm)"
        )
    if beside is not None:
        lines.append(
            f"to stand out from both control families with power .80: {beside[0]:.1f} standard deviations of the "
            f"controls' effects if these are exact, {beside[1]:.1f} if their spread is all noise of the items "
            f"(contrasts declared and held against controls: {held})"
        )
    facts = {
        **written["counts"],
        **(training_counts(plan.trainings) if plan.trainings else {}),
        "digest": written["digest"],
        "left_out": written["left_out"],
        "levels_left_out": cut,
        "factors_tied": bound,
        "units": units,
        "detectable_sd": effect,
        "detectable_against_controls_sd": beside,
        "tests_declared": tests,
        "tests_against_controls": held,
        "minutes": dict(minutes) if minutes is not None else None,
        "stopping": None if watching is None else {"rule": watching.words, "looks_at_runs": list(watching.runs)},
    }
    return Summary("\n".join(lines), facts)


def _cut(plan: Plan) -> list[str]:
    """What a limit leaves out, task by task: levels of factors, in words."""
    return [
        f"{task} has no {part} item of {', '.join(f'{factor}={level}' for factor, level in gone)}"
        for task, part, gone in _by_part(plan, left_out)
    ]


def _bound(plan: Plan) -> list[str]:
    """Of which factors a limit leaves levels that go together, task by task, in words."""
    return [
        f"levels of {listed([f'{first} and {second}' for first, second in pairs])} go together in {part} items of "
        f"{task}: their effects are not told apart"
        for task, part, pairs in _by_part(plan, tied)
    ]


def _by_part(plan: Plan, find: Callable[..., tuple[tuple[str, str, str], ...]]) -> Iterator[tuple[str, str, Pairs]]:
    """What the study's limit does to each task's parts that the model runs: task, part, pairs that were found."""
    parts = ("generated", "scored") if plan.fingerprint else ("generated",)
    for one, task in zip(plan.entries, plan.study.tasks, strict=True):
        found = find(one, task_arguments(plan.study, task), plan.study.limit) if plan.study.limit is not None else ()
        for part in dict.fromkeys(part for part, _, _ in found if part in parts):
            yield task.name, part, [(first, second) for of, first, second in found if of == part]


def _judged(roles: Mapping[str, str], numbers: Mapping[str, int], most: str) -> str:
    """Who is asked beside the model under study."""
    if not roles:
        return "no judge is called"
    named = ", ".join(f"{role} {name}" for role, name in roles.items())
    calls = []
    if JUDGE in roles:
        again = f"at most {numbers['judge_requests_at_most']} requests, as one without a verdict is repeated"
        calls.append(f"{most}{numbers['judge_calls']} verdicts of the judge ({again})")
    if numbers["role_calls_at_most"]:
        calls.append(f"at most {numbers['role_calls_at_most']} calls of {listed(sorted(set(roles) - {JUDGE}))}")
    return "; ".join([named, *calls])


def _after(runs: Sequence[int]) -> str:
    """After how many runs a rule is looked at."""
    return f"after {runs[0]} runs" if len(runs) == 1 else f"after {runs[0]}, {runs[1]}, ... runs"


def _declared(plan: Plan) -> list[Contrast]:
    """The contrasts of the declared family: the primary ones, all when none is named."""
    return [one for one in plan.study.contrasts if not plan.study.primary or one.name in plan.study.primary]


def _held(plan: Plan) -> int:
    """How many contrasts x scores of the declared family are held against controls of both families."""
    first = plan.entries[0]
    steered = {arm.name for arm in plan.arms if any(isinstance(one, Steer) for one in arm.interventions)}
    held = 0
    for score in first.primary:
        source = _source(first, score)
        scored = {
            (chunk.arm.of, chunk.arm.control)
            for chunk in plan.chunks
            if chunk.task == 0 and any(source in _scores(first, item) for item in chunk.items)
        }
        whole = {name for name in steered if all((name, family) in scored for family in BOTH)}
        arms = [{term.arm for term in one.terms} & steered for one in _declared(plan)]
        held += sum(1 for own in arms if own and own <= whole)
    return held


def _scores(entry: TaskEntry, item: Measured) -> frozenset[str]:
    """The scores that an item gives: it is read as if all its options were equally probable."""
    blank = [OptionScores((0.0,) * len(options), (1,) * len(options), Receipt()) for options in item.options]
    return frozenset(value.score for value in entry.read(item, blank if item.kind == "choice" else 0.0))


def _source(entry: TaskEntry, score: str) -> str:
    """The score of an item that a score is made of: itself, where it is not derived."""
    return next((one.source for one in entry.derivations if one.score == score), score)


def _units(plan: Plan, score: str) -> int:
    """Units of a score of the first task: levels of what the task declares, else of its derivation's, or its items."""
    first, study = plan.entries[0], plan.study
    asked = task_arguments(study, study.tasks[0])
    source = _source(first, score)
    opened = spread(first.open_factors(asked), dict, first.factors, study.limit)
    named = [item for chunk in plan.chunks if chunk.task == 0 and not chunk.arm.control for item in chunk.items]
    items = [item for item in named if source in _scores(first, item)]
    for derivation in first.derivations:
        if derivation.score == score:
            given = [item.factors for item in items] or opened
            whole = _whole_units(derivation, given)
            return len(_levels(first, [own for own in given if own.get(derivation.unit) in whole]) or whole)
    units = _levels(first, [item.factors for item in items] or opened)
    return len(units) or len({item.id for item in items}) or first.open_items(asked, study.limit)


def _levels(task: TaskEntry, given: Sequence[Mapping[str, str]]) -> set[str]:
    """The units of a task that some items belong to; none where every item is its own."""
    return {own[task.unit] for own in given if own.get(task.unit)}


def _whole_units(derivation: Derivation, given: Collection[Mapping[str, str]]) -> set[str]:
    """The units of a derived score that have an item for each of its terms."""
    found = [
        {own[derivation.unit] for own in given if derivation.unit in own and set(picked) <= set(own.items())}
        for _, picked in derivation.terms
    ]
    return set.intersection(*found)


def dose_table(study: Study, arm: str) -> tuple[list[dict[str, Any]], str]:
    """The planned and measured dose of an arm, as rows and as text.

    Raises:
        StudyError: When the study has no such arm, or the arm does not steer.
    """
    steers = [one for one in study.arm(arm).interventions if isinstance(one, Steer)]
    if not steers:
        raise StudyError(f"arm {arm!r} does not steer", way_out="Name an arm with `steer`")
    if tunes_of(study.arm(arm)):
        raise StudyError(
            f"arm {arm!r} steers a tuned model, whose dose is another one",
            expected="an arm without `tune`",
            way_out="Run the study: its report shows the dose, measured on the tuned model (dose.json)",
        )
    refuse_what_is_not_run_yet(study)
    model = load_model(study)
    vectors = [obtain(steer.vector, model, study.folder) for steer in steers]
    rows: list[dict[str, Any]] = []
    lines = [f"{arm}, fractions of the residual norm on reference prompts", ""]
    for steer, vector, found in zip(
        steers, vectors, doses(model, list(zip(steers, vectors, strict=True))), strict=True
    ):
        lines.append(f"{steer.vector.name}: + means {vector.manifest.positive}")
        lines.append("layer  planned  summed  measured along  measured norm")
        for row in found:
            rows.append({"vector": steer.vector.name, **vars(row)})
            lines.append(_dose_line(row))
    return rows, "\n".join(lines)


def _dose_line(row: DoseRow) -> str:
    cells = [row.planned, row.planned_cumulated, row.measured_projection, row.measured_norm]
    shown = [f"{value:.3f}" if value is not None else "missing" for value in cells]
    return f"{row.layer:5d}  {shown[0]:>7s}  {shown[1]:>6s}  {shown[2]:>14s}  {shown[3]:>13s}"


def make_vector(pairs: str, model_name: str, method: str, out: Path, gguf: Path | None) -> str:
    """Extract a vector and save it; say what was made.

    Raises:
        DoxaError: When the pairs, the model or the folder do not serve.
    """
    if os.path.lexists(out) and not os.path.isdir(out):
        raise VectorError(f"{out} is no folder", expected="a folder, or a name that is free", way_out="Choose another")
    read = load_pairs(pairs, Path())
    vector = extract(load(model_name), read, method="pca" if method == "pca" else "mean")
    save(vector, out)
    if gguf is not None:
        export_gguf(vector, gguf)
    also = f" and {gguf}" if gguf is not None else ""
    return f"{out}{also}: {vector.n_layers} layers of {vector.d_model}; + means {vector.manifest.positive}"
