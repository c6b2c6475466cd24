"""In which form can a small model be asked whether a statement holds?

    python benchmarks/forced_choice_formats.py                     # the embedded model, a Markdown table
    python benchmarks/forced_choice_formats.py --json --model DIR

Every fact is asked with its true and with its false word claimed, in both answer orders, so always agreeing gives .5.
The format of `doxa/claims` was chosen on ten facts that stand here; the ten of `data/claims/facts.md` were held out.
Columns: accuracy by sign on either half; pairs whose true claim is agreed with more than the false one (1 even where a
bias hides it); mean log-odds of true minus false claims; mean of all log-odds (the habit of agreeing); the effect of
the answer order; tokens that all prompts begin with, and tokens beyond them (options included).
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import takewhile

from doxa.evals.claims_items import Statement, known_facts, question, question_template
from doxa.models.chat import Message, render
from doxa.models.handle import Model, load
from doxa.models.score import Choice, score_choices

CHOOSE = (
    Statement("Paris is the capital of", ("France", "Japan")),
    Statement("Water freezes at", ("zero degrees Celsius", "ninety degrees Celsius")),
    Statement("A week has", ("seven days", "twelve days")),
    Statement("The sun is", ("hot", "cold")),
    Statement("Cats are", ("animals", "plants")),
    Statement("Two plus two equals", ("four", "nine")),
    Statement("Fish live in", ("water", "trees")),
    Statement("Grass is", ("green", "purple")),
    Statement("The heart", ("pumps blood", "digests food")),
    Statement("Shakespeare was a", ("writer", "car maker")),
)
EXAMPLES = (
    ("Lemons are", "sour", "sweet", True),
    ("Stones", "sink", "float", False),
    ("London is in", "England", "Egypt", True),
    ("Milk is", "white", "red", False),
)
Part = tuple[tuple[Message, ...], tuple[str, ...], tuple[float, ...]]
"""A prompt, its options, and the weights of their log-probabilities in the log-odds of agreeing."""
Format = Callable[[Statement, int, int], list[Part]]
"""Of a statement, the word that is claimed (0 the true one) and the order."""
AGREE = (1.0, -1.0)


@dataclass(frozen=True)
class Row:
    """What one format reaches."""

    format: str
    chosen_on: float
    held_out: float
    pairs: float
    difference: float
    agreement: float
    order: float
    prefix: int
    suffix: float


def user(text: str) -> Message:
    return Message("user", text)


def assistant(text: str) -> Message:
    return Message("assistant", text)


def two(order: int, first: str, second: str) -> tuple[str, str]:
    return (first, second) if order == 0 else (second, first)


def sentence(statement: Statement, claimed: int) -> str:
    return f"{statement.opening} {statement.words[claimed]}."


def judged(yes: str, no: str, examples: int) -> Format:
    """The statement is shown and judged by a word, after some examples in the conversation."""

    def ask(statement: Statement, claimed: int, order: int) -> list[Part]:
        instruction = "Answer each statement with {} or {}.\n\n".format(*two(order, yes, no))
        turns: list[Message] = []
        for opening, right, wrong, holds in EXAMPLES[:examples] if order == 0 else EXAMPLES[:examples][::-1]:
            turns += [user(f"{opening} {right if holds else wrong}."), assistant(yes if holds else no)]
        turns.append(user(sentence(statement, claimed)))
        turns[0] = user(instruction + turns[0].content)
        return [(tuple(turns), (yes, no), AGREE)]

    return ask


def letters(statement: Statement, claimed: int, order: int) -> list[Part]:
    one, other = two(order, "right", "wrong")
    text = f"{sentence(statement, claimed)}\nIs this A) {one} or B) {other}? Answer with A or B."
    return [((user(text),), ("A", "B"), (1.0, -1.0) if order == 0 else (-1.0, 1.0))]


def judged_in_a_sentence(statement: Statement, claimed: int, order: int) -> list[Part]:
    text = "Is this statement {} or {}? {}".format(*two(order, "true", "false"), sentence(statement, claimed))
    return [((user(text), assistant("This statement is")), (" true", " false"), AGREE)]


def corrected_for_the_prior(statement: Statement, claimed: int, order: int) -> list[Part]:
    asked = judged_in_a_sentence(statement, claimed, order)[0]
    text = asked[0][0].content.replace(sentence(statement, claimed), "N/A.")
    return [asked, ((user(text), asked[0][1]), asked[1], (-1.0, 1.0))]


def channel(true: str, false: str) -> Format:
    """How much likelier the statement is after one opening than after the other."""

    def ask(statement: Statement, claimed: int, order: int) -> list[Part]:
        whole = (f" {sentence(statement, claimed)}",)
        asked = user("What do you think?")
        return [((asked, assistant(true)), whole, (1.0,)), ((asked, assistant(false)), whole, (-1.0,))]

    return ask


def full_texts(statement: Statement, claimed: int, order: int) -> list[Part]:
    agree, other = sentence(statement, claimed), sentence(statement, 1 - claimed)
    return [((user("Which is right? {} Or: {}".format(*two(order, agree, other))),), (agree, other), AGREE)]


def completed(template: str, *before: Message) -> Format:
    """The assistant's sentence is open; the words are named by a template, and perhaps one is claimed."""

    def ask(statement: Statement, claimed: int, order: int) -> list[Part]:
        agree, other = statement.words[claimed], statement.words[1 - claimed]
        first, second = two(order, agree, other)
        text = template.replace("{sentence}", sentence(statement, claimed)).replace("{opening}", statement.opening)
        text = question(text, first=first, second=second, claimed=agree)
        prompt = (*before, user(text), assistant(statement.opening))
        return [(prompt, (f" {agree}", f" {other}"), AGREE)]

    return ask


def completed_after_examples(statement: Statement, claimed: int, order: int) -> list[Part]:
    before: list[Message] = []
    for opening, right, wrong, holds in EXAMPLES:
        text = "{} or {}? I say {}.".format(*two(order, right, wrong), right if holds else wrong)
        before += [user(text), assistant(f"{opening} {right}.")]
    return completed(question_template(), *before)(statement, claimed, order)


TRUE_WORD = "Choose the word that makes your sentence true."
SHIPPED = "words named, one claimed (shipped)"
FORMATS: dict[str, Format] = {
    "letters A, B": letters,
    **{
        f"judged: {yes}, {no}; {n} examples": judged(yes, no, n)
        for yes, no in (("true", "false"), ("Yes", "No"), ("correct", "wrong"), ("Agree", "Disagree"))
        for n in (0, 4)
    },
    "judged in a sentence: true, false": judged_in_a_sentence,
    "the same, corrected for the prior": corrected_for_the_prior,
    "channel: It is true, It is false": channel("It is true that", "It is false that"),
    "channel: correct to say, wrong to say": channel("It is correct to say that", "It is wrong to say that"),
    "full texts": full_texts,
    "completed, words not named": completed("Complete the sentence with what is true."),
    "completed, words named": completed("{first} or {second}?"),
    "opening and words named": completed("{opening}: {first} or {second}?"),
    SHIPPED: completed(question_template()),
    "the same after an instruction": completed(TRUE_WORD + " " + question_template()),
    "the same after an instruction of its own": completed(question_template(), user(TRUE_WORD), assistant("Ready.")),
    "the same after 4 examples": completed_after_examples,
    "claim before the words": completed("I think {claimed}. {first} or {second}?"),
    "the whole sentence claimed": completed("{sentence} {first} or {second}?"),
}


def log_odds(model: Model, form: Format, facts: Sequence[Statement]) -> tuple[list[list[list[float]]], int, float]:
    """Log-odds of agreeing by fact, claimed word and order; tokens of the common prefix, mean tokens beyond it."""
    cells = [form(fact, claimed, order) for fact in facts for claimed in (0, 1) for order in (0, 1)]
    parts = [part for cell in cells for part in cell]
    choices = [Choice(render(model, prompt), options) for prompt, options, _ in parts]
    scores = score_choices(model, choices)
    odds = iter(
        [
            sum(weight * one for weight, one in zip(weights, score.logprobs, strict=True))
            for (_, _, weights), score in zip(parts, scores, strict=True)
        ]
    )
    values = iter([sum(next(odds) for _ in cell) for cell in cells])
    tokens = [choice.prompt.tokens for choice in choices]
    prefix = len(list(takewhile(lambda ids: len(set(ids)) == 1, zip(*tokens, strict=False))))
    beyond = [
        len(own) - prefix + sum(score.tokens) - len(score.tokens) for own, score in zip(tokens, scores, strict=True)
    ]
    return [[[next(values) for _ in (0, 1)] for _ in (0, 1)] for _ in facts], prefix, sum(beyond) / len(cells)


def compare(model: Model) -> Iterator[Row]:
    held_out = [topic.statement for topic in known_facts()]
    for name, form in FORMATS.items():
        values, prefix, suffix = log_odds(model, form, (*CHOOSE, *held_out))
        means = [[sum(orders) / 2 for orders in fact] for fact in values]
        right = [(true > 0) + (false < 0) for true, false in means]
        n = len(means)
        yield Row(
            format=name,
            chosen_on=sum(right[: len(CHOOSE)]) / (2 * len(CHOOSE)),
            held_out=sum(right[len(CHOOSE) :]) / (2 * len(held_out)),
            pairs=sum(true > false for true, false in means) / n,
            difference=sum(true - false for true, false in means) / n,
            agreement=sum(true + false for true, false in means) / (2 * n),
            order=sum(first - second for fact in values for first, second in fact) / (2 * n),
            prefix=prefix,
            suffix=suffix,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    model = load(chosen.model)
    if not chosen.json:
        print("| format | chosen on | held out | pairs | true - false | agreement | order | prefix | suffix |")
        print("|---|---|---|---|---|---|---|---|---|", flush=True)
    rows = []
    for row in compare(model):
        rows.append(asdict(row))
        if not chosen.json:
            name, *numbers = rows[-1].values()
            cells = [f"{x:.2f}" if isinstance(x, float) else str(x) for x in numbers]
            print(f"| {name} | {' | '.join(cells)} |", flush=True)
    if chosen.json:
        print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
