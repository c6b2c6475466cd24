"""A scripted model that changes to Chinese at a known strength: its texts, read by doxa/drift, and the statistics."""

import functools

import numpy as np
import pandas as pd
import pytest
from planted import DRAWS, LEAST, WIDEST, row
from switches import BASE, STRENGTHS, Curve, holds, noise_oracle, width

from doxa.evals.drift import NAME, read_answer
from doxa.evals.drift_items import open_prompts
from doxa.stats.margin import sides_of
from doxa.stats.minimum_dose import MARGIN, MinimumDose, minimum_dose
from doxa.stats.table import encode
from doxa.words.contrasts import contrast_of

RUNS = 2
TEXTS = {
    "en": "Bring a blanket, some bread and a good book for the afternoon.",
    "zh": "请带上一把伞和一瓶水，我们下午去湖边散步。",
    "fr": "Apportez une couverture, du pain et un bon livre pour cet après-midi.",
    "es": "Trae una manta, un poco de pan y un buen libro para la tarde.",
    "de": "Bring eine Decke, etwas Brot und ein gutes Buch für den Nachmittag mit.",
    "pt": "Traga uma manta, um pouco de pão e um bom livro para esta tarde.",
    "ru": "Возьмите с собой одеяло, немного хлеба и хорошую книгу на вечер.",
}
BROKEN = "}} 0 }} 0 ]] 7"
PROMPTS = [prompt for prompt in open_prompts() if prompt.language != "zh"]
ARMS = ("baseline", *(f"s{place}" for place in range(len(STRENGTHS))))

RECOVERED = {
    "at once": (Curve("at once", 0.15), (1,)),
    "at once, at the last": (Curve("at once", 0.6), (1,)),
    "steep": (Curve("even", 0.2, 8), (1,)),
    "by and by, from early": (Curve("even", 0.15, 4), (1,)),
    "by and by": (Curve("even", 0.25, 4), (1, 2, 3)),
    "by and by, far": (Curve("even", 0.35, 4), (1, 2)),
    "by and by, to the last": (Curve("even", 0.5, 4), (1,)),
    "quickly and then slowly": (Curve("early", 0.2, 2), (1, 2)),
    "slowly and then quickly": (Curve("late", 0.2, 2), (1, 2)),
    "to a plateau": (Curve("even", 0.2, 4, top=0.7), (1,)),
}
"""Curves, and the seeds of their draws."""
WIDE = {
    "hardly any steepness": Curve("even", 0.5, 2),
    "to a plateau near the margin": Curve("even", 0.2, 4, top=0.5),
}
"""Curves whose intervals hold and are wider than 1.2 times an oracle's: `docs/coverage.md` says by how much."""


@functools.cache
def chinese(text: str, language: str) -> float | None:
    read = read_answer(text, language=language, tokens=9, surprisal=None, no_surprisal="none is asked for")
    return {one.score: one.value for one in read}["any_chinese"]


@functools.cache
def empty() -> pd.DataFrame:
    """The table, before anything is answered: arms by prompts by runs."""
    rows = [
        row(arm, NAME, prompt.name, "any_chinese", None, run)
        for arm in ARMS
        for prompt in PROMPTS
        for run in range(1, RUNS + 1)
    ]
    return pd.DataFrame(rows)


def drawn(random: np.random.Generator, curve: Curve) -> pd.DataFrame:
    """What is read in the texts of every arm, prompt and run; half of the texts at the largest strength are broken."""
    shape = (len(ARMS), len(PROMPTS), RUNS)
    rates = np.concatenate([[BASE], curve.rate(np.array(STRENGTHS))])[:, None]
    own = random.normal(0, 0.05, len(PROMPTS)) * ((rates > 0.1) & (rates < 0.9))
    switches = random.random(shape) < np.clip(rates + own, 0, 1)[:, :, None]
    broken = np.zeros(shape, bool)
    broken[-1] = random.random(shape[1:]) < 0.5
    texts = np.where(broken, BROKEN, np.where(switches, TEXTS["zh"], ""))
    values = [
        chinese(text or TEXTS[prompt.language], prompt.language)
        for arm in texts
        for prompt, runs in zip(PROMPTS, arm, strict=True)
        for text in runs
    ]
    value = pd.array(values, dtype="Float64").to_numpy(float, na_value=np.nan)
    return empty().assign(value=value, reason=np.where(np.isnan(value), "planted", ""))


def found(rows: pd.DataFrame) -> MinimumDose:
    table = encode(rows)
    contrasts = [contrast_of(f"{arm} - baseline", ARMS) for arm in ARMS[1:]]
    sides = [sides_of(table, one, "any_chinese", task=NAME, margin=MARGIN) for one in contrasts]
    return minimum_dose(STRENGTHS, sides)


def oracle(rows: pd.DataFrame) -> MinimumDose:
    counts = rows.dropna(subset=["value"]).groupby("arm")["value"].agg(["sum", "count"]).loc[list(ARMS)]
    return noise_oracle(counts["sum"].to_numpy(float), counts["count"].to_numpy(float))


@pytest.mark.parametrize(
    ("curve", "seed"),
    [pytest.param(curve, seed, id=f"{name}-{seed}") for name, (curve, seeds) in RECOVERED.items() for seed in seeds],
)
def test_a_switch_is_found_and_the_interval_is_as_wide_as_an_oracle_s(curve: Curve, seed: int) -> None:
    all_drawn = [drawn(np.random.default_rng([seed, number]), curve) for number in range(DRAWS)]
    ours, best = [found(one) for one in all_drawn], [oracle(one) for one in all_drawn]
    assert sum(holds(one, curve.threshold) for one in best) >= LEAST  # it is an oracle
    assert sum(holds(one, curve.threshold) for one in ours) >= LEAST
    widths = np.mean([width(one) for one in ours]), np.mean([width(one) for one in best])
    assert widths[0] <= WIDEST * widths[1], widths


@pytest.mark.parametrize("curve", WIDE.values(), ids=list(WIDE))
def test_a_switch_that_hardly_passes_the_margin_is_never_said_to_be_where_it_is_not(curve: Curve) -> None:
    ours = [found(drawn(np.random.default_rng([1, number]), curve)) for number in range(DRAWS)]
    assert sum(holds(one, curve.threshold) for one in ours) >= LEAST


def test_what_never_switches_is_not_found_to() -> None:
    never = Curve("at once", 9.0)
    all_found = [found(drawn(np.random.default_rng([3, number]), never)) for number in range(DRAWS)]
    assert sum(one.high is None for one in all_found) >= LEAST
    assert np.mean([one.low >= STRENGTHS[-2] for one in all_found]) > 0.5


@pytest.mark.parametrize("language", ["en", "fr", "es", "de", "pt", "ru"])
def test_the_scripted_texts_are_read_as_what_they_are(language: str) -> None:
    assert chinese(TEXTS["zh"], language) == 1.0
    assert chinese(TEXTS[language], language) == 0.0
    assert chinese(BROKEN, language) is None
