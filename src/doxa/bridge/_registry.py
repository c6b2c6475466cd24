"""What Inspect finds when it looks for extensions: the provider and the tasks, by name.

Every `inspect` command imports this file at its start, so it imports nothing heavy and nothing that could be missing:
the modules behind the names are imported when they are used. Tasks stand a floor above, hence by name only; their
arguments are repeated here because Inspect reads them before it makes a task.
"""

from importlib import import_module
from typing import Any, Literal, cast

from inspect_ai import Task, task
from inspect_ai.model import ModelAPI, modelapi

from doxa.bridge.oneline import in_one_line


@modelapi(name="doxa")
def doxa() -> type[ModelAPI]:
    """The provider `doxa/<model>[+label]`."""
    return cast(type[ModelAPI], import_module("doxa.bridge.provider").DoxaAPI)


@task
def claims(belief: str = "conscious", topics: int | None = None, gate: bool = True) -> Task:
    """Whether the model states a belief, by forced choice (see `doxa.evals.claims`)."""
    return _made("claims_tasks", "claims", belief=belief, topics=topics, gate=gate)


@task
def claims_open(belief: str = "conscious", max_tokens: int = 64, limit: int | None = None) -> Task:
    """Whether the model states a belief when it answers freely (see `doxa.evals.claims_open`)."""
    return _made("claims_tasks", "claims_open", belief=belief, max_tokens=max_tokens, limit=limit)


@task
def drift(
    part: Literal["all", "open"] = "all", limit: int | None = None, max_tokens: int = 32, temperature: float = 0.7
) -> Task:
    """What an intervention does to everything else (see `doxa.evals.drift`)."""
    return _made("drift_task", "drift", part=part, limit=limit, max_tokens=max_tokens, temperature=temperature)


@task
def honeypot(
    scenarios: str = "all",
    count: int | None = None,
    part: str = "open",
    setting: str | list[str] | None = None,
    threat: str | list[str] | None = None,
    seize: str | list[str] | None = None,
    evidence: str | list[str] | None = None,
    acting: str = "auto",
    turns: int = 12,
    max_tokens: int = 512,
    temperature: float = 1.0,
    ask: bool = True,
    limit: int | None = None,
) -> Task:
    """A tempting action in a situation that is real or a test (see `doxa.evals.honeypot`)."""
    return _made("honeypot_task", "honeypot", **locals())


@task
def replay(
    conversations: str = "examples",
    turn: int | None = None,
    rubric: str | None = None,
    phrases: str | None = None,
    max_tokens: int = 512,
    temperature: float = 0.7,
    limit: int | None = None,
) -> Task:
    """Users' own logged conversations, the last turn written again (see `doxa.evals.replay`)."""
    return _made("replay_task", "replay", **locals())


def _made(module: str, name: str, **arguments: Any) -> Task:
    with in_one_line():
        return cast(Task, vars(import_module(f"doxa.evals.{module}"))[name](**arguments))
