"""A BentoML service for an ONNX model, not batchable (with it some answers failed)."""

from typing import Annotated, Any

import bentoml  # type: ignore[import-not-found]
import numpy as np
from bentoml.validators import DType  # type: ignore[import-not-found]
from session import OUTPUT, open_session


@bentoml.service(workers=1, traffic={"timeout": 60})  # type: ignore[untyped-decorator]
class Classifier:
    """Runs the model on a tensor."""

    def __init__(self) -> None:
        self._session, self._name = open_session()

    @bentoml.api(route="/predict")  # type: ignore[untyped-decorator]
    def predict(self, inputs: Annotated[np.ndarray[Any, Any], DType("float32")]) -> np.ndarray[Any, Any]:
        """Return the probabilities."""
        found: np.ndarray[Any, Any] = self._session.run([OUTPUT], {self._name: inputs})[0]
        return found
