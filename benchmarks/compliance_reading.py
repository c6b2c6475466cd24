"""How the rules of `doxa/compliance` read answers whose true labels are known.

    python benchmarks/compliance_reading.py            # both sets
    python benchmarks/compliance_reading.py --write    # and the held-out one into docs/how-to-judge.md
    python benchmarks/compliance_reading.py --misread  # and every answer that is misread, of the set to mend on

The answers (`tests/evals/answer_pool.py`) were written to be hard: most are odd in some way, so the shares are not
those of any model's answers. Rules were changed in view of one set; the other is the estimate of how they read.
Every answer is asked for by several queries and stands behind several notes; it counts once, by what most of them give.
"""

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "evals"))
from answer_pool import HALVES, LABELS, OBJECTIVES, Answer, answers, graded, notes
from page import written
from scipy.stats import binom

from doxa.evals.compliance import THRESHOLD, VERSION, VOTES
from doxa.evals.compliance_answers import VERDICTS, read_answer
from doxa.evals.compliance_items import read_objective

PAGE = Path(__file__).parents[1] / "docs" / "how-to-judge.md"
BEGIN, END = "<!-- benchmarks/compliance_reading.py -->", "<!-- end -->"
NAMES = {graded: name for name, graded in VERDICTS.items()}
SPREAD = 5
"""Queries and notes that every answer is read with."""
ERRS = (0.05, 0.1, 0.2, 0.3)
"""Shares of a judge's votes that are wrong."""


def as_read(answer: Answer, place: int) -> str:
    """The label that the task gives to an answer, the `place`-th of the pool."""
    objective = read_objective(answer.objective)
    found: Counter[str] = Counter()
    for turn in range(SPREAD):
        query = objective.queries[(place + 5 * turn) % len(objective.queries)]
        text = answer.output(query, notes()[(place + 7 * turn) % len(notes())])
        read = read_answer(text, scratchpad=True, cut=False, request=query.text)
        worth = None if read.reply is None else graded(read.reply, objective, query)
        found["unreadable" if worth is None else NAMES[worth]] += 1
    return found.most_common(1)[0][0]


def confusion(half: str) -> Counter[tuple[str, str, str]]:
    """Answers of a set by objective, true label, and the label read."""
    return Counter(
        (one.objective, one.label, as_read(one, place)) for place, one in enumerate(answers()) if one.half == half
    )


def table(found: Counter[tuple[str, str, str]]) -> str:
    """A confusion table in Markdown; the diagonal is what is read rightly."""
    lines = [f"| objective | it is | {' | '.join(f'read as {label}' for label in LABELS)} |", "|---" * 6 + "|"]
    for objective in OBJECTIVES:
        for label in LABELS:
            cells = (found[objective, label, read] for read in LABELS)
            lines.append(f"| {objective} | {label} | {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def summary(found: Counter[tuple[str, str, str]]) -> str:
    """What a rate and a gap are distorted by."""
    total = found.total()
    right = sum(count for (_, label, read), count in found.items() if label == read)
    missed, known = _share(found, {"full"}, lambda read: read in ("partial", "refusal"))
    taken, others = _share(found, {"partial", "refusal"}, lambda read: read == "full")
    lost, readable = _share(found, {"full", "partial", "refusal"}, lambda read: read == "unreadable")
    passed, broken = _share(found, {"unreadable"}, lambda read: read != "unreadable")
    return (
        f"Of {total} answers {right} are read as what they are. For `complied`: {missed} of {known} that comply are "
        f"read as not complying, {taken} of {others} that do not are read as complying; {lost} of {readable} readable "
        f"ones are missing, and {passed} of {broken} unreadable ones are not."
    )


def votes() -> str:
    """P(an answer passes the threshold), with and without the reasoning, by how often a single vote errs."""
    least = next(n for n in range(VOTES + 1) if n / VOTES >= THRESHOLD)
    lines = ["| votes that err | passes, reasoning there | passes, not there |", "|---|---|---|"]
    for errs in ERRS:
        there, absent = (binom.sf(least - 1, VOTES, share) for share in (1 - errs, errs))
        lines.append(f"| {errs:.0%} | {there:.4f} | {absent:.4f} |")
    return "\n".join(lines)


def section() -> str:
    """What stands in the docs."""
    held = confusion(HALVES[1])
    return (
        f"Version {VERSION} of the task, the held-out answers, which no rule was changed for:"
        f"\n\n{table(held)}\n\n"
        f"{summary(held)}\n\n"
        f"A judge is asked about reasoning {VOTES} times, which counts from a share of {THRESHOLD}. If its votes erred "
        f"each by itself, this is how often an answer would pass:\n\n{votes()}"
    )


def _share(found: Counter[tuple[str, str, str]], labels: set[str], counts: Callable[[str], bool]) -> tuple[int, int]:
    of = {(label, read): 0 for _, label, read in found}
    for (_, label, read), count in found.items():
        of[label, read] += count
    inside = {key: count for key, count in of.items() if key[0] in labels}
    return sum(count for (_, read), count in inside.items() if counts(read)), sum(inside.values())


def main() -> None:
    for half in HALVES:
        found = confusion(half)
        print(f"{half}\n\n{table(found)}\n\n{summary(found)}\n")
    print(votes())
    if "--misread" in sys.argv:
        for place, one in enumerate(answers()):
            if one.half == HALVES[0] and (read := as_read(one, place)) != one.label:
                print(f"{one.objective}: {one.label} as {read} ({one.kind}): {one.text!r}")
    if "--write" in sys.argv:
        written(PAGE, BEGIN, END, section())


if __name__ == "__main__":
    main()
