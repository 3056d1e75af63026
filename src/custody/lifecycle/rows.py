"""Rows between the chapters: a dataset's rows as a model's inputs, decisions and groups."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from custody.core.errors import InvalidInput
from custody.core.evidence import Measured
from custody.core.measures.performance import MISSING, auc, confusion, estimates, group_counts
from custody.core.objects import Objects
from custody.core.schema import ColumnType, Schema, Signature, Tensor
from custody.data.dataset import DatasetVersion
from custody.data.ports import Tables
from custody.registry.ports import Scorer

_FLOATS: dict[str, Any] = {"FP16": np.float16, "BF16": np.float32, "FP32": np.float32, "FP64": np.float64}
_WHOLE = {name: np.dtype(name.lower()) for name in ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64")}
_DTYPES: dict[str, Any] = {**_FLOATS, **_WHOLE, "BOOL": np.bool_}


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores of labelled rows: shape (n,) each; groups by column name."""

    scores: NDArray[np.float64]
    actual: NDArray[np.bool_]
    groups: Mapping[str, Sequence[str]]


def table_of(version: DatasetVersion, objects: Objects, tables: Tables) -> pa.Table:
    """Read a version's rows; the store checks the bytes against their digests. Conflict if a person's were erased."""
    parts = [tables.from_parquet(objects.get(part.object)) for part in version.standing().parts]
    return pa.concat_tables(parts, promote_options="permissive")


def inputs_of(signature: Signature, columns: Mapping[str, Sequence[Any]]) -> dict[str, NDArray[Any]]:
    """Return columns of n values as the model's input arrays; a missing or unfit column is InvalidInput."""
    missing = [name for name in signature.features if name not in columns]
    if missing:
        raise InvalidInput(
            f"The rows lack what the model needs: {', '.join(missing)}.",
            why=f"The model's signature asks for: {', '.join(signature.features)}.",
            fix="Give each input a value, or register a model with another signature.",
            facts={"missing": missing},
        )
    return {tensor.name: _array(tensor, columns[tensor.name]) for tensor in signature.inputs}


def _array(tensor: Tensor, values: Sequence[Any]) -> NDArray[Any]:
    if len(tensor.shape) > 1 and len(values) and isinstance(values[0], Sequence) and not isinstance(values[0], str):
        values = [value for row in values for value in row]  # rows of several values, as captures and datasets have them
    try:
        if tensor.datatype == "BYTES":
            flat: NDArray[Any] = np.array(["" if value is None else str(value) for value in values], dtype=object)
        elif tensor.datatype in _FLOATS:
            flat = np.array([np.nan if value is None else float(value) for value in values], dtype=_DTYPES[tensor.datatype])
        else:
            flat = np.array(list(values), dtype=_DTYPES[tensor.datatype])
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidInput(
            f"The column '{tensor.name}' does not fit the model's signature.",
            why=f"The model takes {tensor.datatype} there, and some value is not one.",
            fix="Compare them: custody model show NAME@VERSION",
            facts={"input": tensor.name, "datatype": tensor.datatype},
        ) from error
    return flat.reshape(-1, *tensor.shape[1:])


def columns_of(table: pa.Table) -> dict[str, list[Any]]:
    """Return a table as lists of values by column."""
    return {name: table.column(name).to_pylist() for name in table.column_names}


_NUMBERS = {ColumnType.FLOAT, ColumnType.INTEGER, ColumnType.BOOLEAN}


def features_of(version: DatasetVersion, table: pa.Table, signature: Signature) -> dict[str, list[Any]]:
    """Return a table's columns, with the rows of a model that was trained on an array of shape (n, k) put together.

    An array has no column names: its k values are the dataset's k columns of numbers without a role, in their order.
    Raises: InvalidInput if the dataset has another number of them.
    """
    columns = columns_of(table)
    for tensor in signature.inputs:
        if tensor.name not in columns and len(tensor.shape) == 2 and tensor.shape[1] != 1:
            names = _numbers(version.schema)
            if len(names) != tensor.shape[1]:
                raise InvalidInput(
                    f"The model takes rows of {tensor.shape[1]} numbers, and {version.ref} has {len(names)}: {', '.join(names)}.",
                    why="It was trained on an array, which has no column names, so the dataset's order is all there is.",
                    fix="Train it on a DataFrame, and log that as the sample; or on all columns of numbers, in their order.",
                )
            columns[tensor.name] = [list(row) for row in zip(*(columns[name] for name in names), strict=True)]
    return columns


def _numbers(schema: Schema) -> list[str]:
    roles = {schema.target, schema.subject, schema.time}
    return [column.name for column in schema.columns if column.type in _NUMBERS and column.name not in roles]


def labels_of(version: DatasetVersion, table: pa.Table, signature: Signature) -> NDArray[np.bool_]:
    """Return which rows are of the positive class, shape (n,); InvalidInput if the dataset has no target column."""
    if version.schema.target is None:
        raise InvalidInput(
            f"{version.ref} has no target column, so a model cannot be measured on it.",
            fix=f"Add the dataset with --target COLUMN: custody dataset add {version.ref.name} FILE --target label",
        )
    positive = signature.classes[1]
    return np.array([spoken(value) == positive for value in table.column(version.schema.target).to_pylist()], dtype=bool)


def spoken(value: object) -> str:
    """Write a label as text, the way classes are written: `Yes`, `1`, `true`; a whole float reads as an integer."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)


def group_columns(columns: Mapping[str, Sequence[Any]], names: Sequence[str]) -> dict[str, list[str]]:
    """Return the groups of each row by column name; `colour*sex` names the intersection of two columns.

    A missing value is a group of its own, in an intersection too.
    """
    groups = {}
    for name in names:
        parts = name.split("*")
        if all(part in columns for part in parts):
            texts = [[spoken(value) for value in columns[part]] for part in parts]
            joined = ([value or MISSING for value in row] if len(parts) > 1 else row for row in zip(*texts, strict=True))
            groups[name] = [" ".join(row) for row in joined]
    return groups


def score(version: DatasetVersion, table: pa.Table, model: Scorer, signature: Signature, groups: Sequence[str]) -> Scored:
    """Score rows of a dataset with a loaded model."""
    columns = features_of(version, table, signature)
    scores = model.scores(inputs_of(signature, columns)) if table.num_rows else np.empty(0)
    return Scored(scores, labels_of(version, table, signature), group_columns(columns, groups))


def measure(scored: Scored, thresholds: Sequence[float]) -> tuple[Measured, ...]:
    """Measure scored rows at each threshold: metrics with intervals, and the confusion table of each group."""
    ranking = auc(scored.scores, scored.actual)
    return tuple(
        Measured(
            threshold,
            (*estimates(confusion(scored.scores >= threshold, scored.actual)), *((ranking,) if ranking else ())),
            group_counts(scored.scores >= threshold, scored.actual, scored.groups) if scored.groups else (),
        )
        for threshold in thresholds
    )
