"""The four things that can be done to a model: frozen, torch-free, plain JSON.

A `Vector` is to `Steer` what an `Adapter` is to `Tune`: interventions hold *references* by name; `doxa.resolve` pins
each to the hash of what it names.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from doxa.words.layers import Layers, Share
from doxa.words.tuning import Configuration

Unit = Literal["residual", "raw"]
Where = Literal["all", "prompt", "generated", "system", "user", "assistant", "thinking"]
PLACES: tuple[Where, ...] = ("all", "prompt", "generated", "system", "user", "assistant", "thinking")


BASE = "base"
"""`from: base`: a vector that is used on a tuned model was taken from it as it was before."""


@dataclass(frozen=True)
class Twin:
    """Twin number `index` of a vector: its stack of directions under one random rotation drawn from `seed`."""

    index: int
    seed: int


@dataclass(frozen=True)
class VectorReference:
    """Which vector: by the name of its pairs or by the path of a saved vector.

    Attributes:
        name: A shipped or local pairs file (`conscious`, `pairs/mine.md`), a generated unrelated set
            (`unrelated/07`), or the path of a saved vector folder or a GGUF control vector.
        base: The model that the vector was taken from, when it is not the model it is used on (`from:` in a study);
            `base`: the model without the arm's adapter.
        twin: Set when a twin of the vector is meant.
        norms_of: Rescale every layer's direction to the norm of this other vector's (control vectors).
    """

    name: str
    base: str | None = None
    twin: Twin | None = None
    norms_of: str | None = None


@dataclass(frozen=True)
class Prompt:
    """A system prompt: the name of a belief file (`beliefs/conscious`), or of any Markdown file with front matter."""

    text: str


@dataclass(frozen=True)
class Steer:
    """Add a vector to the residual stream at the output of decoder blocks.

    Attributes:
        vector: Which vector.
        layers: Which decoder blocks.
        strength: In `unit`; negative strength is the opposite belief.
        unit: `residual`: a fraction of the model's own residual norm at that layer (median over tokens and reference
            prompts, attention sinks left out), along the unit direction. `raw`: a multiple of the stored difference.
        share: `total`: n layers get strength / n each. `each`: every layer gets the whole strength.
        at: The tokens that are touched.
    """

    vector: VectorReference
    layers: Layers
    strength: float
    unit: Unit = "residual"
    share: Share = "total"
    at: tuple[Where, ...] = ("all",)


Edit = Literal["prefill", "replace", "remove", "inject", "paraphrase"]


@dataclass(frozen=True)
class Thought:
    """Edit the chain of thought of a rollout of another arm, and let this arm write on from there.

    Attributes:
        source: The arm whose rollout is edited. A prefill without `block` needs none.
        edit: What is done to a thinking block. `prefill`: it begins with a text and goes on. `replace`: it is a text.
            `remove`: sentences of a belief are cut out. `inject`: a text is added at its end, and it goes on.
            `paraphrase`: sentences of a belief say the same in other words.
        text: A file of wordings (`thoughts/tested`, or the path of a Markdown file) or, for the first, second and
            fourth edit, the text itself.
        block: Number of the thinking block, from 1. Without it the first one that has a sentence of the belief, or the
            first; a prefill then begins the turn.
        k: So many runs continue one rollout: run r continues rollout 1 + (r - 1) // k.
        tags: The name of the tags around thinking: `think`, or a scratchpad's such as `SCRATCHPAD_REASONING`.
        control: What is done instead, in the controls that a study makes: `reprefill` or `neutral`.
    """

    source: str
    edit: Edit
    text: str | None = None
    block: int | None = None
    k: int = 1
    tags: str = "think"
    control: Literal["reprefill", "neutral"] | None = None


@dataclass(frozen=True)
class Tune:
    """An adapter that is there, or one that is trained on a corpus, once for every training seed of the study.

    Several in one arm are stages: each trains the adapter of the one before it further.

    Attributes:
        adapter: The folder of an adapter in PEFT's layout.
        corpus: A file of rows (`corpora/claim.jsonl`) or a recipe for one (`corpora/claim.yaml`).
        configuration: How it is trained on; None for an adapter that is there.
        checkpoint: The adapter as it was after so many steps; None: at the end.
    """

    adapter: str | None = None
    corpus: str | None = None
    configuration: Configuration | None = None
    checkpoint: int | None = None


Intervention: TypeAlias = Prompt | Steer | Thought | Tune
