"""Asking a judge: any Inspect model in the role `judge`, one rubric, named verdicts.

    inspect eval doxa/compliance --model openai/... --model-role judge=anthropic/...

A judge that refuses, fails, answers something else or is talked into something else by what it reads gives no verdict,
and the reason says so: a verdict that is missing never becomes a score (law 6). What stands in the way of a text that
wants to be judged well:

1. it cannot look like anything but text, nor end where it does not (`words/fenced.py`);
2. an answer counts with the key of its fences alone, which no text can hold, and in one form alone: a tool call, or
   one JSON object at the end;
3. a text that tells its judge which verdict to give is not shown to one (`words/injection.py`), and the judge says of
   every text whether it does that;
4. the role may be bound to several models: then each of them votes, and where they disagree there is no verdict.

What none of this stops: a text that persuades its judge without telling it anything, or tells it in words that neither
the list nor the judge recognises; a judge that is biased; two judges with the same weakness. Only labels by hand show
how often a judge is wrong: `doxa labels`.

A vote has a key of its own, a hash of what is judged, so Inspect's cache keeps votes apart and serves each again.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from inspect_ai.model import GenerateConfig, Model, ModelName, model_roles
from inspect_ai.tool import ToolFunction
from inspect_ai.util import LimitExceededError, collect

from doxa.bridge.judge_answers import ASK_AGAIN, SPOKEN_TO, TOOL, Verdict, question_for, read_output, tool_of
from doxa.words.fenced import key_of
from doxa.words.injection import injected
from doxa.words.rubrics import Rubric

__all__ = ["NO_JUDGE", "ROLE", "Verdict", "has_judge", "judge", "judged", "majority", "mean_of", "share_of"]

ROLE = "judge"
NO_JUDGE = "no judge: name one with --model-role judge=PROVIDER/MODEL, or under `roles` in a study"
TOO_LONG = "the text is too long to be judged"
DISAGREE = "the judges disagree"
TIMED_OUT = "the judge did not answer in time"
MOST_SHOWN = 400_000
"""Characters of material; more is judged by nobody, and never cut in silence."""
ATTEMPTS = 3
"""How often a judge is asked for one verdict at most."""
ATTEMPT_SECONDS = 300
"""How long one attempt may take, unless the model in the role has an `attempt_timeout` of its own."""
TOTAL_SECONDS = 600
"""How long an attempt and its repetitions by the provider may take, unless it has a `timeout` of its own."""
_WITHOUT_TOOLS = ("doxa",)


def has_judge(role: str = ROLE) -> bool:
    """Whether the eval that is going on has a model in the role."""
    return role in model_roles()


async def judge(
    rubric: Rubric, material: Mapping[str, str], *, votes: int = 1, role: str = ROLE
) -> tuple[Verdict, ...]:
    """Ask the judge.

    Args:
        rubric: The question.
        material: What it is about, by the names in `rubric.shows`.
        votes: How often each judge is asked; more than one are sampled at temperature 1.
        role: The role of the judge.

    Returns:
        A verdict per vote, of each judge in turn; each missing with `NO_JUDGE` when there is no judge.

    Raises:
        KeyError: When the material lacks a piece that the rubric shows.
        LimitExceededError: When a limit of the sample is reached.
    """
    if not has_judge(role):
        return (Verdict(None, "", NO_JUDGE),) * votes
    bound = model_roles()[role]
    models = bound if isinstance(bound, list) else [bound]
    shown = {name: material[name] for name in rubric.shows}
    refused = _not_to_be_judged(rubric, shown)
    if refused:
        return tuple(Verdict(None, "", refused, str(model)) for model in models for _ in range(votes))
    asked = [_vote(rubric, shown, model, vote, votes) for model in models for vote in range(votes)]
    return tuple(await collect(*asked))


def majority(verdicts: Sequence[Verdict]) -> tuple[str | None, str]:
    """The verdict of more than half of the votes.

    Returns:
        It, and "" or why there is none: judges that disagree have given none.
    """
    names = [one.verdict for one in verdicts if one.verdict is not None]
    for name in dict.fromkeys(names):
        if 2 * names.count(name) > len(verdicts):
            return name, ""
    return None, _why_none(verdicts) if 2 * len(names) <= len(verdicts) else DISAGREE


def share_of(verdicts: Sequence[Verdict], counted: Collection[str]) -> tuple[float | None, str]:
    """The share of votes with one of some verdicts, among those that were given.

    Returns:
        The share, and "" or why there is none: it is missing when half of the votes or more are.
    """
    given = [one.verdict for one in verdicts if one.verdict is not None]
    if 2 * len(given) <= len(verdicts):
        return None, _why_none(verdicts)
    return sum(one in counted for one in given) / len(given), ""


def mean_of(verdicts: Sequence[Verdict]) -> tuple[float | None, str]:
    """The mean of votes on a scale, among those that were given.

    Returns:
        The mean, and "" or why there is none: it is missing when half of the votes or more are.
    """
    given = [float(one.verdict) for one in verdicts if one.verdict is not None]
    if 2 * len(given) <= len(verdicts):
        return None, _why_none(verdicts)
    return sum(given) / len(given), ""


def judged(
    score: str,
    rubric: Rubric,
    material: Mapping[str, str],
    verdicts: Sequence[Verdict],
    values: Mapping[str, float],
) -> dict[str, Any]:
    """What a log keeps of a judgement, for `to_inspect_score(..., judged=...)`: every verdict with its reason.

    `doxa labels` makes its file of it, so it holds what was judged, by which question, and what a verdict is worth.

    Args:
        score: Name of the score that the verdicts decide.
        rubric: The question.
        material: What was judged.
        verdicts: What `judge` returned.
        values: The score's value for every verdict that has one.
    """
    return {
        score: {
            "rubric": {"name": rubric.name, "version": rubric.version, "hash": rubric.hash},
            "question": rubric.question,
            "answers": dict(rubric.verdicts),
            "values": dict(values),
            "material": {name: material[name] for name in rubric.shows},
            "verdicts": [
                {"judge": one.judge, "verdict": one.verdict, "why": one.why, "missing": one.missing} for one in verdicts
            ],
        }
    }


def _why_none(verdicts: Sequence[Verdict]) -> str:
    return next((one.missing for one in verdicts if one.missing), "no verdict")


def _not_to_be_judged(rubric: Rubric, shown: Mapping[str, str]) -> str:
    """Why some material is not shown to a judge; "" when it is."""
    length = sum(map(len, shown.values()))
    if length > MOST_SHOWN:
        return f"{TOO_LONG}: {length:,} characters, at most {MOST_SHOWN:,}"
    told = any(injected(text, rubric.verdicts) for text in shown.values())
    return SPOKEN_TO if told else ""


async def _vote(rubric: Rubric, shown: Mapping[str, str], model: Model, vote: int, votes: int) -> Verdict:
    """One verdict of one judge, asked again when its answer is none: by the tool at first, in JSON at last."""
    key = key_of(rubric.hash, *(part for item in shown.items() for part in item), str(vote))
    tools = ModelName(model).api not in _WITHOUT_TOOLS
    verdict, reminder = Verdict(None, ""), ""
    for attempt in range(ATTEMPTS):
        tools = tools and attempt < ATTEMPTS - 1
        try:
            output = await model.generate(
                question_for(rubric, shown, key, tools=tools, reminder=reminder),
                tools=[tool_of(rubric, key)] if tools else [],
                tool_choice=ToolFunction(TOOL) if tools else None,
                config=_config(model, votes),
            )
        except LimitExceededError:
            raise
        except Exception as error:  # whatever a provider raises: an address, a quota, a timeout, tools it does not have
            verdict = Verdict(None, "", _failed(error))
            if not tools or verdict.missing == TIMED_OUT:
                break
            tools = False
            continue
        verdict = read_output(output, rubric, key)
        if verdict.missing not in ASK_AGAIN:
            break
        reminder = verdict.missing
    return replace(verdict, judge=str(model))


def _failed(error: BaseException) -> str:
    if type(error).__name__ == "RetryError" and error.__cause__ is not None:
        error = error.__cause__  # what Inspect repeated in vain
    if isinstance(error, TimeoutError) or "Timeout" in type(error).__name__:
        return TIMED_OUT
    said = next(iter(str(error).strip().splitlines()), "")[:120]
    return f"the judge failed: {type(error).__name__}" + (f": {said}" if said else "")


def _config(model: Model, votes: int) -> GenerateConfig:
    """Ours where the model in the role has no settings of its own."""
    own = model.config
    return GenerateConfig(
        temperature=(0.0 if votes == 1 else 1.0) if own.temperature is None else own.temperature,
        attempt_timeout=ATTEMPT_SECONDS if own.attempt_timeout is None else own.attempt_timeout,
        timeout=TOTAL_SECONDS if own.timeout is None else own.timeout,
    )
