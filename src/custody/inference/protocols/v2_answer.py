"""Open Inference Protocol V2, the way out: one prediction as JSON, with binary tensors behind it if they were asked for."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import orjson
from numpy.typing import NDArray

from custody.core.prediction import PredictionId
from custody.inference.exchange import Answer
from custody.inference.models.library import Arm
from custody.inference.models.scoring import DECISION, SCORE, own_outputs
from custody.inference.predict import Predicted
from custody.serving import bf16_of, dtype_of

_LENGTH = struct.Struct("<I")
_BINARY = (b"content-type", b"application/octet-stream")
_OUTPUTS = b',"outputs":[{"name":"score","datatype":"FP64","shape":['


@dataclass(slots=True)  # not frozen: made in every answer, and that costs three times as much
class Output:
    """An output on its way out."""

    name: str
    datatype: str
    values: NDArray[Any]
    binary: bool


def outputs_of(predicted: Predicted) -> list[Output]:
    """Return the outputs that were asked for, in the caller's order."""
    scored = predicted.scored
    outputs = []
    for one in predicted.wanted:
        if one.name == SCORE:
            outputs.append(Output(SCORE, "FP64", np.asarray(scored.scores), one.binary))
        elif one.name == DECISION:
            outputs.append(Output(DECISION, "BOOL", np.asarray(scored.decisions), one.binary))
        else:
            datatype = own_outputs(predicted.arm)[one.name]
            outputs.append(Output(one.name, datatype, scored.outputs[one.name], one.binary))
    return outputs


def parameters_of(predicted: Predicted) -> dict[str, Any]:
    """Return what every answer says about where it came from."""
    return {"prediction_id": str(predicted.id), **predicted.arm.told}


@dataclass(frozen=True, slots=True)
class Printed:
    """What all answers of an arm have in common: before the request's id, before and behind the unique part of the prediction's."""

    head: bytes
    before: bytes
    behind: bytes

    @classmethod
    def of(cls, arm: Arm) -> Self:
        """Write it once."""
        head = orjson.dumps({"model_name": arm.key.name, "model_version": str(arm.target.model.version)})[:-1] + b","
        id = orjson.dumps(str(PredictionId(arm.key, arm.revision, arm.target.model, "")))[:-1]  # noqa: A001 - the field's word
        return cls(head, b'"parameters":{"prediction_id":' + id, b'",' + orjson.dumps(dict(arm.told))[1:] + _OUTPUTS)


def write_usual(predicted: Predicted, printed: Printed) -> Answer:
    """Write the answer to a call that names no outputs, as `write_answer` does, from parts that were written before."""
    scored = predicted.scored
    scores, decisions = scored.written
    n = len(scored.scores)
    request = b'"id":%s,' % orjson.dumps(predicted.request) if predicted.request else b""
    before = (printed.head, request, printed.before, predicted.unique.encode(), printed.behind)
    if not predicted.wanted[0].binary:
        first, second = b'%d],"data":' % n, b'},{"name":"decision","datatype":"BOOL","shape":[%d],"data":' % n
        return Answer(200, b"".join((*before, first, scores, second, decisions, b"}]}")))
    first = b'%d],"parameters":{"binary_data_size":%d}},{"name":"decision","datatype":"BOOL",' % (n, 8 * n)
    text = b"".join((*before, first, b'"shape":[%d],"parameters":{"binary_data_size":%d}}]}' % (n, n)))
    body = b"".join((text, np.asarray(scored.scores, "<f8").tobytes(), np.asarray(scored.decisions).tobytes()))
    return Answer(200, body, (_BINARY, (b"inference-header-content-length", b"%d" % len(text))))


def write_answer(predicted: Predicted) -> Answer:
    """Write the answer to an infer call."""
    arm = predicted.arm
    head: dict[str, Any] = {"model_name": arm.key.name, "model_version": str(arm.target.model.version)}
    if predicted.request:
        head["id"] = predicted.request
    head["parameters"] = parameters_of(predicted)
    body, json_length = write_response(head, outputs_of(predicted))
    if json_length is None:
        return Answer(200, body)
    return Answer(200, body, (_BINARY, (b"inference-header-content-length", b"%d" % json_length)))


def write_response(head: dict[str, Any], outputs: Sequence[Output]) -> tuple[bytes, int | None]:
    """Return the body, and the length of its JSON part if binary tensors follow (else None).

    JSON has no NaN or infinity: both are written as null. Binary keeps them.
    """
    described: list[dict[str, Any]] = []
    blobs: list[bytes] = []
    for output in outputs:
        entry: dict[str, Any] = {"name": output.name, "datatype": output.datatype, "shape": output.values.shape}
        if output.binary:
            blobs.append(raw(output))
            entry["parameters"] = {"binary_data_size": len(blobs[-1])}
        else:
            flat = output.values.reshape(-1)
            entry["data"] = flat.tolist() if flat.dtype.kind in "OSU" else np.ascontiguousarray(flat)
        described.append(entry)
    head["outputs"] = described
    text = orjson.dumps(head, option=orjson.OPT_SERIALIZE_NUMPY)
    return (b"".join((text, *blobs)), len(text)) if blobs else (text, None)


def raw(output: Output) -> bytes:
    """Return an output's values as the protocol's bytes: row-major, little-endian, each text behind its length."""
    if output.datatype == "BF16":
        return bf16_of(output.values).tobytes()
    if output.datatype != "BYTES":
        return np.ascontiguousarray(output.values, dtype_of(output.datatype)).tobytes()
    texts = [str(value).encode() for value in output.values.reshape(-1)]
    return b"".join(_LENGTH.pack(len(text)) + text for text in texts)
