import math

import numpy as np
import pytest
from scipy import stats

from doxa.stats.controls import BOTH, ControlEffects, ControlVerdict, stands_out, verdicts
from doxa.stats.power import detectable, detectable_against_controls


def test_the_paired_t_needs_34_items_for_half_a_standard_deviation() -> None:
    """G*Power 3.1, matched pairs, dz .5, alpha .05, power .8: n = 34 (actual power .808)."""
    assert detectable(34, 1.0) < 0.5 < detectable(33, 1.0)


def test_its_power_is_the_noncentral_ts() -> None:
    n, sd = 12, 2.5
    shift = detectable(n, sd, power=0.9, alpha=0.01) / sd * math.sqrt(n)
    critical = stats.t.ppf(0.995, n - 1)
    power = stats.nct.sf(critical, n - 1, shift) + stats.nct.cdf(-critical, n - 1, shift)
    assert power == pytest.approx(0.9, abs=1e-6)


def test_five_items_find_nothing() -> None:
    assert detectable(5, 1.0) == math.inf
    assert detectable(6, 1.0) < 2
    assert detectable(10, 0.0) == 0


@pytest.mark.parametrize(("noise", "cells"), [(0.0, 1), (0.8, 1), (0.8, 3), (1.0, 3)])
def test_an_effect_stands_out_as_often_as_promised(noise: float, cells: int) -> None:
    """Through the verdicts of a report: effects of SD 1 in both families, the target's own noise a part of it."""
    effect = detectable_against_controls(39, (1.0, 1.0), noise=noise, cells=cells)
    random = np.random.default_rng(7)
    studies, hits = 600, 0
    for _ in range(studies):
        found: list[ControlVerdict] = []
        # A cell without an effect holds one more draw of its controls.
        target = np.array([effect + noise * random.standard_normal(), *random.standard_normal(cells - 1)])
        for family in BOTH:
            units = np.vstack([target, random.standard_normal((39, cells))])
            own = [
                ControlEffects(
                    contrast=f"c{cell}",
                    score="score",
                    task="task",
                    family=family,
                    indices=tuple(f"{index:02d}" for index in range(39)),
                    effects=units[:, cell],
                    items=np.full(40, 9),
                    unequal=False,
                    lost=0,
                )
                for cell in range(cells)
            ]
            found += verdicts(own, [(one.contrast, one.task, one.score) for one in own])
        hits += stands_out(found)["c0", "task", "score"] is True
    assert hits / studies == pytest.approx(0.8, abs=3 * (0.16 / studies) ** 0.5)


def test_more_controls_fewer_cells_and_fewer_families_find_more() -> None:
    base = detectable_against_controls(39, 0.5)
    assert detectable_against_controls(19, 0.5) > base
    assert detectable_against_controls(39, 0.5, cells=6) > base
    assert detectable_against_controls(39, (0.5, 0.5)) > base
    assert detectable_against_controls(39, (0.1, 0.5)) == pytest.approx(base, rel=0.02)
    assert detectable_against_controls(39, 5.0) == pytest.approx(10 * base)


def test_what_can_never_be_found() -> None:
    assert detectable_against_controls(18, 1.0) == math.inf
    assert detectable_against_controls(39, 1.0, alpha=0.02) == math.inf
    assert detectable_against_controls(39, 0.0) == 0.0
    # The target's own noise alone exceeds what its controls leave room for.
    assert np.isfinite(detectable_against_controls(39, 1.0, noise=1.0))


def test_the_same_question_has_the_same_answer() -> None:
    first = detectable_against_controls(20, 0.7, cells=2)
    assert detectable_against_controls(20, 0.7, cells=2) == first
