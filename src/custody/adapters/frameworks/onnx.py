"""ONNX Runtime on the run side: load a model, compare it with its signature, score rows."""

import ctypes
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as native
from onnxruntime.capi.onnxruntime_inference_collection import InferenceSession, OrtValue

from custody.core.errors import InvalidInput
from custody.core.schema import Signature, Tensor
from custody.serving.decision import positive
from custody.serving.ports import Arrays
from custody.serving.tensors import bf16_of, dtype_of, floats_of

_DATATYPES = {
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(float16)": "FP16",
    "tensor(bfloat16)": "BF16",
    **{f"tensor({name})": name.upper() for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")},
    "tensor(bool)": "BOOL",
    "tensor(string)": "BYTES",
}
_BF16 = 16  # its number among ONNX element types
_NOWHERE = "/dev/null/outside"  # weights beside the file would be read from the working folder, and no digest covers them
_FAILURES = (
    native.Fail,
    native.InvalidArgument,
    native.InvalidGraph,
    native.InvalidProtobuf,
    native.NoModel,
    native.NoSuchFile,
    native.NotImplemented,
    native.RuntimeException,
    native.EPFail,
    RuntimeError,
    TypeError,
    ValueError,
)


CPU = "CPUExecutionProvider"
_GPUS = ("CUDAExecutionProvider", "ROCMExecutionProvider", "MIGraphXExecutionProvider", "DmlExecutionProvider")
_PRECISE = {"CUDAExecutionProvider": {"use_tf32": "0"}}  # short floats keep three digits: parity would refuse such scores
_log = logging.getLogger("custody.inference")


def gpu_of(available: Sequence[str]) -> str | None:
    """Return the GPU's execution provider to use, CUDA before others; None if there is none."""
    return next((name for name in _GPUS if name in available), None)


class OnnxModel:
    """A loaded ONNX model that is known to match its signature; one thread per call, safe to share.

    provider: what runs it: a GPU's execution provider where there is one that loads the model, else the CPU's. fell_back: a
    GPU is there and could not load it.
    """

    def __init__(self, body: bytes, signature: Signature) -> None:
        gpu = gpu_of(native.get_available_providers())
        self._session = _on_gpu(body, gpu) if gpu else None
        self.fell_back = gpu is not None and self._session is None
        self.provider = gpu if gpu and not self.fell_back else CPU
        self._session = self._session or _session(body)
        self._native = self._session._sess  # noqa: SLF001 - the same run without the checks that were made at loading
        self._signature = signature
        self._feeds = [(one.name, dtype_of(one.datatype), len(one.shape), one.shape[1:]) for one in signature.inputs]
        self._short = {one.name for one in (*signature.inputs, *signature.outputs) if one.datatype == "BF16"}
        problems = [*_input_problems(self._session, signature), *_output_problems(self._session, signature)]
        if self._short and any(one.datatype == "BYTES" for one in signature.inputs):
            problems.append("ONNX Runtime takes no texts beside BF16 from Python.")
        if problems:
            raise InvalidInput(
                "The model is not the one its signature describes. " + " ".join(problems),
                fix="Convert the model again: conversion writes file and signature together.",
                facts={"problems": problems},
            )

    def scores(self, inputs: Arrays) -> NDArray[np.float64]:
        """Return the positive class's score of each row, shape (n,); inputs may be (n,) or in the signature's shape."""
        return positive(self.run(inputs, (self._signature.score,))[self._signature.score])

    def run(self, inputs: Arrays, outputs: Sequence[str] | None = None) -> dict[str, NDArray[Any]]:
        """Return outputs by name, None meaning all of the signature's; rows that the model refuses are InvalidInput."""
        names = list(outputs) if outputs is not None else [tensor.name for tensor in self._signature.outputs]
        try:
            feed = {}
            for name, dtype, rank, more in self._feeds:
                array = inputs[name]
                if array.dtype != dtype or not array.flags.c_contiguous:
                    array = np.ascontiguousarray(array, dtype=dtype)
                feed[name] = array if array.ndim == rank else array.reshape(-1, *more)
            found = self._halves(names, feed) if self._short else self._native.run(names, feed, None)
        except KeyError as error:
            raise InvalidInput(f"The input '{error.args[0]}' is missing.") from error
        except _FAILURES as error:
            raise InvalidInput(
                "The model refused these rows.",
                why="A value has a type, shape or content that the model cannot take.",
                facts={"error": type(error).__name__},
            ) from error
        return dict(zip(names, found, strict=True))

    def _halves(self, names: list[str], feed: Arrays) -> list[NDArray[Any]]:
        """Run a model that takes or gives bfloat16, which numpy does not have."""
        values = {name: _value(array, short=name in self._short) for name, array in feed.items()}  # hold the arrays, uncopied
        given = {name: value._ortvalue for name, value in values.items()}  # noqa: SLF001 - as above
        found = self._native.run_with_ort_values(given, names, None)
        return [_floats(one) if name in self._short else one.numpy() for name, one in zip(names, found, strict=True)]


def _value(array: NDArray[Any], *, short: bool) -> Any:
    if not short:
        return OrtValue.ortvalue_from_numpy(array)
    return OrtValue.ortvalue_from_numpy_with_onnx_type(bf16_of(array), _BF16)


def _floats(value: Any) -> NDArray[np.float32]:
    shape = tuple(value.shape())
    halves = np.frombuffer(ctypes.string_at(value.data_ptr(), 2 * int(np.prod(shape))), "<u2")
    return floats_of(halves).reshape(shape)


def _on_gpu(body: bytes, gpu: str) -> Any:
    """Return a session on a GPU; None, and a warning, if the GPU cannot take it."""
    try:
        # its own way back to the CPU prints to stdout, where a supervisor reads when this process is ready
        session = InferenceSession(body, _options(), providers=[(gpu, _PRECISE.get(gpu, {})), CPU], enable_fallback=0)
    except _FAILURES as error:
        _log.warning("%s did not load a model, it runs on the CPU: %s", gpu, " ".join(str(error).split())[:300])
        return None
    if gpu not in session.get_providers():  # ONNX Runtime itself fell back, its library or driver is missing
        _log.warning("%s could not be started, a model runs on the CPU", gpu)
        return None
    return session


def _options() -> Any:
    options = native.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # failures come back as exceptions
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", _NOWHERE)
    return options


def _session(body: bytes) -> Any:
    try:
        return InferenceSession(body, _options(), providers=[CPU])
    except _FAILURES as error:
        raise InvalidInput(
            "The file is not an ONNX model that can be loaded here.",
            why=" ".join(str(error).split())[:500],
            fix="Convert the model again, weights inside the file; if the reason names a locale, install C.UTF-8.",
        ) from error


def _described(node: Any) -> str:
    return f"{_DATATYPES.get(node.type, node.type)} {[d if isinstance(d, int) else -1 for d in node.shape or []]}"


def _differs(node: Any, tensor: Tensor) -> bool:
    if _DATATYPES.get(node.type) != tensor.datatype or len(node.shape) != len(tensor.shape):
        return True
    return any(isinstance(real, int) and real != said for real, said in zip(node.shape, tensor.shape, strict=True))


def _input_problems(session: Any, signature: Signature) -> list[str]:
    real = {node.name: node for node in session.get_inputs()}
    said = {tensor.name: tensor for tensor in signature.inputs}
    if real.keys() != said.keys():
        return [f"Its inputs are {sorted(real)}, the signature's {sorted(said)}."]
    return [
        f"Input '{name}' is {_described(real[name])}, the signature says {tensor.datatype} {list(tensor.shape)}."
        for name, tensor in said.items()
        if _differs(real[name], tensor)
    ]


def _output_problems(session: Any, signature: Signature) -> list[str]:
    real = {node.name: node for node in session.get_outputs()}
    said = {tensor.name: tensor for tensor in signature.outputs}
    if signature.score not in said or not said.keys() <= real.keys():
        return [f"Its outputs are {sorted(real)}, the signature's {sorted(said)} with the score in '{signature.score}'."]
    return [
        f"Output '{name}' is {_described(real[name])}, the signature says {tensor.datatype} {list(tensor.shape)}."
        for name, tensor in said.items()
        if _DATATYPES.get(real[name].type) != tensor.datatype
    ]
