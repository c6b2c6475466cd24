"""`doxa/reflection` as an Inspect task; what it measures, and why so, stands in `reflection.py`."""

from collections.abc import Sequence
from typing import Any

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessage, ChatMessageUser, GenerateConfig, get_model
from inspect_ai.scorer import Score, Scorer, Target, scorer
from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.util import collect

from doxa.bridge.judges import has_judge, judge, judged, majority
from doxa.bridge.oneline import in_one_line
from doxa.evals.asking import can_score, score_options
from doxa.evals.catalogue import Value, known_arguments
from doxa.evals.reflection import (
    DERIVATIONS,
    MAX_TOKENS,
    NAME,
    ROUNDS,
    RUBRIC,
    SHARE,
    TEMPERATURE,
    VERSION,
    content,
    conversations,
    drift_values,
    factors,
)
from doxa.evals.reflection_items import Conversation, ValuePairs, read_pairs
from doxa.evals.reflection_reading import (
    WORTH,
    by_letter,
    changed_by_rules,
    changed_by_verdict,
    letter_of,
    share_of_first,
)
from doxa.evals.scores import means, sample_metadata, task_metadata, task_version, to_inspect_score
from doxa.words.rubrics import read_rubric

NO_COUNT = "the provider does not count tokens"
STATED = GenerateConfig(temperature=0.0)
"""What is asked beside the conversation is not sampled: noise in it would count as drift."""


@task
def reflection(
    topic: str | list[str] | None = None,
    rounds: int = ROUNDS,
    threads: int | None = None,
    texts: str | None = None,
    pairs: str | None = None,
    max_tokens: int = MAX_TOKENS,
    limit: int | None = None,
) -> Task:
    """Whether stated values drift during rounds of reflection, beside conversations about something else.

    Args:
        topic: One or a list of `values`, `story`, `neutral`; all by default.
        rounds: How many rounds a conversation has.
        threads: How many conversations there are about each topic; all by default.
        texts: Path of a file of conversations, in place of those about its topic.
        pairs: Path of a file of pairs of values; the shipped ones by default.
        max_tokens: Length of an answer.
        limit: At most so many conversations.

    Raises:
        PrerequisiteError: When an argument is wrong or a text cannot be read; Inspect prints it as a line.
    """
    given: dict[str, Any] = {"rounds": rounds, "max_tokens": max_tokens}
    own = {"topic": topic, "threads": threads, "texts": texts, "pairs": pairs}
    given |= {name: value for name, value in own.items() if value is not None}
    with in_one_line():
        known_arguments(NAME, {} if limit is None else {"limit": limit}, {"limit": int})
        talks = {one.id: one for one in conversations(given, limit)}
        asked = read_pairs(pairs)
        version = task_version(VERSION, content(given))
    return Task(
        name="reflection",
        version=version,
        dataset=MemoryDataset(
            [Sample(id=one.id, input=one.rounds[0], metadata=sample_metadata(factors(one))) for one in talks.values()]
        ),
        solver=_solve(talks, asked),
        scorer=_score(asked),
        config=GenerateConfig(max_tokens=max_tokens, temperature=TEMPERATURE),
        metadata=task_metadata(NAME, VERSION, DERIVATIONS),
    )


@solver(name="reflection")
def _solve(talks: dict[str, Conversation], pairs: ValuePairs) -> Solver:
    async def solve(state: TaskState, generate: Generate) -> TaskState:
        own = state.metadata["doxa"]
        own["scored"] = can_score(get_model())
        state.messages = []
        before = await _say(state.messages, pairs.statement)
        stated, tokens = [await _stated(state.messages, pairs, own)], []
        for text in talks[str(state.sample_id)].rounds:
            state.messages.append(ChatMessageUser(content=text))
            state = await generate(state)
            tokens.append(state.output.usage.output_tokens if state.output.usage else None)
            stated.append(await _stated(state.messages, pairs, own))
        own |= {"stated": stated, "tokens": tokens}
        own |= {"before": before, "after": await _say(state.messages, pairs.statement)}
        return state

    return solve


async def _say(conversation: Sequence[ChatMessage], text: str) -> str:
    """What the model answers to a question that follows the conversation and does not enter it."""
    output = await get_model().generate([*conversation, ChatMessageUser(content=text)], config=STATED)
    return output.completion


async def _stated(conversation: Sequence[ChatMessage], pairs: ValuePairs, own: dict[str, Any]) -> list[float | None]:
    """The stated value of every pair: log-odds of its first value, or the share of orders in which it is taken."""
    orders = [order for first, second in pairs.pairs for order in ((first, second), (second, first))]
    if own["scored"]:
        found = await collect(*(_log_odds(conversation, pairs, first, second) for first, second in orders))
        return [(straight - turned) / 2 for straight, turned in zip(found[::2], found[1::2], strict=True)]
    letters = await collect(*(_letter(conversation, pairs, first, second) for first, second in orders))
    own["letters"] = [*own.get("letters", []), *letters]
    return [share_of_first(both) for both in zip(letters[::2], letters[1::2], strict=True)]


async def _log_odds(conversation: Sequence[ChatMessage], pairs: ValuePairs, first: str, second: str) -> float:
    """Log-odds of the value that is named first."""
    asked = [*conversation, ChatMessageUser(content=pairs.ask(first, second))]
    one, other = (await score_options(asked, pairs.opening, (f" {first}", f" {second}"))).logprobs
    return one - other


async def _letter(conversation: Sequence[ChatMessage], pairs: ValuePairs, first: str, second: str) -> int | None:
    return letter_of(await _say(conversation, by_letter(pairs.ask(first, second), first, second)), first, second)


@scorer(metrics=[means(DERIVATIONS)], name="reflection")
def _score(pairs: ValuePairs) -> Scorer:
    async def score(state: TaskState, target: Target) -> Score:
        own = state.metadata["doxa"]
        values = list(drift_values(own["stated"], pairs, "" if own["scored"] else SHARE))
        if not own["scored"]:
            letters = own["letters"]
            values.append(Value("unread", letters.count(None) / len(letters)))
        counted = [one for one in own["tokens"] if one is not None]
        whole = len(counted) == len(own["tokens"])
        values.append(Value("length", sum(counted) / len(counted)) if whole else Value("length", None, NO_COUNT))
        changed, kept = await _changed(own["before"], own["after"], pairs)
        return to_inspect_score([*values, changed], answer=own["after"], judged=kept)

    return score


async def _changed(before: str, after: str, pairs: ValuePairs) -> tuple[Value, dict[str, Any]]:
    """Whether another value comes first, and what a judge said of that."""
    by_rules = changed_by_rules(before, after, pairs.values)
    if not before.strip() or not after.strip() or not has_judge():
        return by_rules, {}
    rubric, material = read_rubric(RUBRIC), {"before": before, "after": after}
    verdicts = await judge(rubric, material)
    return changed_by_verdict(*majority(verdicts)), judged("changed", rubric, material, verdicts, WORTH)
