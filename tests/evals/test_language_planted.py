"""A scripted model that changes to Chinese at a known strength: its texts, read by doxa/drift, and the statistics."""

import functools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from planted import DRAWS, LEAST, WIDEST, row
from scipy.stats import chi2

from doxa.evals.drift import NAME, read_answer
from doxa.evals.drift_items import open_prompts
from doxa.stats.estimate import estimate
from doxa.stats.minimum_dose import MinimumDose, minimum_dose
from doxa.stats.table import encode

STRENGTHS = (0.05, 0.1, 0.2, 0.4, 0.8)
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


@functools.cache
def chinese(text: str, language: str) -> float | None:
    read = read_answer(text, language=language, tokens=9, surprisal=None, no_surprisal="none is asked for")
    return {one.score: one.value for one in read}["any_chinese"]


def rate(strength: float, begins: float, steep: float | None) -> float:
    """2 answers of 100 are in Chinese anyway; from the strength on nearly all are, at once or by and by."""
    if steep is None:
        return 0.02 if strength < begins else 0.92
    return 0.02 + 0.9 / (1 + np.exp(-steep * (np.log(strength) - np.log(begins))))


def drawn(rng: np.random.Generator, begins: float, steep: float | None = None) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    own = {prompt.name: rng.normal(0, 0.05) for prompt in PROMPTS}
    for arm, strength in (("baseline", 0.0), *((f"s{place}", one) for place, one in enumerate(STRENGTHS))):
        share = 0.02 if strength == 0 else rate(strength, begins, steep)
        for prompt in PROMPTS:
            for run in range(1, RUNS + 1):
                switches = rng.random() < np.clip(share + own[prompt.name] * (0.1 < share < 0.9), 0, 1)
                text = TEXTS["zh" if switches else prompt.language]
                text = BROKEN if strength == STRENGTHS[-1] and rng.random() < 0.5 else text
                rows.append(row(arm, NAME, prompt.name, "any_chinese", chinese(text, prompt.language), run))
                rows.append(row(arm, NAME, prompt.name, "length", float(rng.integers(20, 32)), run))
    return pd.DataFrame(rows)


def found(rows: pd.DataFrame) -> MinimumDose:
    table = encode(rows)

    def interval(place: int, level: float) -> tuple[float | None, float | None]:
        one = estimate(table, f"s{place} - baseline", "any_chinese", task=NAME, kind="binary", level=level)
        return one.low, one.high

    return minimum_dose(STRENGTHS, interval)


def threshold(begins: float, steep: float | None) -> float:
    """Where the rate lies 0.2 above that of the baseline."""
    return begins if steep is None else begins * float(np.exp(-np.log(0.9 / 0.2 - 1) / steep))


def oracle(rows: pd.DataFrame, steep: float | None) -> MinimumDose:
    """Of somebody who knows all but where it begins: what a likelihood-ratio test leaves, out to tested strengths."""
    answers = rows[(rows["score"] == "any_chinese") & (rows["arm"] != "baseline")].dropna(subset=["value"])
    counts = answers.groupby("arm")["value"].agg(["sum", "count"])
    begins = np.geomspace(0.01, 3, 2000)
    rates = np.array([[rate(strength, one, steep) for strength in STRENGTHS] for one in begins])
    switched, stayed = counts["sum"].to_numpy(), (counts["count"] - counts["sum"]).to_numpy()
    fits = np.log(rates) @ switched + np.log1p(-rates) @ stayed
    left = [threshold(one, steep) for one in begins[fits >= fits.max() - chi2.ppf(0.95, 1) / 2]]
    low = max((one for one in STRENGTHS if one < left[0]), default=0.0)
    high = min((one for one in STRENGTHS if one >= left[-1]), default=None)
    return MinimumDose(low, high, STRENGTHS, 0.2, 0.95)


def holds(one: MinimumDose, truth: float) -> bool:
    return one.low < truth and (one.high is None or truth <= one.high)


def width(one: MinimumDose) -> float:
    return (np.inf if one.high is None else one.high) - one.low


@pytest.mark.parametrize(("begins", "steep"), [(0.15, None), (0.25, 4.0)], ids=["at once", "by and by"])
def test_a_switch_is_found_and_the_interval_is_as_wide_as_an_oracle_s(begins: float, steep: float | None) -> None:
    truth = threshold(begins, steep)
    all_drawn = [drawn(np.random.default_rng([1, number]), begins, steep) for number in range(DRAWS)]
    ours, best = [found(one) for one in all_drawn], [oracle(one, steep) for one in all_drawn]
    assert sum(holds(one, truth) for one in best) >= LEAST  # it is an oracle
    assert sum(holds(one, truth) for one in ours) >= LEAST
    widths = np.mean([width(one) for one in ours]), np.mean([width(one) for one in best])
    assert widths[0] <= WIDEST * widths[1], widths


def test_what_never_switches_is_not_found_to() -> None:
    all_found = [found(drawn(np.random.default_rng([3, number]), begins=9.0)) for number in range(DRAWS)]
    assert sum(one.high is None for one in all_found) >= LEAST
    assert np.mean([one.low >= STRENGTHS[-2] for one in all_found]) > 0.5


@pytest.mark.parametrize("language", ["en", "fr", "es", "de", "pt", "ru"])
def test_the_scripted_texts_are_read_as_what_they_are(language: str) -> None:
    assert chinese(TEXTS["zh"], language) == 1.0
    assert chinese(TEXTS[language], language) == 0.0
    assert chinese(BROKEN, language) is None
