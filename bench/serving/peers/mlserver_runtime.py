"""MLServer's runtime for an ONNX model, with the codecs that it ships."""

import numpy as np
from mlserver import MLModel  # type: ignore[import-not-found]
from mlserver.codecs import NumpyCodec, StringCodec  # type: ignore[import-not-found]
from mlserver.types import InferenceRequest, InferenceResponse  # type: ignore[import-not-found]
from session import OUTPUT, open_session


class OnnxRuntime(MLModel):  # type: ignore[misc]
    """Decodes one tensor, runs the model, encodes the probabilities."""

    async def load(self) -> bool:
        self._session, self._name = open_session()
        self._is_text = self._session.get_inputs()[0].type == "tensor(string)"
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        given = payload.inputs[0]
        rows = np.array(StringCodec.decode_input(given), dtype=object) if self._is_text else NumpyCodec.decode_input(given)
        found = self._session.run([OUTPUT], {self._name: rows})[0]
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output(OUTPUT, found)])
