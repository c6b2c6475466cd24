"""Models of Inspect's providers by name, made before anything runs: what is missing is said in one line."""

from collections.abc import Mapping

from inspect_ai._util.error import PrerequisiteError
from inspect_ai.model import GenerateConfig, Model, get_model
from rich.text import Text

from doxa.words.errors import StudyError


def inspect_model(name: str, what: str, config: GenerateConfig | None = None) -> Model:
    """Make a model.

    Args:
        name: An Inspect model string: `openai/...`, `mockllm/model`, `doxa/smollm2`.
        what: What it is, for the message: `model`, `role judge`.
        config: Settings of its own.

    Raises:
        StudyError: When the provider is unknown or not installed, its key is not set, or there is no such model.
    """
    try:
        return get_model(name, config=config or GenerateConfig(), memoize=False)
    except PrerequisiteError as error:
        raise _not_there(name, what, Text.from_markup(str(error.message)).plain) from error
    except (ValueError, OSError, ImportError) as error:  # an unknown provider, a model that a provider does not find
        raise _not_there(name, what, str(error)) from error


def role_models(roles: Mapping[str, str] | None) -> dict[str, Model]:
    """The models that tasks ask beside the one under study, each made once.

    Args:
        roles: Inspect model strings by role, as a study names them.

    Raises:
        StudyError: As `inspect_model` does, for the first that is not there.
    """
    return {role: inspect_model(name, f"role {role}") for role, name in (roles or {}).items()}


def _not_there(name: str, what: str, why: str) -> StudyError:
    said = " ".join(line for line in (part.strip() for part in why.splitlines()) if line).removeprefix("ERROR: ")
    return StudyError(
        f"{what}: {name} cannot be used ({said})",
        expected="an Inspect model string PROVIDER/MODEL whose provider is installed and has its key",
        way_out="Install the provider, set its key, or name another, e.g. doxa/smollm2",
    )
