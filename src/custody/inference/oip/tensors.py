"""Between the protocol's messages and what the predictor reads and writes."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from custody.core.errors import InvalidInput
from custody.inference.asked import Wanted
from custody.inference.oip import open_inference_pb2 as wire
from custody.inference.predict import Predicted
from custody.inference.protocols.v2_answer import outputs_of, parameters_of, raw
from custody.inference.protocols.v2_request import InferRequest, check_shape, refuse_unsupported
from custody.inference.protocols.values import finite
from custody.inference.protocols.values import raw as from_raw
from custody.serving import Given, dtype_of

_TYPED = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


def read_request(request: wire.ModelInferRequest) -> InferRequest:
    """Read an infer request: all its tensors raw, or all typed; a mix is InvalidInput."""
    parts: Sequence[bytes] = request.raw_input_contents
    if parts and any(one.HasField("contents") for one in request.inputs):
        raise InvalidInput(
            "The request has raw_input_contents and typed contents.", fix="Send every tensor raw, or every tensor typed."
        )
    for one in request.inputs:
        refuse_unsupported("Input", one.name, _plain(one.parameters))
    if parts and len(parts) != len(request.inputs):
        raise InvalidInput(f"The request has {len(request.inputs)} inputs and {len(parts)} raw_input_contents.")
    tensors = tuple(_tensor(one, parts[at] if parts else None) for at, one in enumerate(request.inputs))
    for output in request.outputs:
        refuse_unsupported("Output", output.name, _plain(output.parameters))
    wanted = tuple(Wanted(output.name, binary=True) for output in request.outputs)
    return InferRequest(request.id, _plain(request.parameters), tensors, wanted, binary=True, size_bytes=request.ByteSize())


def _plain(parameters: Mapping[str, wire.InferParameter]) -> dict[str, object]:
    return {name: getattr(one, choice) for name, one in parameters.items() if (choice := one.WhichOneof("parameter_choice"))}


def _tensor(one: wire.ModelInferRequest.InferInputTensor, part: bytes | None) -> Given:
    dtype_of(one.datatype)
    shape = check_shape(one.name, one.shape)
    count = math.prod(shape)
    values = _typed(one, count) if part is None else from_raw(one.name, one.datatype, count, memoryview(part))
    return Given(one.name, one.datatype, shape, values)


def _typed(one: wire.ModelInferRequest.InferInputTensor, count: int) -> NDArray[Any]:
    name, field = one.name[:80], _TYPED.get(one.datatype)
    if field is None:  # FP16 and BF16
        raise InvalidInput(
            f"Input '{name}' is {one.datatype}, which typed contents cannot hold.", fix="Send it in raw_input_contents."
        )
    if others := [found.name for found, _ in one.contents.ListFields() if found.name != field]:
        raise InvalidInput(f"Input '{name}' is {one.datatype} and has {', '.join(others)}.", fix=f"Fill {field}, or send it raw.")
    values = getattr(one.contents, field)
    if len(values) != count:
        raise InvalidInput(f"Input '{name}': the shape {list(one.shape)[:8]} holds {count} values, {field} has {len(values)}.")
    if one.datatype == "BYTES":
        try:
            return np.array([value.decode() for value in values], dtype=object)
        except UnicodeDecodeError as error:
            raise InvalidInput(f"Input '{name}' holds a text that is not UTF-8.") from error
    try:
        return finite(name, np.array(values, dtype=dtype_of(one.datatype)))
    except OverflowError as error:
        raise InvalidInput(f"Input '{name}' holds a number that does not fit {one.datatype}.") from error


def write_answer(predicted: Predicted) -> wire.ModelInferResponse:
    """Write an infer response; every output is raw, since that is what clients decode."""
    model = predicted.arm.target.model
    answer = wire.ModelInferResponse(model_name=predicted.arm.key.name, model_version=str(model.version), id=predicted.request)
    for name, value in parameters_of(predicted).items():
        choice = "int64_param" if isinstance(value, int) else "double_param" if isinstance(value, float) else "string_param"
        setattr(answer.parameters[name], choice, value)
    for output in outputs_of(predicted):
        answer.outputs.add(name=output.name, datatype=output.datatype, shape=output.values.shape)
        answer.raw_output_contents.append(raw(output))
    return answer
