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
from custody.core.schema import Signature, Tensor
from custody.data.dataset import DatasetVersion
from custody.data.ports import Tables
from custody.registry.ports import Scorer

_DTYPES: dict[str, Any] = {"FP32": np.float32, "FP64": np.float64, "INT32": np.int32, "INT64": np.int64, "BOOL": np.bool_}


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
    try:
        if tensor.datatype == "BYTES":
            flat: NDArray[Any] = np.array(["" if value is None else str(value) for value in values], dtype=object)
        elif tensor.datatype in {"FP32", "FP64"}:
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
    columns = columns_of(table)
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
