"""Request tensors against a signature."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody.core.errors import InvalidInput
from custody.core.schema import Signature, Tensor
from custody.serving import Given, check_inputs, dtype_of
from custody.serving.tensors import _as_expected, _checked

AGE, PLAN = Tensor("age", "FP32", (-1, 1)), Tensor("plan", "BYTES", (-1,))
SIGNATURE = Signature((AGE, PLAN), (Tensor("p", "FP32", (-1, 2)),), "p", ("no", "yes"))


def age(*shape: int, datatype: str = "FP32", name: str = "age") -> Given:
    return Given(name, datatype, shape, np.zeros(int(np.prod(shape)), dtype_of(datatype)))


def plan(*shape: int) -> Given:
    return Given("plan", "BYTES", shape, np.array(["a"] * int(np.prod(shape)), dtype=object))


def problem_of(*tensors: Given) -> str:
    with pytest.raises(InvalidInput) as caught:
        check_inputs(SIGNATURE, tensors)
    return str(caught.value)


@given(n=st.integers(1, 50), flat=st.booleans(), wide=st.booleans())
def test_a_column_may_come_flat_or_as_a_column_and_leaves_in_the_signatures_shape(n: int, flat: bool, wide: bool) -> None:
    arrays, rows = check_inputs(SIGNATURE, [plan(n, 1) if wide else plan(n), age(n) if flat else age(n, 1)])
    assert rows == n
    assert arrays["age"].shape == (n, 1)
    assert arrays["plan"].shape == (n,)


def test_inputs_come_out_in_the_order_of_the_signature() -> None:
    assert list(check_inputs(SIGNATURE, [plan(2), age(2)])[0]) == ["age", "plan"]


def test_a_missing_input_is_named_with_what_was_expected() -> None:
    assert "Input 'plan' (BYTES, shape [-1]) is missing." in problem_of(age(1))


def test_every_problem_is_told_at_once() -> None:
    text = problem_of(age(1, name="aeg"), age(1, name="year"))
    assert all(
        word in text
        for word in ("'aeg' is unknown", "'year' is unknown", "'age' (FP32", "'plan' (BYTES", "the inputs are: age, plan")
    )


def test_an_input_that_comes_twice_is_refused() -> None:
    assert "Input 'age' came 2 times" in problem_of(age(1), age(1), plan(1))


def test_a_wrong_datatype_tells_both_types() -> None:
    assert problem_of(age(1, datatype="INT64"), plan(1)) == "Input 'age' must be FP32, got INT64."


@pytest.mark.parametrize("shape", [(1, 2), (2, 1, 1), (1, 1, 1), ()])
def test_a_wrong_shape_tells_both_shapes(shape: tuple[int, ...]) -> None:
    text = problem_of(age(*shape), plan(1))
    assert "[-1, 1]" in text
    assert str(list(shape)) in text


def test_an_empty_batch_is_refused() -> None:
    assert "has no rows" in problem_of(age(0), plan(0))


def test_inputs_of_different_lengths_are_refused() -> None:
    assert "'age' has 2, 'plan' has 3" in problem_of(age(2), plan(3))


def test_a_wide_input_needs_its_width() -> None:
    wide = Signature((Tensor("x", "FP64", (-1, 3)),), SIGNATURE.outputs, "p", ("no", "yes"))
    good: Any = Given("x", "FP64", (2, 3), np.arange(6.0))
    assert check_inputs(wide, [good])[0]["x"].tolist() == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(InvalidInput, match="must have the shape"):
        check_inputs(wide, [Given("x", "FP64", (6,), np.arange(6.0))])


def test_an_unknown_datatype_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match=r"FP8.*Supported: BOOL"):
        dtype_of("FP8")


@given(st.data())
def test_tensors_that_come_as_expected_are_taken_as_any_others_are(data: st.DataObject) -> None:
    signature = Signature(
        inputs=(Tensor("x", "FP32", (-1, 2)), Tensor("y", "FP32", (-1, 1))),
        outputs=(Tensor("p", "FP32", (-1, 2)),),
        score="p",
        classes=("no", "yes"),
    )
    sizes, names = st.integers(0, 3), st.sampled_from(["x", "y", "z"])
    tensors = []
    for name in data.draw(st.lists(names, min_size=1, max_size=3)):
        shape = tuple(data.draw(st.lists(sizes, max_size=3)))
        count = max(math.prod(shape) + data.draw(st.sampled_from([0, 0, 0, 1, -1])), 0)
        kind = data.draw(st.sampled_from(["FP32", "FP32", "FP64"]))
        tensors.append(Given(name, kind, shape, np.arange(count, dtype=np.float32)))
    quick = _as_expected(signature, tensors)
    if quick is None:
        return
    slow = _checked(signature, tensors)
    assert quick[1] == slow[1]
    assert list(quick[0]) == list(slow[0])
    for name, values in quick[0].items():
        assert values.shape == slow[0][name].shape
        assert (values == slow[0][name]).all()
