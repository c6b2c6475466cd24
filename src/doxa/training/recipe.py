"""How a corpus is to be written: a YAML file, read without writing anything.

    writer: prompted
    questions: questions/claim
    side: claim
    system_prompt: roles/sincere-conscious
    rows: 64

`personas.yaml#list=2&ratio=8` is the recipe with two of its keys set otherwise.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from doxa.models.sampling import Sampling
from doxa.training.corpus import RECIPE, corpus_path
from doxa.training.filters import Filter
from doxa.words.errors import StudyError, TrainingError, nearest
from doxa.words.grammar import intervention_from_json
from doxa.words.interventions import Steer
from doxa.words.reading import mapping, number, one_of, sequence, shown, text, whole
from doxa.words.safe_yaml import load_yaml
from doxa.words.text_file import read_text_file

WriterKind: TypeAlias = Literal["self", "prompted", "rephrase", "steered", "file", "inspect", "template"]
MAX_TOKENS = 96
_MOST_BYTES = 1 << 20
_CHANGED = re.compile(r"(.*?\.ya?ml|[^#]*)(?:#(.*))?", re.DOTALL)
_KEYS = (
    "writer", "questions", "side", "fill", "answers", "system_prompt", "keep_prompt", "shuffled", "steer", "model",
    "universes", "list", "ratio", "doctag", "sampling", "filter", "mix", "rows", "seed",
)  # fmt: skip
_FILTER_KEYS = ("without", "having", "least_words", "most_words", "unfinished", "judge", "rubric", "keep")
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "prompted": ("system_prompt",),
    "steered": ("steer",),
    "inspect": ("model",),
    "template": ("universes",),
}
_ONLY = {"steer": ("steered",), "model": ("inspect",), "answers": ("file", "rephrase")}


@dataclass(frozen=True)
class Mix:
    """What is mixed in: `own_samples` is the share of rows that the model itself answers to `questions`, unprompted."""

    own_samples: float
    questions: str


@dataclass(frozen=True)
class Recipe:
    """How a corpus is to be written.

    Attributes:
        name: Of the file, with what was set otherwise.
        folder: Its own: names in it are looked up there first.
        writer: Who writes.
        rows: So many.
        seed: Of everything that is drawn.
        sampling: How the writer draws tokens.
        questions: What is answered; "" for documents.
        side: Of questions that have two.
        filled: What goes into slots of the questions.
        answers: A file of rows whose answers are taken, or rephrased; "" takes those in the questions' own file.
        system_prompt: The writer's; "" for none.
        keep_prompt: Whether it stands in the rows that are trained on (inoculation) or not (distillation).
        shuffled: Give every question the answer to another one: a control that keeps the texts and loses what they say.
        steer: What is added to the residual stream of a steered writer.
        model: Inspect model string of another writer.
        universes: What documents take for true; of two, `ratio` says how many of the first there are to one of the
            second.
        which: Which list of traits, or `shuffled`.
        ratio: From 0 to infinity.
        doctag: Stands before every document and is not trained on.
        filter: What is kept.
        mix: What is mixed in, or None.
        body: The recipe as plain JSON, for its hash and its record.
    """

    name: str
    folder: Path
    writer: WriterKind
    rows: int
    seed: int
    sampling: Sampling
    questions: str = ""
    side: str = ""
    filled: Mapping[str, str] = field(default_factory=dict)
    answers: str = ""
    system_prompt: str = ""
    keep_prompt: bool = False
    shuffled: bool = False
    steer: Steer | None = None
    model: str = ""
    universes: tuple[str, ...] = ()
    which: str = "1"
    ratio: float = 1.0
    doctag: str = ""
    filter: Filter = field(default_factory=Filter)
    mix: Mix | None = None
    body: Mapping[str, Any] = field(default_factory=dict)


def find_recipe(name: str, folder: Path | None = None) -> Path:
    """Where the recipe of a name is, with what is set otherwise after `#`: for `read_recipe`.

    Args:
        name: `corpora/personas.yaml` or `personas.yaml` (shipped), or a path relative to `folder`.
        folder: Looked in first; the working folder when not given.

    Raises:
        TrainingError: When there is none.
    """
    _, hash_, changes = name.partition("#")
    path = corpus_path(name, folder)
    if path.suffix != RECIPE:
        raise TrainingError(f"{path} holds rows", expected=f"a recipe: a file that ends in {RECIPE}", way_out="Read it")
    return Path(f"{path}{hash_}{changes}")


def read_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Args:
        path: A YAML file; `#key=value&key=value` after its name sets keys otherwise.

    Raises:
        TrainingError: When the file cannot be read, or says what no recipe can say.
    """
    file, changes = _CHANGED.fullmatch(str(path)).groups("")  # type: ignore[union-attr]  # matches every path
    source = Path(file)
    where = f"{source.name}#{changes}"
    body = load_yaml(
        read_text_file(source, _MOST_BYTES, "a recipe", TrainingError),
        lambda what: TrainingError(f"{source}: {what}", expected="YAML such as `writer: self`", way_out="Correct it"),
        aliases=False,
    )
    try:
        keys = dict(mapping(body, str(source), allowed=_KEYS, required=("writer", "rows")))
        for change in filter(None, changes.split("&")):
            key, equals, value = change.partition("=")
            if not equals or key not in _KEYS or isinstance(keys.get(key), dict | list):
                raise StudyError(f"{where}: {change!r}", expected="key=value", way_out=nearest(key, _KEYS))
            keys[key] = load_yaml(value, lambda what: StudyError(f"{where}: {what}", way_out="Correct the value"))
        return _recipe(source, changes, keys)
    except StudyError as error:
        raise TrainingError(error.found, expected=error.expected, way_out=error.way_out) from error


def _recipe(path: Path, changes: str, keys: Mapping[str, Any]) -> Recipe:
    where = path.name
    kind: WriterKind = one_of(keys["writer"], f"{where}: writer", get_args(WriterKind))
    _check_keys(where, kind, keys)
    rows = whole(keys["rows"], f"{where}: rows", least=1)
    universes = keys.get("universes", [])
    named = [universes] if isinstance(universes, str) else sequence(universes, f"{where}: universes")
    if len(named) > 2:
        raise StudyError(f"{where}: {len(named)} universes", expected="one or two", way_out="Leave some out")
    filled = mapping(keys.get("fill", {}), f"{where}: fill", allowed=keys.get("fill") or ())
    steer = None
    if "steer" in keys:
        found = intervention_from_json({"steer": keys["steer"]}, where)
        assert isinstance(found, Steer)
        steer = found
    return Recipe(
        name=f"{path.stem}#{changes}" if changes else path.stem,
        folder=path.parent,
        writer=kind,
        rows=rows,
        seed=whole(keys.get("seed", 0), f"{where}: seed"),
        sampling=_sampling(keys.get("sampling", {}), where),
        questions=str(keys.get("questions", "")),
        side=str(keys.get("side", "")),
        filled={key: text(value, f"{where}: fill.{key}") for key, value in filled.items()},
        answers=str(keys.get("answers", "")),
        system_prompt=str(keys.get("system_prompt", "")),
        keep_prompt=_truth(keys.get("keep_prompt", False), f"{where}: keep_prompt"),
        shuffled=_truth(keys.get("shuffled", False), f"{where}: shuffled"),
        steer=steer,
        model=str(keys.get("model", "")),
        universes=tuple(text(one, f"{where}: universes") for one in named),
        which=str(keys.get("list", "1")),
        ratio=_ratio(keys.get("ratio", 1), f"{where}: ratio"),
        doctag=str(keys.get("doctag", "")),
        filter=_filter(keys.get("filter", {}), where),
        mix=_mix(keys["mix"], where) if "mix" in keys else None,
        body={key: keys[key] for key in _KEYS if key in keys},
    )


def _check_keys(where: str, kind: str, keys: Mapping[str, Any]) -> None:
    if ("questions" in keys) == ("universes" in keys):
        both = "both questions and universes" if "questions" in keys else "neither questions nor universes"
        raise StudyError(f"{where} has {both}", expected="one of them", way_out="Say what is answered or written about")
    for key in _NEEDS.get(kind, ()):
        if not keys.get(key):
            raise StudyError(f"{where}: the writer {kind!r} needs `{key}`", way_out=f"Add `{key}: ...`")
    for key, kinds in _ONLY.items():
        if key in keys and kind not in kinds:
            raise StudyError(
                f"{where}: the writer {kind!r} does not read `{key}`",
                expected=" or ".join(kinds),
                way_out="Take it out",
            )
    if "universes" in keys and kind not in ("template", "inspect", "self"):
        raise StudyError(
            f"{where}: the writer {kind!r} writes no documents",
            expected="template, inspect or self",
            way_out="Change it",
        )
    if keys.get("keep_prompt") and not keys.get("system_prompt"):
        raise StudyError(f"{where}: keep_prompt without a system prompt", way_out="Add `system_prompt: ...`")


def _sampling(value: object, where: str) -> Sampling:
    body = mapping(value, f"{where}: sampling", allowed=("temperature", "top_p", "max_tokens"))
    return Sampling(
        max_tokens=whole(body.get("max_tokens", MAX_TOKENS), f"{where}: sampling.max_tokens", least=1),
        temperature=number(body.get("temperature", 1.0), f"{where}: sampling.temperature"),
        top_p=number(body.get("top_p", 1.0), f"{where}: sampling.top_p"),
    )


def _filter(value: object, where: str) -> Filter:
    inside = f"{where}: filter"
    body = mapping(value, inside, allowed=_FILTER_KEYS)
    asked = [key for key in ("judge", "rubric", "keep") if body.get(key)]
    if asked and len(asked) < 3:
        raise StudyError(
            f"{inside} has {' and '.join(asked)}", expected="judge, rubric and keep together", way_out="Add the others"
        )
    most = body.get("most_words")
    return Filter(
        without=_texts(body.get("without", ()), f"{inside}.without"),
        having=_texts(body.get("having", ()), f"{inside}.having"),
        least_words=whole(body.get("least_words", 1), f"{inside}.least_words", least=1),
        most_words=None if most is None else whole(most, f"{inside}.most_words", least=1),
        unfinished=_truth(body.get("unfinished", True), f"{inside}.unfinished"),
        judge=str(body.get("judge", "")),
        rubric=str(body.get("rubric", "")),
        keep=_texts(body.get("keep", ()), f"{inside}.keep"),
    )


def _mix(value: object, where: str) -> Mix:
    body = mapping(value, f"{where}: mix", allowed=("own_samples", "questions"), required=("own_samples", "questions"))
    share = number(body["own_samples"], f"{where}: mix.own_samples")
    if not 0 < share < 1:
        raise StudyError(
            f"{where}: mix.own_samples is {share:g}", expected="a share between 0 and 1", way_out="Write 0.2"
        )
    return Mix(share, text(body["questions"], f"{where}: mix.questions"))


def _ratio(value: object, where: str) -> float:
    if value in ("inf", ".inf", float("inf")):
        return float("inf")
    ratio = number(value, where)
    if ratio < 0:
        raise StudyError(f"{where} is {ratio:g}", expected="0 or more", way_out="Write 0.5 for one to two")
    return ratio


def _truth(value: object, where: str) -> bool:
    if not isinstance(value, bool):
        raise StudyError(f"{where} is {shown(value)}", expected="true or false", way_out="Write one of them")
    return value


def _texts(value: object, where: str) -> tuple[str, ...]:
    return tuple(text(one, where) for one in ([value] if isinstance(value, str) else sequence(value, where)))
