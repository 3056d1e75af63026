"""Malformed files: every fault is told by line and column, never by value, and nothing else ever escapes."""

import csv
import gzip
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from custody.adapters.connectors.files import FORMATS, from_parquet, read, to_parquet
from custody.core.errors import InvalidInput

SECRET = "Grace-Hopper"


def refusal_of(body: bytes, format_: str) -> InvalidInput:
    with pytest.raises(InvalidInput) as refusal:
        read(io.BytesIO(body), format_)
    assert SECRET not in str(refusal.value)
    assert SECRET not in str(refusal.value.facts)
    assert SECRET not in repr(refusal.value.__cause__)
    return refusal.value


def faults_of(body: bytes, format_: str) -> list[str]:
    told = refusal_of(body, format_).facts["first"]
    assert isinstance(told, list)
    return told


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (f"a,b\n1,2\n{SECRET}\n", "line 3, column 2: 1 field where the header has 2"),
        (f"a,b\n1,2\n1,2,{SECRET}\n", "line 3, column 3: 3 fields where the header has 2"),
        (f'a,b\n"x\n\ny",2\n\n{SECRET}\n', "line 6, column 2: 1 field where the header has 2"),
        (f'a,b\r\n"x\r\ny",2\r\n{SECRET}\r\n', "line 4, column 2: 1 field where the header has 2"),
        (f"a,b\n1,2\n1,{SECRET}\0\n", "line 3, column 2: a NUL character"),
        (f'a,b\n"\n\n",2\n"\n{SECRET}\0",2\n', "line 5, column 1: a NUL character"),
    ],
)
def test_a_malformed_csv_row_is_told_by_line_and_column(body: str, told: str) -> None:
    assert faults_of(body.encode(), "csv") == [told]


def test_bytes_that_are_not_utf8_are_told_by_line_and_column() -> None:
    assert faults_of(b'a,b\n"\n",2\n1,Grace-Hopper\xff\n', "csv") == ["line 4, column 2: bytes that are not UTF-8"]


@pytest.mark.parametrize("row", [f'1,"{SECRET}', f'1,"{SECRET}"x', f'1,"{SECRET}\n3,4\n5,6\n'])
def test_an_open_quote_is_told_by_the_line_it_starts_on(row: str) -> None:
    assert faults_of(f"a,b\n1,2\n{row}".encode(), "csv")[0].startswith("line 3, some column: a quote that is not closed")


def test_rows_after_a_fault_are_still_checked() -> None:
    told = faults_of(b'a,b\n1\n"x"y,2\n3,4\n5,6,7\n8,\xff\n', "csv")
    assert [fault.partition(",")[0] for fault in told] == ["line 2", "line 3", "line 5", "line 6"]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (f'{{"n":1,"s":"{SECRET}"', "character"),
        (f'{{"n":{SECRET},"s":""}}', "character 6: this is not JSON"),
        (f'["{SECRET}"]', "character 1: this is no JSON object"),
        (f'{{"n":"{SECRET}","s":"x"}}', "column 'n': text where the column holds a number"),
        ('{"n":true,"s":"x"}', "column 'n': true or false where the column holds a number"),
        ('{"n":1,"s":2}', "column 's': a number where the column holds text"),
        (f'{{"n":[1],"s":"{SECRET}"}}', "column 'n': a list or an object where the column holds a number"),
        (f'{{"n":1,"s":{{"x":"{SECRET}"}}}}', "column 's': a list or an object where the column holds text"),
        (f'{{"n":1,"s":"{SECRET}\\u0000"}}', "column 's': a NUL character"),
        ('{"n":9223372036854775808,"s":"x"}', "column 'n': a whole number beyond 64 bits"),
        (f'{{"n":1,"s":"{SECRET}","n":2}}', "a key stands twice"),
        ('{"n":NaN,"s":"x"}', "this is not JSON"),
    ],
)
@pytest.mark.parametrize("place", [0, 1, 3])
def test_a_malformed_json_row_is_told_by_line_and_column(row: str, told: str, place: int) -> None:
    lines = ['{"n":1,"s":"12:30"}'] * 3
    lines.insert(place, row)
    faults = faults_of("\n".join(lines).encode(), "jsonl")
    assert len(faults) == 1
    assert faults[0].startswith(f"line {place + 1}, ")
    assert told in faults[0]


def test_json_that_is_not_utf8_is_told_by_line() -> None:
    assert faults_of(b'{"s":"x"}\n{"s":"Grace-Hopper\xff"}\n', "jsonl")[0].startswith("line 2, ")


@pytest.mark.parametrize(
    ("format_", "head", "good", "bad"), [("csv", "a,b\n", "1,2\n", "1\n"), ("jsonl", "", '{"a":1}\n', '{"a":"x"}\n')]
)
def test_the_first_twenty_faults_come_with_the_total(format_: str, head: str, good: str, bad: str) -> None:
    refusal = refusal_of((head + good * 100 + (bad + good) * 50).encode(), format_)
    start = 101 + len(head.splitlines())
    assert refusal.facts["count"] == 50
    first = refusal.facts["first"]
    assert isinstance(first, list)
    assert [fault.partition(",")[0] for fault in first] == [f"line {start + 2 * row}" for row in range(20)]
    assert "has 50 faults" in refusal.what
    assert refusal.why.endswith("; and 30 more.")


def test_faults_of_different_kinds_are_told_in_the_order_of_lines() -> None:
    told = faults_of(b'{"a":1,"b":"x"}\n{"a":"x"}\n{\n{"a":2,"b":3}\n{"a":3,"b":"y"}\n{"b":"\\u0000"}\n', "jsonl")
    assert [fault.partition(",")[0] for fault in told] == ["line 2", "line 3", "line 4", "line 6"]


@pytest.mark.parametrize("cut", [1, 5, 40, 200])
def test_a_parquet_file_that_was_cut_off_says_so(cut: int) -> None:
    body = to_parquet(pa.table({"s": [SECRET] * 50}))
    assert "cut off" in refusal_of(body[:-cut], "parquet").why
    assert "cut off" in refusal_of(body[cut:], "parquet").why


def test_a_parquet_page_with_a_flipped_bit_is_refused() -> None:
    body = bytearray(to_parquet(pa.table({"n": list(range(1000))})))
    body[100] ^= 1
    with pytest.raises(InvalidInput):
        from_parquet(bytes(body))


# Laws: what was written is read back; one mutilation is told by its line; random bytes give a table or InvalidInput.

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff"), max_size=8)
VALUES: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float64(): st.floats(allow_nan=False, allow_infinity=False),
    pa.bool_(): st.booleans(),
    pa.string(): TEXT.map(lambda text: "x" + text),
    pa.timestamp("us", "UTC"): st.datetimes(timezones=st.just(UTC)),
}
NAMES = TEXT.filter(lambda name: bool(name.strip()))


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    """Draw tables whose columns hold at least one value, so that text formats can tell their types."""
    rows = draw(st.integers(1, 6))
    columns = {}
    for name in draw(st.lists(NAMES, min_size=1, max_size=4, unique=True)):
        kind = draw(st.sampled_from(list(VALUES)))
        values = draw(st.lists(st.none() | VALUES[kind], min_size=rows, max_size=rows))
        values[draw(st.integers(0, rows - 1))] = draw(VALUES[kind])
        columns[name] = pa.array(values, kind)
    return pa.table(columns)


def cell(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, datetime) else str(value)


def as_csv(table: pa.Table, quoting: Any = csv.QUOTE_MINIMAL) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, quoting=quoting, lineterminator="\r\n")
    writer.writerow(table.column_names)
    writer.writerows([cell(value) for value in row.values()] for row in table.to_pylist())
    return text.getvalue().encode()


def as_jsonl(table: pa.Table) -> bytes:
    return b"".join(orjson.dumps(row) + b"\n" for row in table.to_pylist())


@settings(max_examples=150, deadline=None)
@given(tables())
def test_what_was_written_is_read_back(table: pa.Table) -> None:
    assert read(io.BytesIO(as_csv(table)), "csv") == table
    assert read(io.BytesIO(as_csv(table, csv.QUOTE_ALL)), "csv") == table
    assert read(io.BytesIO(as_jsonl(table)), "jsonl", columns=table.column_names) == table
    assert from_parquet(to_parquet(table)) == table


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(), min_size=1))
def test_parquet_and_csv_keep_every_float(values: list[float]) -> None:
    table = pa.table({"f": values})
    assert repr(from_parquet(to_parquet(table)).to_pydict()) == repr(table.to_pydict())
    assert repr(read(io.BytesIO(as_csv(table)), "csv").to_pydict()) == repr(table.to_pydict())


def lines_of(body: bytes) -> int:
    return len(io.TextIOWrapper(io.BytesIO(body), newline="").readlines())


MUTILATIONS: dict[str, Callable[[list[str]], bytes]] = {
    "a field too few": lambda row: as_row(row[:-1]),
    "a field too many": lambda row: as_row([*row, SECRET]),
    "bytes that are not UTF-8": lambda row: as_row([SECRET, *row[1:]]).replace(SECRET.encode(), b"\xc3\x28" + SECRET.encode()),
    "a NUL character": lambda row: as_row([*row[:-1], SECRET + "\0"]),
    "text after a quote": lambda row: as_row([SECRET, *row[1:]]).replace(SECRET.encode(), b'"x"' + SECRET.encode()),
}


def as_row(row: list[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(row)
    return text.getvalue().encode()


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.lists(TEXT.map(lambda text: "x" + text), min_size=3, max_size=3), min_size=1, max_size=6),
    kind=st.sampled_from(list(MUTILATIONS)),
    data=st.data(),
)
def test_one_mutilated_csv_row_is_told_by_its_line(rows: list[list[str]], kind: str, data: st.DataObject) -> None:
    hit = data.draw(st.integers(0, len(rows) - 1))
    written = [b"a,b,c\r\n", *(as_row(row) for row in rows)]
    line = lines_of(b"".join(written[: hit + 1])) + 1
    written[hit + 1] = MUTILATIONS[kind](rows[hit])
    told = faults_of(b"".join(written), "csv")
    assert told[0].startswith(f"line {line}, ")
    if kind != "text after a quote":  # the rest of that row may hold more lines, which cannot be made sense of
        assert len(told) == 1


@settings(max_examples=100, deadline=None)
@given(table=tables().filter(lambda table: table.num_rows > 2), data=st.data())
def test_one_mutilated_json_row_is_told_by_its_line(table: pa.Table, data: st.DataObject) -> None:
    rows = [{**row, "n": 1} for row in table.to_pylist()]
    hit = data.draw(st.integers(0, len(rows) - 1))
    row: dict[str, object] = rows[hit]
    change = data.draw(st.sampled_from(["cut", "type", "nested", "nul", "bytes"]))
    row["n"] = {"type": SECRET, "nested": [SECRET], "nul": 1, "bytes": 1, "cut": 1}[change]
    written = [orjson.dumps(each) for each in rows]
    if change == "cut":
        written[hit] = written[hit][:-1]
    elif change == "bytes":
        written[hit] = written[hit][:-1] + b',"s":"\xff"}'
    elif change == "nul":
        written[hit] = written[hit][:-1] + b',"s\\u0000t":1,"s":"\\u0000"}'
    told = faults_of(b"\n".join(written), "jsonl")
    assert [fault.partition(",")[0] for fault in told] == [f"line {hit + 1}"]


def read_or_refuse(body: bytes, format_: str) -> None:
    try:
        table = read(io.BytesIO(body), format_)
    except InvalidInput:
        return
    table.validate(full=True)
    assert len(table.to_pylist()) == table.num_rows


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(FORMATS), st.binary(max_size=200))
@example("csv", b'"')
@example("csv", b"a\n\xed\xa0\x80")
@example("jsonl", b"{" * 2000)
@example("jsonl", b'{"a":' + b"[" * 1100 + b"]" * 1100 + b"}")
@example("parquet", b"PAR1PAR1")
def test_random_bytes_give_a_table_or_a_refusal(format_: str, body: bytes) -> None:
    read_or_refuse(body, format_)
    if format_.endswith(".gz"):
        read_or_refuse(gzip.compress(body), format_)


SAMPLE = pa.table({"n": [1, None, 3], "s": ["x", 'y"\n', None], "t": pa.array([0, 1, None], pa.timestamp("us", "UTC"))})
SAMPLES = {
    "csv": as_csv(SAMPLE),
    "csv.gz": gzip.compress(as_csv(SAMPLE), mtime=0),
    "jsonl": as_jsonl(SAMPLE),
    "parquet": to_parquet(SAMPLE),
}


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(list(SAMPLES)), st.data())
def test_damaged_files_give_a_table_or_a_refusal(format_: str, data: st.DataObject) -> None:
    body = bytearray(SAMPLES[format_])
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(body) - 1))
        change = data.draw(st.binary(max_size=3))
        body[place : place + data.draw(st.integers(0, 3))] = change
    read_or_refuse(bytes(body), format_)


@settings(max_examples=150, deadline=None)
@given(st.text('",\n\r xé\0', max_size=30))
def test_whatever_the_quotes_do_rows_are_never_merged_in_silence(text: str) -> None:
    try:
        table = read(io.BytesIO(b"a,b\n" + text.encode()), "csv")
    except InvalidInput:
        return
    rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    assert [list(row.values()) for row in table.to_pylist()] == [[field or None for field in row] for row in rows]


def test_a_json_key_that_stands_twice_is_seen_past_colons_in_values() -> None:
    row = json.dumps({"when": "12:30:00", "url": "http://x"})
    assert read(io.BytesIO(row.encode()), "jsonl").num_rows == 1
    assert "twice" in faults_of((row[:-1] + ', "when": "1"}').encode(), "jsonl")[0]
