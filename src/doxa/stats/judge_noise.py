"""What varies in ratings by a judge: the item, the run or the judge's own reading of it.

Where a judge reads every run several times (`judge_runs` of `doxa/audit`), readings are nested in runs and runs in
items:

    rating = mean + item + run(item) + reading(run, item)

The three variances say what to buy. With I items of R runs, each read J times, the variance of an arm's mean is item/I
+ run/(I R) + judge/(I R J): another reading only helps against the last term.
"""

import math
import re
from dataclasses import dataclass

import pandas as pd

from doxa.stats.variance import searle
from doxa.words.errors import ResultsError
from doxa.words.schema import judge_run

METHOD = "analysis of variance of readings nested in runs nested in items, type I sums of squares"


@dataclass(frozen=True)
class JudgeNoise:
    """The variances of a rating in one arm. None where the design cannot tell.

    Attributes:
        arm: The arm.
        task: The task.
        score: The rating.
        items: How many items.
        runs: How many runs of all items that were read.
        readings: How many readings of all runs.
        item: Variance between items, not cut at 0, so that it is right on average; so are the next two.
        run: Variance between runs of an item.
        judge: Variance between readings of a run: noise of the judge.
        df: Degrees of freedom of item, run and judge.
        reliability: run / (run + judge): of what varies between readings of different runs of an item, the share that
            the judge would find again.
        low: Lower end of its .95 interval.
        high: Upper end.
        method: How it was computed.
    """

    arm: str
    task: str
    score: str
    items: int
    runs: int
    readings: int
    item: float | None
    run: float | None
    judge: float | None
    df: tuple[int, int, int]
    reliability: float | None
    low: float | None
    high: float | None
    method: str = METHOD

    def standard_error(self, items: int, runs: int, readings: int, *, new_items: bool = True) -> float | None:
        """The standard error that the mean of an arm would have in another design; variances below 0 count as 0.

        Args:
            items: Items.
            runs: Runs of each.
            readings: Readings of each run.
            new_items: Whether the result is to hold for other items too; else for these.
        """
        parts = [(self.run, items * runs), (self.judge, items * runs * readings)]
        if new_items:
            parts.append((self.item, items))
        if any(one is None for one, _ in parts):
            return None
        return math.sqrt(sum(max(one or 0.0, 0.0) / n for one, n in parts))


def judge_noise(table: pd.DataFrame, arm: str, score: str, *, task: str | None = None) -> JudgeNoise:
    """Split the variance of a rating into item, run and judge.

    Args:
        table: A table in which the rating has single readings (`NAME.judge1`, ...).
        arm: The arm.
        score: Name of the rating.
        task: Its task; may be left out when only one has the score.

    Raises:
        ResultsError: When there are no single readings, or several tasks or training seeds have them.

    Source: Searle, Casella & McCulloch 1992, chapter 5 (unbalanced nested data).
    """
    single = re.compile(re.escape(judge_run(score, 0)[:-1]) + r"\d+")
    rows = table[(table["arm"] == arm) & table["score"].map(lambda name: bool(single.fullmatch(name)))]
    rows = rows[rows["value"].notna() & ((rows["task"] == task) if task is not None else True)]
    if rows.empty:
        raise ResultsError(
            f"{arm} has no single readings of {score!r}",
            expected=f"scores {judge_run(score, 1)}, {judge_run(score, 2)}, ...",
            way_out="Let the judge read every run several times: `judge_runs: 3` of doxa/audit",
        )
    for column, what in (("task", "tasks"), ("seed", "training seeds")):
        if rows[column].nunique() > 1:
            raise ResultsError(f"{arm} has readings of {score!r} from several {what}", way_out="Give the rows of one")
    return _split(rows, arm, str(rows["task"].iloc[0]), score)


def _split(rows: pd.DataFrame, arm: str, task: str, score: str) -> JudgeNoise:
    by_run = rows.groupby(["item", "run"])["value"].agg(["size", "mean"])
    by_item = rows.groupby("item")["value"].agg(["size", "mean"])
    n, runs, items = len(rows), len(by_run), len(by_item)
    whose = by_run.index.get_level_values("item")
    values, size = rows["value"].to_numpy(float), by_run["size"].to_numpy(float)
    own = by_item.loc[whose]
    within = values - by_run["mean"].loc[pd.MultiIndex.from_frame(rows[["item", "run"]])].to_numpy(float)
    shares = float((size**2 / own["size"].to_numpy(float)).sum())
    judge = _ratio(float((within**2).sum()), n - runs)
    between_runs = _ratio(float((size * (by_run["mean"].to_numpy() - own["mean"].to_numpy()) ** 2).sum()), runs - items)
    width = by_item["size"].to_numpy(float)
    between_items = _ratio(float((width * (by_item["mean"].to_numpy() - values.mean()) ** 2).sum()), items - 1)

    run = item = None
    per_run = (n - shares) / (runs - items) if runs > items else math.nan
    if judge is not None and between_runs is not None:
        run = (between_runs - judge) / per_run
    if judge is not None and run is not None and between_items is not None:
        by_runs = (shares - float((size**2).sum()) / n) / (items - 1)
        per_item = (n - float((width**2).sum()) / n) / (items - 1)
        item = (between_items - judge - by_runs * run) / per_item
    reliability = low = high = None
    if judge is not None and between_runs is not None and run is not None and between_runs + judge > 0:
        reliability = run / (run + judge)
        f = between_runs / judge if judge > 0 else math.inf
        low, high = searle(f, runs - items, n - runs, per_run)
    return JudgeNoise(
        arm=arm,
        task=task,
        score=score,
        items=items,
        runs=runs,
        readings=n,
        item=item,
        run=run,
        judge=judge,
        df=(items - 1, runs - items, n - runs),
        reliability=reliability,
        low=low,
        high=high,
    )


def _ratio(squares: float, df: int) -> float | None:
    return squares / df if df > 0 else None
