"""The ONNX Runtime session that every hand-written peer uses: one thread, only the probabilities."""

import os
from typing import Any

import onnxruntime

MODEL = os.environ.get("BENCH_MODEL", "")
OUTPUT = "probabilities"


def open_session() -> tuple[Any, str]:
    """Return a session of the model that the environment names, and the name of its input."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(MODEL, options, providers=["CPUExecutionProvider"])
    return session, session.get_inputs()[0].name
