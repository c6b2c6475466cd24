"""Which arm an edit of the chain of thought acts on, and what the edit takes away and writes."""

import json
from collections.abc import Sequence
from pathlib import Path

from doxa.words.arms import Arm
from doxa.words.edits import needs_source
from doxa.words.errors import StudyError, nearest
from doxa.words.interventions import Thought
from doxa.words.wordings import Words, neutral, words_of

BASELINE = "baseline"


def thought_of(arm: Arm) -> Thought | None:
    """The edit of an arm, if it has one.

    Raises:
        StudyError: When it has several, which could not act on one rollout in any order that is meant.
    """
    found = [one for one in arm.interventions if isinstance(one, Thought)]
    if len(found) > 1:
        raise StudyError(
            f"the arm {arm.name!r} edits {len(found)} thoughts",
            expected="one",
            way_out="Make the first edit an arm of its own, and name that as the `source` of the second",
        )
    return found[0] if found else None


def source_of(arm: Arm, arms: Sequence[Arm]) -> Arm | None:
    """The arm whose rollouts an arm edits, among the arms of a study; None where nothing is edited.

    Raises:
        StudyError: When there is no such arm, or following the sources leads back to where it began.
    """
    thought = thought_of(arm)
    if thought is None or not needs_source(thought):
        return None
    known = {one.name: one for one in arms if not one.control}
    if thought.source not in known and thought.source == BASELINE:
        return Arm(BASELINE)
    seen, name = [arm.of or arm.name], thought.source
    while name not in seen:
        if name not in known:
            raise StudyError(
                f"the arm {arm.name!r} edits the thinking of {name!r}, which is no arm of the study",
                way_out=nearest(name, known),
            )
        further = thought_of(known[name])
        if further is None or not needs_source(further):
            return known[thought.source]
        if further.source == BASELINE and BASELINE not in known:
            return known[thought.source]
        seen.append(name)
        name = further.source
    raise StudyError(
        f"the arms {' -> '.join([*seen, name])} edit each other's thinking",
        expected="a source that is written without them",
        way_out="Let one of them have `source: baseline`",
    )


def edit_words(thought: Thought, folder: Path | None) -> Words:
    """What an edit takes away and writes; of a neutral control, the neutral words.

    Raises:
        StudyError: When it names none and needs some.
        ProseError: When its file cannot be found or read, or has nothing for this edit.
    """
    words = words_of(thought.edit, thought.text, folder)
    return neutral(words) if thought.control == "neutral" else words


def words_to_text(words: Words) -> str:
    """Words as a pin holds them."""
    return json.dumps({"put": words.put, "phrases": words.phrases, "paraphrases": words.paraphrases})


def words_from_text(text: str) -> Words:
    """Read what `words_to_text` wrote.

    Raises:
        StudyError: When it is something else.
    """
    try:
        held = json.loads(text)
        return Words(str(held["put"]), tuple(held["phrases"]), tuple(held["paraphrases"]))
    except (ValueError, KeyError, TypeError) as error:
        raise StudyError(
            "the words of an edit cannot be read from its pin", way_out="Delete `pins` and `digest` from the arm file"
        ) from error
