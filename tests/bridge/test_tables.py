from pathlib import Path

import pandas as pd
import pytest

from doxa.bridge.tables import read_table, typed, write_table
from doxa.stats.table import validate
from doxa.words import schema
from doxa.words.errors import ResultsError

NASTY = ["=1+1", "+x", "-x", "@x", "'x", "''", "NA", "nan", "", 'a "b", c', "two\nlines", "Ärger", "\tx", "\rx", " "]


def table() -> pd.DataFrame:
    n = len(NASTY)
    return typed(
        pd.DataFrame(
            {
                **{name: ["x"] * n for name, kind in schema.COLUMNS.items() if kind == "text"},
                "factor_b": NASTY,
                "item": [f"{i:02d}" for i in range(n)],
                "study": NASTY,
                "run": range(1, n + 1),
                "seed": 0,
                "tokens": 3,
                "value": [None, 0.1 + 0.2, -1e-300, *[float(i) / 3 for i in range(n - 3)]],
                "reason": ["=missing"] + [""] * (n - 1),
                "factor_a": ["u"] * n,
            }
        )
    )


def test_columns_have_the_order_and_types_of_the_contract() -> None:
    frame = table()
    assert list(frame.columns) == [*schema.COLUMNS, "factor_a", "factor_b"]
    for name, kind in schema.COLUMNS.items():
        assert str(frame[name].dtype) == {"text": "string", "integer": "int64", "number": "float64"}[kind], name
    validate(frame)


@pytest.mark.parametrize("file", ["table.parquet", "table.csv", "."])
def test_writing_and_reading_changes_nothing(tmp_path: Path, file: str) -> None:
    write_table(table(), tmp_path)
    pd.testing.assert_frame_equal(read_table(tmp_path / file), table())


def test_a_folder_with_the_csv_alone_is_read(tmp_path: Path) -> None:
    write_table(table(), tmp_path)
    (tmp_path / "table.parquet").unlink()
    pd.testing.assert_frame_equal(read_table(tmp_path), table())


def test_no_text_in_the_csv_is_a_formula_and_numbers_are_numbers(tmp_path: Path) -> None:
    write_table(table(), tmp_path)
    plain = pd.read_csv(tmp_path / "table.csv", dtype=str, keep_default_na=False)
    for name in ("study", "factor_b", "reason"):
        assert not plain[name].str.startswith(("=", "+", "-", "@", "\t", "\r")).any()
    assert plain["study"][0] == "'=1+1"
    assert plain["value"][2] == "-1e-300"


def test_the_same_table_is_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_table(table(), tmp_path / name)
    for file in ("table.parquet", "table.csv"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize("name", ["table.parquet", "table.csv"])
@pytest.mark.parametrize("content", [b"", b"PAR1 cut off", b"a,b\n1,2\n", b"\xff\xfe\x00"])
def test_what_is_no_table_is_said_to_be_none(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ResultsError, match=r"is not a table of doxa .* Make it again from the logs"):
        read_table(tmp_path / name)


def test_no_table_at_all(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="no table"):
        read_table(tmp_path)
