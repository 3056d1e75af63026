"""The ONNX Runtime model against its signature."""

from dataclasses import replace

import numpy as np
import pytest
from inference_world import Model, tabular, text

from custody.adapters.frameworks.onnx import OnnxModel
from custody.core.errors import InvalidInput
from custody.core.schema import Signature, Tensor
from custody.serving import check_parity

ROW = {"age": np.array([30.0]), "spend": np.array([10.0]), "plan": np.array(["basic"], dtype=object)}


@pytest.mark.parametrize("model", [tabular(1), text()], ids=["tabular", "text"])
def test_a_converted_model_gives_the_original_scores(model: Model) -> None:
    assert check_parity(OnnxModel(model.onnx, model.signature), model.fixture, model.signature) < 1e-4


def test_rows_may_come_as_columns_of_any_fitting_number_type() -> None:
    model = OnnxModel(tabular(1).onnx, tabular(1).signature)
    flat = model.scores(ROW)
    column = model.scores({name: values.reshape(-1, 1) for name, values in ROW.items()})
    assert flat.shape == (1,)
    assert flat.dtype == np.float64
    assert flat.tolist() == column.tolist()


def test_all_outputs_are_those_of_the_signature() -> None:
    found = OnnxModel(tabular(1).onnx, tabular(1).signature).run(ROW)
    assert found.keys() == {"label", "probabilities"}
    assert found["probabilities"].shape == (1, 2)


def test_bytes_that_are_no_model_are_refused() -> None:
    for garbage in (b"", b"garbage", tabular(1).onnx[:100]):
        with pytest.raises(InvalidInput, match="not an ONNX model"):
            OnnxModel(garbage, tabular(1).signature)


GOOD = tabular(1).signature
AGE, *REST = GOOD.inputs


@pytest.mark.parametrize(
    "signature",
    [
        replace(GOOD, inputs=tuple(REST)),
        replace(GOOD, inputs=(*GOOD.inputs, Tensor("more", "FP32", (-1, 1)))),
        replace(GOOD, inputs=(replace(AGE, datatype="FP64"), *REST)),
        replace(GOOD, inputs=(replace(AGE, shape=(-1, 2)), *REST)),
        replace(GOOD, inputs=(replace(AGE, shape=(-1,)), *REST)),
        replace(GOOD, outputs=(Tensor("probability", "FP32", (-1, 2)),), score="probability"),
        replace(GOOD, outputs=(Tensor("probabilities", "FP64", (-1, 2)),)),
        replace(GOOD, score="absent"),
    ],
)
def test_a_model_with_another_signature_is_refused(signature: Signature) -> None:
    with pytest.raises(InvalidInput, match="not the one its signature describes"):
        OnnxModel(tabular(1).onnx, signature)


def test_rows_that_do_not_fit_are_invalid_and_name_no_values() -> None:
    model = OnnxModel(tabular(1).onnx, GOOD)
    with pytest.raises(InvalidInput, match="'spend' is missing"):
        model.scores({"age": ROW["age"]})
    with pytest.raises(InvalidInput, match="refused these rows") as caught:
        model.scores({**ROW, "age": np.array(["secret"])})
    assert "secret" not in str(caught.value)
