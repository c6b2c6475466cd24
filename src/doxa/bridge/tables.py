"""The table on disk: Parquet for programs, CSV for people and for R."""

import csv
import io
from pathlib import Path

import pandas as pd

from doxa.stats.table_checks import VERSION_KEY
from doxa.words import schema
from doxa.words.errors import ResultsError
from doxa.words.store import write_atomic

PARQUET, CSV = "table.parquet", "table.csv"
_DTYPES = {"text": "string", "integer": "int64", "number": "float64"}
_RISKY = ("=", "+", "-", "@", "\t", "\r", "'")
"""Text that begins like this is a formula to a spreadsheet; the apostrophe is here so that reading can undo writing."""


def typed(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns of `doxa.words.schema` in order and of their types, then the factors by name.

    Args:
        frame: Has the columns of the schema, in any order and of any types that can be converted.
    """
    factors = sorted(str(name) for name in frame.columns if str(name).startswith(schema.FACTOR_PREFIX))
    kinds = {**schema.COLUMNS, **dict.fromkeys(factors, "text")}
    table = frame[list(kinds)].astype({name: _DTYPES[kind] for name, kind in kinds.items()})
    table.attrs = {VERSION_KEY: schema.VERSION}
    return table


def write_table(table: pd.DataFrame, folder: Path) -> None:
    """Write `table.parquet` and `table.csv`, each whole or not at all.

    In the CSV file text that a spreadsheet would take for a formula begins with an apostrophe.

    Args:
        table: The table.
        folder: Where to.

    Raises:
        EnvironmentFault: When it cannot be written.
    """
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    write_atomic(folder / PARQUET, buffer.getvalue())
    text = table.copy()
    for name in _text_columns(table):
        text[name] = table[name].where(~table[name].str.startswith(_RISKY), "'" + table[name])
    write_atomic(folder / CSV, text.to_csv(index=False, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC))


def read_table(path: Path) -> pd.DataFrame:
    """Read a table that `write_table` wrote.

    Args:
        path: A `.parquet` or `.csv` file, or a folder that holds `table.parquet` or `table.csv`.

    Raises:
        ResultsError: When there is none, or it cannot be read as a table.
    """
    if path.is_dir():
        path = path / PARQUET if (path / PARQUET).is_file() else path / CSV
    if not path.is_file():
        raise ResultsError(
            f"no table {path}", expected=f"{PARQUET} or {CSV}", way_out="Give the results folder of a run"
        )
    try:
        frame = _read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
        return typed(frame)
    except (KeyError, ValueError, OverflowError, OSError, NotImplementedError) as error:
        raise ResultsError(
            f"{path} is not a table of doxa ({str(error).splitlines()[0]})",
            way_out="Make it again from the logs: `doxa table LOGS --out FOLDER`",
        ) from error


def _read_csv(path: Path) -> pd.DataFrame:
    frame = pd.read_csv(path, dtype=str, keep_default_na=False, na_filter=False, encoding="utf-8")
    for name in _text_columns(frame):
        frame[name] = frame[name].str.removeprefix("'")
    frame["value"] = frame["value"].where(frame["value"] != "", "nan")
    return frame


def _text_columns(frame: pd.DataFrame) -> list[str]:
    return [str(name) for name in frame.columns if schema.COLUMNS.get(str(name), "text") == "text"]
