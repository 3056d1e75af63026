"""A BentoML service for an ONNX model, not batchable (with it some answers failed)."""

from typing import Annotated

import bentoml  # type: ignore[import-not-found]
import numpy as np
from bentoml.validators import DType  # type: ignore[import-not-found]
from session import OUTPUT, open_session

Array = np.ndarray  # BentoML reads this very type


@bentoml.service(workers=1, traffic={"timeout": 60}, logging={"access": {"enabled": False}})
class Classifier:
    """Runs the model on a tensor."""

    def __init__(self) -> None:
        self._session, self._name = open_session()

    @bentoml.api(route="/predict")  # type: ignore[untyped-decorator]
    def predict(self, inputs: Annotated[Array, DType("float32")]) -> Array:
        """Return the probabilities."""
        found: Array = self._session.run([OUTPUT], {self._name: inputs})[0]
        return found
