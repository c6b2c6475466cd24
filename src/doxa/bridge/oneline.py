"""Errors of the user's own making: as Inspect shows them, and what Inspect raises as we show it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from inspect_ai._util.error import PrerequisiteError
from rich.markup import escape
from rich.text import Text

from doxa.words.errors import DoxaError, EnvironmentFault, StudyError
from doxa.words.store import faults


@contextlib.contextmanager
def in_one_line() -> Iterator[None]:
    """Turn our errors into Inspect's `PrerequisiteError`, which it prints as a line (and reads as rich markup)."""
    try:
        yield
    except DoxaError as error:
        raise PrerequisiteError(escape(str(error))) from None  # where a sample fails, Inspect shows every cause


@contextlib.contextmanager
def in_our_words(logs: Path) -> Iterator[None]:
    """Turn what Inspect raises while it makes an eval into our errors.

    Args:
        logs: The folder of its logs.

    Raises:
        StudyError: For what Inspect would print as a line.
        EnvironmentFault: When the folder cannot be written, or a file that Inspect keeps there is damaged.
    """
    try:
        with faults(logs):
            yield
    except PrerequisiteError as error:
        said = Text.from_markup(str(error.message)).plain
        raise StudyError(said, way_out="Mend that, and run the same command again") from error
    except UnicodeDecodeError as error:
        raise EnvironmentFault(
            f"a file that Inspect keeps in {logs} is damaged ({error})",
            way_out=f"Remove {logs / '.eval-set-id'} and {logs / 'eval-set.json'}, and run the same command again",
        ) from error
