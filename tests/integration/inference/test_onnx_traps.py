"""What a model file or a machine may do to ONNX Runtime: weights elsewhere, a missing locale, a GPU that does not work."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inference_world import text

from custody.adapters.frameworks.onnx import OnnxModel
from custody.core.errors import InvalidInput
from custody.core.schema import Signature, Tensor
from custody.serving import check_parity

onnx: Any = importlib.import_module("onnx")
LINEAR = Signature((Tensor("x", "FP32", (-1, 2)),), (Tensor("score", "FP32", (-1, 1)),), "score", ("no", "yes"))


def linear(location: str = "") -> bytes:
    """Return scores x @ [0.25, 0.5]; location: a file that holds the weights instead."""
    weights = onnx.numpy_helper.from_array(np.array([[0.25], [0.5]], np.float32), "w")
    if location:
        importlib.import_module("onnx.external_data_helper").set_external_data(weights, location, 0, 8)
        weights.ClearField("raw_data")
    helper = onnx.helper
    x, score = (helper.make_tensor_value_info(name, 1, [None, width]) for name, width in (("x", 2), ("score", 1)))
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["score"])], "linear", [x], [score], [weights])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    body: bytes = made.SerializeToString()
    return body


def test_weights_outside_the_file_are_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert OnnxModel(linear(), LINEAR).scores({"x": np.ones((1, 2), np.float32)}).tolist() == [0.75]
    monkeypatch.chdir(tmp_path)
    Path("weights.bin").write_bytes(np.array([9, 9], np.float32).tobytes())
    for location in ("weights.bin", f"../{tmp_path.name}/weights.bin", str(tmp_path / "weights.bin"), "missing.bin"):
        with pytest.raises(InvalidInput, match="weights inside the file"):
            OnnxModel(linear(location), LINEAR)


def test_lowercasing_beyond_ascii_is_the_originals() -> None:
    served = OnnxModel(text().onnx, text().signature)
    check_parity(served, text().fixture, text().signature)
    words = {"text": np.array([["ÉCOLE FERMÉE"], ["école fermée"]], dtype=object)}
    assert len(set(served.scores(words).tolist())) == 1


def test_a_locale_that_the_machine_lacks_is_refused_at_loading() -> None:
    with pytest.raises(InvalidInput, match=r"install C\.UTF-8"):
        OnnxModel(text().onnx.replace(b"C.UTF-8", b"xx_XX.8"), text().signature)
