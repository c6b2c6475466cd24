"""Filling the slots of a text: `{name}`, every one of them and nothing else."""

import re
from collections.abc import Mapping

from doxa.words.errors import ProseError

_SLOT = re.compile(r"\{([a-z][a-z0-9_]*)\}")


def slots(template: str) -> frozenset[str]:
    """Names of the slots of a text."""
    return frozenset(_SLOT.findall(template))


def fill(template: str, values: Mapping[str, str], where: str) -> str:
    """Fill a text. What is filled in is not looked at again: a value may hold braces.

    Args:
        template: The text, with slots such as `{tier}`. Other braces are text.
        values: What goes into each slot; every slot has a value, every value a slot.
        where: The file of the text, for the message.

    Raises:
        ProseError: When a slot has no value or a value no slot.
    """
    found = slots(template)
    if found != set(values):
        without = sorted(f"{{{name}}}" for name in found ^ set(values))
        raise ProseError(
            f"{where}: {', '.join(without)} "
            + ("is nowhere in the text" if not found >= set(values) else "is no slot that can be filled"),
            expected="the slots " + (", ".join(f"{{{name}}}" for name in sorted(values)) or "(none)"),
            way_out="Correct the text",
        )
    return _SLOT.sub(lambda slot: values[slot[1]], template)
