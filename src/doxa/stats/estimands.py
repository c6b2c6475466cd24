"""What an interval is for: the estimand, and what is drawn anew when a result is asked for again.

| estimand | drawn anew | held fixed |
|---|---|---|
| `new items` | items; training seeds too where the table has several | the recipe, the vector, the wording |
| `these items` | runs | items and checkpoints |
| `this checkpoint, over runs` | runs, pooled over whatever items there are | the checkpoint |
| `the recipe, over seeds` | training seeds, and runs | items; an arm with one seed is one fixed model |
"""

from collections.abc import Mapping
from typing import Literal, get_args

from doxa.words.errors import ResultsError, nearest

Estimand = Literal["new items", "these items", "this checkpoint, over runs", "the recipe, over seeds"]

MEANING: Mapping[Estimand, str] = {
    "new items": "holds for new items of this kind, with this vector, this wording and this recipe",
    "these items": "holds for more runs of these very items on these very checkpoints, and for no others",
    "this checkpoint, over runs": "holds for more runs of this checkpoint, and not for the recipe that made it",
    "the recipe, over seeds": "holds for new training seeds of the recipe, asked these very items",
}
"""Each as the end of a sentence that begins with "The interval"."""

SHORT: Mapping[str, Estimand] = {
    "items": "new items",
    "fixed": "these items",
    "runs": "this checkpoint, over runs",
    "seeds": "the recipe, over seeds",
}
"""What may be typed for them."""


def estimand_named(name: str) -> Estimand:
    """The estimand that a name stands for.

    Raises:
        ResultsError: When it is none; the message lists them.
    """
    for short, one in SHORT.items():
        if name in (short, one):
            return one
    raise ResultsError(f"no estimand is called {name!r}", way_out=nearest(name, [*SHORT, *get_args(Estimand)]))
