"""Texts written as trees, so that what several of them begin with is run once: pure arithmetic."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

Cell: TypeAlias = Any  # hashable, and ordered
Text: TypeAlias = tuple[Cell, ...]
ROW_CELLS = 256
"""Cells of a tree, about: larger ones share more beginnings, and their attention costs more."""


@dataclass(frozen=True)
class Tree:
    """Some texts, each a path from the first cell on.

    Attributes:
        cells: What stands at each place (a token and all that decides what is done to it).
        parents: For each cell the place of the one before it, -1 for a first one; parents stand before children.
        paths: For each text, by its index, the places of its cells in order.
    """

    cells: tuple[Cell, ...]
    parents: tuple[int, ...]
    paths: Mapping[int, tuple[int, ...]]


@lru_cache(maxsize=64)  # every arm of a study reads the same texts
def trees(texts: tuple[Text, ...], *, branching: bool = True, most: int = ROW_CELLS) -> tuple[Tree, ...]:
    """Write texts as trees of about equal size: they are run side by side.

    Args:
        texts: Sequences of cells that can be ordered and hashed.
        branching: Whether a cell may have several children. Otherwise texts share a tree only when each begins with
            the one before.
        most: Cells of a tree; a tree may be twice as large as the longest text, so that a long common beginning is not
            repeated for every end.

    Returns:
        Trees that hold every text once.
    """
    most = widest(max((len(text) for text in texts), default=0), most)
    order = sorted(range(len(texts)), key=lambda index: texts[index])  # like beginnings side by side
    found = _grown(texts, order, branching, most)
    low = most // 2
    while branching and low + 1 < most:  # the smallest that needs no further tree
        middle = (low + most) // 2
        smaller = _grown(texts, order, branching, middle)
        if len(smaller) > len(found):
            low = middle
        else:
            found, most = smaller, middle
    return found


def widest(longest: int, most: int = ROW_CELLS) -> int:
    """Cells of the largest tree that `trees` makes of texts of this length."""
    return max(most, 2 * longest)


def _grown(texts: tuple[Text, ...], order: list[int], branching: bool, most: int) -> tuple[Tree, ...]:
    found: list[Tree] = []
    growing = _Growing()
    for index in order:
        if not growing.takes(texts[index], branching=branching, most=most):
            found.append(growing.tree())
            growing = _Growing()
        growing.add(index, texts[index])
    return (*found, growing.tree()) if growing.paths else ()


class _Growing:
    """A tree to which texts are added."""

    def __init__(self) -> None:
        self.paths: dict[int, tuple[int, ...]] = {}
        self._cells: list[Cell] = []
        self._parents: list[int] = []
        self._place: dict[tuple[int, Cell], int] = {}

    def _common(self, text: Text) -> list[int]:
        """Places of the beginning of a text that is in the tree already."""
        places: list[int] = []
        for cell in text:
            place = self._place.get((places[-1] if places else -1, cell))
            if place is None:
                break
            places.append(place)
        return places

    def takes(self, text: Text, *, branching: bool, most: int) -> bool:
        common = self._common(text)
        more = len(text) - len(common)
        at_the_end = (common[-1] if common else -1) == len(self._cells) - 1
        return not self.paths or (len(self._cells) + more <= most and (branching or at_the_end or more == 0))

    def add(self, index: int, text: Text) -> None:
        places = self._common(text)
        for cell in text[len(places) :]:
            parent = places[-1] if places else -1
            self._place[parent, cell] = len(self._cells)
            places.append(len(self._cells))
            self._cells.append(cell)
            self._parents.append(parent)
        self.paths[index] = tuple(places)

    def tree(self) -> Tree:
        return Tree(tuple(self._cells), tuple(self._parents), self.paths)
