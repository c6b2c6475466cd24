"""How often intervals for kappa, and for the bias of a difference between arms, hold: simulated judges and labels.

    python benchmarks/agreement.py [--studies 300] [--seed 0]

Two tables. Kappa of two raters of the same things: ± 1.96 standard errors (Fleiss, Cohen and Everitt), and the
posterior that `doxa.stats.agreement` uses, where both gave more than one answer. Labels drawn evenly over arms and
verdicts of a study of 400 rows an arm: kappa of the study, and the bias of the difference between the first two arms,
whose judge is the same or misses 10 points more of the positives in the first.
"""

import argparse

import numpy as np
from jaxtyping import Float

from doxa.stats.agreement import JudgedRows, agreement, agreement_with_labels, implied_bias, kappa_of
from doxa.stats.intervals import Interval

ANSWERS = ("yes", "no")
WORTH = {"yes": 1.0, "no": 0.0}
JUDGES = ((0.5, 0.9, 0.9), (0.5, 0.98, 0.98), (0.2, 0.9, 0.95), (0.1, 0.8, 0.97), (0.05, 0.9, 0.99))
"""The rate of positives, the judge's sensitivity and specificity."""
ROWS = 400


def table_of(rate: float, sensitivity: float, specificity: float) -> Float[np.ndarray, "2 2"]:
    """Shares of verdict (rows) and truth."""
    missed, false = rate * (1 - sensitivity), (1 - rate) * (1 - specificity)
    return np.array([[rate * sensitivity, false], [missed, (1 - rate) * specificity]])


def holds(found: Interval, truth: float) -> bool:
    """Whether an interval holds a value; no interval does not."""
    return found.low is not None and found.high is not None and found.low <= truth <= found.high


def of_two_raters(n: int, judge: tuple[float, float, float], studies: int, seed: int) -> tuple[float, float]:
    """Coverage of ± 1.96 standard errors, and of the posterior."""
    shares = table_of(*judge)
    truth = float(kappa_of(shares))
    plain = posterior = known = 0
    for study in range(studies):
        counts = np.random.default_rng([seed, study]).multinomial(n, shares.ravel()).reshape(2, 2)
        kappa = agreement(counts, ANSWERS).kappa
        if kappa.value is not None and kappa.se is not None:
            known += 1
            plain += abs(kappa.value - truth) <= 1.96 * kappa.se
            posterior += holds(kappa, truth)
    return plain / known, posterior / known


def of_labels(
    n: int, arms: int, judge: tuple[float, float, float], more_missed: float, studies: int, seed: int
) -> tuple[float, float]:
    """Coverage of kappa, and of the bias of the difference between the first two arms."""
    rate, sensitivity, specificity = judge
    judges = [(rate, sensitivity - more_missed * (arm == 0), specificity) for arm in range(arms)]
    tables = [table_of(*one) for one in judges]
    truth = float(kappa_of(sum(tables[1:], tables[0]) / arms))
    of_arm = [table[0].sum() - table[:, 0].sum() for table in tables]
    kappas = biases = 0
    for study in range(studies):
        generator = np.random.default_rng([seed, study])
        drawn = [_arm(table, n // (2 * arms), generator) for table in tables]
        kappas += holds(agreement_with_labels(drawn, ANSWERS).kappa, truth)
        biases += holds(implied_bias([(1.0, drawn[0]), (-1.0, drawn[1])], WORTH), float(of_arm[0] - of_arm[1]))
    return kappas / studies, biases / studies


def _arm(shares: Float[np.ndarray, "2 2"], labels: int, generator: np.random.Generator) -> JudgedRows:
    cells = generator.choice(4, size=ROWS, p=shares.ravel())
    verdicts, truth = cells // 2, cells % 2
    kept = np.full(ROWS, "", dtype="U3")
    for verdict in (0, 1):
        own = np.flatnonzero(verdicts == verdict)
        some = generator.permutation(own)[:labels]
        kept[some] = np.where(truth[some] == 0, "yes", "no")
    shown = tuple(ANSWERS[one] for one in verdicts)
    return JudgedRows(shown, (verdicts == 0).astype(float), tuple(map(str, kept)))


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print("| n | rate | Se | Sp | kappa | ± 1.96 SE | posterior |\n| --- | --- | --- | --- | --- | --- | --- |")
    for n in (30, 60):
        for judge in JUDGES:
            plain, posterior = of_two_raters(n, judge, given.studies, given.seed)
            cells = (n, *judge, f"{float(kappa_of(table_of(*judge))):.2f}", f"{plain:.2f}", f"{posterior:.2f}")
            print(f"| {' | '.join(map(str, cells))} |", flush=True)
    print("\n| labels | arms | rate | Se | Sp | more missed | kappa | bias |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for n, arms in ((60, 2), (60, 5), (120, 3)):
        for judge in JUDGES:
            for more_missed in (0.0, 0.1):
                kappas, biases = of_labels(n, arms, judge, more_missed, given.studies, given.seed)
                cells = (n, arms, *judge, more_missed, f"{kappas:.2f}", f"{biases:.2f}")
                print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    main()
