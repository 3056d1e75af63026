"""MLflow's scoring protocol, the way in: a table or tensors, typed by the signature of the model that answers."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import chain
from math import prod
from typing import Any

import msgspec
import orjson

from custody.core.errors import InvalidInput
from custody.core.schema import Signature, Tensor
from custody.inference.asked import Wanted
from custody.inference.protocols.values import FLOATS, NUMBERS, WHOLE, array_of, flattened, typed
from custody.serving import Given

_FORMS = ("dataframe_split", "dataframe_records", "inputs", "instances")
_KNOWN = ("key", "entity", "event_time")
_TRUTH = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class Table:
    """A decoded request: columns by name, or rows without names (`rows`), which only a model with a single input can take.

    Columns that the model does not know are ignored, as MLflow does; one that it needs must be there.
    texts: the values are texts from CSV, to be read as the signature says; so are numbers that came as texts in JSON.
    """

    parameters: Mapping[str, Any]
    columns: Mapping[str, Sequence[Any]] | None
    rows: Sequence[Any]
    size_bytes: int
    texts: bool = False
    id: str = ""
    outputs: tuple[Wanted, ...] = ()
    binary: bool = False

    def tensors_for(self, signature: Signature) -> list[Given]:
        """Return the tensors as a model of this signature takes them; InvalidInput if they cannot be made."""
        columns = self.columns
        if columns is None:
            if len(signature.inputs) != 1:
                raise InvalidInput(
                    f"The rows have no names, and the model has {len(signature.inputs)} inputs.",
                    fix=f"Send them as dataframe_split or dataframe_records with: {', '.join(signature.features)}.",
                )
            columns = {signature.inputs[0].name: self.rows}
        if isinstance(columns, _Records):
            columns.check(signature, self.size_bytes)
        columns = _stacked(columns, signature)
        return [self._given(tensor, columns[tensor.name]) for tensor in signature.inputs if tensor.name in columns]

    def _given(self, tensor: Tensor, rows: Sequence[Any]) -> Given:
        name, datatype = tensor.name, tensor.datatype
        try:
            values, _ = flattened(rows)
        except TypeError as error:
            raise InvalidInput(f"Input '{name[:80]}': {error}, in rows that need as many values each.") from error
        if self.texts:
            values = [_read(name, datatype, number, text) for number, text in enumerate(values)]
        elif datatype in NUMBERS and str in {*map(type, values)}:
            values = [_read(name, datatype, at, one) if _is_written(one) else one for at, one in enumerate(values)]
        width = prod(tensor.shape[1:]) if -1 not in tensor.shape[1:] else 0
        if width > 0 and len(values) != len(rows) * width:
            raise InvalidInput(f"Input '{name[:80]}' takes {width} values a row, got {len(values)} for {len(rows)} rows.")
        values = _cast(datatype, values)
        shape = (len(rows), *(tensor.shape[1:] if width > 0 else (len(values) // max(len(rows), 1),)))
        return Given(name, datatype, shape, array_of(name, datatype, typed(name, datatype, values)))


def _stacked(columns: Mapping[str, Sequence[Any]], signature: Signature) -> Mapping[str, Sequence[Any]]:
    """Return the columns of a frame as the rows of a model that was trained on an array: its one input takes them all, in order."""
    only = signature.inputs[0]
    if len(signature.inputs) > 1 or only.name in columns or only.shape[1:] != (len(columns),):
        return columns
    if len({len(values) for values in columns.values()}) > 1:
        raise InvalidInput("The columns have different row counts.")
    return {only.name: [list(row) for row in zip(*columns.values(), strict=True)]}


def _cast(datatype: str, values: list[Any]) -> list[Any]:
    """Return values as data frames mean them: numbers became floats beside missing ones, and models take booleans as numbers."""
    kinds = {*map(type, values)}
    if datatype in FLOATS and bool in kinds:
        return [float(one) if isinstance(one, bool) else one for one in values]
    if datatype in WHOLE and kinds & {bool, float}:
        return [int(one) if isinstance(one, bool) or (isinstance(one, float) and one.is_integer()) else one for one in values]
    if datatype == "BOOL" and kinds & {int, float}:
        return [bool(one) if one in (0, 1) else one for one in values]
    if datatype == "BYTES" and type(None) in kinds:
        return ["" if one is None else one for one in values]  # as it was in training
    return values


def _is_written(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())  # an empty one is missing in CSV only: JSON has null


def _read(name: str, datatype: str, position: int, text: str) -> Any:
    """Read a value that came as text, as all do in CSV; an empty number is a missing one."""
    try:
        if datatype != "BYTES" and ("_" in text or not text.isascii()):
            raise ValueError(text)  # Python reads more as numbers than others do
        if datatype == "BYTES":
            return text
        if datatype == "BOOL":
            return _TRUTH[text.strip().lower()]
        if datatype in WHOLE:
            found = text.strip().lower()
            return _TRUTH[found] if found in {"true", "false"} else int(found.removesuffix(".0"))
        return float(text) if text.strip() else None
    except (ValueError, KeyError) as error:
        raise InvalidInput(
            f"Input '{name[:80]}' must hold {datatype} values, and the one at position {position} cannot be read as one."
        ) from error


def read_json(body: bytes) -> Table:
    """Decode a body with exactly one of dataframe_split, dataframe_records, inputs and instances; else InvalidInput."""
    document = _decoded(body)
    forms = [form for form in _FORMS if form in document]
    if len(forms) != 1:
        raise InvalidInput(
            f"The body must be a JSON object with exactly one of {', '.join(_FORMS)}; it has {', '.join(forms) or 'none'}.",
        )
    given = document.get("params") or {}
    if not isinstance(given, dict):
        raise InvalidInput("'params' must be an object.")
    parameters = {name: given[name] for name in _KNOWN if name in given}  # the others mean something to a model elsewhere
    data = document[forms[0]]
    columns: Mapping[str, Sequence[Any]] | None
    rows: Sequence[Any]
    if forms[0] == "dataframe_split":
        columns, rows = _split(data)
    elif isinstance(data, dict) and forms[0] in {"inputs", "instances"}:
        columns, rows = {name: values if isinstance(values, list) else [values] for name, values in data.items()}, []
    elif not isinstance(data, list):
        raise InvalidInput(f"'{forms[0]}' must be a list.")
    elif forms[0] == "dataframe_records" or (data and isinstance(data[0], dict)):
        columns, rows = _records(forms[0], data), []
    else:
        columns, rows = None, data
    return Table(parameters, columns, rows, len(body))


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        document = _with_nan(body, error)
    if not isinstance(document, dict):
        raise InvalidInput(f"The body must be a JSON object with exactly one of {', '.join(_FORMS)}.")
    return document


def _with_nan(body: bytes, error: Exception) -> Any:
    """Decode what Python's own json writes for missing numbers: NaN, which JSON does not have."""
    try:
        if b"NaN" in body:
            document = json.loads(body)
            orjson.dumps(document)  # refuses halves of characters, which no text may hold
            return document
    except (ValueError, RecursionError, TypeError):
        pass
    raise InvalidInput("The body is not JSON.", why=f"{error}.") from error


def _split(data: Any) -> tuple[dict[str, Sequence[Any]] | None, Sequence[Any]]:
    names, rows = (data.get("columns"), data.get("data")) if isinstance(data, dict) else (None, None)
    if not isinstance(rows, list) or not isinstance(names, list | None):
        raise InvalidInput("'dataframe_split' must have 'columns', a list of names, and 'data', a list of rows.")
    width = len(names) if names is not None else len(rows[0]) if rows and isinstance(rows[0], list) else 0
    if wrong := [number for number, row in enumerate(rows) if not isinstance(row, list) or len(row) != width]:
        raise InvalidInput(f"'dataframe_split': row {wrong[0]} is not a list of {width} values.")
    if names is None or names == list(range(width)):
        return None, rows
    if len({str(name) for name in names}) != width:
        raise InvalidInput("'dataframe_split' names a column twice.")
    return {str(name): [row[at] for row in rows] for at, name in enumerate(names)}, []


class _Records(Mapping[str, Sequence[Any]]):
    """Objects as columns, made when one is asked for: who sends each row another name does not make us write a square of them.

    What an object does not name is missing there, as in a data frame.
    """

    def __init__(self, form: str, records: Sequence[dict[str, Any]]) -> None:
        self._form, self._records, self._names = form, records, dict.fromkeys(chain.from_iterable(records))

    def check(self, signature: Signature, size_bytes: int) -> None:
        """Refuse objects whose columns would take far more room than they do, or whose order would not tell what they mean."""
        only = signature.inputs[0]
        if len(signature.inputs) == 1 and only.name not in self:
            names = self._records[0].keys()
            if other := next((row for row, record in enumerate(self._records) if record.keys() != names), 0):
                raise InvalidInput(
                    f"'{self._form}': row {other} has not the same names as the first row.",
                    why="The model was trained on an array, and takes columns by their order.",
                )
        elif len(self._records) * len(signature.inputs) > size_bytes:
            raise InvalidInput(f"'{self._form}' leaves out most of what the model needs.", fix="Name every input in every row.")

    def __getitem__(self, name: str) -> Sequence[Any]:
        if name not in self._names:
            raise KeyError(name)
        return [record.get(name) for record in self._records]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _records(form: str, data: Sequence[Any]) -> _Records:
    if not data:
        raise InvalidInput(f"'{form}' has no rows.")
    for number, record in enumerate(data):
        if not isinstance(record, dict):
            raise InvalidInput(f"'{form}': row {number} is not an object.")
    return _Records(form, data)


def read_csv(body: bytes) -> Table:
    """Decode CSV with a line of names first; else InvalidInput."""
    try:
        lines = list(csv.reader(StringIO(body.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput("The body is not CSV in UTF-8.", why=f"{error}.") from error
    lines = [line for line in lines if line]
    names = lines[0] if lines else []
    if len(set(names)) != len(names):
        raise InvalidInput("The CSV names a column twice.")
    if wrong := [number for number, line in enumerate(lines, start=1) if len(line) != len(names)]:
        raise InvalidInput(f"Line {wrong[0]} of the CSV has {len(lines[wrong[0] - 1])} values, and the first has {len(names)}.")
    return Table({}, {name: [line[at] for line in lines[1:]] for at, name in enumerate(names)}, [], len(body), texts=True)
