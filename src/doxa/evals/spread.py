"""What a limit takes of a task's items: some of every level, not the first of the list."""

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import TypeVar

from doxa.evals.catalogue import Arguments, TaskEntry

Item = TypeVar("Item")


def spread(
    items: Sequence[Item], factors: Callable[[Item], Mapping[str, str]], by: Sequence[str], limit: int | None
) -> tuple[Item, ...]:
    """At most `limit` items, spread evenly over the levels of some factors.

    They are taken in rounds, in each of which every cell (a combination of levels) gives its next item: first the cell
    whose levels were taken least so far, of equal ones that which comes first. So few items have as many levels as they
    can, whole rounds have every cell alike, of the same units where these come in one order in every cell, and what a
    smaller limit takes is among what a larger one takes.

    Args:
        items: All of them, in a fixed order.
        factors: The levels of an item's factors.
        by: Names of the factors; an item may lack some.
        limit: None for all.

    Returns:
        The items in their order.
    """
    if limit is None or limit >= len(items):
        return tuple(items)
    cells: dict[tuple[tuple[str, str], ...], deque[int]] = {}
    for place, item in enumerate(items):
        own = factors(item)
        cells.setdefault(tuple((name, own[name]) for name in by if own.get(name)), deque()).append(place)
    taken: list[int] = []
    counts: Counter[tuple[str, str]] = Counter()
    rounds: Counter[tuple[tuple[str, str], ...]] = Counter()

    def turn(cell: tuple[tuple[str, str], ...]) -> tuple[int, float]:
        return rounds[cell], sum(counts[level] for level in cell) / max(len(cell), 1)

    while len(taken) < limit:
        cell = min((one for one, left in cells.items() if left), key=turn)
        taken.append(cells[cell].popleft())
        counts.update(cell)
        rounds[cell] += 1
    return tuple(items[place] for place in sorted(taken))


def left_out(one: TaskEntry, arguments: Arguments, limit: int | None) -> tuple[tuple[str, str, str], ...]:
    """What a limit leaves no item of: (part, factor, level), of the factors over which the task spreads a limit.

    Args:
        one: The task.
        arguments: Its arguments.
        limit: At most so many items of each of its parts.
    """
    return tuple(
        (part, factor, level)
        for part, every, kept in _parts(one, arguments, limit)
        for factor in one.factors
        for level in dict.fromkeys(own[factor] for own in every if own.get(factor))
        if all(own.get(factor) != level for own in kept)
    )


def tied(one: TaskEntry, arguments: Arguments, limit: int | None) -> tuple[tuple[str, str, str], ...]:
    """What a limit makes one: (part, factor, factor), of which each level of one goes with a single one of the other.

    What two such factors do cannot be told apart: a contrast of levels of one holds the other. Limits below a whole
    round (`spread`) do this; two that go together in all the items are the task's own and no matter of a limit.

    Args:
        one: The task.
        arguments: Its arguments.
        limit: At most so many items of each of its parts.
    """
    return tuple(
        (part, first, second)
        for part, every, kept in _parts(one, arguments, limit)
        for first, second in combinations(one.factors, 2)
        if _together(kept, first, second) and not _together(every, first, second)
    )


Levels = Sequence[Mapping[str, str]]


def _parts(one: TaskEntry, arguments: Arguments, limit: int | None) -> tuple[tuple[str, Levels, Levels], ...]:
    """Of each part the levels of all items, and of those that a limit keeps."""
    opened = one.open_factors(arguments) if one.open_items(arguments, None) else ()
    every, kept = ([item.factors for item in one.measured(arguments, most)] for most in (None, limit))
    return ("generated", opened, spread(opened, dict, one.factors, limit)), ("scored", every, kept)


def _together(items: Levels, first: str, second: str) -> bool:
    """Whether each level of one factor, of two or more, goes with a single level of the other."""
    pairs = {(own[first], own[second]) for own in items if own.get(first) and own.get(second)}
    return len(pairs) > 1 and all(len({pair[place] for pair in pairs}) == len(pairs) for place in (0, 1))
