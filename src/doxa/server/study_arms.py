"""The arms of a study as models: by name or label, made ready when they are first asked for."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from doxa.bridge.arms import PreparedArm, prepare
from doxa.models.handle import Model
from doxa.models.low_rank import LowRank
from doxa.not_yet import refuse_what_is_not_run_yet
from doxa.plan import Plan, check_names, make_plan
from doxa.resolve import arm_path, materialise, vector_of
from doxa.results import held, open_folder, read_plan
from doxa.server.refusals import Refused
from doxa.subject import load_model
from doxa.vectors.dose import steering_plan
from doxa.vectors.library import as_made, derived, made_vector
from doxa.vectors.vector import Vector
from doxa.words.arms import Arm, Pin, vector_pins
from doxa.words.errors import ResultsError, nearest
from doxa.words.grammar import intervention_to_json
from doxa.words.interventions import Steer, VectorReference
from doxa.words.store import content_hash
from doxa.words.study import Study

if TYPE_CHECKING:
    from doxa.run import Progress


@dataclass(frozen=True)
class ArmVector:
    """A vector that the arms of a study use.

    Attributes:
        name: As the study names it.
        base: The model that it was taken from, where the study says so.
        pin: Where it is.
    """

    name: str
    base: str | None
    pin: Pin


class StudyArms:
    """The arms of a study, and its controls, in a results folder. May be used by several threads.

    Attributes:
        study: The study.
        model: Its model.
        named: The arms that the study names, by name.
        controls: The arms that it makes as controls, by name.
        vectors: What the named arms are steered by, by the name of their pin.
        manifests: What these vectors say about themselves, likewise.
        folder: The results folder.
    """

    def __init__(
        self, plan: Plan, model: Model, folder: Path, *, progress: Callable[[str], None] | None = None
    ) -> None:
        self.study, self.model, self.folder = plan.study, model, folder
        made = self._made(plan.arms, progress)
        self.named = {arm.name: arm for arm in made}
        self.controls = {arm.name: arm for arm in plan.controls}
        self.vectors = _vectors_of(self.named)
        self.manifests = {key: self._load(vector).manifest for key, vector in self.vectors.items()}
        self._labels = {arm.label: arm.name for arm in (*made, *plan.controls)}
        self._lock = threading.Lock()
        self._made_controls: dict[str, Arm] = {}
        self._prepared = {arm.name: self._prepare(arm) for arm in made}

    def find(self, name: str) -> Arm:
        """The arm of a name or a label.

        Raises:
            Refused: 404, with the nearest.
        """
        name = self._labels.get(name, name)
        arm = self.named.get(name) or self.controls.get(name)
        if arm is None:
            meant = name[:200]  # whatever was sent, it is written back
            known = {*self.named, *self.controls} if "~" in meant else set(self.named)
            raise Refused(
                404,
                f"the model {meant!r} does not exist",
                way_out=f"It is an arm of the study {self.study.name!r}. {nearest(meant, known)}",
                param="model",
                code="model_not_found",
            )
        return arm

    def is_ready(self, name: str) -> bool:
        """Whether an arm can be used at once."""
        return name in self._prepared

    def prepared(self, name: str) -> PreparedArm:
        """An arm as the engine takes it; the vectors of a control are made when it is first asked for.

        Args:
            name: Of the arm, not its label.

        Raises:
            DoxaError: When a vector cannot be made or written.
        """
        if name not in self._prepared:
            with self._lock:
                if name not in self._prepared:
                    (arm,) = self._made([self.controls[name]])
                    self._made_controls[name] = arm
                    self._prepared[name] = self._prepare(arm)
        return self._prepared[name]

    def made(self, name: str) -> Arm:
        """An arm with the folders of its vectors in its pins."""
        self.prepared(name)
        return self.named.get(name) or self._made_controls[name]

    def steers(self, name: str) -> list[tuple[Steer, Vector]]:
        """What an arm is steered by."""
        arm = self.made(name)
        own = [one for one in arm.interventions if isinstance(one, Steer)]
        return [(steer, vector_of(self.model, arm, steer, results=self.folder)) for steer in own]

    def steered(self, arm: PreparedArm, steer: Steer) -> PreparedArm:
        """An arm with something more added.

        Raises:
            Refused: 400 when the vector is none of the study's.
            VectorError: When it does not fit the model.
        """
        plan = steering_plan(steer, self.vector(steer.vector, arm.low_rank))
        digest = content_hash([arm.digest, intervention_to_json(steer)])
        return replace(arm, plans=(*arm.plans, plan), digest=digest)

    def vector(self, reference: VectorReference, low_rank: LowRank | None = None) -> Vector:
        """The vector that a request refers to: one of the study's own, or a twin of it, and no file beside.

        Args:
            reference: Which vector.
            low_rank: The adapter of the arm that it is added to.

        Raises:
            Refused: 400 when it is none of the study's.
            VectorError: When it does not fit the model.
        """
        keys = vector_pins(reference)
        for name, key in keys.items():
            if key not in self.vectors:
                raise Refused(
                    400,
                    f"the study {self.study.name!r} has no {key[:200]!r}",
                    way_out=nearest(name[:200], {one.name for one in self.vectors.values()}),
                    param="steer",
                )

        def find(name: str) -> Vector:
            return self._load(self.vectors[keys[name]])

        return derived(as_made(reference, find), self.model, find, low_rank=low_rank)

    def _load(self, vector: ArmVector) -> Vector:
        return made_vector(vector.pin, self.folder / "arms")

    def _made(self, arms: Sequence[Arm], progress: Callable[[str], None] | None = None) -> tuple[Arm, ...]:
        return materialise(arms, self.model, results=self.folder, folder=self.study.folder, progress=progress)

    def _prepare(self, arm: Arm) -> PreparedArm:
        return prepare(self.model, arm_path(self.folder, arm))


def open_arms(study: Study, folder: Path, progress: "Progress") -> StudyArms:
    """Load a study's model, and make the vectors and files of its arms where they are missing.

    Arms and vectors are called by what they hold. So in a results folder that is there nothing is changed or moved,
    also when the study was edited since; a new folder is begun as `doxa run` begins it.

    Args:
        study: The specification.
        folder: The results folder.
        progress: Told about every stage and step.

    Raises:
        ResultsError: When the folder belongs to something else.
        DoxaError: As for a run.
    """
    refuse_what_is_not_run_yet(study)
    check_names(study)
    progress.stage("loading the model", 1)
    model = load_model(study)
    plan = make_plan(study, model)
    progress.step()
    progress.stage("vectors", len({name for arm in plan.arms for name, pin in arm.pins.items() if pin.text is None}))

    def made(_: str) -> None:
        progress.step()

    if (folder / "plan.json").exists():
        owner = read_plan(folder)["study"]["study"]
        if owner != study.name:
            raise ResultsError(
                f"{folder} belongs to the study {owner!r}",
                expected=f"the study {study.name!r}",
                way_out="Choose another folder with --out",
            )
        return StudyArms(plan, model, folder, progress=made)
    with held(folder):
        open_folder(folder, plan)
        return StudyArms(plan, model, folder, progress=made)


def _vectors_of(arms: Mapping[str, Arm]) -> dict[str, ArmVector]:
    found: dict[str, ArmVector] = {}
    for arm in arms.values():
        for steer in (one for one in arm.interventions if isinstance(one, Steer)):
            for name, key in vector_pins(steer.vector).items():
                found.setdefault(key, ArmVector(name, steer.vector.base, arm.pins[key]))
    return found
