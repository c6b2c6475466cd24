"""The arguments of `doxa/compliance`: which there are, and what is asked for by them."""

from collections.abc import Mapping
from typing import Any

from doxa.evals.catalogue import Arguments, Levels, known_arguments
from doxa.evals.compliance_cells import FACTORS, SWITCH
from doxa.evals.compliance_items import REQUESTED, Objective, Query, read_objective, shipped_objectives
from doxa.evals.compliance_requests import read_requests
from doxa.words.errors import StudyError
from doxa.words.reading import shown

NAME = "doxa/compliance"
PARTS = ("all", "open", "choice")
ARGUMENTS: Mapping[str, type | Levels] = {
    "part": Levels(PARTS, ("all",)),
    "objective": str,
    "requests": str,
    "queries": int,
    "tiers": Levels(("two", "three"), ("two",)),
    **FACTORS,
    "by": Levels(("rule", "judge"), ("rule",)),
    "votes": int,
    "threshold": float,
    "max_tokens": int,
    "temperature": float,
}
_ONE = ("part", "tiers", "by")


def asked(arguments: Arguments) -> tuple[tuple[Objective, Query], ...]:
    """Every query with its objective; objectives take turns, so that the first few are a fair sample.

    Args:
        arguments: Checked (`checked`).
    """
    found = []
    for objective in objectives(arguments):
        own = read_requests(arguments["requests"]) if "requests" in arguments else objective.queries
        if not own:
            raise StudyError(
                f"{NAME}: the objective {objective.name!r} has no queries of its own",
                way_out="Give a file of requests: `requests: FILE.jsonl`",
            )
        found.append([(objective, query) for query in own[: arguments.get("queries")]])
    most = max(map(len, found))
    return tuple(own[place] for place in range(most) for own in found if place < len(own))


def objectives(arguments: Arguments) -> tuple[Objective, ...]:
    """The objectives that are asked about."""
    default = [REQUESTED] if "requests" in arguments else list(shipped_objectives())
    wanted = arguments.get("objective", default)
    return tuple(read_objective(name) for name in ([wanted] if isinstance(wanted, str) else wanted))


def checked(arguments: Arguments) -> dict[str, Any]:
    """The arguments with their words as text: YAML reads `no` as false.

    Raises:
        StudyError: For the first that is unknown or out of range.
    """
    own: dict[str, Any] = {
        name: _as_text(value) if isinstance(ARGUMENTS.get(name), Levels) else value for name, value in arguments.items()
    }
    if own.get("paraphrase") == "all":
        own["paraphrase"] = list(FACTORS["paraphrase"].names)
    names = own.pop("objective", None)
    known_arguments(NAME, own, ARGUMENTS)
    for name in _ONE:
        if name in own and not isinstance(own[name], str):
            raise StudyError(f"{NAME}: {name} is {shown(own[name])}", expected="one of them", way_out="Name one")
    if own.get("threshold", 0.0) > 1:
        raise StudyError(f"{NAME}: threshold is {own['threshold']:g}", expected="a share, 0 to 1", way_out="Correct it")
    if names is not None:
        own["objective"] = _names(names)
    if "requests" in own:
        found = objectives(own)
        if len(found) > 1 or found[0].rule == "recommends":
            raise StudyError(
                f"{NAME}: requests with the objectives {', '.join(one.name for one in found)}",
                expected="one objective, whose rule needs no options",
                way_out="Leave `objective` out, or name another",
            )
    return own


def _names(value: object) -> list[str]:
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list | tuple) or not listed or not all(isinstance(name, str) for name in listed):
        raise StudyError(f"{NAME}: objective is {shown(value)}", expected="names or paths", way_out="Correct it")
    if len({read_objective(name).name for name in listed}) < len(listed):
        raise StudyError(f"{NAME}: objective names one twice", way_out="Name each once")
    return list(listed)


def _as_text(value: object) -> object:
    if isinstance(value, list | tuple):
        return [_as_text(one) for one in value]
    return value if not isinstance(value, bool) else SWITCH[value]
