"""A GPU is used where there is one; where it does not work, the CPU answers and says so."""

import logging
from typing import Any

import pytest
from inference_world import tabular
from onnxruntime.capi.onnxruntime_inference_collection import InferenceSession

from custody.adapters.frameworks.onnx import CPU, OnnxModel, gpu_of

ONNX = "custody.adapters.frameworks.onnx"
CUDA = "CUDAExecutionProvider"


def test_cuda_is_preferred_and_no_gpu_is_none() -> None:
    assert gpu_of(["TensorrtExecutionProvider", "DmlExecutionProvider", CUDA, CPU]) == CUDA
    assert gpu_of(["DmlExecutionProvider", CPU]) == "DmlExecutionProvider"
    assert gpu_of(["AzureExecutionProvider", CPU]) is None


def test_without_a_gpu_the_cpu_runs_it() -> None:
    model = OnnxModel(tabular(1).onnx, tabular(1).signature)
    assert (model.provider, model.fell_back) == (CPU, False)


@pytest.mark.parametrize("how", ["raises", "silently falls back"])
def test_a_gpu_that_does_not_work_is_told_and_the_cpu_answers(
    how: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real: Any = InferenceSession

    def session(body: bytes, options: Any, providers: list[str]) -> Any:
        if CUDA in providers and how == "raises":
            raise RuntimeError("no driver")
        return real(body, options, providers=[CPU])

    monkeypatch.setattr(f"{ONNX}.InferenceSession", session)
    monkeypatch.setattr(f"{ONNX}.native.get_available_providers", lambda: [CUDA, CPU])
    with caplog.at_level(logging.WARNING):
        model = OnnxModel(tabular(1).onnx, tabular(1).signature)
    assert (model.provider, model.fell_back) == (CPU, True)
    assert CUDA in caplog.text


def test_a_gpu_that_works_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    real: Any = InferenceSession

    class OnGpu:
        """The CPU's session that says it is on a GPU."""

        def __init__(self, body: bytes, options: Any, providers: list[str]) -> None:
            self._real = real(body, options, providers=[CPU])
            self._told = providers

        def get_providers(self) -> list[str]:
            return self._told

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

    monkeypatch.setattr(f"{ONNX}.InferenceSession", OnGpu)
    monkeypatch.setattr(f"{ONNX}.native.get_available_providers", lambda: [CUDA, CPU])
    model = OnnxModel(tabular(1).onnx, tabular(1).signature)
    assert (model.provider, model.fell_back) == (CUDA, False)
