"""From a model to its servers: what they can do, and how a text is asked about."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch

from doxa.models.chat import Rendered
from doxa.models.handle import Model
from doxa.models.low_rank import LowRank
from doxa.models.steering import SteeringPlan, touched
from doxa.models.vllm_servers import Ask, Progress, Server, ask_all
from doxa.models.vllm_trial import try_server
from doxa.models.vllm_wire import Text, body_of, salt_of
from doxa.words.errors import ModelError, NotYetError
from doxa.words.interventions import Where

_servers: WeakKeyDictionary[Model, tuple[Server, ...]] = WeakKeyDictionary()


def connected(model: Model) -> tuple[Server, ...]:
    """The servers of a model, tried on the first call.

    Raises:
        ModelError: When one does not serve the model, or does not steer.
        EnvironmentFault: When one cannot be reached.
    """
    if model not in _servers:
        _servers[model] = tuple(try_server(model, address) for address in model.servers)
    return _servers[model]


def check(model: Model, places: Sequence[frozenset[Where]], written: Sequence[frozenset[Where]]) -> None:
    """Check, before a run, that servers are there and can do what arms ask.

    Args:
        model: The model.
        places: For each plan of any arm the tokens that it touches (`at`).
        written: The same of those arms that generate.

    Raises:
        NotYetError: When a server cannot tell the tokens, or nobody can before they are written.
        ModelError: When a server does not serve the model, or does not steer.
        EnvironmentFault: When a server cannot be reached.
    """
    for at in written:
        check_written(at)
    for server in connected(model):
        for at in places:
            if "all" not in at and not {"prompt", "generated"} <= at:
                _check_positions(server, at)


def ask(model: Model, asks: Sequence[Ask], progress: Progress = None) -> tuple[dict[str, Any], ...]:
    """Ask the servers of a model.

    A server that was away for a while is tried again before what it answers is believed: what was started there may
    not steer.

    Args:
        model: The model.
        asks: What to ask for.
        progress: As `ask_all` takes it.

    Returns:
        The answers, in order.

    Raises:
        ModelError: When a server refuses a request, or was replaced by one that does not do.
        EnvironmentFault: When a server fails.
    """
    answers = ask_all(connected(model), asks, progress)
    if answers.lost:
        _servers.pop(model, None)
        connected(model)
    return answers.bodies


def ask_of(text: Text, **settings: Any) -> Ask:
    """A request about a text.

    Args:
        text: What is read, and what is added to it.
        settings: As `body_of` takes them.
    """

    def body(server: Server) -> Mapping[str, Any]:
        for plan, mask in text.steered:
            if not bool(mask.all()):
                _check_positions(server, plan.at)
        return body_of(text, server.name, **settings)

    return Ask(body, salt_of(text))


def room_of(model: Model) -> int:
    """The most tokens, prompt and answer together, that a model takes on all of its servers."""
    return min([model.context_length, *(server.context_length for server in connected(model))])


def check_room(model: Model, prompt: Rendered, more: int, room: int) -> None:
    """Check that a prompt and so many more tokens fit.

    Raises:
        ModelError: When they do not, or the prompt is empty.
    """
    length = len(prompt.tokens)
    if length == 0:
        raise ModelError("a prompt without tokens", way_out="Give it at least one word")
    if length + more > room:
        raise ModelError(
            f"a prompt of {length} tokens with {more} more",
            expected=f"at most {room} together: the context of {model.name} on its servers",
            way_out="Shorten it, or start the servers with a larger --max-model-len",
        )


def _check_positions(server: Server, at: frozenset[Where]) -> None:
    if not server.positions:
        raise NotYetError(
            f"`at: {', '.join(sorted(at))}` on the vLLM server at {server.address}, whose vllm-lens steers all of a "
            "text or nothing: it loses count of positions after its first pass",
            way_out="Write `at: all`, or mend it with benchmarks/vllm/mend_positions.py and start it again",
        )


def check_untuned(low_ranks: Iterable[LowRank | None]) -> None:
    """Check that nothing is asked of an adapter.

    Raises:
        NotYetError: When something is.
    """
    if any(one is not None for one in low_ranks):
        raise NotYetError(
            "an adapter on vLLM servers, which take adapters only where they were started with them",
            expected="a model that is run here",
            way_out="Leave `vllm/` out of the model's name, or merge the adapter into a model and serve that",
        )


def check_written(at: frozenset[Where]) -> None:
    """Check that the tokens of a text that is yet to be written can be told before it is written.

    Raises:
        NotYetError: When they cannot: thinking is steered and the answer is not, or the other way round.
    """
    plan = SteeringPlan((), torch.zeros(0, 0), at)
    if touched(plan, "assistant", True) != touched(plan, "thinking", True):
        named = "assistant" if "assistant" in at else "thinking"
        raise NotYetError(
            f"`at: {named}` of text that is yet to be written, on vLLM: it is told beforehand which positions are "
            "steered, and not whether they will be thinking or answer",
            way_out="Write both (`assistant, thinking`), `generated`, `prompt` or `all`, or run the model here",
        )
