"""MLflow's scoring protocol: `/invocations` as an MLflow model server answers it, with what custody knows beside the predictions."""

from collections.abc import Callable
from functools import partial
from typing import Any

import orjson

from custody.core.schema import Signature
from custody.inference.exchange import INLINE_BYTES, JSON_TYPE, Answer, Exchange, Headers
from custody.inference.predict import Predicted, Predictor
from custody.inference.protocols.mlflow_request import Table, read_csv, read_json
from custody.inference.protocols.v2_answer import parameters_of
from custody.inference.protocols.values import WHOLE

PREDICTION = b"x-custody-prediction-id"
_CODES = {
    401: "UNAUTHENTICATED",
    404: "RESOURCE_DOES_NOT_EXIST",
    429: "REQUEST_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_TRUTHS = {"false": False, "true": True}


class Invocations:
    """The invocations call of one deployment."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    async def __call__(self, exchange: Exchange) -> Answer:
        """Answer one request; InvalidInput or Refused if it cannot be answered."""
        body = await self._predictor.body(exchange)
        is_csv = exchange.headers.get(b"content-type", b"").partition(b";")[0].strip().lower() == b"text/csv"
        read: Callable[[bytes], Table] = read_csv if is_csv else read_json
        table = await self._predictor.elsewhere(partial(read, body)) if len(body) > INLINE_BYTES else read(body)
        finish = partial(self._predictor.compressed, exchange) if self._predictor.compress_from is not None else None
        return await self._predictor.answer(table, write_predictions, exchange.since, finish)


def write_predictions(predicted: Predicted) -> Answer:
    """Write the class that was decided for each row, and where the answer came from."""
    labels = labels_of(predicted.arm.target.signature)
    parameters = parameters_of(predicted)
    document = {
        "predictions": [labels[bool(decision)] for decision in predicted.scored.decisions],
        "scores": predicted.scored.scores,
        **parameters,
    }
    headers = (JSON_TYPE, (PREDICTION, parameters["prediction_id"].encode()))
    return Answer(200, orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY), headers, predicted.arm)


def labels_of(signature: Signature) -> tuple[Any, Any]:
    """Return the two classes as the model's own `predict` gives them: numbers or booleans if its label output holds numbers.

    A signature keeps classes as texts; the datatype of the model's label output tells what they were.
    """
    kinds = {tensor.datatype for tensor in signature.outputs if tensor.name != signature.score}
    texts = signature.classes
    if kinds & {*WHOLE, "BOOL"}:
        if all(text in _TRUTHS for text in texts):
            return _TRUTHS[texts[0]], _TRUTHS[texts[1]]
        if kinds & {*WHOLE} and all(text.removeprefix("-").isdecimal() for text in texts):
            return int(texts[0]), int(texts[1])
    return texts


def invocation_error(status: int, sentence: str, headers: Headers = ()) -> Answer:
    """Say an error in MLflow's shape; `error` is the same sentence in the shape of the other protocol."""
    code = _CODES.get(status, "BAD_REQUEST")
    document = {"error_code": code, "message": sentence[:4000], "error": sentence[:4000]}
    return Answer(status, orjson.dumps(document), (JSON_TYPE, *headers))
