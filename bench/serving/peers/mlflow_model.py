"""Save an ONNX file as an mlflow model that `mlflow models serve` serves.

Run: python mlflow_model.py FOLDER FEATURES
"""

import sys

import mlflow  # type: ignore[import-not-found]
import numpy as np
import onnx
from mlflow.models import ModelSignature  # type: ignore[import-not-found]
from mlflow.types import Schema, TensorSpec  # type: ignore[import-not-found]
from session import MODEL

if __name__ == "__main__":
    inputs = Schema([TensorSpec(np.dtype(np.float32), (-1, int(sys.argv[2])), "input")])
    mlflow.onnx.save_model(
        onnx.load(MODEL),
        sys.argv[1],
        signature=ModelSignature(inputs=inputs),
        pip_requirements=[],
        onnx_execution_providers=["CPUExecutionProvider"],
        onnx_session_options={"intra_op_num_threads": 1, "inter_op_num_threads": 1},
    )
