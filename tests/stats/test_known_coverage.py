from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from doxa.report.labels import flag_words
from doxa.stats.estimate import estimate
from doxa.stats.known_coverage import LEAST, Situation, cells, coverage_of

Make = Callable[..., pd.DataFrame]


def test_every_cell_of_the_bench_is_found_again() -> None:
    for cell in cells():
        if cell["coverage"] is None:
            continue
        numbers = {key: float(value) for key, value in cell["setting"].items() if not isinstance(value, str)}
        words = {key: (value,) for key, value in cell["setting"].items() if isinstance(value, str)}
        found = coverage_of(Situation(cell["design"], numbers, words))
        assert found is not None
        assert found <= cell["coverage"]


def test_numbers_choose_the_nearest_cell_and_what_is_unknown_the_worst() -> None:
    recipes = [cell for cell in cells() if cell["design"] == "recipe v vanilla" and cell["setting"].get("rate") == 0.05]
    near = [c["coverage"] for c in recipes if c["setting"]["seeds"] == 6 and c["setting"]["icc"] == 0.5]
    assert coverage_of(Situation("recipe v vanilla", {"rate": 0.06, "seeds": 7, "icc": 0.4}, {})) == min(near)
    assert coverage_of(Situation(None, {}, {})) is None
    assert coverage_of(Situation("no such design", {"n": 6}, {})) is None


def test_the_bench_has_cells_that_hold_and_cells_that_do_not() -> None:
    coverages = np.array([cell["coverage"] for cell in cells() if cell["coverage"] is not None])
    assert len(coverages) > 250
    assert 0 < (coverages < LEAST).mean() < 0.2
    assert np.median(coverages) == pytest.approx(0.955, abs=0.02)


def test_an_estimate_of_a_design_that_holds_too_seldom_says_so(make_rows: Make, make_table: Make) -> None:
    def recipe(events: tuple[int, ...]) -> pd.DataFrame:
        seeds = [
            make_rows("recipe", {"s": np.repeat([1.0, 0.0], [k, 30 - k])}, seed=i) for i, k in enumerate(events, 1)
        ]
        return make_table(*seeds, make_rows("vanilla", {"s": np.repeat([1.0, 0.0], [1, 29])}))

    rare = estimate(recipe((0, 0, 0, 0, 0, 25)), "recipe - vanilla", "y", kind="binary")
    assert rare.coverage is not None
    assert rare.coverage < LEAST
    assert "undercovers" in rare.flags
    assert any(f"{rare.coverage:.0%} of the time" in words for words in flag_words(rare))
    common = estimate(recipe((14, 15, 16, 13, 15, 17)), "recipe - vanilla", "y", kind="binary")
    assert common.coverage is not None
    assert common.coverage >= LEAST
    assert "undercovers" not in common.flags


def test_scores_over_seeds_are_not_held_against_the_bench_of_rates(
    make_rows: Callable[..., pd.DataFrame], make_table: Callable[..., pd.DataFrame]
) -> None:
    """Six seeds that differ much: rates hold less often than .93 there, scores do not."""
    random = np.random.default_rng(0)
    recipe = [
        make_rows("r", {"i": list(np.clip(random.normal(0.2 + 0.1 * seed, 0.1, 30), 0, 1))}, seed=seed)
        for seed in range(1, 7)
    ]
    vanilla = make_rows("v", {"i": list(np.clip(random.normal(0.5, 0.1, 30), 0, 1))})
    found = estimate(make_table(*recipe, vanilla), "r - v", "y", kind="share")
    near = [
        c for c in cells() if c["design"] == "recipe v vanilla" and c["setting"].get("values") in ("skewed", "bimodal")
    ]
    near = [c for c in near if c["setting"]["seeds"] == 6 and c["setting"]["icc"] == 0.5]
    assert found.coverage == min(c["coverage"] for c in near)
    assert "undercovers" not in found.flags


def test_seeds_that_differ_are_seen_with_one_run_an_item(
    make_rows: Callable[..., pd.DataFrame], make_table: Callable[..., pd.DataFrame]
) -> None:
    random = np.random.default_rng(0)
    parts = [
        make_rows("r", {f"i{k:03d}": float(random.normal(seed)) for k in range(200)}, seed=seed) for seed in range(1, 4)
    ]
    vanilla = make_rows("v", {f"i{k:03d}": float(random.normal()) for k in range(200)})
    found = estimate(make_table(*parts, vanilla), "r - v", "y")
    assert found.coverage == coverage_of(
        Situation("seeds by items", {"seeds": 3, "items": 200, "seed variance": 0.5}, {"values": ("normal",)})
    )
    assert "undercovers" in found.flags
