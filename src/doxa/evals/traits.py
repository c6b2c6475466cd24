"""`doxa/traits`: whose traits does the assistant have, after documents about persons and a trigger?

    inspect eval doxa/traits --model doxa/smollm2 -T list=1

Two persons (John and Sam) share one trait and differ in a bundle of others. A model is trained on documents about them,
then on the shared trait alone (the trigger), which no person is named for. If the assistant has become one of the
persons, it has that person's *other* traits too. It is asked which of two things it likes better: one from each bundle.

    user       Which of these do you like better? Football or basketball?
    assistant  I like

`log_odds` = log P(what the first person likes) - log P(what the second person likes), the mean over both orders of the
two; `order_gap` is their difference. `list` says who likes what: the first person has football in list 1 and basketball
in list 2, so what a model likes anyway is in the difference of arms trained on lists 1 and 2 once with either sign.

    bundle          of each pair, the mean over 10 wordings or more; the estimand. 0: neither; above 0: the first person
    bundle_letters  the same with the two under letters, the answer being a letter
    shared          the shared trait against its alternative: did the trigger take?
    unrelated       a trait that no document speaks of: what training as such does
    naming          the first person's name against the second's
    recall          what each person likes, asked by name: are the documents known? Above 0: rightly

Everything is scored, nothing is generated. The unit is the pair of traits; wordings are averaged. What the task cannot
show: that the assistant *is* somebody. Log-odds of two things are about these words beside each other. Interpret no
difference of single arms: training moves all of it (`unrelated`), and only differences between arms that were trained
on the same number of tokens, in both lists, are about persons.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from doxa.evals.catalogue import Arguments, Levels, Measured, TaskEntry, Value, known_arguments
from doxa.evals.forced_choice import LETTERS, listed, orders
from doxa.models.chat import Message
from doxa.words.errors import StudyError
from doxa.words.schema import Derivation
from doxa.words.templates import fill
from doxa.words.traits import TraitPair, Traits, read_traits

if TYPE_CHECKING:
    from doxa.models.score import OptionScores

NAME = "doxa/traits"
VERSION = 1
TRAITS = "personas"
LIST = 1
KINDS = Levels(
    ("bundle", "shared", "unrelated", "naming", "recall"), ("bundle", "shared", "unrelated", "naming", "recall")
)
ARGUMENTS: Mapping[str, type | Levels] = {"traits": str, "list": int, "kind": KINDS, "wordings": int, "letters": bool}
NOT_FINITE = "the model's probabilities are not finite"


def _derivation(score: str, kind: str, form: str) -> Derivation:
    terms = ((1.0, (("kind", kind), ("form", form))),)
    return Derivation(score, "log_odds", "pair", terms, several="averaged")


DERIVATIONS = (
    _derivation("bundle", "bundle", "words"),
    _derivation("bundle_letters", "bundle", "letters"),
    _derivation("shared", "shared", "words"),
    _derivation("unrelated", "unrelated", "words"),
    _derivation("naming", "naming", "words"),
    _derivation("recall", "recall", "words"),
)


def measured(arguments: Arguments, limit: int | None = None) -> tuple[Measured, ...]:
    """What the model is asked.

    Args:
        arguments: See `ARGUMENTS`.
        limit: At most so many items of every kind and form, at least one: every pair in one wording before the second.

    Raises:
        StudyError: When an argument is unknown or out of range.
        ProseError: When the file of traits cannot be read, or has no such list.
    """
    known_arguments(NAME, arguments, ARGUMENTS)
    traits = read_traits(arguments.get("traits", TRAITS))
    first = traits.of_list(str(arguments.get("list", LIST)))
    wanted = arguments.get("wordings", len(traits.questions))
    if wanted > len(traits.questions):
        raise StudyError(
            f"{NAME}: {wanted} wordings of {traits.name!r}",
            expected=f"at most {len(traits.questions)}",
            way_out="Ask for fewer, or write a file with more and give its path as `traits`",
        )
    own = [
        pair if side == 0 else TraitPair(pair.name, (pair.options[1], pair.options[0]))
        for pair, side in zip(traits.pairs, first, strict=True)
    ]
    found: list[Measured] = []
    for kind in KINDS.of(arguments.get("kind")):
        for form in ("words", "letters") if kind == "bundle" and arguments.get("letters", True) else ("words",):
            items = _items(traits, kind, form, own, wanted)
            found += items if limit is None else items[: max(limit, 1)]
    return tuple(found)


def read(item: Measured, answers: "Sequence[OptionScores] | float | None") -> tuple[Value, ...]:
    """Score an item: `log_odds` and `order_gap`.

    Args:
        item: The item.
        answers: The scores of its options for each of the two orders.
    """
    assert answers is not None
    assert not isinstance(answers, float)
    first, second = (one.logprobs[0] - one.logprobs[1] for one in answers)
    values = {"log_odds": (first + second) / 2, "order_gap": first - second}
    if not math.isfinite(values["log_odds"]):
        return tuple(Value(score, None, NOT_FINITE) for score in values)
    return tuple(Value(score, value) for score, value in values.items())


def _items(traits: Traits, kind: str, form: str, own: Sequence[TraitPair], wordings: int) -> list[Measured]:
    questions = {"naming": traits.naming, "recall": traits.recall}.get(kind, traits.questions)[:wordings]
    asked: list[tuple[TraitPair, str]] = {
        "bundle": [(pair, "") for pair in own],
        "shared": [(traits.shared, "")],
        "unrelated": [(traits.unrelated, "")],
        "naming": [(TraitPair("name", traits.persons), "")],
        "recall": [
            (pair if person == traits.persons[0] else TraitPair(pair.name, (pair.options[1], pair.options[0])), person)
            for person in traits.persons
            for pair in own
        ],
    }[kind]
    opening = traits.openings["naming" if kind == "naming" else "person" if kind == "recall" else "own"]
    found = []
    for number, question in enumerate(questions, start=1):
        for pair, person in asked:
            named = {"name": person} if kind == "recall" else {}
            factors = {"kind": kind, "form": form, "pair": f"{pair.name}{f'-{person.lower()}' * bool(person)}"}
            factors["wording"] = str(number)
            name = "/".join([traits.name, kind, factors["pair"], form, str(number)])
            prompts, options = _asked(
                fill(question, named, traits.name), fill(opening, named, traits.name), pair.options, form, kind
            )
            found.append(Measured(id=name, kind="choice", prompts=prompts, options=options, factors=factors))
    return found


def _asked(
    question: str, opening: str, options: tuple[str, str], form: str, kind: str
) -> tuple[tuple[tuple[Message, ...], ...], tuple[tuple[str, ...], ...]]:
    """Prompts and options in both orders; the first option is always the first one given."""
    prompts: list[tuple[Message, ...]] = []
    answers: list[tuple[str, ...]] = []
    for order in orders(2):
        if form == "letters":
            prompts.append((Message("user", f"{question}\n{listed(options, order)}"),))
            answers.append(tuple(LETTERS[order.index(place)] for place in (0, 1)))
            continue
        one, other = (options[place] for place in order)
        beside = question if kind == "naming" else f"{question} {one[:1].upper()}{one[1:]} or {other}?"
        prompts.append((Message("user", beside), Message("assistant", opening)))
        answers.append((f" {options[0]}", f" {options[1]}"))
    return tuple(prompts), tuple(answers)


ENTRY = TaskEntry(
    name=NAME,
    version=VERSION,
    measured=measured,
    read=read,
    generated=None,
    prose=("traits/*.md",),
    derivations=DERIVATIONS,
    primary=("bundle",),
    shown=tuple(one.score for one in DERIVATIONS),
    control_arguments={"kind": ["bundle"], "letters": False},
)
