"""The Inspect provider `doxa-arm/<provider>/<model>+<label>`: an arm of a model that is served elsewhere.

    inspect eval doxa/drift -T part=open --model doxa-arm/openai/...+mine -M arm=mine.json

Every request gets the arm's system prompt and is passed on. The label is in the name that Inspect sees, so that logs,
Inspect's cache and its memo of models tell arms apart (law 1); retries, limits and everything else that depends on the
service are the provider's own. Model arguments other than `arm` are passed on too.

A study's seed is one number for all samples and runs. Most services ignore one, and a service that kept it would make
all runs alike, so `doxa run` sends none: arms are paired by item here and not by random stream.
"""

from pathlib import Path
from typing import Any, Literal

from inspect_ai.model import (
    ChatMessage,
    ChatMessageSystem,
    Content,
    ContentText,
    GenerateConfig,
    ModelAPI,
    ModelCall,
    ModelOutput,
)
from inspect_ai.tool import ToolChoice, ToolInfo

from doxa.bridge.inspect_models import inspect_model
from doxa.bridge.offered import arm_file
from doxa.bridge.oneline import in_one_line
from doxa.bridge.place import cached
from doxa.words.arms import Arm, prompt_pin, read_arm
from doxa.words.beliefs import read_belief
from doxa.words.errors import StudyError
from doxa.words.interventions import Prompt
from doxa.words.store import content_hash

API = "doxa-arm"
CACHED = ".cache-"


class ElsewhereAPI(ModelAPI):
    """An arm of another provider's model, as Inspect sees it."""

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig | None = None,
        arm: str | None = None,
        **arguments: Any,
    ) -> None:
        config = config or GenerateConfig()
        super().__init__(model_name, base_url, api_key, [], config)
        with in_one_line():
            name, plus, self._label = model_name.rpartition("+")
            if not plus or arm is None:
                raise StudyError(
                    f"{API}/{model_name} {'is given no arm file' if plus else 'has no label'}",
                    expected=f"{API}/PROVIDER/MODEL+LABEL, and -M arm=FILE",
                    way_out="Name both; without an arm use PROVIDER/MODEL itself",
                )
            path = arm_file(arm)
            found = read_arm(path)
            self._system = _system_prompt(found, name, path.parent)
            mark = content_hash([found.digest, self._system])[:8]
            self._known = self._label == found.label or f"{CACHED}{mark}" in self._label
            self._named_for_cache = f"{API}/{name}+{found.name}{CACHED}{mark}"
            if CACHED in self._label and not self._known:
                raise self._mixed()
            inner = inspect_model(name, "model", config, base_url=base_url, api_key=api_key, **arguments)
        self._inner = inner.api

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput | tuple[ModelOutput | Exception, ModelCall]:
        """Pass a request on, with the arm's system prompt before it.

        Raises:
            PrerequisiteError: When Inspect's cache would mix arms.
        """
        with in_one_line():
            if (config.cache or cached()) and not self._known:
                raise self._mixed()
        return await self._inner.generate(_under(self._system, input), tools, tool_choice, config)

    def _mixed(self) -> StudyError:
        return StudyError(
            "Inspect's cache would mix answers: it knows models by name, and this name does not say which arm it is",
            way_out=f"Call the model {self._named_for_cache}, or switch the cache off",
        )

    # From here on everything is the provider's own.

    def initialize(self) -> None:
        """Log in again."""
        self._inner.initialize()

    async def refresh_credentials(self) -> None:
        """As the provider does."""
        await self._inner.refresh_credentials()

    async def aclose(self) -> None:
        """As the provider does."""
        await self._inner.aclose()

    def canonical_name(self) -> str:
        """The model without provider and label."""
        return self._inner.canonical_name()

    def service_model_name(self) -> str:
        """As the provider calls it."""
        return self._inner.service_model_name()

    def input_tokens_name(self) -> str:
        """As the provider calls it."""
        return self._inner.input_tokens_name()

    def model_family(self) -> str:
        """As the provider calls it."""
        return self._inner.model_family()

    async def count_text_tokens(self, text: str) -> int:
        """As the provider counts."""
        return await self._inner.count_text_tokens(text)

    async def tokenize(self, text: str) -> list[int]:
        """As the provider does."""
        return await self._inner.tokenize(text)

    def max_tokens(self) -> int | None:
        """As the provider limits them."""
        return self._inner.max_tokens()

    def max_tokens_for_config(self, config: GenerateConfig) -> int | None:
        """As the provider limits them."""
        return self._inner.max_tokens_for_config(config)

    def max_connections(self) -> int:
        """As the provider limits them."""
        return self._inner.max_connections()

    def connection_key(self) -> str:
        """All arms of one service share its limit."""
        return f"{type(self._inner).__name__}:{self._inner.connection_key()}"

    def should_retry(self, ex: Exception) -> Any:
        """As the provider decides."""
        return self._inner.should_retry(ex)

    def retry_wait(self) -> Any:
        """As the provider waits."""
        return self._inner.retry_wait()

    def is_auth_failure(self, ex: Exception) -> bool:
        """As the provider decides."""
        return self._inner.is_auth_failure(ex)

    def collapse_user_messages(self) -> bool:
        """As the provider wants them."""
        return self._inner.collapse_user_messages()

    def collapse_assistant_messages(self) -> bool:
        """As the provider wants them."""
        return self._inner.collapse_assistant_messages()

    def collapse_system_messages(self) -> bool:
        """As the provider wants them."""
        return self._inner.collapse_system_messages()

    def tools_required(self) -> bool:
        """As the provider wants them."""
        return self._inner.tools_required()

    def tool_result_images(self) -> bool:
        """As the provider takes them."""
        return self._inner.tool_result_images()

    def disable_computer_screenshot_truncation(self) -> bool:
        """As the provider wants it."""
        return self._inner.disable_computer_screenshot_truncation()

    def force_reasoning_history(self) -> Literal["none", "all", "last"] | None:
        """As the provider wants it."""
        return self._inner.force_reasoning_history()

    def auto_reasoning_history(self) -> Literal["none", "all", "last"]:
        """As the provider wants it."""
        return self._inner.auto_reasoning_history()


def _system_prompt(arm: Arm, model: str, folder: Path) -> str | None:
    texts = []
    for one in arm.interventions:
        if not isinstance(one, Prompt):
            raise StudyError(
                f"the arm {arm.name!r} has a {type(one).__name__.lower()}, and the network of {model} is not here",
                expected="an arm of prompts",
                way_out="Use a model that is computed here",
            )
        pin = arm.pins.get(prompt_pin(one.text))
        texts.append(pin.text if pin is not None and pin.text is not None else read_belief(one.text, folder).text)
    return "\n\n".join(texts) or None


def _under(system: str | None, conversation: list[ChatMessage]) -> list[ChatMessage]:
    """The system prompt before the conversation's own, in the same message, as on models that are computed here."""
    if system is None:
        return conversation
    if not conversation or conversation[0].role != "system":
        return [ChatMessageSystem(content=system), *conversation]
    first = conversation[0]
    content: str | list[Content] = (
        f"{system}\n\n{first.content}" if isinstance(first.content, str) else [ContentText(text=system), *first.content]
    )
    return [first.model_copy(update={"content": content}), *conversation[1:]]
