"""Model arguments of our providers (`-M name=value`), read strictly."""

from collections.abc import Collection, Mapping
from typing import Any

from doxa.words.errors import StudyError, nearest

SEED = "seed"


def model_arguments(
    arguments: Mapping[str, Any], allowed: Collection[str], *, files: Collection[str] = ()
) -> tuple[dict[str, str], int]:
    """Model arguments as text, and the seed: plain JSON only, because Inspect takes all other values for equal.

    Args:
        arguments: As Inspect gives them.
        allowed: Their names; `seed` is a whole number, the others are texts.
        files: Those that are paths of files.

    Returns:
        The texts that are given, and the seed, 0 without one.

    Raises:
        StudyError: When a name is unknown or a value is of another kind.
    """
    for name, value in arguments.items():
        if name not in allowed:
            raise StudyError(f"unknown model argument {name!r}", way_out=nearest(name, allowed))
        kind = int if name == SEED else str
        if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            raise StudyError(
                f"model argument {name} is a {type(value).__name__}",
                expected="a whole number" if kind is int else "text" + (": the path of a file" * (name in files)),
                way_out=f"Write it as -M {name}=...",
            )
    text = {name: str(value) for name, value in arguments.items() if name != SEED and value is not None}
    return text, int(arguments.get(SEED) or 0)
