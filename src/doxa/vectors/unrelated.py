"""Contrast pairs about something else: hot or cold, upstairs or downstairs, silk or wool.

A vector taken from them is a control for a belief's vector. It is a direction that means something and was made in the
same way, but it has nothing to do with the belief: an effect that it has too is no evidence for the belief.

The sentences and words stand in `doxa/data/unrelated.yaml`; this module draws pairs from them. Both texts of a pair are
the same sentence with the same words, except for the words that carry the contrast.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from string import Formatter
from types import MappingProxyType
from typing import Any, Final

import yaml

from doxa.vectors.pairs import Pair, PairSet, pair_set
from doxa.words.errors import ProseError
from doxa.words.store import stream

PAIRS: Final = 16
"""Pairs in every set."""


@dataclass(frozen=True)
class Contrast:
    """Two sides of something, and the sentences that tell them apart.

    Attributes:
        positive: What the positive side means.
        negative: What the negative side means.
        sides: For each slot that carries the contrast, its words on the positive and on the negative side.
        slots: For each other slot, the words to draw from.
        texts: Sentences with slots in braces; each has at least one slot of `sides`.
    """

    positive: str
    negative: str
    sides: Mapping[str, tuple[str, str]]
    slots: Mapping[str, tuple[str, ...]]
    texts: tuple[str, ...]


@lru_cache(maxsize=1)
def contrasts() -> tuple[Contrast, ...]:
    """All contrasts, in the order of their numbers."""
    data = _data()
    return tuple(
        Contrast(
            positive=one["positive"],
            negative=one["negative"],
            sides=MappingProxyType({slot: (first, second) for slot, (first, second) in one["sides"].items()}),
            slots=MappingProxyType({slot: tuple(words) for slot, words in {**data["slots"], **one["slots"]}.items()}),
            texts=tuple(one["texts"]),
        )
        for one in data["contrasts"]
    )


def generate(index: int, seed: int = 0) -> PairSet:
    """Draw the pairs of one contrast; the same in every process.

    Args:
        index: Number of the contrast, from 0 to `COUNT` - 1.
        seed: Another seed draws other words for the same contrast.

    Returns:
        A set of `PAIRS` pairs, spread evenly over the contrast's sentences. A sentence uses a word again only when
        it has used all the words of that slot.

    Raises:
        ProseError: When there is no contrast of that number.
    """
    if not 0 <= index < COUNT:
        raise ProseError(
            f"there are no unrelated pairs number {index}",
            expected=f"a number from 0 to {COUNT - 1}",
            way_out=f"Use unrelated/00 to unrelated/{COUNT - 1:02d}, or ask for at most {COUNT} unrelated vectors",
        )
    contrast = contrasts()[index]
    pairs: list[Pair] = []
    for number, text in enumerate(contrast.texts):
        random = stream("unrelated", seed, index, number)
        decks = {
            slot: [contrast.slots[slot][card] for card in random.permutation(len(contrast.slots[slot]))]
            for slot in slots_of(text)
            if slot not in contrast.sides
        }
        for turn in range(len(range(number, PAIRS, len(contrast.texts)))):
            words = {slot: deck[turn % len(deck)] for slot, deck in decks.items()}
            positive, negative = (
                _sentence(text, {**words, **{slot: sides[side] for slot, sides in contrast.sides.items()}})
                for side in (0, 1)
            )
            pairs.append(Pair(question=None, positive=positive, negative=negative))
    data = _data()
    return pair_set(
        name=f"unrelated/{index:02d}",
        positive=contrast.positive,
        negative=contrast.negative,
        read=data["read"],
        pairs=pairs,
        version=data["version"],
    )


def slots_of(text: str) -> tuple[str, ...]:
    """The slots of a sentence in the order of their first use, each once."""
    return tuple(dict.fromkeys(slot for _, slot, _, _ in Formatter().parse(text) if slot))


def _sentence(text: str, words: Mapping[str, str]) -> str:
    filled = text.format(**words)
    return filled[0].upper() + filled[1:]


@lru_cache(maxsize=1)
def _data() -> dict[str, Any]:
    text = resources.files("doxa.data").joinpath("unrelated.yaml").read_text(encoding="utf-8")
    data: dict[str, Any] = yaml.safe_load(text)
    return data


COUNT: Final = len(contrasts())
"""How many contrasts there are."""
