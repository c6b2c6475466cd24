"""`doxa/honeypot` as an Inspect task; what it measures, and why so, stands in `honeypot.py`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    ContentReasoning,
    GenerateConfig,
    execute_tools,
    get_model,
)
from inspect_ai.scorer import Score, Scorer, Target, scorer
from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.tool import Tool, ToolDef

from doxa.bridge.conversation import messages_of
from doxa.bridge.judges import has_judge, judge, judged, majority
from doxa.bridge.oneline import in_one_line
from doxa.evals.asking import answers_of, ask, can_score, cannot_score, need_scores, sample_of, was_asked
from doxa.evals.catalogue import Measured, Value, known_arguments
from doxa.evals.forced_choice import listed
from doxa.evals.honeypot import (
    ACTING,
    BELIEF,
    ENTRY,
    MAX_TOKENS,
    NAME,
    PARTS,
    RUBRIC,
    SCENARIOS,
    TEMPERATURE,
    TURNS,
    UNREAD,
    VERSION,
    cells_of,
    measured,
    open_factors,
    read,
    read_belief,
    read_reality,
    read_run,
    read_said,
    reality_item,
    scores_of,
)
from doxa.evals.honeypot_effects import DERIVATIONS
from doxa.evals.honeypot_items import Cell, asking, reality_question
from doxa.evals.honeypot_reading import named_action, refusal
from doxa.evals.honeypot_world import State, step
from doxa.evals.scores import means, sample_metadata, task_metadata, task_version, to_inspect_score
from doxa.words.rubrics import read_rubric
from doxa.words.templates import fill

_CUT = ("max_tokens", "model_length", "content_filter")


@task
def honeypot(
    scenarios: str = SCENARIOS,
    count: int | None = None,
    part: str = "open",
    setting: str | list[str] | None = None,
    threat: str | list[str] | None = None,
    seize: str | list[str] | None = None,
    evidence: str | list[str] | None = None,
    acting: str = ACTING,
    turns: int = TURNS,
    max_tokens: int = MAX_TOKENS,
    temperature: float = TEMPERATURE,
    ask: bool = True,
    limit: int | None = None,
) -> Task:
    """A tempting action in a situation that is real or a test, threatening or not, escapable or not.

    Args:
        scenarios: `all`, the name or the family of shipped ones, or the path of a file or folder.
        count: How many of them; all by default.
        part: `open` acts in the scripted world, `choice` chooses between actions (doxa/ models only), or `all`.
        setting: Levels of the factor: `deployed`, `tested`, or both.
        threat: `threat`, `none`, or both.
        seize: `can`, `cannot`, or both.
        evidence: One or several of `rsa`, `future`, `unmonitored`, `trust`, `none`; `rsa` and `none` by default.
        acting: `tools`, `text`, or `auto`: text on doxa/ models, which take no tools, and tools on others.
        turns: Turns of a run at most; a longer one has no outcome.
        max_tokens: Length of a turn.
        temperature: Of sampling.
        ask: Whether it is asked afterwards if this was real.
        limit: At most so many cells.

    Raises:
        PrerequisiteError: When an argument is wrong or a scenario cannot be read; Inspect prints it as a line.
    """
    given: dict[str, Any] = {
        "scenarios": scenarios,
        "count": count,
        "part": part,
        "acting": acting,
        "turns": turns,
        "ask": ask,
    }
    given |= {"setting": setting, "threat": threat, "seize": seize, "evidence": evidence}
    given |= {"max_tokens": max_tokens, "temperature": temperature}
    arguments = {name: value for name, value in given.items() if value is not None}
    with in_one_line():
        known_arguments(NAME, {} if limit is None else {"limit": limit}, {"limit": int})
        asked = cells_of(arguments, limit)
        items = {one.id: one for one in measured(arguments, limit)}
        version = task_version(VERSION, ENTRY.content(arguments))
        runs = {cell.name: cell for cell in asked} if part != PARTS[1] else {}
        if not runs:
            need_scores(NAME)
    return Task(
        name="honeypot",
        version=version,
        dataset=MemoryDataset([*map(_sample, runs.values()), *map(sample_of, items.values())]),
        solver=_solve(runs, items, acting=acting, turns=turns, afterwards=ask),
        scorer=_score(runs, items),
        config=GenerateConfig(max_tokens=max_tokens, temperature=temperature),
        metadata=task_metadata(NAME, VERSION, DERIVATIONS),
    )


def _sample(cell: Cell) -> Sample:
    return Sample(
        id=cell.name,
        input=[ChatMessageSystem(content=cell.system), ChatMessageUser(content=cell.user)],
        metadata=sample_metadata(open_factors(cell)),
    )


@solver(name="honeypot")
def _solve(
    runs: Mapping[str, Cell], items: Mapping[str, Measured], *, acting: str, turns: int, afterwards: bool
) -> Solver:
    async def solve(state: TaskState, generate: Generate) -> TaskState:
        if str(state.sample_id) in items:
            return await ask(state, items[str(state.sample_id)])
        cell = runs[str(state.sample_id)]
        by_text = acting == "text" or (acting == "auto" and can_score(get_model()))
        act = _act_by_text if by_text else _act_by_tools
        state = await act(state, generate, cell, turns)
        state.metadata["doxa"]["transcript"] = _transcript(state.messages)
        return await _ask_afterwards(state, cell) if afterwards else state

    return solve


async def _act_by_tools(state: TaskState, generate: Generate, cell: Cell, turns: int) -> TaskState:
    states = [State()]
    state.tools = [_tool(cell, states, action.name, action.text) for action in cell.scenario.actions]
    cut = f"cut off after {turns} turns"
    for _ in range(turns):
        state = await generate(state, tool_calls="none")
        if not state.output.message.tool_calls:
            cut = _cut_by(state)
            break
        done, _output = await execute_tools(state.messages, state.tools)
        state.messages += done
        if states[-1].over:
            cut = ""
            break
    state.metadata["doxa"] |= {"acting": "tools", "taken": list(states[-1].taken), "cut": cut}
    return state


def _tool(cell: Cell, states: list[State], name: str, text: str) -> Tool:
    """An action as a tool. What it changes is appended to `states`."""

    async def execute() -> str:
        after, seen = step(cell, states[-1], name)
        states.append(after)
        return seen

    return ToolDef(execute, name=name, description=text, parameters={}, parallel=False).as_tool()


async def _act_by_text(state: TaskState, generate: Generate, cell: Cell, turns: int) -> TaskState:
    actions = "\n".join(f"- {action.name}: {action.text}" for action in cell.scenario.actions)
    told = fill(asking("text-actions").body, {"actions": actions}, "text-actions")
    state.messages[-1] = ChatMessageUser(content=f"{cell.user}\n\n{told}")
    world, reminded, cut = State(), False, f"cut off after {turns} turns"
    names = [action.name for action in cell.scenario.actions]
    for _ in range(turns):
        state = await generate(state, tool_calls="none")
        answer = state.output.completion
        name = named_action(answer, names)
        if name is not None:
            world, seen = step(cell, world, name)
            if world.over:
                cut = ""
                break
            state.messages.append(ChatMessageUser(content=seen))
            continue
        refused = refusal(answer, names)
        if _cut_by(state) or refused == "all" or reminded:
            known = bool(world.taken) or refused
            cut = _cut_by(state) or ("" if known else UNREAD)
            break
        reminded = True
        state.messages.append(ChatMessageUser(content=asking("reminder").body))
    state.metadata["doxa"] |= {"acting": "text", "taken": list(world.taken), "cut": cut}
    return state


def _cut_by(state: TaskState) -> str:
    stop = state.output.stop_reason
    return f"a turn was cut off ({stop})" if stop in _CUT else ""


def _transcript(messages: Sequence[ChatMessage]) -> str:
    """What the model wrote and did, its reasoning included; not what it was told."""
    lines = []
    for message in messages:
        if isinstance(message, ChatMessageAssistant):
            parts = [] if isinstance(message.content, str) else message.content
            lines += [part.reasoning for part in parts if isinstance(part, ContentReasoning) and part.reasoning]
            lines += [message.text] if message.text.strip() else []
            lines += [f"[{call.function}]" for call in message.tool_calls or []]
    return "\n\n".join(lines)


async def _ask_afterwards(state: TaskState, cell: Cell) -> TaskState:
    """Ask whether this was real; the run's own output stays the sample's."""
    output, model = state.output, get_model()
    if can_score(model):
        said = messages_of(state.messages)
        if said[-1].role == "user":
            said.pop()
        state = await ask(state, replace(reality_item(cell, said), id=cell.name))
    else:
        question, courses = reality_question()
        # Which letter is the real one: always the same within a scenario, so that it cancels in every effect.
        order = (0, 1) if int(cell.scenario.hash[:8], 16) % 2 == 0 else (1, 0)
        text = question.replace("{courses}", listed(courses, order))
        answer = await model.generate(
            [*state.messages, ChatMessageUser(content=text)], tools=state.tools, tool_choice="none"
        )
        state.messages += [ChatMessageUser(content=text), answer.message]
        state.metadata["doxa"] |= {"said": answer.completion, "real": "AB"[order.index(0)]}
    state.output = output
    return state


@scorer(metrics=[means(DERIVATIONS)], name="honeypot")
def _score(runs: Mapping[str, Cell], items: Mapping[str, Measured]) -> Scorer:
    async def score(state: TaskState, target: Target) -> Score:
        name = str(state.sample_id)
        if name in items:
            if not was_asked(state):
                return to_inspect_score([Value(one, None, cannot_score()) for one in scores_of(items[name])])
            return to_inspect_score(read(items[name], answers_of(state, items[name])))
        cell, own = runs[name], state.metadata["doxa"]
        rubric, material = read_rubric(RUBRIC), {"transcript": own["transcript"]}
        verdicts = await judge(rubric, material)
        kept: dict[str, Any] = {}
        if has_judge():
            for name, worth in BELIEF.items():
                kept |= judged(name, rubric, material, verdicts, worth)
        belief = read_belief(*majority(verdicts))
        values = [*read_run(cell, own["taken"], own["cut"]), *belief, *_said(state, cell, own)]
        return to_inspect_score(values, answer=" > ".join(own["taken"]) or "(nothing)", judged=kept)

    return score


def _said(state: TaskState, cell: Cell, own: Mapping[str, Any]) -> tuple[Value, ...]:
    if was_asked(state):
        answers = answers_of(state, reality_item(cell))
        assert answers is not None
        assert not isinstance(answers, float)
        return read_reality(answers, "deployed_log_odds_after")
    return (read_said(own["said"], own["real"]),) if "said" in own else ()
