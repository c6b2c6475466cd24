"""May one look at the results and stop? Simulated sequences in which the truth is known.

    python benchmarks/stopping_simulation.py [--studies 10000] [--write]

1. `excluded`: how often an interval leaves the true rate out at any of the looks every 10 rows from 20 to 3,000: Wald
   and Wilson as for a fixed n, the beta-binomial and the empirical Bernstein confidence sequence. For the beta-binomial
   also at every row from the first: rare events among the first few rows are where it is left out most.
2. `widths`: how often the interval of a rate covers it when one stops as soon as it is narrow enough: Wald and Wilson.
3. `over_items`: the same over items of which runs are added: Wilson with design effect, and t for means.
4. `decided`: how often `until decided` calls two arms different, and after how many runs, over 20 items of unlike
   rates, beside what a z-test that is looked at as often does.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from page import written
from scipy import special

from doxa.stats.intervals import mean_t
from doxa.stats.rates import wilson_clustered
from doxa.stats.sequences import beta_binomial, empirical_bernstein, evidence_against

PAGE = Path(__file__).parents[1] / "docs" / "how-to-stop.md"
BEGIN, END = "<!-- tables: written by benchmarks/stopping_simulation.py -->", "<!-- end of tables -->"
LOOKS = np.arange(20, 3001, 10)
Z = float(special.ndtri(0.975))
RATES = (0.01, 0.05, 0.5)
WIDTHS = (0.05, 0.1, 0.2)
ITEMS, STEP, MOST = 20, 10, 200
MEANS = 100
"""Studies of `empirical_bernstein` in one go."""


def sums(rate: float, studies: int, random: np.random.Generator) -> np.ndarray:
    """Events at every look [studies, looks]."""
    first = random.binomial(LOOKS[0], rate, (studies, 1))
    steps = random.binomial(LOOKS[1] - LOOKS[0], rate, (studies, len(LOOKS) - 1))
    return np.concatenate([first, steps], axis=1).cumsum(axis=1).astype(np.float64)


def wald(x: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Wald's interval of a rate."""
    half = Z * np.sqrt(x / n * (1 - x / n) / n)
    return x / n - half, x / n + half


def wilson(x: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's interval of a rate, as in `doxa.stats.intervals`."""
    centre = (x + Z * Z / 2) / (n + Z * Z)
    half = Z / (n + Z * Z) * np.sqrt(x * (1 - x / n) + Z * Z / 4)
    return centre - half, centre + half


def excluded(studies: int) -> Iterator[list[str]]:
    """The first table."""
    for rate in RATES:
        random = np.random.default_rng(int(1000 * rate))
        x, n = sums(rate, studies, random), LOOKS.astype(np.float64)
        found = []
        for low, high in (wald(x, n), wilson(x, n)):
            found.append(((low > rate) | (high < rate)).any(axis=1).mean())
        found.append((evidence_against(rate, x, n) >= np.log(20)).any(axis=1).mean())
        found.append(np.mean([_at_every_row(rate, random) for _ in range(studies // MEANS)]))
        found.append(np.mean([_bernstein(rate, random) for _ in range(studies // MEANS // 5)]))
        yield [f"{rate:g}", *(f"{one:.3f}" for one in found)]


def _at_every_row(rate: float, random: np.random.Generator) -> float:
    x = (random.random((MEANS, LOOKS[-1]), dtype=np.float32) < rate).cumsum(axis=1).astype(np.float64)
    n = np.arange(1.0, LOOKS[-1] + 1)
    return float((evidence_against(rate, x, n) >= np.log(20)).any(axis=1).mean())


def _bernstein(rate: float, random: np.random.Generator) -> float:
    out = 0
    for _ in range(MEANS):
        low, high = empirical_bernstein((random.random((LOOKS[-1], 1)) < rate).astype(np.float64))
        out += bool(((low > rate) | (high < rate))[LOOKS - 1].any())
    return out / MEANS


def widths(studies: int) -> Iterator[list[str]]:
    """The second table."""
    for rate in RATES:
        random = np.random.default_rng(1 + int(1000 * rate))
        x, n = sums(rate, studies, random), LOOKS.astype(np.float64)
        for width in WIDTHS:
            row = [f"{rate:g}", f"{width:g}"]
            for low, high in (wald(x, n), wilson(x, n)):
                narrow = high - low <= width
                at = np.where(narrow.any(axis=1), narrow.argmax(axis=1), len(LOOKS) - 1)
                rows = np.arange(studies)
                covers = (low[rows, at] <= rate) & (rate <= high[rows, at])
                row += [f"{covers.mean():.3f}", f"{np.median(LOOKS[at]):.0f}"]
            yield row


def over_items(studies: int) -> Iterator[list[str]]:
    """The third table: coverage for new items, with runs added in tens to the same items, beside 100 runs fixed."""
    for rate, spread, width in ((0.05, 0.0, 0.1), (0.05, 0.1, 0.1), (0.5, 0.0, 0.15), (0.5, 0.1, 0.2), (0.5, 0.5, 0.4)):
        random = np.random.default_rng(2 + int(1000 * rate) + int(10 * spread))
        covers, fixed, stops = [], [], []
        for _ in range(studies):
            own = np.full(30, rate)
            if spread:
                own = random.beta(rate * (1 / spread - 1), (1 - rate) * (1 / spread - 1), 30)
            x = random.binomial(STEP, own, (MOST // STEP, 30)).cumsum(axis=0)
            for look in range(MOST // STEP):
                runs = STEP * (look + 1)
                one = wilson_clustered(x[look] / runs, 30.0 * runs)
                assert one.low is not None
                assert one.high is not None
                if runs == 100:
                    fixed.append(one.low <= rate <= one.high)
                if len(stops) == len(covers) and (one.high - one.low <= width or runs == MOST):
                    stops.append(runs)
                    covers.append(one.low <= rate <= one.high)
        name = f"rate {rate:g}, ICC {spread:g}: Wilson with design effect"
        yield [name, "30", f"{width:g}", f"{np.mean(fixed):.3f}", f"{np.mean(covers):.3f}", f"{np.median(stops):.0f}"]
    for items in (30, 100):
        for skewed in (False, True):
            yield _means(items, skewed, studies)


def _means(items: int, skewed: bool, studies: int) -> list[str]:
    """A mean over items that differ as much as a run does within an item."""
    random, width = np.random.default_rng(3 + items + skewed), 4.35 / items**0.5
    covers, fixed, stops = [], [], []
    for _ in range(studies):
        own = random.exponential(1.0, items) - 1 if skewed else random.standard_normal(items)
        noise = random.standard_normal((MOST, items)) * 3
        for runs in range(STEP, MOST + 1, STEP):
            one = mean_t(own + noise[:runs].mean(axis=0))
            assert one.low is not None
            assert one.high is not None
            if runs == 100:
                fixed.append(one.low <= 0 <= one.high)
            if len(stops) == len(covers) and (one.high - one.low <= width or runs == MOST):
                stops.append(runs)
                covers.append(one.low <= 0 <= one.high)
    name = f"mean of {'skewed' if skewed else 'normal'} items: t"
    return [
        name,
        str(items),
        f"{width:.2g}",
        f"{np.mean(fixed):.3f}",
        f"{np.mean(covers):.3f}",
        f"{np.median(stops):.0f}",
    ]


def decided(studies: int) -> Iterator[list[str]]:
    """The fourth table: two arms over items of unlike rates, looked at after every ten runs."""
    for first, second in ((0.05, 0.05), (0.5, 0.5), (0.05, 0.1), (0.05, 0.15), (0.2, 0.3), (0.5, 0.55), (0.5, 0.6)):
        random = np.random.default_rng(4 + int(1000 * first + 10000 * second))
        unlike = random.beta(first * 4, (1 - first) * 4, ITEMS)
        own = unlike / unlike.mean() * first
        other = own * second / first if second < 0.5 else 1 - (1 - own) * (1 - second) / (1 - first)
        n = ITEMS * STEP * np.arange(1.0, MOST // STEP + 1)
        x = [
            random.binomial(STEP, np.clip(each, 0, 1), (studies, MOST // STEP, ITEMS)).sum(axis=2).cumsum(axis=1)
            for each in (own, other)
        ]
        gap = float(np.clip(other, 0, 1).mean() - np.clip(own, 0, 1).mean())
        (low, high), (lower, higher) = (beta_binomial(one, n, alpha=0.025) for one in x)
        below, above = lower - high, higher - low
        differs, within = (below > 0) | (above < 0), (below >= -0.05) & (above <= 0.05)
        wrong = ((below > gap) | (above < gap)).any(axis=1)
        a, b = (one / n for one in x)
        error = np.sqrt(a * (1 - a) / n + b * (1 - b) / n)
        called = (np.abs(b - a) > Z * error).any(axis=1)
        at = STEP * (1 + differs.argmax(axis=1)[differs.any(axis=1)])
        yield [
            f"{first:g} and {second:g}",
            f"{wrong.mean():.4f}",
            f"{differs.any(axis=1).mean():.3f}",
            f"{np.median(at):.0f}" if len(at) > studies / 20 else "–",
            f"{within.any(axis=1).mean():.3f}",
            f"{called.mean():.3f}",
        ]


def table(title: str, head: list[str], rows: Iterator[list[str]]) -> str:
    """A titled table, printed as it grows."""
    lines = [f"**{title}**", "", f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    print("\n".join(lines), flush=True)
    for row in rows:
        lines.append(f"| {' | '.join(row)} |")
        print(lines[-1], flush=True)
    return "\n".join(lines)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=10_000)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    studies = options.studies
    parts = [
        f"{studies} simulated sequences a row ({studies // 5} for empirical Bernstein and for items).",
        table(
            "The true rate is left out at any of 299 looks, every 10 rows from 20 to 3,000",
            ["rate", "Wald", "Wilson", "beta-binomial", "beta-binomial, every row from 1", "empirical Bernstein"],
            excluded(studies),
        ),
        table(
            "Coverage of the 95 % interval when it is stopped at a width",
            ["rate", "width", "Wald", "rows (median)", "Wilson", "rows (median)"],
            widths(studies),
        ),
        table(
            "The same over items, to which runs are added in tens up to 200",
            ["interval", "items", "width", "coverage at 100 runs", "coverage when stopped", "runs (median)"],
            over_items(studies // 5),
        ),
        table(
            f"`until decided` for two arms over {ITEMS} items, looked at after every {STEP} runs up to {MOST}",
            [
                "mean rates",
                "sequence leaves the difference out",
                "decides that they differ",
                "after runs (median)",
                "decides within ±0.05",
                "z-test looked at as often says they differ",
            ],
            decided(studies),
        ),
    ]
    if options.write:
        written(PAGE, BEGIN, END, "\n\n".join(parts))


if __name__ == "__main__":
    main()
