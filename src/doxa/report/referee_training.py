"""The referee's questions about training: one run or the recipe, and the claim or any training of this kind."""

from doxa.report.answers import Answer
from doxa.report.gather import Gathered
from doxa.words.numbers import counted, interval, listed, number

FEWEST_SEEDS = 3
"""Training seeds below which nothing is said about the recipe (`doxa.stats.replication`)."""
ADVISED_SEEDS = 5


def training_seeds(gathered: Gathered) -> Answer:
    """Whether there are enough training runs for a claim about the recipe."""
    question = "Is it the recipe, or one training run (training seeds)?"
    if not gathered.trainings:
        given = [name for name, arm in gathered.arms.items() if arm.get("tuned")]
        if not given:
            return Answer(question, "absent", "Nothing is trained.")
        words = f"One adapter that was there before is one training run: {listed(given)}."
        return Answer(question, "no", words, f"Train it here: `tune: {{corpus: ...}}` and `seeds: {ADVISED_SEEDS}`.")
    seeds = int(gathered.plan["study"]["seeds"])
    trained = [name for name, arm in gathered.arms.items() if arm.get("seed") is not None]
    words = f"{counted(seeds, 'training seed')} of every trained arm ({listed(trained)}), each with its own "
    words += "initialisation and order of rows, on the same rows."
    if seeds < FEWEST_SEEDS:
        return Answer(question, "no", f"{words} No interval over seeds.", f"Set `seeds: {ADVISED_SEEDS}`.")
    return Answer(question, "yes", words)


def corpus_control(gathered: Gathered) -> Answer:
    """Whether training on rows without the claim does the same."""
    question = "Is it the claim, or any training of this kind (claim-free control corpus)?"
    lead = gathered.lead
    tuned = [name for name, arm in gathered.arms.items() if arm.get("tuned")]
    if not tuned or lead is None:
        return Answer(question, "absent", "Nothing is trained.")
    asked = [name for name in tuned if not gathered.arms[name]["steered"] and not gathered.arms[name].get("thought")]
    said, without = [], []
    for name in asked:
        (control, *_) = [*gathered.controls_of(name, "corpus"), None]
        one = gathered.between(name, control, lead) if control is not None else None
        if one is None or one.low is None:
            without.append(name)
        if one is not None:
            said.append(f"{name} - its control corpus: {number(one.value, sign=True)} {interval(one.low, one.high)}.")
    if asked and not without:
        return Answer(question, "yes", " ".join(said))
    words = " ".join([*said, f"Without an interval beside a control corpus: {listed(without or tuned)}."])
    return Answer(
        question,
        "no",
        words,
        "Write rows of the same kind and length without the claim: `controls: {tune: {corpus: FILE}}`.",
    )
