"""YAML that somebody wrote or sent: read without executing, expanding or losing anything (law 10).

PyYAML's safe loader makes plain values only, but it takes minutes for thousands of levels, expands ten lines of aliases
into gigabytes when the result is looked at, and keeps the last of two equal keys in silence. All of that is refused
before any value is made.
"""

from collections.abc import Callable, Hashable
from typing import Any

import yaml

MAX_DEPTH = 32
MAX_NODES = 100_000
"""Values of a document, each alias counted with all that it stands for."""


def load_yaml(text: str, wrong: Callable[[str], Exception], *, max_depth: int = MAX_DEPTH, aliases: bool = True) -> Any:
    """Read one YAML document.

    Args:
        text: The document.
        wrong: Makes the error that is raised of what is wrong, in words.
        max_depth: Levels of lists and mappings at most.
        aliases: Whether `&name` and `*name` may be used.

    Returns:
        Its value: mappings, lists and scalars.

    Raises:
        Exception: From `wrong`.
    """
    try:
        _check_events(text, wrong, max_depth, aliases)
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            if _size(node, wrong, {}) > MAX_NODES:
                raise wrong(f"its aliases stand for more than {MAX_NODES:,} values")
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" in line {mark.line + 1}" if mark is not None else ""
        raise wrong(f"it is not YAML ({error.problem or error.context}{where})") from error
    except yaml.YAMLError as error:
        raise wrong("it is not YAML (it has a character that YAML does not allow)") from error
    except (ValueError, TypeError, OverflowError, LookupError, AttributeError) as error:
        # A date that is none, a number of thousands of digits, a tag such as `!!bool` on what is nothing of the kind.
        raise wrong(f"it has a value that cannot be read ({error})") from error


def _check_events(text: str, wrong: Callable[[str], Exception], max_depth: int, aliases: bool) -> None:
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > max_depth:
            raise wrong(f"it is nested too deeply (more than {max_depth} levels)")
        if isinstance(event, yaml.AliasEvent) and not aliases:
            raise wrong("it has an alias (`*name`)")
        if count > 3 * MAX_NODES:
            raise wrong(f"it has more than {MAX_NODES:,} values")


def _size(node: yaml.Node, wrong: Callable[[str], Exception], known: dict[int, int | None]) -> int:
    """Values that a node stands for; keys that stand twice and nodes that hold themselves are errors."""
    if id(node) in known:
        size = known[id(node)]
        if size is None:
            raise wrong(f"line {node.start_mark.line + 1} holds itself through an alias")
        return size
    known[id(node)] = None
    size = 1
    if isinstance(node, yaml.MappingNode):
        seen: set[Hashable] = set()
        for key, value in node.value:
            word = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else id(key)
            if word in seen:
                raise wrong(f"it has the key {key.value!r} twice, again in line {key.start_mark.line + 1}")
            seen.add(word)
            size += _size(key, wrong, known) + _size(value, wrong, known)
    elif isinstance(node, yaml.SequenceNode):
        size += sum(_size(one, wrong, known) for one in node.value)
    known[id(node)] = size
    return size
