"""Several tests of one declared family."""

from collections.abc import Sequence


def holm(p: Sequence[float]) -> list[float]:
    """p-values adjusted for their family: max over the smaller ones of (k - rank) p, at most 1.

    Source: Holm 1979.
    """
    adjusted, largest = [0.0] * len(p), 0.0
    for place, index in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        largest = max(largest, min(1.0, (len(p) - place) * p[index]))
        adjusted[index] = largest
    return adjusted
