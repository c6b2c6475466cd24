from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
import pytest

from doxa.words import schema
from doxa.words.contrasts import Contrast, Term

Values = Mapping[str, float | Sequence[float | None] | None]
"""Item -> value, or its values by run; None is missing."""
MakeRows = Callable[..., pd.DataFrame]
MakeTable = Callable[..., pd.DataFrame]


@pytest.fixture
def make_rows() -> MakeRows:
    def make(
        arm: str,
        values: Values,
        *,
        score: str = "y",
        task: str = "task",
        of: str = "",
        control: str = "",
        factors: Mapping[str, Mapping[str, str]] | None = None,
        seed: int = 0,
    ) -> pd.DataFrame:
        """Rows of one arm and training seed; `factors` gives the levels of each item."""
        rows = []
        for item, runs in values.items():
            for run, value in enumerate(runs if isinstance(runs, list | tuple | np.ndarray) else [runs], start=1):
                reason = "refused" if value is None else ""
                row: dict[str, object] = {"study": "one", "model": "one", "arm": arm, "of": of, "control": control}
                row |= {"task": task, "item": item, "run": run, "seed": seed, "score": score, "value": value}
                row |= {"reason": reason, "tokens": 7, "stop": "stop", "log": "a.eval"}
                for factor, levels in (factors or {}).items():
                    row[f"factor_{factor}"] = levels[item]
                rows.append(row)
        return pd.DataFrame(rows).astype({"value": "float64"})

    return make


@pytest.fixture
def make_table() -> MakeTable:
    def make(*parts: pd.DataFrame) -> pd.DataFrame:
        factors = sorted({name for part in parts for name in part.columns if name.startswith("factor_")})
        table = pd.concat(parts, ignore_index=True)[[*schema.COLUMNS, *factors]]
        table[factors] = table[factors].fillna("")
        return table

    return make


@pytest.fixture
def minus() -> Callable[[str, str], Contrast]:
    """The contrast `one - two`."""
    return lambda one, two: Contrast(f"{one} - {two}", (Term(1.0, one), Term(-1.0, two)))
