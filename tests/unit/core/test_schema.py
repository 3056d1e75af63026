"""Columns and their roles; a model's signature."""

import pytest

from custody.core.errors import InvalidInput
from custody.core.schema import Column, ColumnType, Schema, Signature, Tensor

COLUMNS = (Column("age", ColumnType.INTEGER), Column("left", ColumnType.STRING))


@pytest.mark.parametrize("role", ["target", "subject", "time", "groups"])
def test_a_role_for_a_column_that_is_not_there_is_refused_with_the_columns_that_are(role: str) -> None:
    with pytest.raises(InvalidInput, match=r"'agee' has a role but is not in the data.*age, left") as error:
        Schema(COLUMNS, **{role: ("agee",) if role == "groups" else "agee"})  # type: ignore[arg-type] # one of four fields
    assert error.value.facts == {"missing": ["agee"], "columns": ["age", "left"]}


def test_all_missing_columns_are_named_at_once() -> None:
    with pytest.raises(InvalidInput, match="'a', 'b', 'c'"):
        Schema(COLUMNS, target="a", subject="b", groups=("c",))


def test_columns_keep_their_order_and_types() -> None:
    schema = Schema(COLUMNS, target="left")
    assert schema.names == ("age", "left")
    assert schema.type_of("left") is ColumnType.STRING
    with pytest.raises(InvalidInput, match="no column 'right'"):
        schema.type_of("right")


def test_a_signatures_features_are_its_inputs_in_order() -> None:
    signature = Signature((Tensor("b", "FP32", (-1, 1)), Tensor("a", "BYTES", (-1, 1))), (), "scores", ("No", "Yes"))
    assert signature.features == ("b", "a")
