"""Which beginnings sequences share, and which of them are worth a forward pass of their own: pure arithmetic."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

WORTH = 256
"""A shared beginning is run on its own when it saves so many tokens; a forward pass costs about as much as 50."""


@dataclass(frozen=True)
class Branch:
    """Sequences with a common beginning.

    Attributes:
        members: Indices of the sequences.
        end: Behind the last common element; every member goes on for at least one more.
    """

    members: tuple[int, ...]
    end: int


def branches(
    sequences: Sequence[Sequence[Hashable]], arms: Sequence[Hashable], start: int, *, worth: int = WORTH
) -> tuple[list[Branch], list[int]]:
    """Group sequences by the beginnings that they share behind `start`.

    Args:
        sequences: They are equal before `start`, and longer.
        arms: A beginning is run once for each distinct arm of its members.
        start: How much of them has been run already.
        worth: Tokens that a branch must save.

    Returns:
        Branches, and the indices of the sequences that are in none.
    """
    return _divide(sequences, arms, list(range(len(sequences))), start, start, worth)


def _divide(
    sequences: Sequence[Sequence[Hashable]],
    arms: Sequence[Hashable],
    members: Sequence[int],
    start: int,
    at: int,
    worth: int,
) -> tuple[list[Branch], list[int]]:
    """Divide members, equal before `at`, by what they have at `at`."""
    groups: dict[Hashable, list[int]] = {}
    found: list[Branch] = []
    alone: list[int] = []
    for member in members:
        if len(sequences[member]) > at + 1:
            groups.setdefault(sequences[member][at], []).append(member)
        else:
            alone.append(member)
    for group in groups.values():
        end = _common(sequences, group, at)
        if (len(group) - len({arms[member] for member in group})) * (end - start) >= worth:
            found.append(Branch(tuple(group), end))
        elif len(group) > 1:
            deeper, rest = _divide(sequences, arms, group, start, end, worth)
            found += deeper
            alone += rest
        else:
            alone += group
    return found, sorted(alone)


def _common(sequences: Sequence[Sequence[Hashable]], group: Sequence[int], at: int) -> int:
    """Behind the last common element, at most before the last element of the shortest."""
    longest = min(len(sequences[member]) for member in group) - 1
    first = sequences[group[0]]
    end = at + 1
    while end < longest and all(sequences[member][end] == first[end] for member in group):
        end += 1
    return min(end, longest)
