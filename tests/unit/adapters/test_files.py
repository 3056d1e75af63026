"""Files of rows: formats, types, columns, progress, stored bytes."""

import gzip
import io
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from custody.adapters.connectors import files
from custody.adapters.connectors.files import columns_of, from_parquet, read, to_parquet
from custody.core.errors import InvalidInput, NotFound
from custody.core.schema import Column, ColumnType
from custody.data.ports import Tables

PEOPLE = pa.table({"age": [41, None], "name": ["Ada", "Bob"], "member": [True, False], "score": [0.5, 1.0]})
CSV = b"age,name,member,score\n41,Ada,true,0.5\n,Bob,false,1.0\n"
JSONL = b'{"age":41,"name":"Ada","member":true,"score":0.5}\n{"age":null,"name":"Bob","member":false,"score":1}\n'


def csv(text: str | bytes, **options: Any) -> pa.Table:
    return read(io.BytesIO(text if isinstance(text, bytes) else text.encode()), "csv", **options)


def jsonl(text: str | bytes) -> pa.Table:
    return read(io.BytesIO(text if isinstance(text, bytes) else text.encode()), "jsonl")


def parquet(table: pa.Table) -> io.BytesIO:
    body = io.BytesIO()
    pq.write_table(table, body)
    return io.BytesIO(body.getvalue())


def test_the_module_is_the_port_that_data_asks_for() -> None:
    port: Tables = files
    assert port.from_parquet(port.to_parquet(PEOPLE)) == PEOPLE


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("people.csv", CSV),
        ("people.CSV.gz", gzip.compress(CSV, mtime=0)),
        ("people.jsonl", JSONL),
        ("people.jsonl.gz", gzip.compress(JSONL, mtime=0)),
        ("people.parquet", parquet(PEOPLE).getvalue()),
    ],
)
def test_every_format_gives_the_same_rows(tmp_path: Path, name: str, body: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(body)
    assert read(path) == PEOPLE
    with path.open("rb") as stream:
        assert read(stream, name.lower().removeprefix("people.")) == PEOPLE
        assert not stream.closed


class Pipe(io.RawIOBase):
    """A stream that cannot go back, as standard input cannot."""

    def __init__(self, body: bytes) -> None:
        self._body = io.BytesIO(body)

    def read(self, size: int = -1) -> bytes:
        return self._body.read(min(size, 7) if size > 0 else size)


@pytest.mark.parametrize(("format_", "body"), [("csv", CSV), ("jsonl", JSONL), ("parquet", parquet(PEOPLE).getvalue())])
def test_a_pipe_is_read_like_a_file(format_: str, body: bytes) -> None:
    shares: list[float] = []
    pipe = cast("BinaryIO", Pipe(body))
    assert read(pipe, format_, progress=lambda _, share: shares.append(share)) == PEOPLE
    assert shares[-1] == 1.0


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (["1", "-2", "0"], pa.int64()),
        (["9223372036854775807", "-9223372036854775808"], pa.int64()),
        (["9223372036854775808", "1"], pa.string()),
        (["007", "12"], pa.string()),
        (["+49", "12"], pa.string()),
        (["1", "2.5"], pa.float64()),
        (["1e5", ".5", "3.", "-inf", "NaN"], pa.float64()),
        (["1", "1_000"], pa.string()),
        (["0x1F", "1"], pa.string()),
        (["true", "False", "TRUE"], pa.bool_()),
        (["true", "yes"], pa.string()),
        (["1", "true"], pa.string()),
        (["2024-02-29", "2024-01-01T10:00:00+02:00", "2024-01-01 10:00"], pa.timestamp("us", "UTC")),
        (["2024-01-01T10:00:00.123456000Z", "2024-01-01T10:00:00-0330"], pa.timestamp("us", "UTC")),
        (["2024-01-01T10:00:00.123456789Z"], pa.string()),
        (["2023-02-29"], pa.string()),
        (["0000-01-01"], pa.string()),
        (["0001-01-01T00:00:00+10:00"], pa.string()),
        (["", ""], pa.string()),
        (["12 ", "1"], pa.string()),
    ],
)
def test_a_csv_column_has_the_type_that_all_its_values_have(values: list[str], wanted: pa.DataType) -> None:
    table = csv("a,b\n" + "".join(f"{value},x\n" for value in ["", *values]))
    assert table.schema.field("a").type == wanted
    assert table.column("a")[0].as_py() is None


def test_the_last_of_many_rows_still_decides_a_type() -> None:
    table = csv("a\n" + "1\n" * 250_000 + "x\n")
    assert table.schema.field("a").type == pa.string()
    assert table.num_rows == 250_001


def test_times_without_a_zone_are_utc() -> None:
    times = csv("t\n2024-01-01\n2024-01-01T10:30\n2024-01-01 10:30:00.25\n2024-01-01T10:30:00+02:00\n").column("t").to_pylist()
    expected = [
        datetime(2024, 1, 1, tzinfo=UTC),
        datetime(2024, 1, 1, 10, 30, tzinfo=UTC),
        datetime(2024, 1, 1, 10, 30, 0, 250_000, tzinfo=UTC),
        datetime(2024, 1, 1, 8, 30, tzinfo=UTC),
    ]
    assert times == expected


def test_csv_knows_byte_order_marks_quotes_and_empty_lines() -> None:
    table = csv(b'\xef\xbb\xbf"a, b",c\r\n\r\n"x\r\ny ""z""",\r\n\n,"caf\xc3\xa9"')
    assert table.to_pydict() == {"a, b": ['x\r\ny "z"', None], "c": [None, "caf\u00e9"]}


def test_a_csv_with_names_only_has_no_rows() -> None:
    assert csv("a,b").to_pydict() == {"a": [], "b": []}


def test_json_rows_may_lack_keys_and_mix_numbers() -> None:
    table = jsonl('\ufeff{"a":1}\n\n{"b":"2024-01-01"}\n{"a":2.5,"b":null,"c":null}\n')
    assert table.schema.types == [pa.float64(), pa.timestamp("us", "UTC"), pa.string()]
    assert table.column("a").to_pylist() == [1.0, None, 2.5]


def test_json_text_that_looks_like_a_number_stays_text() -> None:
    assert jsonl('{"zip":"12345"}\n').column("zip").to_pylist() == ["12345"]


def test_a_json_key_that_appears_late_is_null_before() -> None:
    table = jsonl('{"a":1}\n' * 25_000 + '{"a":2,"late":true}\n')
    assert table.column("late").null_count == 25_000
    assert table.column("late")[25_000].as_py() is True


@pytest.mark.parametrize("format_", files.FORMATS)
@pytest.mark.parametrize("body", [b"", b"\n\n"])
def test_an_empty_file_is_refused(format_: str, body: bytes) -> None:
    packed = gzip.compress(body, mtime=0) if format_.endswith(".gz") else body
    with pytest.raises(InvalidInput):
        read(io.BytesIO(packed), format_)


def test_the_format_is_told_by_the_ending_or_by_name(tmp_path: Path) -> None:
    for path in (tmp_path / "people.xlsx", tmp_path / "csv"):
        path.write_bytes(CSV)
        with pytest.raises(InvalidInput, match=r"csv, csv\.gz, jsonl, jsonl\.gz, parquet"):
            read(path)
        assert read(path, "csv") == PEOPLE
    with pytest.raises(InvalidInput, match="'xml' is not known"):
        read(io.BytesIO(CSV), "xml")
    with pytest.raises(InvalidInput, match="format"):
        read(io.BytesIO(CSV))


def test_a_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no file"):
        read(tmp_path / "absent.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InvalidInput, match="cannot be opened"):
        read(tmp_path / "folder.csv")


@pytest.mark.parametrize("body", [CSV, gzip.compress(CSV, mtime=0)[:-9], gzip.compress(CSV, mtime=0)[:20] + b"\0" * 30])
def test_damaged_gzip_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput, match="decompressed"):
        read(io.BytesIO(body), "csv.gz")


@pytest.mark.parametrize("format_", ["csv", "jsonl", "parquet"])
def test_the_expected_columns_come_in_the_expected_order(format_: str) -> None:
    body = {"csv": CSV, "jsonl": JSONL, "parquet": parquet(PEOPLE).getvalue()}[format_]
    order = ["score", "name", "age", "member"]
    assert read(io.BytesIO(body), format_, columns=order) == PEOPLE.select(order)
    with pytest.raises(InvalidInput) as refusal:
        read(io.BytesIO(body), format_, columns=["age", "nam", "member", "score"])
    assert refusal.value.why == "'nam' is missing (near: 'name'); 'name' is not expected (near: 'nam')."
    assert refusal.value.facts == {"missing": ["nam"], "unexpected": ["name"]}


def test_a_file_without_a_header_does_not_leak_its_first_row() -> None:
    with pytest.raises(InvalidInput, match="lack a header") as refusal:
        csv("Ada,41\nBob,42\n", columns=["name", "age"])
    assert "Ada" not in str(refusal.value)


@pytest.mark.parametrize("header", ["a,,c", "a,b,a", "a, ,c", '"",b,c', "a,b\0,c"])
def test_column_names_are_given_and_unique(header: str) -> None:
    with pytest.raises(InvalidInput, match="no usable column names"):
        csv(f"{header}\n1,2,3\n")


def test_column_names_of_other_formats_are_given_and_unique() -> None:
    with pytest.raises(InvalidInput, match="Columns 1 and 2"):
        read(parquet(pa.table([[1], [2]], names=["a", "a"])), "parquet")
    with pytest.raises(InvalidInput, match="column 1"):
        read(parquet(pa.table([[1]], names=[""])), "parquet")
    with pytest.raises(InvalidInput, match="column 2"):
        jsonl('{"a":1,"":2}')


@pytest.mark.parametrize("format_", ["csv", "csv.gz", "jsonl", "parquet"])
def test_progress_rises_to_one(format_: str) -> None:
    table = pa.table({"a": range(150_000), "b": ["x" * 10] * 150_000})
    plain = "a,b\n" + "".join(f"{row},{'x' * 10}\n" for row in range(150_000))
    lines = "".join(f'{{"a":{row},"b":"{"x" * 10}"}}\n' for row in range(150_000))
    bodies = {"csv": plain.encode(), "csv.gz": gzip.compress(plain.encode(), 1), "jsonl": lines.encode()}
    seen: list[tuple[int, float]] = []
    body = bodies[format_] if format_ in bodies else parquet(table).getvalue()
    assert read(io.BytesIO(body), format_, progress=lambda rows, share: seen.append((rows, share))) == table
    assert len(seen) >= 2
    assert seen == sorted(seen)
    assert all(0 <= share <= 1 for _, share in seen)
    assert seen[-1] == (150_000, 1.0)


def test_parquet_types_are_widened_to_five() -> None:
    moment = datetime(2024, 1, 1, 12, 0, 0, 1, tzinfo=UTC)
    table = pa.table(
        {
            "small": pa.array([1, None], pa.int8()),
            "unsigned": pa.array([1, 2], pa.uint64()),
            "single": pa.array([0.5, None], pa.float32()),
            "half": pa.array([0.5, None], pa.float16()),
            "category": pa.array(["a", None]).dictionary_encode(),
            "large": pa.array(["a", None], pa.large_string()),
            "nothing": pa.nulls(2),
            "day": pa.array([date(2024, 1, 1), None]),
            "naive": pa.array([moment.replace(tzinfo=None), None], pa.timestamp("ms")),
            "berlin": pa.array([moment, None], pa.timestamp("us", "Europe/Berlin")),
            "nanoseconds": pa.array([1_704_110_400_000_001_999, None], pa.timestamp("ns")),
        }
    )
    read_back = read(parquet(table), "parquet")
    assert [column.type.value for column in columns_of(read_back)] == [
        *("integer", "integer", "float", "float", "string", "string", "string"),
        *("timestamp", "timestamp", "timestamp", "timestamp"),
    ]
    assert columns_of(read_back) == columns_of(table)
    assert set(read_back.schema.types) == {pa.int64(), pa.float64(), pa.string(), pa.timestamp("us", "UTC")}
    assert read_back.column("berlin")[0].as_py() == read_back.column("nanoseconds")[0].as_py() == moment
    assert read_back.column("naive")[0].as_py() == moment.replace(microsecond=0)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[1, 2]]),
        pa.array([{"a": 1}]),
        pa.array([Decimal("1.5")]),
        pa.array([b"bytes"]),
        pa.array([1], pa.time64("us")),
        pa.array([2**64 - 1], pa.uint64()),
        pa.array([2**62], pa.timestamp("us")),
    ],
)
def test_other_types_are_refused_by_column(column: pa.Array) -> None:
    with pytest.raises(InvalidInput, match="'odd'") as refusal:
        read(parquet(pa.table({"odd": column})), "parquet")
    assert refusal.value.facts == {"column": "odd"}
    with pytest.raises(InvalidInput, match="'odd'"):
        to_parquet(pa.table({"odd": column}))


def test_a_time_too_large_for_microseconds_is_refused() -> None:
    with pytest.raises(InvalidInput, match="'odd'"):
        to_parquet(pa.table({"odd": pa.array([2**62], pa.timestamp("s"))}))


def test_columns_have_names_and_types() -> None:
    assert columns_of(PEOPLE) == (
        Column("age", ColumnType.INTEGER),
        Column("name", ColumnType.STRING),
        Column("member", ColumnType.BOOLEAN),
        Column("score", ColumnType.FLOAT),
    )


def test_the_same_rows_give_the_same_bytes_however_they_came() -> None:
    rows = csv("n,t\n" + "".join(f"{row},text {row % 7}\n" for row in range(70_000)))
    body = to_parquet(rows)
    assert to_parquet(from_parquet(body)) == body
    assert to_parquet(rows.combine_chunks()) == body
    assert to_parquet(pa.concat_tables([rows.slice(0, 11), rows.slice(11, 50_000), rows.slice(50_011)])) == body
    assert to_parquet(rows.replace_schema_metadata({"pandas": "{}"})) == body
    assert to_parquet(rows.set_column(1, "t", rows.column("t").dictionary_encode())) == body
    assert to_parquet(rows.slice(0, 69_999)) != body


def test_another_process_writes_the_same_bytes() -> None:
    script = (
        "import sys, pyarrow as pa; from custody.adapters.connectors.files import to_parquet;"
        "sys.stdout.buffer.write(to_parquet(pa.table({'a': [1, None], 'b': ['x', 'y']})))"
    )
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, timeout=60).stdout
    assert other == to_parquet(pa.table({"a": [1, None], "b": ["x", "y"]}))


def test_a_table_without_rows_is_stored_too() -> None:
    nothing = PEOPLE.slice(0, 0)
    assert from_parquet(to_parquet(nothing)) == nothing
