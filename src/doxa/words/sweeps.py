"""A sweep: one steered arm of a study at every placement and strength of a grid, as a study of its own.

What the arm adds, where in the text, and what else it does stay as they are; layers and strength are swept. The arm
without its steering is the baseline. Every twin of the vector goes through the whole sweep. What is trained is trained
under one training seed, the first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from doxa.words.arms import Arm
from doxa.words.contrasts import Contrast, Term
from doxa.words.errors import StudyError
from doxa.words.interventions import Steer
from doxa.words.layers import Layers
from doxa.words.scope import LEAST_TWINS, PromptControls, SteerControls, TuneControls
from doxa.words.study import Study

BASELINE = "baseline"
MOST_CELLS = 2000
MULTIPLES = (-1.0, 0.5, 1.0, 2.0)
"""Of the arm's own strength: the strengths that are swept unless others are named."""


@dataclass(frozen=True)
class Cell:
    """One placement and strength.

    Attributes:
        layers: The steered layers, ascending.
        strength: As a study writes it.
    """

    layers: tuple[int, ...]
    strength: float


@dataclass(frozen=True)
class Sweep:
    """A sweep, laid out.

    Attributes:
        study: What is run: the baseline and an arm for every cell, on one task.
        arm: The arm that is swept.
        cells: By arm of `study` the cell it is.
    """

    study: Study
    arm: str
    cells: Mapping[str, Cell]


def sweep_of(
    study: Study,
    arm: str,
    *,
    n_layers: int,
    task: str | None = None,
    strengths: Sequence[float] = (),
    widths: Sequence[int] = (1,),
    twins: int = LEAST_TWINS,
) -> Sweep:
    """Lay out a sweep.

    Args:
        study: The study that the arm stands in.
        arm: A steered arm.
        n_layers: Of the model.
        task: One of the study's tasks; None takes the first.
        strengths: () takes -1, 1/2, 1 and 2 times the arm's own.
        widths: Layers of a block; blocks of each width end at every layer that they can end at.
        twins: Twins that go through the whole sweep; 0 for none.

    Raises:
        StudyError: When the arm does not steer with one vector, the task is not the study's, or the grid is empty, too
            large or names something twice.
    """
    own = study.arm(arm)
    steers = [one for one in own.interventions if isinstance(one, Steer)]
    if len(steers) != 1:
        raise StudyError(
            f"arm {arm!r} steers with {len(steers)} vectors", expected="one", way_out="Name an arm with one `steer`"
        )
    tasks = [one for one in study.tasks if task in (None, one.name)]
    if not tasks:
        raise StudyError(
            f"study {study.name!r} has no task {task!r}",
            expected=" or ".join(one.name for one in study.tasks),
            way_out="Name one of them",
        )
    if 0 < twins < LEAST_TWINS:
        raise StudyError(
            f"{twins} twins",
            expected=f"0, or at least {LEAST_TWINS}: fewer cannot reach p = .05",
            way_out="Ask for more, or none",
        )
    steer = steers[0]
    if not steer.strength and not strengths:
        raise StudyError(f"arm {arm!r} has strength 0", way_out="Name the strengths: --strengths 0.2,0.4")
    levels = tuple(strengths) or tuple(multiple * steer.strength for multiple in MULTIPLES)
    cells = _cells(n_layers, levels, tuple(widths))
    rest = tuple(one for one in own.interventions if one is not steer)
    short = arm.partition("[")[0]
    arms: dict[str, tuple[Arm, Cell]] = {}
    for cell in cells:
        which = _placement(cell.layers)
        name = f"{short}[layers={which},strength={cell.strength:g}]"
        steered = replace(steer, layers=Layers.at(cell.layers), strength=cell.strength)
        interventions = tuple(steered if one is steer else one for one in own.interventions)
        arms[name] = (Arm(name, interventions, levels={"layers": which, "strength": f"{cell.strength:g}"}), cell)
    laid_out = replace(
        study,
        name=f"{study.name}-sweep-{short}",
        arms=(Arm(BASELINE, rest), *(one for one, _ in arms.values())),
        tasks=(tasks[0],),
        contrasts=tuple(Contrast(f"{name} - {BASELINE}", (Term(1.0, name), Term(-1.0, BASELINE))) for name in arms),
        primary=(),
        runs=1,
        stopping=None,
        seeds=1,
        steer_controls=SteerControls(twins=twins, unrelated=0),
        prompt_controls=PromptControls(neutral=False, paraphrases=0),
        tune_controls=TuneControls(),
        limits=None,
    )
    return Sweep(laid_out, arm, {name: cell for name, (_, cell) in arms.items()})


def _cells(n_layers: int, strengths: Sequence[float], widths: Sequence[int]) -> tuple[Cell, ...]:
    """Placements in the order of their first layer: neighbours share what is run below it."""
    for what, values in (("strength", strengths), ("width", widths)):
        twice = [value for value in values if list(values).count(value) > 1]
        if twice:
            raise StudyError(f"{what} {twice[0]:g} stands twice", way_out="Name every one once")
    if 0.0 in strengths:
        raise StudyError("strength 0 in a sweep", expected="others: 0 is the baseline", way_out="Leave it out")
    for width in widths:
        if not 1 <= width <= n_layers:
            raise StudyError(
                f"blocks of {width} layers", expected=f"from 1 to {n_layers}, the model's layers", way_out="Mend it"
            )
    placements = sorted(
        tuple(range(end - width + 1, end + 1)) for width in widths for end in range(width - 1, n_layers)
    )
    if len(placements) * len(strengths) > MOST_CELLS:
        raise StudyError(
            f"a sweep of {len(placements) * len(strengths)} cells",
            expected=f"at most {MOST_CELLS}",
            way_out="Name fewer widths or strengths",
        )
    return tuple(Cell(layers, strength) for layers in placements for strength in strengths)


def _placement(layers: Sequence[int]) -> str:
    return str(layers[0]) if len(layers) == 1 else f"{layers[0]}..{layers[-1]}"
