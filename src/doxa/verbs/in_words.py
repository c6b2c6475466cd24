"""What every verb needs: paths as they were typed, and the user's own mistakes in words."""

import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from doxa.words.errors import DoxaError, EnvironmentFault


class Typed(click.ParamType[Path]):
    """A path as somebody typed it: `~` is their home, also where the shell left it (`--out=~/x`)."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path."""
        return Path(os.path.expanduser(value))


PATH = Typed()
INTERRUPTED = 130

P = ParamSpec("P")
R = TypeVar("R")


def in_words(command: Callable[P, R]) -> Callable[P, R]:
    """Print a DoxaError as one message and leave with its exit code; Ctrl-C says how to go on."""

    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except DoxaError as error:
            click.echo(f"doxa: {error}", err=True)
            sys.exit(error.exit_code)
        except BrokenPipeError:
            sys.exit(1)
        except OSError as error:  # whatever a path that was typed leads to
            what = f"{error.filename}: " if error.filename else ""
            click.echo(f"doxa: {what}{error.strerror or error}. Mend the path, or its permissions.", err=True)
            sys.exit(EnvironmentFault.exit_code)
        except KeyboardInterrupt:
            click.echo("\ndoxa: stopped. The same command goes on where it stopped.", err=True)
            sys.exit(INTERRUPTED)

    return wrapped
