"""An arm: a named condition, what it is a control of, and what its names were pinned to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from doxa.words.errors import StudyError
from doxa.words.grammar import intervention_from_json, intervention_to_json
from doxa.words.interventions import Intervention, Thought, VectorReference
from doxa.words.reading import mapping, sequence, shown, text, whole
from doxa.words.store import content_hash, read_json, write_json
from doxa.words.wordings import is_file

FORMAT = 2


@dataclass(frozen=True)
class Pin:
    """What a name stood for when the plan was made.

    Attributes:
        hash: Content hash of the belief's text, of the pairs and the recipe that make the vector, of everything that
            decides what an adapter becomes, of the words of an edit, or digest of the arm that an edit acts on.
        text: The system prompt itself, for a `Prompt`; for a `Thought` the words of the edit as JSON, and the name of
            the source's arm file, beside this one.
        folder: Folder of the saved vector or of the adapter, relative to the arm file, for a `Steer` or a `Tune`; None
            before it is made.
        made: Digest of that vector or adapter; None before it is made.
    """

    hash: str
    text: str | None = None
    folder: str | None = None
    made: str | None = None


def prompt_pin(name: str) -> str:
    """What a prompt's pin is called: a belief and a vector may have one name."""
    return f"prompt {name}"


ADAPTER_PIN = "adapter"
"""What the pin of an arm's adapter is called; several tunes in one arm are stages of one adapter."""


def words_pin(thought: Thought) -> str:
    """What the pin of an edit's words is called."""
    said = thought.text if thought.text is not None and is_file(thought.text) else "of its own"
    return f"thought {thought.edit} {said}" + (f" {thought.control}" if thought.control else "")


SOURCE_PIN = "source "
"""How the name of the pin begins of an arm whose thinking is edited."""


def source_pin(thought: Thought) -> str:
    """What the pin of the arm is called whose thinking is edited."""
    return f"{SOURCE_PIN}{thought.source}"


def vector_pins(reference: VectorReference) -> dict[str, str]:
    """What the pins of a reference are called, by the names in it: on another base a name is another vector."""
    names = (reference.name,) if reference.norms_of is None else (reference.name, reference.norms_of)
    return {name: f"vector {name}" + (f" from {reference.base}" if reference.base else "") for name in names}


@dataclass(frozen=True)
class Arm:
    """A named condition.

    Attributes:
        name: Unique in its study, e.g. `block[strength=0.4]` or `block[strength=0.4]~twin/07`.
        interventions: What is done to the model; () is the baseline.
        of: The arm that this one is a control of, or "".
        control: The control family (`twin`, `unrelated`, `neutral`, `paraphrase`, `reprefill`, `corpus`), or "".
        model: Name of the model, where the arm is written down by itself.
        pins: What each name in the interventions stood for, by `prompt_pin` and `vector_pins`; empty until a plan is
            made.
        levels: The levels of the study's factors that this arm has, e.g. `{"strength": "0.4"}`.
        seed: Training seed, from 1, of an arm that trains or acts on what such an arm wrote; None: nothing is trained.
    """

    name: str
    interventions: tuple[Intervention, ...] = ()
    of: str = ""
    control: str = ""
    model: str = ""
    pins: Mapping[str, Pin] = field(default_factory=dict)
    levels: Mapping[str, str] = field(default_factory=dict)
    seed: int | None = None

    @property
    def key(self) -> str:
        """Unique among the arms of a plan: the name, and the training seed where there is one (`tuned@2`)."""
        return self.name if self.seed is None else f"{self.name}@{self.seed}"

    @property
    def digest(self) -> str:
        """Hash of the name, the interventions, the model, the training seed and every pinned hash (law 1)."""
        return content_hash(
            {
                "name": self.name,
                "of": self.of,
                "control": self.control,
                "model": self.model,
                "interventions": [intervention_to_json(one) for one in self.interventions],
                "pins": {name: [pin.hash, pin.text] for name, pin in self.pins.items()},
                **({} if self.seed is None else {"seed": self.seed}),  # an arm that trains nothing is the one it was
            }
        )

    @property
    def label(self) -> str:
        """Short name for a model string: `block-strength-0.4.1a2b3c4d`, `tuned-seed-2.5e6f7a8b`."""
        named = self.name if self.seed is None else f"{self.name}-seed-{self.seed}"
        slug = "".join(c if c.isalnum() or c in "._" else "-" for c in named).strip("-")
        while "--" in slug:
            slug = slug.replace("--", "-")
        return f"{slug}.{self.digest[:8]}"


def arm_to_json(arm: Arm) -> dict[str, Any]:
    """The content of an arm file."""
    return {
        "format": FORMAT,
        "arm": arm.name,
        "of": arm.of,
        "control": arm.control,
        "model": arm.model,
        "levels": dict(arm.levels),
        **({} if arm.seed is None else {"seed": arm.seed}),
        "interventions": [intervention_to_json(one) for one in arm.interventions],
        "pins": {
            name: {key: value for key, value in vars(pin).items() if value is not None}
            for name, pin in arm.pins.items()
        },
        "digest": arm.digest,
    }


def arm_from_json(value: object, where: str) -> Arm:
    """Read the content of an arm file; only `interventions` must be there.

    Raises:
        StudyError: When it is not understood, or its digest does not match its content.
    """
    keys = ("format", "arm", "of", "control", "model", "levels", "seed", "interventions", "pins", "digest")
    body = mapping(value, where, allowed=keys, required=("interventions",))
    if body.get("format", FORMAT) != FORMAT:
        raise StudyError(
            f"{where} has format {body['format']}", expected=f"format {FORMAT}", way_out="Make the plan again"
        )
    items = sequence(body["interventions"], f"{where}.interventions")
    pins: dict[str, Pin] = {}
    for name, pin in _mapping_of(body, "pins", where).items():
        known = ("hash", "text", "folder", "made")
        inner = mapping(pin, f"{where}.pins.{name}", allowed=known, required=("hash",))
        pins[str(name)] = Pin(**{key: text(one, f"{where}.pins.{name}.{key}") for key, one in inner.items()})
    arm = Arm(
        name=text(body.get("arm", "arm"), f"{where}.arm"),
        interventions=tuple(
            intervention_from_json(item, f"{where}.interventions[{i}]") for i, item in enumerate(items)
        ),
        of=_text_of(body, "of", where),
        control=_text_of(body, "control", where),
        model=_text_of(body, "model", where),
        pins=pins,
        levels={str(name): str(level) for name, level in _mapping_of(body, "levels", where).items()},
        seed=whole(body["seed"], f"{where}.seed", least=1) if body.get("seed") is not None else None,
    )
    if "digest" in body and body["digest"] != arm.digest:
        raise StudyError(
            f"{where} was changed after it was pinned",
            expected=f"content with digest {str(body['digest'])[:8]}",
            way_out="Delete its `digest` and `pins`, or change the study and make the plan again",
        )
    return arm


def _mapping_of(body: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    value = body.get(key, {})
    if not isinstance(value, Mapping):
        raise StudyError(f"{where}.{key} is {shown(value)}", expected="an object", way_out="Leave it out")
    return value


def _text_of(body: Mapping[str, Any], key: str, where: str) -> str:
    value = body.get(key, "")
    if not isinstance(value, str):
        raise StudyError(f"{where}.{key} is {shown(value)}", expected="a text", way_out="Leave it out")
    return value


def read_arm(path: Path) -> Arm:
    """Read an arm file.

    Raises:
        StudyError: When the file is missing or not understood.
    """
    if not path.is_file():
        raise StudyError(
            f"no arm file {path}", way_out="Give the path of a JSON file, e.g. results/first/arms/block.json"
        )
    return arm_from_json(
        read_json(path, what="arm file", way_out='Write it as JSON: {"interventions": [...]}'), str(path)
    )


def write_arm(path: Path, arm: Arm) -> None:
    """Write an arm file atomically."""
    write_json(path, arm_to_json(arm))
