"""Models of Inspect's providers by name, made before anything runs: what is missing is said in one line."""

from collections.abc import Mapping
from typing import Any

from inspect_ai._util.error import PrerequisiteError
from inspect_ai._util.registry import RegistryInfo, registry_find, registry_unqualified_name
from inspect_ai.model import GenerateConfig, Model, get_model
from rich.text import Text

from doxa.words.errors import StudyError

REASONING = {"on": "medium", "off": "none"}
"""Reasoning on or off, as Inspect's `reasoning_effort`."""
REASONING_PROVIDERS = ("anthropic", "deepseek", "google", "openai", "openrouter")
"""Providers for whose models Inspect passes `reasoning_effort` on, `none` too."""


def is_provider(name: str) -> bool:
    """Whether Inspect, or an extension of it other than ours, has a provider of this name."""

    def own(info: RegistryInfo) -> bool:
        return info.type == "modelapi" and registry_unqualified_name(info) == name

    return not name.startswith("doxa") and bool(registry_find(own))


def reasoning_settings(name: str, reasoning: str) -> dict[str, str]:
    """What switches the reasoning of a model that is served elsewhere, as fields of Inspect's `GenerateConfig`.

    Args:
        name: An Inspect model string.
        reasoning: `on`, `off`, or "" for what the model does by itself.

    Raises:
        StudyError: When Inspect has no switch for models of this provider.
    """
    provider = name.partition("/")[0]
    if reasoning and provider not in REASONING_PROVIDERS:
        raise StudyError(
            f"reasoning cannot be switched {reasoning} for {name}: {provider} models have no such setting in Inspect",
            expected=f"a model of {', '.join(REASONING_PROVIDERS)}, or one that is computed here",
            way_out="Leave `reasoning` out",
        )
    return {"reasoning_effort": REASONING[reasoning]} if reasoning else {}


def inspect_model(name: str, what: str, config: GenerateConfig | None = None, **arguments: Any) -> Model:
    """Make a model.

    Args:
        name: An Inspect model string: `openai/...`, `mockllm/model`, `doxa/smollm2`.
        what: What it is, for the message: `model`, `role judge`.
        config: Settings of its own.
        arguments: Its provider's own arguments.

    Raises:
        StudyError: When the provider is unknown or not installed, its key is not set, or there is no such model.
    """
    try:
        return get_model(name, config=config or GenerateConfig(), memoize=False, **arguments)
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
