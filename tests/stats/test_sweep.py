import numpy as np
import pandas as pd
import pytest
from scipy import stats

from doxa.stats.sweep import (
    Grid,
    bands,
    dose_response,
    found_to_json,
    grid_of,
    halves,
    infer_sweep,
    on_the_maximum,
    split_half,
)
from doxa.words import schema
from doxa.words.errors import ResultsError
from doxa.words.sweeps import BASELINE, Cell

LAYERS, STRENGTHS, UNITS, TWINS = 10, (0.5, 1.0), 24, 19
CELLS = tuple(Cell((layer,), strength) for layer in range(LAYERS) for strength in STRENGTHS)
NAMES = tuple(f"topic {index}" for index in range(UNITS))


def grid(effect: float = 0.0, seed: int = 0, twins: int = TWINS) -> Grid:
    """Noise, and at layer 4 an effect that grows with the strength."""
    generator = np.random.Generator(np.random.PCG64(seed))
    target = generator.standard_normal((len(CELLS), UNITS))
    for index, cell in enumerate(CELLS):
        target[index] += effect * cell.strength * (cell.layers == (4,))
    return Grid(CELLS, NAMES, target, generator.standard_normal((twins, len(CELLS))) / np.sqrt(UNITS))


def test_halves_are_equal_and_follow_from_names_alone() -> None:
    chooses = halves(NAMES)
    assert chooses.sum() == UNITS / 2
    order = np.random.Generator(np.random.PCG64(1)).permutation(UNITS)
    assert (halves([NAMES[index] for index in order]) == chooses[order]).all()


def test_a_cell_is_chosen_on_one_half_and_estimated_on_the_other() -> None:
    swept = grid(effect=2.0)
    found = split_half(swept)
    assert found is not None
    assert CELLS[found.cell] == Cell((4,), 1.0)
    chooses = halves(NAMES)
    other = swept.target[found.cell, ~chooses]
    assert found.promised == pytest.approx(swept.target[found.cell, chooses].mean())
    assert found.effect == pytest.approx(other.mean())
    reference = stats.ttest_1samp(other, 0)
    interval = reference.confidence_interval(0.95)
    assert (found.low, found.high, found.p) == pytest.approx((interval.low, interval.high, reference.pvalue))
    assert (found.df, found.chosen_on, found.estimated_on) == (11, 12, 12)


def test_the_best_cell_of_pure_noise_promises_more_than_it_keeps() -> None:
    found = [split_half(grid(seed=seed)) for seed in range(200)]
    promised = np.mean([abs(one.promised) for one in found if one])
    kept = np.mean([np.sign(one.promised) * one.effect for one in found if one])
    assert promised > 0.5
    assert abs(kept) < 0.06
    covered = np.mean([one.low <= 0 <= one.high for one in found if one])
    assert 0.9 < covered < 0.99


def test_bands_hold_together_and_not_one_by_one() -> None:
    any_outside, naive = 0, 0
    for seed in range(300):
        target = grid(seed=seed).target
        found = bands(target, draws=499, seed=seed)
        any_outside += bool(((found.low > 0) | (found.high < 0)).any())
        naive += bool((stats.ttest_1samp(target, 0, axis=1).pvalue < 0.05).any())
    assert 0.01 < any_outside / 300 < 0.09
    assert naive / 300 > 0.4


def test_bands_find_what_is_there_and_say_the_same_as_their_p() -> None:
    found = bands(grid(effect=3.0).target)
    outside = (found.low > 0) | (found.high < 0)
    assert outside[CELLS.index(Cell((4,), 1.0))]
    assert outside.sum() <= 3
    assert (outside == (found.p < 0.05)).all()
    assert found.effect == pytest.approx(grid(effect=3.0).target.mean(axis=1))
    again = bands(grid(effect=3.0).target)
    assert again.critical == found.critical


def test_a_cell_that_never_differs_has_a_band_of_nothing_and_no_evidence() -> None:
    target = grid().target.copy()
    target[3] = 0.0
    target[5] = 0.25
    found = bands(target)
    assert (found.low[3], found.high[3], found.p[3]) == (0.0, 0.0, 1.0)
    assert found.p[5] < 0.001
    assert bands(np.zeros((2, 8))).p.tolist() == [1.0, 1.0]


def test_bands_of_few_units_are_refused() -> None:
    with pytest.raises(ResultsError, match="5 units for a band over 20 cells"):
        bands(grid().target[:, :5])
    few = grid()
    small = Grid(CELLS, NAMES[:3], few.target[:, :3], few.twins)
    found = infer_sweep(small)
    assert found.bands is None
    assert found.split_half is None
    assert found_to_json(found)["cells"][0]["low"] is None


def test_the_maximum_is_held_against_every_twins_maximum() -> None:
    found = on_the_maximum(grid(effect=3.0))
    assert found is not None
    assert (found.rank, found.p) == (1, 0.05)
    assert found.by_cell is not None
    assert found.by_cell[CELLS.index(Cell((4,), 1.0))] == 0.05
    ranks = [one.rank for seed in range(200) if (one := on_the_maximum(grid(seed=seed))) is not None]
    assert 8 < np.mean(ranks) < 13  # one more twin is anywhere among them
    few = on_the_maximum(grid(twins=5))
    assert few is not None
    assert few.p is None
    assert few.by_cell is None
    assert on_the_maximum(grid(twins=0)) is None


def test_a_slope_for_each_placement() -> None:
    swept = grid(effect=3.0)
    found = dose_response(swept.cells, swept.target)
    assert [one.layers for one in found] == [(layer,) for layer in range(LAYERS)]
    grows = [one for one in found if one.p_adjusted <= 0.05]
    assert [one.layers for one in grows] == [(4,)]
    assert grows[0].slope == pytest.approx(3.0, abs=0.8)
    own = swept.target[[8, 9]]
    slopes = (0.5 * own[0] + 1.0 * own[1]) / 1.25
    assert grows[0].slope == pytest.approx(slopes.mean())
    assert grows[0].p == pytest.approx(stats.ttest_1samp(slopes, 0).pvalue)
    p = sorted(one.p for one in found)
    assert min(one.p_adjusted for one in found) == pytest.approx(10 * p[0])
    assert dose_response(CELLS[::2], swept.target[::2]) == ()


def test_an_effect_that_turns_over_is_shown_to() -> None:
    generator = np.random.default_rng(0)
    strengths = (0.25, 0.5, 0.75, 1.0)
    cells = tuple(Cell((layer,), strength) for layer in range(3) for strength in strengths)
    curves = np.array([[4 * s - 4 * s**2 for s in strengths], [2 * s for s in strengths], [0.0] * 4]).reshape(-1, 1)
    noise = generator.normal(0, 0.3, (12, 30))
    turned, straight, nothing = dose_response(cells, curves + noise)
    assert turned.turns_at == pytest.approx(0.5, abs=0.05)
    assert turned.bend == pytest.approx(-4, abs=0.5)
    assert (straight.turns_at, nothing.turns_at) == (None, None)
    assert straight.p_adjusted < 0.001
    fitted = np.polynomial.polynomial.polyfit(strengths, (curves + noise)[:4], [1, 2])
    assert turned.bend == pytest.approx(fitted[2].mean())
    bends = np.polynomial.polynomial.polyfit(strengths, (curves + noise)[:4], [1, 2])[2]
    assert turned.p_bend == pytest.approx(3 * stats.ttest_1samp(bends, 0).pvalue)


def table(missing: tuple[str, str] | None = None) -> pd.DataFrame:
    """Two cells with two twins each, over three topics; the value says where it stands."""
    rows = []
    arms = {BASELINE: ("", "")}
    for cell in ("a", "b"):
        arms |= {cell: ("", ""), f"{cell}~twin/00": (cell, "twin"), f"{cell}~twin/01": (cell, "twin")}
    for place, (arm, (of, control)) in enumerate(arms.items()):
        for topic in range(3):
            gone = missing == (arm, f"t{topic}")
            rows.append(
                {"study": "s", "model": "m", "arm": arm, "of": of, "control": control, "task": "t", "item": f"t{topic}",
                 "run": 1, "seed": 0, "score": "belief", "value": np.nan if gone else 10.0 * place + topic**2,
                 "reason": "not finite" if gone else "", "tokens": 0, "stop": "", "log": "l"}
            )  # fmt: skip
    return pd.DataFrame(rows)[list(schema.COLUMNS)]


CELLS_OF = {"a": Cell((0,), 1.0), "b": Cell((1,), 1.0)}


def test_a_grid_is_read_from_the_table() -> None:
    found = grid_of(table(), CELLS_OF, task="t", score="belief")
    assert found.cells == tuple(CELLS_OF.values())
    assert found.units == ("t0", "t1", "t2")
    assert found.target.tolist() == [[10.0] * 3, [40.0] * 3]
    assert found.twins.tolist() == [[20.0, 50.0], [30.0, 60.0]]


def test_units_without_a_value_anywhere_are_left_out_everywhere() -> None:
    found = grid_of(table(missing=("b~twin/01", "t1")), CELLS_OF, task="t", score="belief")
    assert found.units == ("t0", "t2")
    assert found.target.shape == (2, 2)
    gone = table()
    gone.loc[gone["arm"] == "a", ["value", "reason"]] = [np.nan, "not finite"]
    with pytest.raises(ResultsError, match="no unit of 'belief' has a value in every arm"):
        grid_of(gone, CELLS_OF, task="t", score="belief")
    with pytest.raises(ResultsError, match="no arm 'c'"):
        grid_of(table(), {**CELLS_OF, "c": Cell((2,), 1.0)}, task="t", score="belief")


def test_a_sweep_without_twins() -> None:
    plain = table()
    plain = plain[plain["of"] == ""].reset_index(drop=True)
    found = infer_sweep(grid_of(plain, CELLS_OF, task="t", score="belief"))
    assert found.grid.twins.shape == (0, 2)
    assert found.on_the_maximum is None
    assert found_to_json(found)["cells"][0]["twins_low"] is None


def test_an_effect_turns_over_only_within_what_was_swept() -> None:
    generator = np.random.default_rng(1)
    strengths = (-0.25, -0.5, -0.75, -1.0)
    cells = tuple(Cell((layer,), strength) for layer in range(2) for strength in strengths)
    inside, outside = ([4 * s + 4 * s**2 for s in strengths], [4 * s - 4 * s**2 for s in strengths])
    turned, other = dose_response(cells, np.array([*inside, *outside])[:, None] + generator.normal(0, 0.1, (8, 30)))
    assert turned.turns_at == pytest.approx(-0.5, abs=0.05)
    assert (other.p_bend or 1.0) < 0.001
    assert other.turns_at is None  # at +.5, where nothing was swept


def test_units_that_are_tied_or_equal_carry_no_band_and_no_slope() -> None:
    cells, names = tuple(Cell((layer,), 1.0) for layer in range(3)), tuple(f"t{unit}" for unit in range(6))
    tied = np.array([[1, 1, 1, -1, -1, -1], [1, -1, 1, -1, 1, -1], [1, -1, -1, 1, 1, -1]], dtype=float)
    assert infer_sweep(Grid(cells, names, tied, np.empty((0, 3)))).bands is None
    equal = np.full((4, 6), 0.3)
    pair = tuple(Cell((layer,), strength) for layer in range(2) for strength in (0.5, 1.0))
    found = infer_sweep(Grid(pair, names, equal, np.empty((0, 4))))
    assert (found.bands, found.split_half, found.doses) == (None, None, ())
