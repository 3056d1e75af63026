"""Which of a machine's processors ONNX Runtime uses: a GPU where one works, else the CPU."""

import logging
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from onnxruntime.capi import onnxruntime_pybind11_state as native
from onnxruntime.capi.onnxruntime_inference_collection import InferenceSession

CPU, GPU = "CPUExecutionProvider", "CUDAExecutionProvider"
_PRECISE = {"use_tf32": "0"}  # a GPU's short floats keep three digits: parity would refuse such scores
_log = logging.getLogger("custody.inference")


def session_of(
    body: bytes,
    options: Any,
    *,
    available: Sequence[str] | None = None,
    make: Callable[..., Any] = InferenceSession,
) -> Any:
    """Make a session on the GPU if this ONNX Runtime has one and it works, else on the CPU; raises what ONNX Runtime raises.

    available: execution providers of this ONNX Runtime; None asks it. A GPU that does not work is logged once and never a
    failure: its libraries may be missing (ONNX Runtime then refuses, or takes the CPU and tells nobody).
    """
    if GPU in (native.get_available_providers() if available is None else available):
        try:
            # its own way back to the CPU prints to stdout, where a supervisor reads when this process is ready
            session = make(body, options, providers=[(GPU, _PRECISE), CPU], enable_fallback=0)
        except Exception as error:  # noqa: BLE001 - a driver fails in its own ways; a bad model fails on the CPU again, and says so
            _tell(type(error).__name__)
        else:
            if GPU not in session.get_providers():
                _tell("ONNX Runtime took the CPU")
            return session
    return make(body, options, providers=[CPU])


@cache
def _tell(why: str) -> None:
    """Log it once: there may be a thousand models."""
    _log.warning("the GPU is not used: %s; models run on the CPU. Are CUDA and cuDNN installed as ONNX Runtime needs them?", why)
