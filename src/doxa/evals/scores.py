"""What a log holds so that the table can be rebuilt from it alone: scores, their reasons, factors, the task.

    sample.metadata["doxa"] = {"factors": {"kind": "story", ...}}
    eval.metadata["doxa"]   = {"task": "doxa/drift", "version": 1, "derivations": [...]}
    Score(value={"length": 31}, metadata={"reasons": {"surprisal": "why it is missing"}, "judged": {"complied": ...}})

A score without a value is left out of `Score.value` and named in the reasons: missing is a value, never a zero.
Inspect's own metrics over dictionaries raise when a key is absent, hence `means`.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from inspect_ai.scorer import Metric, SampleScore, Score, metric
from inspect_ai.scorer import Value as InspectValue

from doxa.evals.catalogue import Value
from doxa.words.schema import Derivation


def to_inspect_score(
    values: Sequence[Value], *, answer: str | None = None, judged: Mapping[str, Any] | None = None
) -> Score:
    """Write values as one Inspect score.

    Args:
        values: Each score once.
        answer: What was scored, for Inspect's viewer.
        judged: What judges said, by score; see `doxa.bridge.judges.judged`.

    Raises:
        ValueError: When a score occurs twice, or is missing without a reason.
    """
    names = [value.score for value in values]
    if len(set(names)) != len(names):
        raise ValueError(f"a score is given twice: {', '.join(names)}")
    unexplained = [value.score for value in values if value.value is None and not value.reason]
    if unexplained:
        raise ValueError(f"missing without a reason: {', '.join(unexplained)}")
    return Score(
        value={value.score: value.value for value in values if value.value is not None},
        answer=answer,
        explanation=_explanation(values, judged or {}),
        metadata={
            "reasons": {value.score: value.reason for value in values if value.value is None},
            **({"judged": dict(judged)} if judged else {}),
        },
    )


def _explanation(values: Sequence[Value], judged: Mapping[str, Any]) -> str | None:
    """What judges said, and why scores are missing: Inspect's viewer shows it beside the scores and folds the rest."""
    said: dict[tuple[str, str], list[str]] = {}
    for score, one in judged.items():  # several scores may be of the same verdicts
        for verdict in one["verdicts"]:
            words = f"{verdict['judge']}: {verdict['verdict'] or 'no verdict'}. {verdict['why'] or verdict['missing']}"
            said.setdefault(("Judged", words.strip()), []).append(score)
    for value in values:
        if value.value is None:
            said.setdefault(("Missing", value.reason), []).append(value.score)
    return "\n\n".join(f"{kind}: {', '.join(scores)}. {words}" for (kind, words), scores in said.items()) or None


def task_version(version: int, content: str) -> str:
    """A task's version for Inspect, which continues a log of the same task: the texts in it are a part of it."""
    return f"{version}.{content[:8]}"


def task_metadata(name: str, version: int, derivations: Sequence[Derivation] = ()) -> dict[str, Any]:
    """The task's block in the metadata of a log."""
    return {"doxa": {"task": name, "version": version, "derivations": [asdict(each) for each in derivations]}}


def sample_metadata(factors: Mapping[str, str], **own: Any) -> dict[str, Any]:
    """The block in a sample's metadata: its factors, and plain JSON that the task's solver and scorer need."""
    return {"doxa": {"factors": dict(factors), **own}}


@metric(name="means", scores="unreduced")
def means(derivations: Sequence[Derivation] = ()) -> Metric:
    """Mean of every score over the samples (all runs) that have it, and `<score> missing` where some have not.

    Args:
        derivations: Scores that are made of others: their means over units, as the table has them.
    """

    def compute(scores: list[SampleScore]) -> InspectValue:
        values: dict[str, list[float]] = defaultdict(list)
        missing: dict[str, int] = defaultdict(int)
        for sample in scores:
            for name, value in _values(sample).items():
                values[name].append(value)
            for name in (sample.score.metadata or {}).get("reasons", {}):
                missing[name] += 1
        for derivation in derivations:
            values[derivation.score] += _derived(scores, derivation)
        found: dict[str, str | int | float | bool | None] = {
            name: sum(each) / len(each) for name, each in values.items() if each
        }
        return found | {f"{name} missing": n for name, n in missing.items()}

    return compute


def _values(sample: SampleScore) -> dict[str, float]:
    value = sample.score.value
    known = value.items() if isinstance(value, Mapping) else ()
    return {name: float(one) for name, one in known if isinstance(one, int | float)}


def _derived(scores: Sequence[SampleScore], derivation: Derivation) -> list[float]:
    """The derived score of every unit that has all its terms (runs of a term are averaged)."""
    units: dict[str, list[tuple[Mapping[str, str], float]]] = defaultdict(list)
    for sample in scores:
        factors = (sample.sample_metadata or {}).get("doxa", {}).get("factors", {})
        value = _values(sample).get(derivation.source)
        if derivation.unit in factors and value is not None:
            units[factors[derivation.unit]].append((factors, value))
    return [value for own in units.values() if (value := _of_unit(own, derivation)) is not None]


def _of_unit(own: Sequence[tuple[Mapping[str, str], float]], derivation: Derivation) -> float | None:
    """The weighted sum of a unit: its mean over the sets of matched rows that have all terms."""
    sets: dict[tuple[str | None, ...], list[tuple[Mapping[str, str], float]]] = defaultdict(list)
    for factors, value in own:
        sets[tuple(factors.get(factor) for factor in derivation.matched)].append((factors, value))
    sums = []
    for rows in sets.values():
        terms = [
            (weight, [value for factors, value in rows if all(factors.get(f) == level for f, level in levels)])
            for weight, levels in derivation.terms
        ]
        if all(values for _, values in terms):
            sums.append(sum(weight * sum(values) / len(values) for weight, values in terms))
    return sum(sums) / len(sums) if sums else None
