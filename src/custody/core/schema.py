"""What rows and tensors look like: a dataset's columns and a model's signature."""

from dataclasses import dataclass
from enum import StrEnum

from custody.core.errors import InvalidInput


class ColumnType(StrEnum):
    """The types a dataset column can have."""

    FLOAT = "float"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    STRING = "string"
    TIMESTAMP = "timestamp"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name and type; null is always allowed and counted."""

    name: str
    type: ColumnType


@dataclass(frozen=True, slots=True)
class Schema:
    """A dataset's columns in order, and the roles that some of them play.

    target: the label (ground truth) column. positive: the value of `target` that means "yes".
    subject: the column that names the person a row is about. time: when the row happened.
    groups: columns that hold groups of people, for bias checks.
    """

    columns: tuple[Column, ...]
    target: str | None = None
    positive: str | None = None
    subject: str | None = None
    time: str | None = None
    groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        roles = [self.target, self.subject, self.time, *self.groups]
        if missing := [role for role in roles if role is not None and role not in names]:
            raise InvalidInput(
                f"The column {', '.join(map(repr, missing))} has a role but is not in the data.",
                why=f"The data has the columns: {', '.join(names)}.",
                fix="Correct the name given with --target, --subject-key, --time or --group.",
                facts={"missing": missing, "columns": names},
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Return the column names in order."""
        return tuple(column.name for column in self.columns)

    def type_of(self, name: str) -> ColumnType:
        """Return a column's type; an unknown name is InvalidInput."""
        for column in self.columns:
            if column.name == name:
                return column.type
        raise InvalidInput(f"There is no column '{name}'.", why=f"The columns are: {', '.join(self.names)}.")


DATATYPES = (
    *("BOOL", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"),
    *("FP16", "BF16", "FP32", "FP64", "BYTES"),
)


@dataclass(frozen=True, slots=True)
class Tensor:
    """A named input or output: Open Inference Protocol datatype, shape with -1 for a free dimension."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model takes and gives.

    score: the output that holds class probabilities, shape (n, 2) or (n,), or (n, 1).
    classes: the labels in the order of the score's columns; the last one is the positive class.
    A decision is `score of the positive class >= threshold`; the threshold belongs to a deployment.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    score: str
    classes: tuple[str, str]

    @property
    def features(self) -> tuple[str, ...]:
        """Return the input names in order."""
        return tuple(tensor.name for tensor in self.inputs)
