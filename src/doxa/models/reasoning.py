"""Reasoning switched on or off by the chat template's own switch.

Templates of models that can do both read a variable (`enable_thinking`, `thinking`). Setting it is a change of the
template, so that is what it is here: a template that sets it first, and with it another fingerprint.
"""

import re
from copy import copy
from dataclasses import replace
from functools import lru_cache
from typing import Literal

from jinja2 import meta
from jinja2.exceptions import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from doxa.models.handle import Model
from doxa.words.errors import ModelError
from doxa.words.store import content_hash

SWITCHES = ("enable_thinking", "thinking")
"""Variables of chat templates that switch reasoning."""


@lru_cache(maxsize=16)
def with_reasoning(model: Model, reasoning: Literal["on", "off"], name: str) -> Model:
    """The same weights under the same template, its reasoning switched; one object however often it is asked for.

    Args:
        model: The model; it is left as it is.
        reasoning: Which way.
        name: What the result is called.

    Raises:
        ModelError: When its chat template has no such switch.
    """
    template = model.tokenizer.chat_template
    switch = next((one for one in SWITCHES if isinstance(template, str) and one in _read_by(template)), None)
    if switch is None:
        raise ModelError(
            f"the chat template of {model.name} has no switch for reasoning",
            expected=f"a template that reads {' or '.join(SWITCHES)}",
            way_out="Leave `reasoning` out; some makers release a model of its own for either",
        )
    tokenizer = copy(model.tokenizer)
    tokenizer.chat_template = f"{{%- set {switch} = {str(reasoning == 'on').lower()} -%}}{template}"
    fingerprint = content_hash([model.fingerprint, switch, reasoning])
    return replace(model, name=name, tokenizer=tokenizer, fingerprint=fingerprint)


def _read_by(template: str) -> set[str]:
    """The variables that a template reads and does not set."""
    try:
        return meta.find_undeclared_variables(
            ImmutableSandboxedEnvironment(extensions=["jinja2.ext.loopcontrols"]).parse(template)
        )
    except TemplateError:
        return set(re.findall(r"\w+", template))  # it has tags that transformers alone knows
