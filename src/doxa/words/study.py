"""A study: model x arms x tasks x runs x seeds + contrasts. Inert and validated; nothing is loaded or run here.

The grammar is YAML (safe, no templating, no inheritance: anchors are enough) or the same names in Python.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from doxa.words.arms import Arm
from doxa.words.contrasts import Contrast, declared_contrasts, parse_contrast
from doxa.words.declared_arms import grid_arms, named_arms
from doxa.words.errors import StudyError, nearest
from doxa.words.grammar import intervention_to_json
from doxa.words.reading import mapping, number, one_line, one_of, sequence, shown, text, whole
from doxa.words.safe_yaml import load_yaml
from doxa.words.scope import PromptControls, SteerControls, ThoughtControls, TuneControls, read_controls
from doxa.words.sources import thought_of
from doxa.words.stages import is_trained
from doxa.words.stopping import Stopping, read_runs, runs_to_json
from doxa.words.store import content_hash

MAX_BYTES = 1 << 20
KEYS = (
    "study", "question", "caveat", "model", "models", "seed", "arms", "factors", "controls", "tasks", "roles",
    "generate", "runs", "seeds", "contrasts", "primary", "lead", "margins", "limits",
)  # fmt: skip
GENERATE_KEYS = ("temperature", "top_p", "top_k", "min_p", "max_tokens", "stop")
LIMIT_KEYS = ("minutes", "generations", "tokens", "judge_calls")
DTYPES = ("float32", "bfloat16")


@dataclass(frozen=True)
class ModelChoice:
    """A model by name, the precision and device it runs in, and whether it reasons (as it does by itself, without)."""

    name: str
    dtype: str = "float32"
    device: str = "cpu"
    reasoning: Literal["on", "off", ""] = ""

    @property
    def label(self) -> str:
        """What results call it: `Qwen/Qwen3-0.6B`, `Qwen/Qwen3-0.6B[reasoning=off]`."""
        return f"{self.name}[reasoning={self.reasoning}]" if self.reasoning else self.name


@dataclass(frozen=True)
class TaskChoice:
    """A task by name with its arguments."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class Study:
    """A validated specification. Where a rule stops the runs, `runs` is the most. See the module's docstring."""

    name: str
    models: tuple[ModelChoice, ...]
    arms: tuple[Arm, ...]
    tasks: tuple[TaskChoice, ...]
    contrasts: tuple[Contrast, ...]
    primary: tuple[str, ...]
    lead: tuple[str, ...] = ()
    question: str = ""
    caveat: str = ""
    seed: int = 0
    runs: int = 1
    stopping: Stopping | None = None
    seeds: int = 1
    steer_controls: SteerControls = field(default_factory=SteerControls)
    prompt_controls: PromptControls = field(default_factory=PromptControls)
    thought_controls: ThoughtControls = field(default_factory=ThoughtControls)
    tune_controls: TuneControls = field(default_factory=TuneControls)
    roles: Mapping[str, str] | None = None
    generate: Mapping[str, Any] | None = None
    margins: Mapping[str, float] | None = None
    limits: Mapping[str, float] | None = None
    folder: Path | None = None
    limit: int | None = None

    def arm(self, name: str) -> Arm:
        """The arm of that name.

        Raises:
            StudyError: When there is none.
        """
        for arm in self.arms:
            if arm.name == name:
                return arm
        raise StudyError(f"study {self.name!r} has no arm {name!r}", way_out=nearest(name, [a.name for a in self.arms]))

    @property
    def hash(self) -> str:
        """Content hash of the specification: layout and comments of the file do not matter."""
        return content_hash(study_to_json(self))


def read_study(path: Path) -> Study:
    """Read a study file.

    Raises:
        StudyError: When it is missing, is not UTF-8, is not YAML or is not understood.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            too_long = f"{path} has more than {MAX_BYTES:,} bytes"
            raise StudyError(too_long, expected="a study", way_out="Check that it is the right file")
        source = data.decode("utf-8-sig")  # editors on Windows begin a file with a byte order mark
    except UnicodeDecodeError as error:
        raise StudyError(
            f"{path} is not UTF-8 (byte {error.start})", way_out="Save the file as UTF-8 and try again"
        ) from error
    except (OSError, ValueError) as error:  # a path with a null character is a ValueError
        why = error.strerror if isinstance(error, OSError) else error
        raise StudyError(f"study file {path} cannot be read ({why})", way_out="Check the path") from error
    found = load_yaml(source, lambda what: StudyError(f"{path}: {what}", way_out="Mend that, and run it again"))
    return study_from_json(found, folder=path.parent.resolve())


def study_from_json(data: object, *, folder: Path | None = None) -> Study:
    """Read a study from plain data; `folder` is where the files it names are looked for first.

    Raises:
        StudyError: When anything is not understood; the message names the key and what is allowed.
    """
    body = mapping(data, "the study", allowed=KEYS, required=("study", "arms", "tasks"))
    if ("model" in body) == ("models" in body) or body.get("models") == []:
        raise StudyError("a study names either `model` or some `models`", way_out="Write `model: smollm2`")
    listed = [body["model"]] if "model" in body else sequence(body["models"], "models")
    named, grids = named_arms(body["arms"]), grid_arms(body.get("factors", {}))
    arms = named + grids
    names = [arm.name for arm in named] + list(body.get("factors", {})) + [arm.name for arm in grids]
    for name in names:  # the name of a grid stands for all its arms in a contrast
        if names.count(name) > 1:
            raise StudyError(f"two arms are called {name!r}", expected="names of their own", way_out="Rename one")
    tasks = tuple(_task(task, f"tasks[{i}]") for i, task in enumerate(sequence(body["tasks"], "tasks")))
    _check_tasks(tasks)
    steer_controls, prompt_controls, thought_controls, tune_controls = read_controls(
        body.get("controls", {}), arms, [task.name for task in tasks]
    )
    contrasts = declared_contrasts(body.get("contrasts", []), arms)
    called = {one.name: one for one in contrasts if one.source is not None}
    primary = tuple(
        _primary(parse_contrast(one, arms, named=called), contrasts)
        for one in sequence(body.get("primary", []), "primary")
    )
    models = tuple(_model(one, f"models[{i}]") for i, one in enumerate(listed))
    for model in models:
        if [one.label for one in models].count(model.label) > 1:
            raise StudyError(f"model {model.label!r} stands twice", expected="every model once", way_out="Remove one")
    runs, stopping = read_runs(body.get("runs", 1))
    return Study(
        name=_study_name(body["study"]),
        question=one_line(body.get("question"), "question"),
        caveat=one_line(body.get("caveat"), "caveat"),
        models=models,
        arms=arms,
        tasks=tasks,
        contrasts=contrasts,
        primary=primary,
        lead=tuple(text(one, "lead") for one in sequence(body.get("lead", ()), "lead")),
        seed=whole(body.get("seed", 0), "seed"),
        runs=runs,
        stopping=stopping,
        seeds=_seeds(body.get("seeds", 1), arms),
        steer_controls=steer_controls,
        prompt_controls=prompt_controls,
        thought_controls=thought_controls,
        tune_controls=tune_controls,
        roles=_texts(body["roles"], "roles") if "roles" in body else None,
        generate=_generate(body["generate"]) if "generate" in body else None,
        margins=_margins(body["margins"]) if "margins" in body else None,
        limits=_limits(body["limits"]) if "limits" in body else None,
        folder=folder,
    )


def _primary(wanted: Contrast, contrasts: Sequence[Contrast]) -> str:
    """The name of a primary contrast, which is one of the declared ones."""
    if wanted.name in [one.name for one in contrasts]:
        return wanted.name
    same = [one.name for one in contrasts if one.terms == wanted.terms]
    raise StudyError(
        f"primary contrast {wanted.name!r} is not among the contrasts",
        way_out=f"It is called {same[0]!r} there: write that"
        if same
        else nearest(wanted.name, [one.name for one in contrasts]),
    )


def study_to_json(study: Study) -> dict[str, Any]:
    """The specification as plain data, every default spelt out (what `plan.json` holds and `hash` covers)."""
    return {
        "study": study.name,
        "question": study.question,
        **({"caveat": study.caveat} if study.caveat else {}),  # a study without is the one it was
        "models": [model_to_json(model) for model in study.models],
        "seed": study.seed,
        "arms": {arm.name: [intervention_to_json(one) for one in arm.interventions] for arm in study.arms},
        "tasks": [{task.name: dict(task.arguments)} for task in study.tasks],
        "contrasts": [one.name if one.source is None else {one.name: one.source} for one in study.contrasts],
        "primary": list(study.primary),
        **({"lead": list(study.lead)} if study.lead else {}),
        **({"margins": dict(study.margins)} if study.margins else {}),  # a study without is the one it was
        "runs": runs_to_json(study.runs, study.stopping),
        "seeds": study.seeds,
        "controls": {
            "steer": {k: v for k, v in _plain(study.steer_controls).items() if (k, v) != ("seeds", "first")},
            "prompt": _plain(study.prompt_controls),
            # A study that edits no thoughts is the one it was.
            **({"thought": _plain(study.thought_controls)} if any(map(thought_of, study.arms)) else {}),
            **({"tune": _plain(study.tune_controls)} if any(map(is_trained, study.arms)) else {}),
        },
        "roles": dict(study.roles or {}),
        "generate": dict(study.generate or {}),
        "limits": dict(study.limits or {}),
        "limit": study.limit,
    }


def model_to_json(model: ModelChoice) -> dict[str, Any]:
    """A model as plain data; what it does not say is left out where it was not there before."""
    return {key: value for key, value in vars(model).items() if value or key != "reasoning"}


def with_overrides(
    study: Study, *, runs: int | None = None, limit: int | None = None, seeds: int | None = None
) -> Study:
    """The only overrides of a run: so many runs and training seeds, and at most `limit` items of every task.

    Raises:
        StudyError: When one is below one, or seeds are asked for and nothing is trained.
    """
    if runs is not None:
        study = replace(study, runs=whole(runs, "--runs", least=1), stopping=None)
    if seeds is not None:
        study = replace(study, seeds=_seeds(seeds, study.arms, "--seeds"))
    if limit is not None:
        study = replace(study, limit=whole(limit, "--limit", least=1))
    return study


def _seeds(value: object, arms: Sequence[Arm], where: str = "seeds") -> int:
    seeds = whole(value, where, least=1)
    if not sum(map(is_trained, arms)) and seeds > 1:
        raise StudyError(
            f"{where}: {seeds}, and no arm of the study is trained",
            expected="an arm with `tune: {corpus: ...}`: a seed is one training run of it",
            way_out=f"Leave `{where}` out; repeated answers are `runs`",
        )
    return seeds


def _study_name(value: object) -> str:
    name = text(value, "study")
    if not all(c.isalnum() or c in "-_." for c in name) or name.startswith("."):
        expected = "letters, digits, - and _ (it names a folder)"
        raise StudyError(f"study {name!r}", expected=expected, way_out="Rename it")
    return name


def _model(value: object, where: str) -> ModelChoice:
    if isinstance(value, str):
        return ModelChoice(text(value, where))
    body = mapping(value, where, allowed=("name", "dtype", "device", "reasoning"), required=("name",))
    return ModelChoice(
        text(body["name"], f"{where}.name"),
        one_of(body.get("dtype", "float32"), f"{where}.dtype", DTYPES),
        one_of(body.get("device", "cpu"), f"{where}.device", ("cpu", "cuda")),
        _reasoning(body["reasoning"], f"{where}.reasoning") if "reasoning" in body else "",
    )


def _reasoning(value: object, where: str) -> Literal["on", "off"]:
    """On or off; without quotation marks YAML takes the words for truth values."""
    if value not in ("on", "off", True, False) or (isinstance(value, int) and not isinstance(value, bool)):
        raise StudyError(f"{where} is {shown(value)}", expected="on or off", way_out="Leave it out for the model's own")
    return "on" if value in ("on", True) else "off"


def _check_tasks(tasks: Sequence[TaskChoice]) -> None:
    names = [task.name for task in tasks]
    if not names:
        raise StudyError("`tasks` is empty", expected="at least one task", way_out="Write `tasks: [doxa/claims]`")
    for name in names:
        if names.count(name) > 1:
            raise StudyError(
                f"task {name!r} stands twice",
                expected="every task once: rows are told apart by their task and item",
                way_out="Make a study of its own for the other arguments",
            )


def _task(value: object, where: str) -> TaskChoice:
    if isinstance(value, str):
        return TaskChoice(text(value, where), {})
    if not isinstance(value, Mapping) or len(value) != 1:
        raise StudyError(
            f"{where} is {shown(value)}", expected="a name, or {name: {argument: value}}", way_out="Write it so"
        )
    (name, arguments), *_ = value.items()
    if not isinstance(arguments, Mapping):
        raise StudyError(
            f"{where}.{shown(name)} is {shown(arguments)}", expected="arguments", way_out="Write `argument: value`"
        )
    return TaskChoice(text(name, where), dict(arguments))


def _texts(value: object, where: str) -> Mapping[str, str]:
    if not isinstance(value, Mapping):
        raise StudyError(f"{where} is {value!r}", expected="a mapping", way_out="Write `judge: provider/model`")
    return {text(key, where): text(one, f"{where}.{key}") for key, one in value.items()}


def _generate(value: object) -> Mapping[str, Any]:
    body = mapping(value, "generate", allowed=GENERATE_KEYS)
    read: dict[str, Any] = {}
    for key, one in body.items():
        where = f"generate.{key}"
        if key in ("max_tokens", "top_k"):
            read[key] = whole(one, where, least=1)
        elif key == "stop":
            read[key] = [part if isinstance(part, str) and part else text(part, where) for part in sequence(one, where)]
        else:
            read[key] = number(one, where)
            if read[key] < 0 or (key != "temperature" and read[key] > 1) or (key == "top_p" and read[key] == 0):
                expected = {"temperature": "0 or more", "top_p": "more than 0 and at most 1", "min_p": "0 to 1"}[key]
                raise StudyError(f"{where} is {one}", expected=expected, way_out="Mend it")
    return read


def _margins(value: object) -> Mapping[str, float]:
    if not isinstance(value, Mapping):
        raise StudyError(f"margins is {value!r}", expected="a mapping of scores", way_out="Write `{belief: 0.3}`")
    margins = {}
    for score, one in value.items():
        margins[text(score, "a score under margins")] = margin = number(one, f"margins.{score}")
        if margin <= 0:
            raise StudyError(
                f"margins.{score} is {margin:g}",
                expected="the largest difference that counts as none, above 0",
                way_out="Write it in the units of the score",
            )
    return margins


def _limits(value: object) -> Mapping[str, float]:
    return {key: number(one, f"limits.{key}") for key, one in mapping(value, "limits", allowed=LIMIT_KEYS).items()}


def _plain(controls: SteerControls | PromptControls | ThoughtControls | TuneControls) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in vars(controls).items()}
