"""What a model file or a machine may do to ONNX Runtime: weights elsewhere, a missing locale, a GPU that does not work."""

import importlib
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inference_world import tabular, text

from custody.adapters.frameworks.onnx import OnnxModel
from custody.adapters.frameworks.processors import CPU, GPU, _tell, session_of
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


class Session:
    """Stands for a session; says which providers it got."""

    def __init__(self, *providers: str) -> None:
        self._providers = list(providers)

    def get_providers(self) -> list[str]:
        return self._providers


def test_a_gpu_that_works_is_preferred_and_computes_in_full_floats() -> None:
    asked: list[dict[str, Any]] = []

    def make(*_: Any, **how: Any) -> Session:
        asked.append(how)
        return Session(GPU, CPU)

    assert session_of(b"", None, available=["TensorrtExecutionProvider", GPU, CPU], make=make).get_providers() == [GPU, CPU]
    assert asked == [{"providers": [(GPU, {"use_tf32": "0"}), CPU], "enable_fallback": 0}]


@pytest.mark.parametrize("silent", [True, False])
def test_a_gpu_that_does_not_work_is_said_once_and_the_cpu_is_taken(silent: bool, caplog: pytest.LogCaptureFixture) -> None:
    def make(*_: Any, **how: Any) -> Session:
        if how["providers"] != [CPU] and not silent:
            raise RuntimeError("libcublasLt.so.12: cannot open shared object file")
        return Session(CPU)

    _tell.cache_clear()
    with caplog.at_level(logging.WARNING, "custody.inference"):
        for _ in range(3):
            assert session_of(b"", None, available=[GPU, CPU], make=make).get_providers() == [CPU]
    assert len(caplog.records) == 1
    assert "the GPU is not used" in caplog.text


def test_a_bad_model_is_refused_whatever_the_processor() -> None:
    def make(body: bytes, *_: Any, **__: Any) -> Session:
        raise ValueError(body.decode())

    with pytest.raises(ValueError, match="no model"):
        session_of(b"no model", None, available=[GPU, CPU], make=make)


def test_this_machines_own_processor_serves() -> None:
    assert CPU in session_of(tabular(1).onnx, None).get_providers()
