"""A LitServe API for an ONNX model, one worker, without batching (with it CPU per request was the same within noise)."""

import sys
from typing import Any

import litserve  # type: ignore[import-not-found]
import numpy as np
from session import OUTPUT, open_session


class Classifier(litserve.LitAPI):  # type: ignore[misc]
    """Decodes rows of numbers, runs the model, encodes the probabilities."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - the framework's hook
        self._session, self._name = open_session()

    def decode_request(self, request: dict[str, Any]) -> Any:
        return np.array(request["inputs"], dtype=np.float32)

    def predict(self, rows: Any) -> Any:
        return self._session.run([OUTPUT], {self._name: rows})[0]

    def encode_response(self, output: Any) -> dict[str, Any]:
        return {OUTPUT: output.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Classifier(), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning", access_log=False)
