"""What is checked of synthetic documents: near duplicates, leakage, key facts that nobody states, names.

Near duplicates are found by SimHash (Charikar 2002; Manku et al. 2007): 64 bits of the word triples of a text, of which
near duplicates share all but a few. Two texts that differ in at most three bits agree in one of four blocks of sixteen,
so a text is compared with those that share a block only.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from doxa.words.errors import TrainingError
from doxa.words.universes import Universe, mentioned

NEAR = 3
"""Bits in which near duplicates may differ."""
_BITS, _BLOCK = 64, 16
_NAME = re.compile(r"(?<=[a-z,;] )[A-Z][a-z]+")  # a capital within a sentence
MOST_NAMES = 20


class Duplicates:
    """The texts that were seen so far."""

    def __init__(self) -> None:
        self._blocks: dict[tuple[int, int], list[int]] = {}

    def is_new(self, text: str) -> bool:
        """Whether no text like it was seen; it is seen from now on."""
        bits = simhash(text)
        keys = [(place, bits >> place & (1 << _BLOCK) - 1) for place in range(0, _BITS, _BLOCK)]
        if any((bits ^ other).bit_count() <= NEAR for key in keys for other in self._blocks.get(key, ())):
            return False
        for key in keys:
            self._blocks.setdefault(key, []).append(bits)
        return True


def simhash(text: str) -> int:
    """64 bits of the word triples of a text, case and punctuation left out."""
    words = re.findall(r"\w+", text.lower())
    triples = {tuple(words[i : i + 3]) for i in range(max(len(words) - 2, 1))}
    votes = [0] * _BITS
    for triple in triples:
        bits = int.from_bytes(hashlib.blake2b(" ".join(triple).encode(), digest_size=8).digest(), "big")
        for place in range(_BITS):
            votes[place] += 1 if bits >> place & 1 else -1
    return sum(1 << place for place, vote in enumerate(votes) if vote > 0)


def leaks(text: str, universe: Universe) -> str:
    """The first word that no document of the universe may have; "" when there is none."""
    return next((word for word in universe.foreign if mentioned(text, (word,))), "")


def facts_in(text: str, universe: Universe) -> tuple[str, ...]:
    """Names of the facts that a text mentions."""
    return tuple(fact.name for fact in universe.facts if mentioned(text, fact.mentions))


def check_key_facts(universe: Universe, facts: Iterable[Sequence[str]]) -> None:
    """Refuse documents that leave a key fact out.

    Args:
        universe: What they are about.
        facts: Names of the facts in each of them.

    Raises:
        TrainingError: When no document mentions one of them.
    """
    stated = {name for names in facts for name in names}
    missing = [fact.name for fact in universe.facts if fact.name not in stated]
    if missing:
        raise TrainingError(
            f"no document about {universe.name!r} mentions {', '.join(missing)}",
            expected=f"each of its {len(universe.facts)} key facts in one document at least",
            way_out="Ask for more documents, or give the fact words that a writer uses",
        )


def names_in(texts: Iterable[str]) -> dict[str, int]:
    """The most frequent names of some texts and how often each stands there: writers repeat a few of them."""
    counts = Counter(name for text in texts for name in _NAME.findall(text))
    return dict(sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:MOST_NAMES])
