"""Errors of the user's own making, as Inspect shows them: one line, no traceback."""

import contextlib
from collections.abc import Iterator

from inspect_ai._util.error import PrerequisiteError
from rich.markup import escape

from doxa.words.errors import DoxaError


@contextlib.contextmanager
def in_one_line() -> Iterator[None]:
    """Turn our errors into Inspect's `PrerequisiteError`, which it prints as a line (and reads as rich markup)."""
    try:
        yield
    except DoxaError as error:
        raise PrerequisiteError(escape(str(error))) from None  # where a sample fails, Inspect shows every cause
