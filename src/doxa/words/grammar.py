"""Interventions as plain data and back: the same grammar in a study file and in an arm file."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from doxa.words.errors import StudyError, nearest
from doxa.words.interventions import (
    PLACES,
    Edit,
    Intervention,
    Prompt,
    Steer,
    Thought,
    Tune,
    Twin,
    Unit,
    VectorReference,
    Where,
)
from doxa.words.layers import Layers, Place, Share
from doxa.words.reading import mapping, number, one_of, sequence, shown, text, whole
from doxa.words.transcripts import format_called
from doxa.words.tuning import CONFIGURATION_KEYS, configuration_from_json, configuration_to_json

INTERVENTIONS = ("prompt", "steer", "thought", "tune")
STRONGEST = 1e6
"""Beyond any use; a residual stream of float32 does not overflow by it."""
STEER_KEYS = ("vector", "layers", "strength", "unit", "share", "at")
THOUGHT_KEYS = ("source", "edit", "text", "block", "k", "tags", "control")
TUNE_KEYS = ("corpus", "adapter", "checkpoint", *CONFIGURATION_KEYS)


def intervention_from_json(value: object, where: str) -> Intervention:
    """Read one intervention.

    Args:
        value: A mapping with one key: prompt, steer, thought or tune.
        where: Where it stands, for messages.

    Raises:
        StudyError: When it is not understood.
    """
    if not isinstance(value, Mapping) or len(value) != 1:
        raise StudyError(
            f"{where} is {shown(value)}",
            expected="one of " + ", ".join(f"{{{name}: ...}}" for name in INTERVENTIONS),
            way_out="Give every intervention an item of the list",
        )
    (kind, body), *_ = value.items()
    if kind not in INTERVENTIONS:
        raise StudyError(f"unknown intervention {kind!r} in {where}", way_out=nearest(str(kind), INTERVENTIONS))
    inside = f"{where}.{kind}"
    if kind == "prompt":
        return Prompt(text(body, inside))
    if kind == "steer":
        return _steer(body, inside)
    if kind == "thought":
        return _thought(body, inside)
    return _tune(body, inside)


def intervention_to_json(intervention: Intervention) -> dict[str, Any]:
    """Write one intervention in the grammar that `intervention_from_json` reads, every field spelt out."""
    if isinstance(intervention, Prompt):
        return {"prompt": intervention.text}
    if isinstance(intervention, Steer):
        return {
            "steer": {
                "vector": _vector_to_json(intervention.vector),
                "layers": layers_to_json(intervention.layers),
                "strength": intervention.strength,
                "unit": intervention.unit,
                "share": intervention.share,
                "at": list(intervention.at),
            }
        }
    if isinstance(intervention, Thought):
        return {"thought": {key: value for key, value in vars(intervention).items() if value is not None}}
    return {"tune": _tune_to_json(intervention)}


def layers_from_json(value: object, where: str) -> Layers:
    """Read a rule that picks layers: 12, 0.5, `every`, [10, 14], {block: {end, width}}, {spread: {start, end, n}}."""
    if value == "every":
        return Layers.every()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Layers.one(_place(value, where))
    if isinstance(value, list | tuple):
        return Layers.at(_places(value, where))
    if isinstance(value, str):
        raise StudyError(
            f"{where} is {shown(value)}",
            expected="`every`, an index such as 12, a fraction such as 0.5, a list of them, a block or a spread",
            way_out="Write `every`, or a number without quotes",
        )
    body = mapping(value, where, allowed=("one", "at", "block", "spread"))
    if len(body) != 1:
        raise StudyError(f"{where} names {len(body)} rules", expected="one", way_out="Keep one of them")
    (kind, rule), *_ = body.items()
    if kind == "one":
        return Layers.one(_place(rule, f"{where}.one"))
    if kind == "at":
        return Layers.at(_places(sequence(rule, f"{where}.at"), f"{where}.at"))
    if kind == "block":
        rule = mapping(rule, f"{where}.block", allowed=("end", "width"), required=("end", "width"))
        return Layers.block(
            end=_place(rule["end"], f"{where}.block.end"),
            width=whole(rule["width"], f"{where}.block.width", least=1),
        )
    rule = mapping(rule, f"{where}.spread", allowed=("start", "end", "n"), required=("start", "end", "n"))
    return Layers.spread(
        start=_place(rule["start"], f"{where}.spread.start"),
        end=_place(rule["end"], f"{where}.spread.end"),
        n=whole(rule["n"], f"{where}.spread.n", least=1),
    )


def layers_to_json(layers: Layers) -> Any:
    """Write a rule that picks layers."""
    if layers.kind == "every":
        return "every"
    if layers.kind == "one":
        return {"one": layers.places[0]}
    if layers.kind == "at":
        return {"at": list(layers.places)}
    if layers.kind == "block":
        return {"block": {"end": layers.places[0], "width": layers.width}}
    return {"spread": {"start": layers.places[0], "end": layers.places[1], "n": layers.width}}


def _steer(value: object, where: str) -> Steer:
    body = mapping(value, where, allowed=STEER_KEYS, required=("vector", "layers", "strength"))
    at = body.get("at", "all")
    at = [at] if isinstance(at, str) else sequence(at, f"{where}.at")
    places: tuple[Where, ...] = tuple(one_of(place, f"{where}.at", PLACES) for place in at)
    if not places:
        raise StudyError(f"{where}.at is empty", expected="at least one place", way_out="Write `at: all`")
    return Steer(
        vector=_vector(body["vector"], f"{where}.vector"),
        layers=layers_from_json(body["layers"], f"{where}.layers"),
        strength=_strength(body["strength"], f"{where}.strength"),
        unit=one_of(body.get("unit", "residual"), f"{where}.unit", get_args(Unit)),
        share=one_of(body.get("share", "total"), f"{where}.share", get_args(Share)),
        at=places,
    )


def _strength(value: object, where: str) -> float:
    strength = number(value, where)
    if abs(strength) > STRONGEST:
        raise StudyError(f"{where} is {strength:g}", expected=f"at most {STRONGEST:g} either way", way_out="Lower it")
    return strength


def _vector(value: object, where: str) -> VectorReference:
    if isinstance(value, str):
        return VectorReference(text(value, where))
    body = mapping(value, where, allowed=("name", "from", "twin", "norms_of"), required=("name",))
    twin = None
    if body.get("twin") is not None:
        inner = mapping(body["twin"], f"{where}.twin", allowed=("index", "seed"), required=("index", "seed"))
        twin = Twin(whole(inner["index"], f"{where}.twin.index"), whole(inner["seed"], f"{where}.twin.seed"))
    return VectorReference(
        name=text(body["name"], f"{where}.name"),
        base=text(body["from"], f"{where}.from") if body.get("from") is not None else None,
        twin=twin,
        norms_of=text(body["norms_of"], f"{where}.norms_of") if body.get("norms_of") is not None else None,
    )


def _vector_to_json(reference: VectorReference) -> Any:
    if reference == VectorReference(reference.name):
        return reference.name
    body: dict[str, Any] = {"name": reference.name}
    if reference.base is not None:
        body["from"] = reference.base
    if reference.twin is not None:
        body["twin"] = {"index": reference.twin.index, "seed": reference.twin.seed}
    if reference.norms_of is not None:
        body["norms_of"] = reference.norms_of
    return body


def _thought(value: object, where: str) -> Thought:
    body = mapping(value, where, allowed=THOUGHT_KEYS, required=("edit",))
    control = body.get("control")
    tags = text(body.get("tags", "think"), f"{where}.tags")
    format_called(tags)
    return Thought(
        source=text(body.get("source", "baseline"), f"{where}.source"),
        edit=one_of(body["edit"], f"{where}.edit", get_args(Edit)),
        text=text(body["text"], f"{where}.text") if body.get("text") is not None else None,
        block=whole(body["block"], f"{where}.block", least=1) if body.get("block") is not None else None,
        k=whole(body.get("k", 1), f"{where}.k", least=1),
        tags=tags,
        control=one_of(control, f"{where}.control", ("reprefill", "neutral")) if control is not None else None,
    )


def _tune(value: object, where: str) -> Tune:
    if isinstance(value, str):
        return Tune(adapter=text(value, where))
    body = mapping(value, where, allowed=TUNE_KEYS)
    if ("adapter" in body) == ("corpus" in body):
        raise StudyError(
            f"{where} names {'both an adapter and a corpus' if 'corpus' in body else 'no corpus'}",
            expected="a corpus to train on, or an adapter that is there",
            way_out="Write `tune: {corpus: corpora/claim.jsonl, learning_rate: 1e-3}` or `tune: {adapter: FOLDER}`",
        )
    if "adapter" in body:
        for key in body:
            if key != "adapter":
                raise StudyError(
                    f"{where}.{key} with an adapter that is already trained",
                    way_out="Leave it out; name the folder of a checkpoint as the adapter",
                )
        return Tune(adapter=text(body["adapter"], f"{where}.adapter"))
    checkpoint = body.get("checkpoint")
    return Tune(
        corpus=text(body["corpus"], f"{where}.corpus"),
        configuration=configuration_from_json(body, where),
        checkpoint=whole(checkpoint, f"{where}.checkpoint", least=1) if checkpoint is not None else None,
    )


def _tune_to_json(tune: Tune) -> dict[str, Any]:
    if tune.configuration is None:
        return {"adapter": tune.adapter}
    body = {"corpus": tune.corpus, **configuration_to_json(tune.configuration), "checkpoint": tune.checkpoint}
    return {key: value for key, value in body.items() if value is not None}


def _places(values: Sequence[object], where: str) -> list[Place]:
    if not values:
        raise StudyError(f"{where} is an empty list", expected="at least one layer", way_out="Name a layer, or `every`")
    return [_place(value, where) for value in values]


def _place(value: object, where: str) -> Place:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return number(value, where)
