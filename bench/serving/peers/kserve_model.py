"""A KServe model server for an ONNX model, with its request log off. It listens on every address: its SDK offers no choice.

Run: python kserve_model.py PORT
"""

import logging
import sys
from typing import Any

from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer  # type: ignore[import-not-found]
from kserve.utils.utils import generate_uuid  # type: ignore[import-not-found]
from session import OUTPUT, open_session


class Classifier(Model):  # type: ignore[misc]
    """Decodes one tensor, runs the model, encodes the probabilities."""

    def __init__(self) -> None:
        super().__init__("bench")
        self._session, self._name = open_session()
        self._is_text = self._session.get_inputs()[0].type == "tensor(string)"
        self.ready = True

    async def predict(self, payload: InferRequest, *_: Any, **__: Any) -> InferResponse:
        rows = payload.inputs[0].as_numpy()
        if self._is_text:
            rows = rows.astype(object)
        found = self._session.run([OUTPUT], {self._name: rows})[0]
        output = InferOutput(OUTPUT, list(found.shape), "FP32")
        output.set_data_from_numpy(found, binary_data=False)
        return InferResponse(payload.id or generate_uuid(), "bench", [output])


if __name__ == "__main__":
    server = ModelServer(http_port=int(sys.argv[1]), enable_grpc=False, enable_latency_logging=False)
    logging.getLogger("kserve.trace").setLevel(logging.WARNING)  # a line per request otherwise
    logging.getLogger("uvicorn.access").handlers.clear()
    server.start([Classifier()])
