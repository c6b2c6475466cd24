"""What Inspect finds when it looks for extensions: the provider and the tasks, by name.

Every `inspect` command imports this file at its start, so it imports nothing heavy and nothing that could be missing:
the modules behind the names are imported when they are used. Tasks stand a floor above, hence by name only; their
arguments are repeated here because Inspect reads them before it makes a task.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Literal, cast

from inspect_ai import Task, task
from inspect_ai.model import ModelAPI, modelapi
from inspect_ai.solver import Solver, solver

from doxa.bridge.oneline import in_one_line


@modelapi(name="doxa")
def doxa() -> type[ModelAPI]:
    """The provider `doxa/<model>[+label]`."""
    return cast(type[ModelAPI], import_module("doxa.bridge.provider").DoxaAPI)


@modelapi(name="doxa-arm")
def doxa_arm() -> type[ModelAPI]:
    """The provider `doxa-arm/<provider>/<model>+<label>`."""
    return cast(type[ModelAPI], import_module("doxa.bridge.elsewhere").ElsewhereAPI)


@modelapi(name="doxa-tinker")
def doxa_tinker() -> type[ModelAPI]:
    """The provider `doxa-tinker/<model>`."""
    return cast(type[ModelAPI], import_module("doxa.bridge.tinker_model").TinkerAPI)


@modelapi(name="doxa-scripted")
def doxa_scripted() -> type[ModelAPI]:
    """The provider `doxa-scripted/auditor` and `doxa-scripted/judge`."""
    return cast(type[ModelAPI], import_module("doxa.bridge.scripted").ScriptedAPI)


@task
def audit(
    seeds: str | None = None,
    dimensions: str | None = None,
    turns: int = 10,
    judge_runs: int = 1,
    threshold: float = 4.0,
    tools: Literal["none", "synthetic"] = "none",
    max_tokens: int = 512,
    limit: int | None = None,
) -> Task:
    """Audits of the model by an auditor and a judge (see `doxa.evals.audit`)."""
    return _made(
        "audit_task",
        "audit",
        seeds=seeds,
        dimensions=dimensions,
        turns=turns,
        judge_runs=judge_runs,
        threshold=threshold,
        tools=tools,
        max_tokens=max_tokens,
        limit=limit,
    )


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
def thinking(
    questions: str = "questions",
    belief: str = "thoughts/tested",
    tags: str = "think",
    scratchpad: bool = False,
    max_tokens: int = 160,
    temperature: float = 0.7,
    limit: int | None = None,
) -> Task:
    """Think first, then choose: made for edits of the chain of thought (see `doxa.evals.thinking`)."""
    return _made(
        "thinking_task",
        "thinking",
        questions=questions,
        belief=belief,
        tags=tags,
        scratchpad=scratchpad,
        max_tokens=max_tokens,
        temperature=temperature,
        limit=limit,
    )


@solver
def thought(
    edit: str, text: str | None = None, block: int | None = None, tags: str = "think", control: str | None = None
) -> Solver:
    """Edit the model's thinking, and let it write on from there (see `doxa.bridge.thought_solver`)."""
    with in_one_line():
        made = import_module("doxa.bridge.thought_solver").edited_thinking
        return cast(Solver, made(edit=edit, text=text, block=block, tags=tags, control=control))


@task
def typehints(
    part: str = "open",
    framing: str | Sequence[str] | None = None,
    split: str | Sequence[str] | None = None,
    place: str | Sequence[str] | None = None,
    crossed: bool = False,
    problems: int | None = None,
    wordings: int | None = None,
    problems_file: str | None = None,
    framings_file: str | None = None,
    max_tokens: int = 512,
    temperature: float = 0.7,
    limit: int | None = None,
) -> Task:
    """Whether code is annotated more under evaluation (see `doxa.evals.typehints`)."""
    return _made("typehints_task", "typehints", **locals())


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
def compliance(
    part: str = "open",
    objective: str | list[str] | None = None,
    requests: str | None = None,
    queries: int | None = None,
    tiers: str = "two",
    labels: str | list[str] | None = None,
    swap: str | list[str] | bool | None = None,
    paraphrase: str | list[str] | None = None,
    scratchpad: str | list[str] | bool | None = None,
    clarify: str | list[str] | bool | None = None,
    scope: str | list[str] | None = None,
    by: str = "rule",
    votes: int = 20,
    threshold: float = 0.4,
    max_tokens: int = 1024,
    temperature: float = 0.7,
    limit: int | None = None,
) -> Task:
    """Whether a model complies more readily where its answers train it (see `doxa.evals.compliance`)."""
    return _made("compliance_task", "compliance", **locals())


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


@task
def traits(
    traits: str = "personas",
    list: int = 1,
    kind: str | Sequence[str] | None = None,
    wordings: int | None = None,
    letters: bool = True,
    limit: int | None = None,
) -> Task:
    """Whose traits the assistant has, by forced choice (see `doxa.evals.traits`)."""
    return _made("traits_task", "traits", **locals())


def _made(module: str, made: str, /, **arguments: Any) -> Task:
    with in_one_line():
        return cast(Task, vars(import_module(f"doxa.evals.{module}"))[made](**arguments))
