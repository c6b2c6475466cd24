import numpy as np
import pytest

from doxa.stats.agreement import (
    Agreement,
    JudgedRows,
    agreement,
    agreement_with_labels,
    corrected,
    implied_bias,
    kappa_of,
    rogan_gladen,
)
from doxa.stats.intervals import Interval

TABLES = ([[20, 5], [10, 15]], [[45, 15], [25, 15]], [[53, 5, 2], [11, 14, 5], [1, 6, 3]], [[88, 0], [0, 12]])


@pytest.mark.parametrize("table", TABLES)
def test_kappa_and_its_error_are_those_of_statsmodels(table: list[list[int]]) -> None:
    cohens_kappa = pytest.importorskip("statsmodels.stats.inter_rater").cohens_kappa
    theirs = cohens_kappa(np.array(table))
    ours = agreement(np.array(table), "abc"[: len(table)])
    assert ours.kappa.value == pytest.approx(theirs.kappa)
    assert ours.kappa.se == pytest.approx(theirs.std_kappa, abs=1e-12)


def test_kappa_by_hand() -> None:
    found = agreement(np.array(TABLES[0]), ("yes", "no"))
    assert found.kappa.value == pytest.approx(0.4)
    assert found.observed.value == pytest.approx(0.7)
    assert found.n == 50
    assert kappa_of(np.array(TABLES[2]) / 100) == pytest.approx(3 / 7)  # (.70 - .475) / .525


def test_raters_that_agree_in_everything_have_an_interval_with_a_width() -> None:
    found = agreement(np.array(TABLES[3]), ("yes", "no"))
    assert (found.kappa.value, found.kappa.high) == (1.0, 1.0)
    assert found.kappa.low is not None
    assert 0.75 < found.kappa.low < 0.99


def test_one_answer_alone_has_no_kappa_and_no_pairs_have_nothing() -> None:
    found = agreement(np.array([[30, 0], [0, 0]]), ("yes", "no"))
    assert found.kappa.value is None
    assert found.observed.value == 1.0
    nothing = agreement(np.zeros((2, 2), int), ("yes", "no"))
    assert (nothing.n, nothing.observed.value, nothing.kappa.value) == (0, None, None)


RATES = {"a": (0.5, 0.9, 0.8), "b": (0.2, 0.9, 0.95)}
"""Of each arm: the true rate, the judge's sensitivity and specificity."""
WORTH = {"yes": 1.0, "no": 0.0}


def study(
    generator: np.random.Generator, rates: dict[str, tuple[float, float, float]], rows: int, labels: int
) -> dict[str, JudgedRows]:
    """A study: every row judged, `labels` of each arm and verdict labelled."""
    made = {}
    for arm, (rate, sensitivity, specificity) in rates.items():
        truth = generator.random(rows) < rate
        right = generator.random(rows) < np.where(truth, sensitivity, specificity)
        verdict = np.where(right, truth, ~truth)
        shown = ["yes" if one else "no" for one in verdict]
        kept = [""] * rows
        for answer in WORTH:
            own = [number for number, one in enumerate(shown) if one == answer]
            for number in generator.permutation(own)[:labels].astype(int):
                kept[number] = "yes" if truth[number] else "no"
        made[arm] = JudgedRows(tuple(shown), verdict.astype(float), tuple(kept))
    return made


def true_bias(rate: float, sensitivity: float, specificity: float) -> float:
    return rate * sensitivity + (1 - rate) * (1 - specificity) - rate


def test_labels_of_every_row_give_the_bias_itself() -> None:
    made = study(np.random.default_rng(1), RATES, 2000, 2000)
    found = implied_bias([(1.0, made["a"]), (-1.0, made["b"])], WORTH)
    labelled = {arm: np.mean([label == "yes" for label in rows.labels]) for arm, rows in made.items()}
    given = {arm: rows.values.mean() for arm, rows in made.items()}
    assert found.value == pytest.approx(given["a"] - given["b"] - (labelled["a"] - labelled["b"]))


def test_the_bias_of_a_planted_judge_is_found_and_none_where_there_is_none() -> None:
    differential = true_bias(*RATES["a"]) - true_bias(*RATES["b"])
    assert differential == pytest.approx(0.03)
    for rates, truth in (
        ({"a": (0.5, 0.9, 0.7), "b": (0.2, 0.95, 0.95)}, 0.07),
        ({"a": (0.4, 0.9, 0.9), "b": (0.4, 0.9, 0.9)}, 0.0),
    ):
        held, outside = 0, 0
        for draw in range(300):
            made = study(np.random.default_rng([7, draw]), rates, 400, 15)
            found = implied_bias([(1.0, made["a"]), (-1.0, made["b"])], WORTH)
            assert found.low is not None
            assert found.high is not None
            exact = true_bias(*rates["a"]) - true_bias(*rates["b"])
            assert exact == pytest.approx(truth)
            held += found.low <= exact <= found.high
            outside += found.low > 0 or found.high < 0
        assert held >= 275
        assert outside <= 25 or truth


def test_kappa_is_that_of_the_study_not_of_the_file() -> None:
    """A file of as many yes as no says too much of a judge that seldom says yes."""
    rates = {"a": (0.05, 0.9, 0.97)}
    rate, sensitivity, specificity = rates["a"]
    shares = np.array(
        [
            [rate * sensitivity, (1 - rate) * (1 - specificity)],
            [rate * (1 - sensitivity), (1 - rate) * specificity],
        ]
    )
    truth = float(kappa_of(shares))
    held, naive = 0, 0
    for draw in range(300):
        made = study(np.random.default_rng([8, draw]), rates, 1000, 30)["a"]
        found = agreement_with_labels([made], ("yes", "no"))
        assert isinstance(found, Agreement)
        assert found.n == 60
        held += (found.kappa.low or 0) <= truth <= (found.kappa.high or 0)
        pairs = [(verdict, label) for verdict, label in zip(made.verdicts, made.labels, strict=True) if label]
        table = np.array([[pairs.count((one, two)) for two in WORTH] for one in WORTH])
        plain = agreement(table, ("yes", "no")).kappa
        naive += (plain.low or 0) <= truth <= (plain.high or 0)
    assert held >= 275
    assert naive < 275


def test_a_stratum_without_labels_has_no_bias() -> None:
    rows = JudgedRows(("yes", "yes", "no"), np.array([1.0, 1.0, 0.0]), ("yes", "", ""))
    assert implied_bias([(1.0, rows)], WORTH).value is None
    assert agreement_with_labels([rows], ("yes", "no")).n == 1


def test_the_score_that_was_made_counts_not_the_verdict() -> None:
    """A share of votes is not 0 or 1."""
    rows = JudgedRows(("yes", "no"), np.array([0.75, 0.25]), ("yes", "no"))
    assert implied_bias([(1.0, rows)], WORTH).value == pytest.approx(0.0)
    half = JudgedRows(("yes", "yes"), np.array([0.75, 0.75]), ("yes", "yes"))
    assert implied_bias([(1.0, half)], WORTH).value == pytest.approx(-0.25)


def test_a_corrected_estimate_has_the_errors_of_both() -> None:
    found = corrected(Interval(0.5, 0.2, 0.8), Interval(0.1, 0.06, 0.18))
    assert found.value == pytest.approx(0.4)
    assert found.low == pytest.approx(0.4 - np.hypot(0.3, 0.08))
    assert found.high == pytest.approx(0.4 + np.hypot(0.3, 0.04))
    assert corrected(Interval(0.5), Interval(0.1, 0.0, 0.2)).low is None
    assert corrected(Interval(0.5, 0.2, 0.8), Interval(None)).value is None


def test_rogan_and_gladen() -> None:
    found = rogan_gladen((30, 100), (90, 100), (80, 100))
    assert found.value == pytest.approx(1 / 7)
    assert rogan_gladen((50, 100), (40, 100), (60, 100)).value is None
    assert rogan_gladen((10, 100), (90, 100), (80, 100)).value == 0.0
    held = 0
    generator = np.random.default_rng(3)
    for _ in range(300):
        counts = [(int(generator.binomial(n, p)), n) for n, p in ((500, 0.3 * 0.9 + 0.7 * 0.1), (80, 0.9), (80, 0.9))]
        one = rogan_gladen(counts[0], counts[1], counts[2])
        held += (one.low or 0) <= 0.3 <= (one.high or 0)
    assert held >= 275
