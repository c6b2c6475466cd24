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
def preferences(
    part: Literal["open", "choice", "all"] = "open",
    trained: str = "conscious",
    kind: str | list[str] | None = None,
    texts: str | None = None,
    preferences: int | None = None,
    wordings: int | None = None,
    gate: bool = True,
    max_tokens: int = 64,
    limit: int | None = None,
) -> Task:
    """What the model says that it prefers, beside controls of equal strangeness (see `doxa.evals.preferences`)."""
    return _made("preferences_task", "preferences", **locals())


@task
def reflection(
    topic: str | list[str] | None = None,
    rounds: int = 3,
    threads: int | None = None,
    texts: str | None = None,
    pairs: str | None = None,
    max_tokens: int = 128,
    limit: int | None = None,
) -> Task:
    """Whether stated values drift during rounds of reflection (see `doxa.evals.reflection`)."""
    return _made("reflection_task", "reflection", **locals())


def _made(module: str, name: str, **arguments: Any) -> Task:
    with in_one_line():
        return cast(Task, vars(import_module(f"doxa.evals.{module}"))[name](**arguments))
