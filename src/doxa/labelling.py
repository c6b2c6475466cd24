"""Labels by hand: a file to label is drawn from a study's judged rows, and read back against its judge.

The draw is seeded, and stratified over arms and verdicts as evenly as they allow, so that a verdict that is rare in the
study is not rare in the file; `stats/agreement.py` weighs it back.
"""

import json
import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from doxa.labels_file import Row, read_key, read_labels_of, write_file
from doxa.stats.agreement import Agreement, JudgedRows, agreement, agreement_with_labels, corrected, implied_bias
from doxa.stats.comparison import as_one
from doxa.stats.design import ScoreKind
from doxa.stats.estimate import Estimate, estimate
from doxa.stats.intervals import Interval
from doxa.words.contrasts import Contrast, contrast_from_json, contrast_of
from doxa.words.errors import DoxaError, ResultsError, nearest
from doxa.words.store import content_hash

if TYPE_CHECKING:
    from doxa.bridge.judgements import Judgement


@dataclass(frozen=True)
class Judged:
    """The judged rows of one score.

    Attributes:
        folder: Where they were read.
        table: The table of all scores.
        task: The task of the score.
        score: Its name.
        rows: Rows of named arms that have a value.
        without: Rows that have none: refusals of a judge, and those where judges disagree.
    """

    folder: Path
    table: pd.DataFrame
    task: str
    score: str
    rows: "tuple[Judgement, ...]"
    without: "tuple[Judgement, ...]"

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms, in the order of the table."""
        return tuple(dict.fromkeys(one.arm for one in self.rows))


@dataclass(frozen=True)
class Implied:
    """What a judge's errors mean for one contrast.

    Attributes:
        estimate: What the study found.
        bias: How much of it the judge's errors are.
        corrected: The estimate without them.
    """

    estimate: Estimate
    bias: Interval
    corrected: Interval


@dataclass(frozen=True)
class Labelled:
    """A judge held against labels.

    Attributes:
        judged: What was judged.
        drawn: Rows in the file.
        labels: Rows that have a label.
        counts: How often the judge's verdict met each label, by both, as counted in the file.
        whole: Agreement over all arms.
        by_arm: Agreement, and the bias of the arm's mean.
        contrasts: What it means for contrasts.
        judges: Agreement of every two judges, over all rows.
    """

    judged: Judged
    drawn: int
    labels: int
    counts: Mapping[tuple[str, str], int]
    whole: Agreement
    by_arm: Mapping[str, tuple[Agreement, Interval]]
    contrasts: tuple[Implied, ...]
    judges: Mapping[tuple[str, str], Agreement]


def judged_rows(folder: Path, score: str | None = None, task: str | None = None) -> Judged:
    """The judged rows of a study, or of any logs of doxa's tasks.

    Args:
        folder: Results folder, or a folder of logs.
        score: Which score; may be left out when one alone is judged.
        task: Of which task, if several have it.

    Raises:
        ResultsError: When nothing is judged there, or it is not clear what is meant.
    """
    from doxa.bridge.judgements import judgements
    from doxa.bridge.logs import table_from_logs

    table = table_from_logs(folder)
    found = judgements(folder, table)
    known = sorted({(one.where[1], one.where[5]) for one in found})
    wanted = [pair for pair in known if score in (None, pair[1]) and task in (None, pair[0])]
    if not known:
        raise ResultsError(
            f"no judge's verdict is in the logs of {folder}",
            expected="logs of a task that asks a judge, run with one",
            way_out="Name a judge with --model-role judge=PROVIDER/MODEL, or under `roles` in a study",
        )
    if len(wanted) != 1:
        names = [f"--task {one} --score {other}" for one, other in known]
        said = " and ".join(filter(None, [task and f"task {task}", score and f"score {score}"])) or "no score is named"
        raise ResultsError(f"{said}: {len(wanted) or 'no'} judged scores", way_out=nearest(" ".join(names[:1]), names))
    rows = [one for one in found if (one.where[1], one.where[5]) == wanted[0]]
    if len({one.rubric for one in rows}) > 1:
        raise ResultsError(
            f"{wanted[0][1]} was judged by several versions of its rubric", way_out="Give the folder of one of them"
        )
    given, without = (tuple(one for one in rows if (one.value is None) is none) for none in (False, True))
    return Judged(folder, table, *wanted[0], given, without)


def write_labels(judged: Judged, path: Path, *, n: int = 60, seed: int = 0) -> int:
    """Draw rows and write the file to label.

    Args:
        judged: What was judged.
        path: Where the file goes.
        n: How many rows at most.
        seed: Of the draw.

    Returns:
        How many rows there are in it.

    Raises:
        ResultsError: When nothing has a verdict, or the file is there already.
    """
    if not judged.rows:
        raise ResultsError(f"no row of {judged.score} has a verdict", way_out="Look why they are missing: doxa table")
    drawn = _draw(judged.rows, n, seed)
    ids = {content_hash([seed, list(one.where)])[:8]: one for one in drawn}
    first = drawn[0]
    key = {
        "task": judged.task,
        "score": judged.score,
        "rubric": first.rubric,
        "seed": seed,
        "rows": {own: [*one.where, content_hash(dict(one.material))] for own, one in ids.items()},
    }
    rows = [Row(own, one.material) for own, one in ids.items()]
    write_file(path, rows, first.question, first.answers, key)
    return len(rows)


def read_labels(folder: Path, path: Path, contrasts: Sequence[str] = ()) -> Labelled:
    """Hold a judge against the labels in a file.

    Args:
        folder: The folder that the file was drawn from.
        path: The file, its key beside it.
        contrasts: Contrasts to correct; by default the study's, without a study every arm against the first.

    Raises:
        ResultsError: When the file, its key and the folder do not belong together, or there is no label.
        StudyError: When a contrast cannot be read.
    """
    key = read_key(path)
    judged = judged_rows(folder, key.get("score"), key.get("task"))
    by_place = {one.where: one for one in judged.rows}
    places = {}
    for own, (*where, material) in key["rows"].items():
        row = by_place.get(tuple(where))
        if row is None or content_hash(dict(row.material)) != material:
            raise ResultsError(
                f"{path.name}: the row {own} is not in {folder}",
                expected="the folder as it was when the file was written, or with more runs",
                way_out="Give that folder, or write a new file",
            )
        places[own] = tuple(where)
    answers = tuple(judged.rows[0].worth)
    labels = read_labels_of(path, list(places), answers)
    if not labels:
        raise ResultsError(f"{path} has no labels", way_out=f"Write {' or '.join(answers[:3])} under `label`")
    labelled = {places[own]: label for own, label in labels.items()}
    by_arm = {arm: _arrays([one for one in judged.rows if one.arm == arm], labelled) for arm in judged.arms}
    worth = judged.rows[0].worth
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for where, label in labelled.items():
        counts[by_place[where].verdict or "", label] += 1
    return Labelled(
        judged=judged,
        drawn=len(places),
        labels=len(labels),
        counts=dict(sorted(counts.items())),
        whole=agreement_with_labels(list(by_arm.values()), answers),
        by_arm={
            arm: (agreement_with_labels([rows], answers), implied_bias([(1.0, rows)], worth))
            for arm, rows in by_arm.items()
        },
        contrasts=tuple(_implied(judged, labelled, contrasts)),
        judges=judges_agree(judged),
    )


def judges_agree(judged: Judged) -> dict[tuple[str, str], Agreement]:
    """Agreement of every two judges over all rows that both have judged, however the score came out; {} with one."""
    from doxa.bridge.judges import majority

    said = []
    for row in (*judged.rows, *judged.without):
        votes = defaultdict(list)
        for vote in row.verdicts:
            votes[vote.judge].append(vote)
        said.append({name: majority(own)[0] for name, own in votes.items()})
    names = sorted({name for one in said for name in one})
    answers = tuple(next(iter((*judged.rows, *judged.without))).answers)
    found = {}
    for first, second in combinations(names, 2):
        pairs = Counter((one.get(first), one.get(second)) for one in said)
        found[first, second] = agreement(np.array([[pairs[one, two] for two in answers] for one in answers]), answers)
    return found


def _draw(rows: "Sequence[Judgement]", n: int, seed: int) -> "list[Judgement]":
    """Rows of every arm and verdict as evenly as they allow, in an order that tells nothing."""
    generator = random.Random(seed)
    strata: dict[tuple[str, str], list[Judgement]] = defaultdict(list)
    for one in rows:
        strata[one.arm, one.verdict or ""].append(one)
    for own in strata.values():
        generator.shuffle(own)
    drawn: list[Judgement] = []
    depth = 0
    while len(drawn) < min(n, len(rows)):
        layer = [own[depth] for own in strata.values() if depth < len(own)]
        drawn += layer if len(layer) <= n - len(drawn) else generator.sample(layer, n - len(drawn))
        depth += 1
    generator.shuffle(drawn)
    return drawn


def _arrays(rows: "Sequence[Judgement]", labels: Mapping[Any, str]) -> JudgedRows:
    return JudgedRows(
        tuple(one.verdict or "" for one in rows),
        np.array([one.value for one in rows], float),
        tuple(labels.get(one.where, "") for one in rows),
    )


def _implied(judged: Judged, labels: Mapping[Any, str], wanted: Sequence[str]) -> list[Implied]:
    found = []
    whole = as_one(judged.table, {}, None)
    declared = _contrasts_of(judged)
    named = {one.name: one for one in declared if one.source is not None}
    asked = [contrast_of(source, judged.arms, named=named) for source in wanted]
    for contrast in asked or declared:
        try:
            made = estimate(whole, contrast, judged.score, task=judged.task, kind=_kind(judged))
        except DoxaError:
            if wanted:
                raise
            continue  # a contrast of the study between arms or levels that were not judged
        bias = implied_bias(_terms(judged, contrast, labels), judged.rows[0].worth)
        found.append(Implied(made, bias, corrected(Interval(made.value, made.low, made.high), bias)))
    return found


def _terms(judged: Judged, contrast: Contrast, labels: Mapping[Any, str]) -> list[tuple[float, JudgedRows]]:
    return [
        (
            term.weight,
            _arrays(
                [
                    one
                    for one in judged.rows
                    if one.arm == term.arm and all(one.factors.get(name) == level for name, level in term.levels)
                ],
                labels,
            ),
        )
        for term in contrast.terms
    ]


def _contrasts_of(judged: Judged) -> list[Contrast]:
    """The contrasts of the study between arms that were judged, or of every arm to the first."""
    for folder in (judged.folder, judged.folder.parent):
        if (folder / "plan.json").is_file():
            plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
            found = map(contrast_from_json, plan.get("contrasts", ()))
            return [one for one in found if all(term.arm in judged.arms for term in one.terms)]
    first, *others = [f"'{arm}'" for arm in judged.arms]
    return [contrast_of(f"{other} - {first}", judged.arms) for other in others]


def _kind(judged: Judged) -> ScoreKind:
    worth = set(judged.rows[0].worth.values())
    if worth <= {0.0, 1.0} and all(len(one.verdicts) == 1 for one in judged.rows):
        return "binary"
    return "share" if all(0 <= value <= 1 for value in worth) else "unbounded"
