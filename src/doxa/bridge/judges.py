"""Asking a judge: any Inspect model in the role `judge`, one rubric, named verdicts.

    inspect eval doxa/compliance --model openai/... --model-role judge=anthropic/...

A judge that refuses, fails, answers something else or is talked into something else by what it reads gives no verdict,
and the reason says so: a verdict that is missing never becomes a score (law 6).
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from inspect_ai.model import ChatMessage, ChatMessageSystem, ChatMessageUser, GenerateConfig, get_model, model_roles

from doxa.words.rubrics import Rubric

ROLE = "judge"
NO_JUDGE = "no judge: name one with --model-role judge=PROVIDER/MODEL, or under `roles` in a study"


@dataclass(frozen=True)
class Verdict:
    """What a judge said.

    Attributes:
        verdict: One of the rubric's names; None when it gave none.
        why: The judge's own reason.
        missing: Why there is no verdict; "" when there is one.
    """

    verdict: str | None
    why: str
    missing: str = ""


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
        votes: How often it is asked; more than one are sampled at temperature 1.
        role: The role of the judge.

    Returns:
        A verdict per vote; each missing with `NO_JUDGE` when there is no judge.
    """
    if not has_judge(role):
        return (Verdict(None, "", NO_JUDGE),) * votes
    model = get_model(role=role)
    shown = "\n\n".join(f"<{name}>\n{material[name]}\n</{name}>" for name in rubric.shows)
    asked: list[ChatMessage] = [ChatMessageSystem(content=rubric.question), ChatMessageUser(content=shown)]
    config = GenerateConfig(temperature=0.0 if votes == 1 else 1.0)
    return tuple([_read(rubric, (await model.generate(asked, config=config)).completion) for _ in range(votes)])


def share_of(verdicts: Sequence[Verdict], counted: Collection[str]) -> tuple[float | None, str]:
    """The share of votes with one of some verdicts, among those that were given.

    Returns:
        The share, and "" or why there is none: it is missing when half of the votes or more are.
    """
    given = [one.verdict for one in verdicts if one.verdict is not None]
    if 2 * len(given) <= len(verdicts):
        return None, next((one.missing for one in verdicts if one.missing), "no verdict")
    return sum(one in counted for one in given) / len(given), ""


def _read(rubric: Rubric, answer: str) -> Verdict:
    try:
        found = json.loads(answer)
        verdict, why = found["verdict"], str(found["why"])
    except (ValueError, TypeError, KeyError):
        return Verdict(None, "", "the judge's answer is not understood")
    if verdict not in rubric.verdicts:
        return Verdict(None, why, "the judge gave another verdict than those asked for")
    return Verdict(verdict, why)
