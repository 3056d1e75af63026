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


def names_of(providers: list[Any]) -> list[str]:
    """Return the names of execution providers, some of which come with options."""
    return [one if isinstance(one, str) else one[0] for one in providers]


@pytest.mark.parametrize("how", ["raises", "silently falls back"])
def test_a_gpu_that_does_not_work_is_told_and_the_cpu_answers(
    how: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real: Any = InferenceSession

    def session(body: bytes, options: Any, providers: list[Any], **_: Any) -> Any:
        if CUDA in names_of(providers) and how == "raises":
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
    precise: list[bool] = []

    class OnGpu:
        """The CPU's session that says it is on a GPU."""

        def __init__(self, body: bytes, options: Any, providers: list[Any], **_: Any) -> None:
            self._real = real(body, options, providers=[CPU])
            self._told = names_of(providers)
            precise.append((CUDA, {"use_tf32": "0"}) in providers)

        def get_providers(self) -> list[str]:
            return self._told

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

    monkeypatch.setattr(f"{ONNX}.InferenceSession", OnGpu)
    monkeypatch.setattr(f"{ONNX}.native.get_available_providers", lambda: [CUDA, CPU])
    model = OnnxModel(tabular(1).onnx, tabular(1).signature)
    assert (model.provider, model.fell_back) == (CUDA, False)
    assert precise == [True]  # parity with the original would not bear short floats
