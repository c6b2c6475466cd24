"""The sections on training: what every training seed shows, what was trained on, and how the loss fell."""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import stats

from doxa.report.comparison_figures import Bar, seeds
from doxa.report.gather import AGAIN, Gathered
from doxa.report.labels import label
from doxa.report.parts import Section, Table
from doxa.report.theme import Drawing
from doxa.report.training_figures import Curve, curves
from doxa.stats.cells import TermCells, cells_of
from doxa.stats.design import blocks_of
from doxa.stats.estimate import applies, estimate
from doxa.stats.variance import seed_variance
from doxa.words.arms import ADAPTER_PIN, read_arm
from doxa.words.contrasts import Contrast, Term
from doxa.words.errors import ResultsError, StudyError
from doxa.words.numbers import counted, interval, number, p_words

METRICS, CORPORA = "metrics.jsonl", "corpora.json"
CURVES = "training"
"""Name of the figure of losses."""
LEVEL = 0.95
HEAD = ("arm", "score", "level over seeds", "interval", "smallest and largest seed", "SD between seeds",
        "interval of the SD", "do the seeds differ?")  # fmt: skip
ITEMS_TOO = (
    "The SD between seeds is of the seeds' means over the same items: it holds what their runs add by chance too. The "
    "levels in this table are for new training seeds asked these very items; the contrasts above are for new items too."
)


def seeds_section(gathered: Gathered) -> Section | None:
    """Every training seed of every trained arm beside the levels of the other arms; None where nothing is trained."""
    if not gathered.trainings or gathered.lead is None:
        return None
    drawings: list[Drawing] = []
    rows = []
    task = gathered.task_of(gathered.lead)
    scores = [one for one in gathered.plan["tasks"][0]["primary"] if gathered.task_of(one) == task]
    for score in scores:
        by_arm: dict[str, Mapping[str, float]] = {}
        bars = []
        for arm in gathered.arms:
            own = gathered.own(arm, score)
            if own is None:
                continue
            cells = _cells(gathered, arm, score)
            bars.append(Bar(arm, own.value, own.low, own.high))
            if cells is not None and len(cells.seeds) > 1:
                by_arm[arm] = dict(zip(cells.seeds, cells.means.mean(axis=1).tolist(), strict=True))
                rows.append(_seed_row(gathered, arm, score, cells))
        if by_arm:
            caption = f"The {label(score)}: every training seed, and every arm's level with its interval."
            name = f"seeds-{len(drawings)}"
            drawings.append(seeds(by_arm, bars, name=name, axis=label(score), caption=caption))
    if not rows:
        one = "One training seed is one checkpoint: nothing here says what another run of the recipe would give."
        return Section("seeds", "Training seeds", [one])
    return Section("seeds", "Training seeds", [ITEMS_TOO], drawings, [Table(HEAD, rows, wrap=(0, 1, 7))])


def _cells(gathered: Gathered, arm: str, score: str) -> TermCells | None:
    task = gathered.task_of(score)
    alone = Contrast(arm, (Term(1.0, arm),))
    if task is None or not applies(gathered.rows, alone, score, task):
        return None
    unit = gathered.unit_of(task, score)
    ((found,),) = cells_of(gathered.rows, blocks_of(gathered.rows, alone, score, task, unit), score, task, unit)
    return found if len(found.units) else None


def _seed_row(gathered: Gathered, arm: str, score: str, cells: TermCells) -> list[str]:
    task = gathered.task_of(score)
    kinds = {name: kind for one in gathered.plan["tasks"] for name, kind in one["kinds"].items()}
    kind = kinds.get(score, "unbounded")
    of_recipe = estimate(
        gathered.rows, Contrast(arm, (Term(1.0, arm),)), score, task=task, kind=kind, estimand="seeds",
        unit=gathered.unit_of(task or "", score),
    )  # fmt: skip
    values = cells.means.mean(axis=1)
    low, high = spread(len(values), float(np.std(values, ddof=1)))
    tested = seed_variance(cells, binary=kind == "binary")
    said = "not tested: fewer than two rows of a seed"
    if tested is not None:
        verdict = "yes" if tested.p is not None and tested.p <= 1 - LEVEL else "not shown"
        said = f"{verdict} ({p_words(tested.p)}, {tested.method}); ICC {number(tested.icc)}"
        said += f" {interval(tested.low, tested.high)}" if tested.low is not None else ""
    return [
        f"{arm} ({counted(len(values), 'seed')})",
        label(score),
        number(of_recipe.value),
        interval(of_recipe.low, of_recipe.high),
        f"{number(float(values.min()))}, {number(float(values.max()))}",
        number(float(np.std(values, ddof=1))),
        interval(low, high),
        said,
    ]


def spread(n: int, sd: float) -> tuple[float | None, float | None]:
    """The interval of a standard deviation of n values: (n - 1) s² / σ² follows chi-square; None below 3 values."""
    if n < 3:
        return None, None
    high, low = (float(stats.chi2.ppf(tail, n - 1)) for tail in (0.5 + LEVEL / 2, 0.5 - LEVEL / 2))
    return sd * math.sqrt((n - 1) / high), sd * math.sqrt((n - 1) / low)


def training_section(gathered: Gathered) -> Section | None:
    """What every arm was trained on, how, and how the loss fell; None where nothing was trained."""
    if not gathered.trainings:
        return None
    told = _corpora(gathered)
    recipes: dict[str, list[Mapping[str, Any]]] = {}
    for one in gathered.trainings:
        recipes.setdefault(json.dumps(one["stages"], sort_keys=True), []).append(one)
    rows = []
    for own in recipes.values():
        arms = ", ".join(dict.fromkeys(name for one in own for name in one["arms"]))
        for number_, stage in enumerate(own[0]["stages"], start=1):
            of_stages = f", stage {number_}" if len(own[0]["stages"]) > 1 else ""
            rows.append([f"{arms}{of_stages}", str(len(own)), *_stage_cells(stage, told)])
    head = ["arms", "seeds", "corpus", "written by", "rows", "tokens", "trained on", "steps", "how", "excess surprisal"]
    caption = "Loss per trained token on the rows of each step, every training seed a line."
    found = _curves(gathered)
    drawings = [curves(found, name=CURVES, caption=caption)] if found else []
    words = [
        "Excess surprisal is the surprisal of the trained tokens less the entropy of the model's own next token, under "
        "the model before training, in nats a token: 0 on average for what the model itself would have written."
    ] if told else []  # fmt: skip
    return Section("training", "What it was trained on", words, drawings, [Table(head, rows, wrap=(0, 2, 3, 8, 9))])


def _stage_cells(stage: Mapping[str, Any], told: Mapping[str, Mapping[str, Any]]) -> list[str]:
    how, corpus = stage["configuration"], told.get(stage["corpus_hash"], {})
    excess, z, measured = corpus.get("excess"), corpus.get("z"), corpus.get("measured_rows")
    return [
        f"{stage['corpus']} ({stage['corpus_hash'][:8]})",
        ("; ".join(corpus.get("writers", ())) or "not recorded") + _selected(corpus),
        f"{stage['rows']:,}",
        f"{stage['tokens']:,}",
        f"{stage['trained']:,}",
        f"{stage['steps']:,}",
        f"rate {how['learning_rate']:g} ({how['schedule']}), rank {how['rank']}, batch {how['batch_size']}, "
        f"{how['reduction']}, {how['train_on']}",
        "not measured"
        if excess is None
        else f"{number(excess, sign=True)} {interval(corpus['low'], corpus['high'])}"
        + (f", z {number(z, sign=True)}" if z is not None else "")
        + (f", of {measured:,} rows drawn" if measured is not None and measured < corpus.get("rows", 0) else ""),
    ]


def _selected(corpus: Mapping[str, Any]) -> str:
    """What a filter did: answers that pass one are no sample of their writer."""
    rate, left = corpus.get("rejection_rate"), corpus.get("unanswered")
    said = f"; a filter rejected {rate:.0%} of what was written" if rate else ""
    return said + (f"; {counted(left, 'row')} could not be written" if left else "")


def _corpora(gathered: Gathered) -> Mapping[str, Mapping[str, Any]]:
    """What the run wrote down of its corpora, by the hash of their rows."""
    path = gathered.folder / CORPORA
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {str(key): dict(value) for key, value in found.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ResultsError(f"{path} cannot be read ({error})", way_out=AGAIN) from error


def _curves(gathered: Gathered) -> dict[str, list[Curve]]:
    """Steps and losses of every training that its record is there of, by the arms that it was made for."""
    labels = {(one["name"], one.get("seed")): one["label"] for one in gathered.plan["arms"]}
    found: dict[str, list[Curve]] = {}
    for one in gathered.trainings:
        first, *others = one["arms"]
        path = gathered.folder / "arms" / f"{labels[first, one['seed']]}.json"
        try:
            pin = read_arm(path).pins[ADAPTER_PIN]
        except StudyError as error:
            raise ResultsError(error.found, expected=error.expected, way_out=AGAIN) from error
        metrics = path.parent / (pin.folder or "") / METRICS
        if metrics.is_file():
            name = f"{first} and {counted(len(others), 'more arm')}" if others else str(first)
            found.setdefault(name, []).append(_curve(metrics.read_text(encoding="utf-8")))
    return found


def _curve(lines: str) -> Curve:
    try:
        rows = [json.loads(line) for line in lines.splitlines() if line.strip()]
        losses = [float(row["loss"]) for row in rows if "loss" in row]  # lines without are what was measured meanwhile
        return list(range(1, len(losses) + 1)), losses
    except (ValueError, KeyError, TypeError) as error:
        raise ResultsError(f"the record of a training cannot be read ({error})", way_out=AGAIN) from error
