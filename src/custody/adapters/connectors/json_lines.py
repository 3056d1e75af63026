"""JSON Lines: one object per line, whose keys are the columns."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, BinaryIO

import orjson
import pyarrow as pa

from custody.adapters.connectors.delimited import nul_rows
from custody.adapters.connectors.faults import SHOWN, Faults, check_names, empty
from custody.adapters.connectors.text_types import timed

_ROWS_PER_BATCH = 20_000
_KINDS: dict[type, str] = {int: "a number", float: "a number", str: "text", bool: "true or false"}
_NESTED = "a list or an object"
_ARROW: dict[str, pa.DataType] = {"a number": pa.int64(), "text": pa.string(), "true or false": pa.bool_()}


def read_jsonl(stream: BinaryIO, name: str, expected: Sequence[str] | None, tick: Callable[[int], None]) -> pa.Table:
    """Read one JSON object per line; a key that a row lacks is null there, and empty lines are skipped.

    tick: called with the number of rows read so far, after each batch. A column's type is the one that most of its
    values have; whole numbers and others mix to double, and text that is ISO 8601 throughout becomes timestamps.
    Raises: InvalidInput with all malformed rows: no JSON object, a key twice, a value of another type than its column.
    """
    faults = Faults(name)
    columns: dict[str, _Column] = {}
    count = 0
    rows = _rows(stream, faults)
    while batch := list(islice(rows, _ROWS_PER_BATCH)):
        lines = [line for line, _ in batch]
        for key in dict.fromkeys(chain.from_iterable(row for _, row in batch)):
            columns.setdefault(key, _Column(key, [pa.nulls(count)] if count else []))
        for key, column in columns.items():
            column.extend([row.get(key) for _, row in batch], lines, faults)
        count += len(batch)
        tick(count)
    for column in columns.values():
        column.judge(faults)
    faults.report()
    if not columns:
        raise empty(name)
    check_names(list(columns), expected, name)
    return pa.table({key: column.array() for key, column in columns.items()})


def _rows(stream: BinaryIO, faults: Faults) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, raw in enumerate(stream, 1):
        text = (raw.removeprefix(b"\xef\xbb\xbf") if line == 1 else raw).strip()
        if not text:
            continue
        try:
            row = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            faults.add(line, f"character {error.colno}", "this is not JSON")
            continue
        if not isinstance(row, dict):
            faults.add(line, "character 1", "this is no JSON object")
        elif text.count(b":") != len(row) and _repeats(text, row):
            faults.add(line, "some column", "a key stands twice in the object")
        else:
            yield line, row


def _repeats(text: bytes, row: dict[str, Any]) -> bool:
    """Tell whether the object names a key twice; a nested value is a fault that its column reports."""
    if any(isinstance(value, dict | list) for value in row.values()):
        return False
    return len(json.loads(text, object_pairs_hook=list)) != len(row)


@dataclass(slots=True)
class _Column:
    name: str
    chunks: list[pa.Array]
    lines: dict[str, list[int]] = field(default_factory=dict)  # the first lines with each kind of value
    counts: dict[str, int] = field(default_factory=dict)

    def extend(self, values: list[Any], lines: list[int], faults: Faults) -> None:
        kinds = {_KINDS.get(kind, _NESTED) for kind in set(map(type, values)) - {type(None)}}
        for kind in kinds:
            found = [line for line, value in zip(lines, values, strict=True) if _kind(value) == kind]
            seen = self.lines.setdefault(kind, [])
            seen += found[: SHOWN - len(seen)]
            self.counts[kind] = self.counts.get(kind, 0) + len(found)
        array = self._array(values) if kinds and len(self.counts) == 1 and _NESTED not in kinds else None
        if array is None and kinds:
            self._check(values, lines, faults)
        self.chunks.append(pa.nulls(len(values)) if array is None else array)

    def judge(self, faults: Faults) -> None:
        """Report nested values, and those of another kind than most."""
        plain = {kind: count for kind, count in self.counts.items() if kind != _NESTED}
        usual = max(plain, key=lambda kind: plain[kind], default="one value")
        for kind, count in self.counts.items():
            if kind != usual:
                for line in self.lines[kind]:
                    faults.add(line, f"column '{self.name}'", f"{kind} where the column holds {usual}")
                faults.more(count - len(self.lines[kind]))

    def array(self) -> pa.ChunkedArray:
        types = {chunk.type for chunk in self.chunks} - {pa.null()} or {pa.string()}
        wanted = pa.float64() if pa.float64() in types else types.pop()
        column = pa.chunked_array([chunk.cast(wanted, safe=False) for chunk in self.chunks], wanted)
        return timed(column) if wanted == pa.string() else column

    def _array(self, values: list[Any]) -> pa.Array | None:
        """Return values of one kind as Arrow holds them; None if some do not fit."""
        if any(isinstance(value, float) for value in values):
            return pa.array([None if value is None else float(value) for value in values], pa.float64())
        kind = next(iter(self.counts))
        try:
            array = pa.array(values, _ARROW[kind])
        except (OverflowError, pa.ArrowInvalid):
            return None
        return None if kind == "text" and nul_rows(array) else array

    def _check(self, values: list[Any], lines: list[int], faults: Faults) -> None:
        for line, value in zip(lines, values, strict=True):
            if isinstance(value, str) and "\0" in value:
                faults.add(line, f"column '{self.name}'", "a NUL character")
            elif isinstance(value, int) and not -(2**63) <= value < 2**63:
                faults.add(line, f"column '{self.name}'", "a whole number beyond 64 bits")


def _kind(value: object) -> str | None:
    return None if value is None else _KINDS.get(type(value), _NESTED)
