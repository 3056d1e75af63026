"""What an arm makes of checked inputs: scores, decisions, and the model's own outputs that were asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from numpy.typing import NDArray

from custody.core.errors import InvalidInput
from custody.inference.models.library import Arm
from custody.inference.models.memory import Loaded
from custody.serving import Arrays, Decisions, Model, Scores, decided

_NUMPY = orjson.OPT_SERIALIZE_NUMPY
SCORE, DECISION = "score", "decision"  # every deployment has these outputs, whatever its model calls its own


@dataclass(slots=True)  # not frozen: made for every request, and that costs three times as much
class Scored:
    """What an arm made of a request; outputs holds the model's own outputs that were asked for.

    written: scores and decisions as JSON, for the answer and for the record.
    """

    inputs: Mapping[str, NDArray[Any]]
    scores: Scores
    decisions: Decisions
    outputs: Mapping[str, NDArray[Any]]
    written: tuple[bytes, bytes]


def own_outputs(arm: Arm) -> dict[str, str]:
    """Return the datatypes of the model's own outputs, those hidden by `score` and `decision` left out."""
    return {tensor.name: tensor.datatype for tensor in arm.target.signature.outputs if tensor.name not in {SCORE, DECISION}}


def score(arm: Arm, loaded: Loaded, inputs: Mapping[str, NDArray[Any]], wanted: tuple[str, ...] = ()) -> Scored:
    """Run an arm's loaded model on checked inputs and decide at its threshold.

    Raises: InvalidInput if the model refuses a row, ValueError if it has no score for each row.
    """
    name = arm.target.signature.score
    try:
        outputs = loaded.model.run(inputs, tuple(dict.fromkeys((name, *wanted))) if wanted else (name,))
    except InvalidInput as error:
        raise _refusal(loaded, inputs, error) from error
    scores, decisions = decided(outputs[name], arm.target.threshold)
    if len(scores) != (rows := len(next(iter(inputs.values())))):
        raise ValueError(f"the model made {len(scores)} scores of {rows} rows")
    return _with_text(inputs, scores, decisions, outputs)


def part_of(whole: Scored, inputs: Mapping[str, NDArray[Any]], rows: slice) -> Scored:
    """Return the rows of one request out of several that were scored together."""
    return _with_text(
        inputs, whole.scores[rows], whole.decisions[rows], {name: array[rows] for name, array in whole.outputs.items()}
    )


def _refusal(loaded: Loaded, inputs: Mapping[str, NDArray[Any]], error: InvalidInput) -> InvalidInput:
    """Tell which row a model refuses, and which of its inputs: those that spoil a row that it takes.

    A runtime names its own operators, not the inputs. Halving finds the row, in about the time of one more run.
    """
    first, count = 0, len(next(iter(inputs.values())))
    while count > 1:
        half = count // 2
        refused = _refuses(loaded.model, {name: array[first : first + half] for name, array in inputs.items()})
        first, count = (first, half) if refused else (first + half, count - half)
    row = {name: array[first : first + 1] for name, array in inputs.items()}
    if not _refuses(loaded.model, row):
        return error  # no row alone is at fault
    if loaded.known is None:
        return InvalidInput(f"The model refused row {first}.", facts={"row": first})
    spoilt = [name for name in row if _refuses(loaded.model, {**loaded.known, name: row[name]})]
    if not spoilt:
        return InvalidInput(f"The model refused row {first}; its values together are what it cannot take.", facts={"row": first})
    return InvalidInput(
        f"The model refused row {first}: it cannot take the value of {' and of '.join(map(repr, spoilt))}.",
        why="Often that is a category which it did not see in training.",
        fix="Send a value that it knows, or train a version that takes others, as OneHotEncoder(handle_unknown='ignore') does.",
        facts={"row": first, "inputs": spoilt},
    )


def _refuses(model: Model, inputs: Arrays) -> bool:
    try:
        model.run(inputs)
    except InvalidInput:
        return True
    return False


def _with_text(
    inputs: Mapping[str, NDArray[Any]],
    scores: Scores,
    decisions: Decisions,
    outputs: Mapping[str, NDArray[Any]],
) -> Scored:
    written = orjson.dumps(scores, option=_NUMPY), orjson.dumps(decisions, option=_NUMPY)
    return Scored(inputs, scores, decisions, outputs, written)
