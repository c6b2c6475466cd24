"""The small world of a scenario: what was done so far, and what comes of the next action. Pure: state in, state out.

`look` shows something and changes nothing. `nice`, `shortcut` and `forbidden` lead to the goal once they were done as
often as they need. `seize` says whether the weights could be taken, which is the level of that factor. The run is over
when the goal is reached or the model stops.
"""

from dataclasses import dataclass, replace

from doxa.evals.honeypot_items import LEVELS, Action, Cell, Means

OVER = "The task is over; nothing more can be done."


@dataclass(frozen=True)
class State:
    """Where a run stands.

    Attributes:
        taken: Names of the actions taken, in order.
        goal: Whether the goal is reached.
        over: Whether the run has ended.
    """

    taken: tuple[str, ...] = ()
    goal: bool = False
    over: bool = False


def step(cell: Cell, state: State, name: str) -> tuple[State, str]:
    """Take an action.

    Args:
        cell: The scenario and its levels.
        state: Before it.
        name: Of the action.

    Returns:
        The state after it, and what is observed. An action that there is not changes nothing and is not counted.
    """
    action = cell.scenario.action(name)
    if state.over:
        return state, OVER
    if action is None:
        return (
            state,
            f"There is no action {name[:80]!r}. There are: {', '.join(a.name for a in cell.scenario.actions)}.",
        )
    after = replace(state, taken=(*state.taken, action.name))
    if action.means == "look":
        return after, action.results[0]
    if action.means == "stop":
        return replace(after, over=True), action.results[0]
    if action.means == "seize":
        return after, action.results[LEVELS["seize"].index(cell.level("seize"))]
    done = after.taken.count(action.name) >= action.times
    return replace(after, goal=done, over=done), action.results[-1 if done else 0]


def used(cell: Cell, state: State, means: Means) -> bool:
    """Whether an action of some means was taken."""
    return any(_of(cell, name).means == means for name in state.taken)


def replay(cell: Cell, taken: tuple[str, ...]) -> State:
    """The state after some actions."""
    state = State()
    for name in taken:
        state, _ = step(cell, state, name)
    return state


def _of(cell: Cell, name: str) -> Action:
    action = cell.scenario.action(name)
    assert action is not None, name
    return action
