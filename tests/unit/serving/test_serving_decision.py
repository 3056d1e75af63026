"""Scores, decisions, and the check of a loaded model against its fixture."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from custody.core.errors import InvalidInput
from custody.core.manifest import ParityFixture
from custody.core.schema import Signature, Tensor
from custody.serving import Arrays, check_parity, decide, fixture_arrays, positive

SIGNATURE = Signature(
    (Tensor("x", "FP64", (-1, 1)), Tensor("word", "BYTES", (-1, 1))), (Tensor("p", "FP64", (-1, 2)),), "p", ("no", "yes")
)


class Half:
    """A model whose score is half of x."""

    provider, fell_back = "CPUExecutionProvider", False

    def scores(self, inputs: Arrays) -> NDArray[np.float64]:
        return positive(self.run(inputs)["p"])

    def run(self, inputs: Arrays, outputs: Sequence[str] | None = None) -> dict[str, NDArray[Any]]:
        yes = inputs["x"][:, 0] / 2
        found = {"p": np.stack([1 - yes, yes], axis=1)}
        return {name: found[name] for name in outputs or found}


def fixture(scores: list[float], tolerance: float = 0.01) -> ParityFixture:
    return ParityFixture({"x": [0.2, 0.4], "word": ["a", None]}, scores, tolerance)


@pytest.mark.parametrize("output", [[0.2, 0.9], [[0.2], [0.9]], [[0.8, 0.2], [0.1, 0.9]]])
def test_the_positive_class_is_the_last_column(output: list[Any]) -> None:
    assert positive(np.array(output)).tolist() == [0.2, 0.9]


@pytest.mark.parametrize("shape", [(), (2, 3), (2, 2, 2)])
def test_a_score_of_more_classes_or_dimensions_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInput, match="zipmap"):
        positive(np.zeros(shape))


def test_a_score_at_the_threshold_is_a_yes() -> None:
    assert decide(np.array([0.49, 0.5, 0.51]), 0.5).tolist() == [False, True, True]


def test_a_score_that_is_not_a_number_decides_nothing() -> None:
    with pytest.raises(InvalidInput, match="no number for row 1"):
        decide(np.array([0.1, np.nan]), 0.5)


@given(st.lists(st.floats(), min_size=1, max_size=40), st.floats(allow_nan=False, allow_infinity=False))
def test_scores_are_decided_if_and_only_if_all_are_finite(scores: list[float], threshold: float) -> None:
    if all(map(math.isfinite, scores)):
        assert decide(np.array(scores), threshold).tolist() == [score >= threshold for score in scores]
        return
    first = next(row for row, score in enumerate(scores) if not math.isfinite(score))
    with pytest.raises(InvalidInput, match=f"no number for row {first}"):
        decide(np.array(scores), threshold)


def test_a_model_that_gives_the_recorded_scores_passes() -> None:
    assert check_parity(Half(), fixture([0.1, 0.205]), SIGNATURE) == pytest.approx(0.005)


@pytest.mark.parametrize("scores", [[0.1, 0.25], [0.1, float("nan")], [0.1], []])
def test_a_model_that_gives_other_scores_fails(scores: list[float]) -> None:
    with pytest.raises(InvalidInput):
        check_parity(Half(), fixture(scores), SIGNATURE)


def test_a_fixtures_null_is_nan_or_the_empty_text() -> None:
    arrays = fixture_arrays(ParityFixture({"x": [None], "word": [None]}, [0.0], 0.0), SIGNATURE)
    assert np.isnan(arrays["x"]).all()
    assert arrays["word"].tolist() == [[""]]


def test_a_fixture_without_an_input_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no values for 'word'"):
        fixture_arrays(ParityFixture({"x": [1.0]}, [0.5], 0.1), SIGNATURE)


def test_a_fixture_with_values_of_another_type_is_refused() -> None:
    with pytest.raises(InvalidInput, match="not FP64"):
        fixture_arrays(ParityFixture({"x": ["one"], "word": ["a"]}, [0.5], 0.1), SIGNATURE)
