"""From a model's output to a score and a decision, and the check that a loaded model still gives the recorded scores."""

from collections.abc import Sequence
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from custody.core.errors import InvalidInput
from custody.core.manifest import ParityFixture
from custody.core.schema import Signature
from custody.serving.ports import Model
from custody.serving.tensors import dtype_of, shaped

_FEW = 32  # scores up to which looking at each is cheaper than numpy's fixed cost
Scores = Sequence[float] | NDArray[np.float64]
Decisions = Sequence[bool] | NDArray[np.bool_]


def positive(output: NDArray[Any]) -> NDArray[np.float64]:
    """Return the positive class's score of each row from a score output of shape (n,), (n, 1) or (n, 2)."""
    if output.ndim == 2 and output.shape[1] in {1, 2}:
        output = output[:, -1]
    if output.ndim != 1:
        raise InvalidInput(
            f"The score output has the shape {list(output.shape)}.",
            why="custody serves models with two classes: a score output has the shape (n,), (n, 1) or (n, 2).",
            fix="Export the model with its class probabilities as one tensor (zipmap off).",
        )
    return output.astype(np.float64)


def decide(scores: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
    """Return `score >= threshold` for each row; a score that is not a number is InvalidInput, since it decides nothing."""
    if not np.isfinite(scores).all():
        row = int(np.flatnonzero(~np.isfinite(scores))[0])
        raise InvalidInput(
            f"The model gave no number for row {row}.",
            why="A missing (null) or extreme input reached a model that cannot handle it.",
            fix="Send a number for every input of that row, or train a model that imputes missing values.",
            facts={"row": row},
        )
    decisions: NDArray[np.bool_] = scores >= threshold
    return decisions


def decided(output: NDArray[Any], threshold: float) -> tuple[Scores, Decisions]:
    """Return `positive` of a score output and what to `decide` about each row, as lists if there are few; InvalidInput as they."""
    if len(output) <= _FEW and output.dtype.kind == "f":
        scores: list[Any] = output.tolist()
        if output.ndim == 2 and output.shape[1] <= 2:
            scores = [row[-1] for row in scores]
        if output.ndim <= 2 and all(map(isfinite, scores)):
            return scores, [score >= threshold for score in scores]
    values = positive(output)
    return values, decide(values, threshold)


def fixture_arrays(fixture: ParityFixture, signature: Signature) -> dict[str, NDArray[Any]]:
    """Return the fixture's rows as the model's inputs; a null text is the empty text, a null number is NaN."""
    if missing := [name for name in signature.features if name not in fixture.inputs]:
        raise InvalidInput(f"The parity fixture has no values for {', '.join(map(repr, missing))}.")
    return {tensor.name: shaped(tensor, _column(fixture.inputs[tensor.name], tensor.datatype)) for tensor in signature.inputs}


def _column(values: Sequence[float | int | str | bool | None], datatype: str) -> NDArray[Any]:
    if datatype == "BYTES":
        return np.array(["" if value is None else str(value) for value in values], dtype=object)
    try:
        return np.array([np.nan if value is None else value for value in values], dtype=dtype_of(datatype))
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidInput(f"The parity fixture holds values that are not {datatype}.") from error


def check_parity(model: Model, fixture: ParityFixture, signature: Signature) -> float:
    """Return the largest difference from the recorded scores; InvalidInput if it exceeds the fixture's tolerance."""
    expected = np.array(fixture.scores, dtype=np.float64)
    found = model.scores(fixture_arrays(fixture, signature))
    if not len(expected) or found.shape != expected.shape:
        raise InvalidInput(f"The parity fixture has {len(expected)} scores, and the model gave {len(found)}.")
    largest = float(np.abs(found - expected).max())
    if not largest <= fixture.tolerance:  # also catches NaN
        raise InvalidInput(
            f"The loaded model's scores differ from the original's by up to {largest:.3g}; {fixture.tolerance:.3g} is allowed.",
            why="The model runtime here computes something else than where the model was converted, or the file is another model.",
            fix="Convert the model again and read its parity report.",
            facts={"largest_difference": largest, "tolerance": fixture.tolerance},
        )
    return largest
