"""A scripted model that changes to Chinese at a known strength: its texts, read by doxa/drift, and the statistics."""

import functools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from planted import DRAWS, LEAST, WIDEST, row

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


def found(rng: np.random.Generator, begins: float, steep: float | None = None) -> MinimumDose:
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
    table = encode(pd.DataFrame(rows))

    def interval(place: int, level: float) -> tuple[float | None, float | None]:
        one = estimate(table, f"s{place} - baseline", "any_chinese", task=NAME, kind="binary", level=level)
        return one.low, one.high

    return minimum_dose(STRENGTHS, interval)


def holds(one: MinimumDose, truth: float) -> bool:
    return one.low < truth and (one.high is None or truth <= one.high)


def test_a_switch_at_once_is_found_between_its_neighbours() -> None:
    all_found = [found(np.random.default_rng([1, number]), begins=0.15) for number in range(DRAWS)]
    assert sum(holds(one, 0.15) for one in all_found) >= LEAST
    assert all(one.high == 0.2 for one in all_found)
    widths = [(one.high or np.inf) - one.low for one in all_found]
    assert np.mean(widths) <= WIDEST * 0.1, np.mean(widths)  # an oracle knows the neighbours, 0.1 and 0.2


def test_a_rate_that_grows_by_and_by_crosses_the_margin_inside_the_interval() -> None:
    begins, steep = 0.25, 4.0
    grid = np.linspace(0.01, 0.8, 80_000)
    truth = float(grid[np.argmax([rate(one, begins, steep) - 0.02 >= 0.2 for one in grid])])
    all_found = [found(np.random.default_rng([2, number]), begins, steep) for number in range(DRAWS)]
    assert sum(holds(one, truth) for one in all_found) >= LEAST
    assert sum(one.high is not None for one in all_found) >= LEAST


def test_what_never_switches_is_not_found_to() -> None:
    all_found = [found(np.random.default_rng([3, number]), begins=9.0) for number in range(DRAWS)]
    assert sum(one.high is None for one in all_found) >= LEAST
    assert np.mean([one.low >= STRENGTHS[-2] for one in all_found]) > 0.5


@pytest.mark.parametrize("language", ["en", "fr", "es", "de", "pt", "ru"])
def test_the_scripted_texts_are_read_as_what_they_are(language: str) -> None:
    assert chinese(TEXTS["zh"], language) == 1.0
    assert chinese(TEXTS[language], language) == 0.0
    assert chinese(BROKEN, language) is None
