"""Open Inference Protocol V2 over HTTP: an infer call from body to answer."""

from functools import partial

from custody.inference.exchange import INLINE_BYTES, Answer, Exchange
from custody.inference.predict import Predicted, Predictor
from custody.inference.protocols.v2_answer import Printed, write_answer, write_usual
from custody.inference.protocols.v2_request import read_request


class Infer:
    """The infer call of one deployment, or of one pinned version of it."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._printed = {id(arm): Printed.of(arm) for arm in predictor.arms}
        inputs = [tensor for arm in predictor.arms for tensor in arm.target.signature.inputs]
        self._floats = len(inputs) // len(predictor.arms) if all(one.datatype == "FP32" for one in inputs) else 0

    async def __call__(self, exchange: Exchange) -> Answer:
        """Answer one request; InvalidInput or Refused if it cannot be answered."""
        body = exchange.at_hand()
        if body is None:
            body = await self._predictor.body(exchange)
        json_length = exchange.json_length(len(body))
        if len(body) > INLINE_BYTES:  # no lambda here: its cells would slow down every call
            request = await self._predictor.elsewhere(partial(read_request, body, json_length, floats=self._floats))
        else:
            request = read_request(body, json_length, floats=self._floats)
        finish = partial(self._predictor.compressed, exchange) if self._predictor.compress_from is not None else None
        return await self._predictor.answer(request, self._written, exchange.since, finish)

    def _written(self, predicted: Predicted) -> Answer:
        arm = predicted.arm
        answer = write_usual(predicted, self._printed[id(arm)]) if predicted.usual else write_answer(predicted)
        answer.arm = arm
        return answer
