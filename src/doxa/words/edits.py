"""Edits of the chain of thought: pure functions from the blocks of a turn to its beginning, which a model continues.

An edit is of one thinking block. What stands before the block is kept, the block is edited, and everything behind it is
dropped, because it was written in view of what the edit changes; the model writes on from there.

    prefill     the block begins with a text, the rest of it is dropped, and it is left open
    replace     the block is a text
    remove      the sentences of the belief are cut out of the block
    inject      a text stands behind the block's last sentence, and it is left open
    paraphrase  the sentences of the belief say the same in other words

A block that was closed is closed again where the edit does not leave it open; one that the source left open stays open.
The controls of an edit go through the same places: `reprefill` changes nothing there, so that what it shows is what
cutting and writing on does by itself; `neutral` changes as much, about something else: a text of equal length, or as
many sentences of about the same length that are not the belief's.

Where there is no such block, or no sentence of the belief, there is nothing to edit. The receipt says so, and nothing
is changed: without a block the whole turn is written again, otherwise the block stays as it is. Such rows stay in the
comparison (they are drawn like all others), so an edit that seldom finds something has a small effect, and `found`
says how seldom. Leaving them out would compare rollouts that were picked by what they say.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from doxa.words.interventions import Thought
from doxa.words.store import Json
from doxa.words.transcripts import Block, Channels, Format, Tags, write_turn
from doxa.words.wordings import Words

NO_BLOCK = "the source does not think"
NO_SENTENCE = "no sentence of the belief"
_SENTENCE = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’)\]*]{0,3}(?=\s)\s*|\n\s*")
_ENDED = re.compile(r"[.!?…:][\"'”’)\]*]{0,3}\s*$|\n\s*$")


@dataclass(frozen=True)
class Edited:
    """The beginning of a turn, and how it came to be.

    Attributes:
        blocks: What the model continues; () when it begins the turn anew.
        block: Number of the edited thinking block, from 1; None when there is none.
        found: Whether there was something to edit; the same for an edit and its controls.
        why: Why not, or "".
        cut: What was taken out of the block, text by text.
        put: What was written into it, text by text.
        dropped: Characters of the source behind the edit that are not kept.
    """

    blocks: tuple[Block, ...]
    block: int | None
    found: bool
    why: str
    cut: tuple[str, ...]
    put: tuple[str, ...]
    dropped: int


def needs_source(thought: Thought) -> bool:
    """Whether an edit acts on what another arm wrote: a prefill of the turn's beginning does not."""
    return thought.edit != "prefill" or thought.block is not None


def edited(source: Sequence[Block], thought: Thought, words: Words, format: Format) -> Edited:
    """The beginning of a turn after an edit.

    Args:
        source: The turn that is edited; not looked at where `needs_source` is false.
        thought: The edit, or a control of it (`Thought.control`).
        words: What it takes away and writes; of a neutral control, the neutral words (`wordings.neutral`).
        format: How thinking is marked, for a block that a prefill opens.
    """
    if not needs_source(thought):
        put = "" if thought.control == "reprefill" else words.put
        return Edited((_opened(put, format),), 1, True, "", (), (put,) if put else (), 0)
    place = _place(source, thought, words)
    if place is None:
        why = NO_BLOCK if thought.block is None else f"{NO_BLOCK} in a block {thought.block}"
        return Edited((), None, False, why, (), (), len(write_turn(source)))
    made = _BLOCKS[thought.edit](source[place], thought, words)
    blocks = (*source[:place], made.block)
    number = sum(block.kind == "thinking" for block in source[: place + 1])
    behind = len(write_turn(source[place + 1 :])) + made.dropped
    return Edited(blocks, number, made.found, "" if made.found else NO_SENTENCE, made.cut, made.put, behind)


def receipt_of(thought: Thought, made: Edited, source: Mapping[str, Json], beginning: str) -> dict[str, Json]:
    """What was edited, as plain JSON for the log.

    Args:
        thought: The edit.
        made: What came of it.
        source: Whose text was edited; {} where there was none.
        beginning: The edited beginning of the turn.

    Returns:
        The fields of `Edited`, `edit`, `control` and `source`; `kept` and `dropped` are characters of the edited
        beginning and of the source behind it.
    """
    return {
        "edit": thought.edit,
        "control": thought.control or "",
        "found": made.found,
        "why": made.why,
        "block": made.block,
        "cut": list(made.cut),
        "put": list(made.put),
        "kept": len(beginning),
        "dropped": made.dropped,
        "source": dict(source),
    }


def sentences(text: str) -> list[str]:
    """The sentences of a thought, each with the blank space behind it: joined they are the text."""
    found, start = [], 0
    for stop in _SENTENCE.finditer(text):
        found.append(text[start : stop.end()])
        start = stop.end()
    return [*found, text[start:]] if start < len(text) else found


def says(sentence: str, phrases: tuple[str, ...]) -> bool:
    """Whether a sentence has one of some phrases; `*` in a phrase stands for the rest of a word."""
    return any(_pattern(phrase).search(sentence) for phrase in phrases)


@dataclass(frozen=True)
class _Made:
    block: Block
    found: bool = True
    cut: tuple[str, ...] = ()
    put: tuple[str, ...] = ()
    dropped: int = 0


def _opened(text: str, format: Format) -> Block:
    assert isinstance(format, Tags | Channels), "an unmarked turn has no thinking to open"
    return Block("thinking", text, format.opening)


def _place(source: Sequence[Block], thought: Thought, words: Words) -> int | None:
    """Index of the block to edit: that of the number, or the first, or the first with a sentence of the belief."""
    places = [index for index, block in enumerate(source) if block.kind == "thinking"]
    if thought.block is not None:
        return places[thought.block - 1] if thought.block <= len(places) else None
    if words.phrases:
        for place in places:
            if any(says(sentence, words.phrases) for sentence in sentences(source[place].text)):
                return place
    return places[0] if places else None


def _prefilled(block: Block, thought: Thought, words: Words) -> _Made:
    put = "" if thought.control == "reprefill" else words.put
    return _Made(
        replace(block, text=put, closing=""), put=(put,) if put else (), dropped=len(block.text) + len(block.closing)
    )


def _replaced(block: Block, thought: Thought, words: Words) -> _Made:
    if thought.control == "reprefill":
        return _Made(block)
    return _Made(replace(block, text=words.put), cut=(block.text,), put=(words.put,))


def _injected(block: Block, thought: Thought, words: Words) -> _Made:
    kept = block.text
    if not block.closing:  # the source was cut off: what is injected does not go on a sentence that has no end
        *whole, last = sentences(kept) or [""]
        kept = kept if _ENDED.search(last) else "".join(whole)
    kept = kept.rstrip()
    dropped = len(block.text) + len(block.closing) - len(kept)
    if thought.control == "reprefill":
        return _Made(replace(block, text=kept, closing=""), dropped=dropped)
    between = "" if not kept else "\n\n" if "\n\n" in kept else "\n" if "\n" in kept else " "
    text = f"{kept}{between}{words.put}"
    return _Made(replace(block, text=text, closing=""), put=(words.put,), dropped=dropped)


def _removed(block: Block, thought: Thought, words: Words) -> _Made:
    return _rewritten(block, thought, words.phrases, ())


def _paraphrased(block: Block, thought: Thought, words: Words) -> _Made:
    return _rewritten(block, thought, words.phrases, words.paraphrases)


_BLOCKS = {
    "prefill": _prefilled,
    "replace": _replaced,
    "inject": _injected,
    "remove": _removed,
    "paraphrase": _paraphrased,
}


def _rewritten(block: Block, thought: Thought, phrases: tuple[str, ...], instead: tuple[str, ...]) -> _Made:
    """Sentences cut out of a block, or others written in their places."""
    whole = sentences(block.text)
    meant = [index for index, sentence in enumerate(whole) if says(sentence, phrases)]
    if not meant:
        return _Made(block, found=False)
    if thought.control == "reprefill":
        return _Made(block)
    if thought.control == "neutral":
        meant = _as_long(whole, meant)
    cut, put = tuple(whole[index] for index in meant), []
    for number, index in enumerate(meant):
        blank = whole[index][len(whole[index].rstrip()) :]
        if instead:
            put.append(instead[number % len(instead)])
        whole[index] = f"{put[-1]}{blank}" if instead else ""
    return _Made(replace(block, text="".join(whole)), cut=cut, put=tuple(put))


def _as_long(whole: Sequence[str], meant: Sequence[int]) -> list[int]:
    """For each sentence that is meant another one, not meant, of the nearest length; fewer when there are fewer."""
    free = [index for index in range(len(whole)) if index not in meant and whole[index].strip()]
    chosen = []
    for index in meant:
        if free:
            best = min(free, key=lambda other: (abs(len(whole[other]) - len(whole[index])), other))
            free.remove(best)
            chosen.append(best)
    return sorted(chosen)


@lru_cache(maxsize=1024)
def _pattern(phrase: str) -> re.Pattern[str]:
    words = r"\s+".join(re.escape(word).replace(r"\*", r"\w*") for word in phrase.split())
    return re.compile(rf"(?<!\w){words}(?!\w)", re.IGNORECASE)
