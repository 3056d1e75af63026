"""Open Inference Protocol V2 over HTTP: an infer call from body to answer."""

import time

from custody.inference.exchange import Answer, Exchange
from custody.inference.predict import INLINE_BYTES, Predictor
from custody.inference.protocols.v2_answer import write_answer
from custody.inference.protocols.v2_request import read_request


class Infer:
    """The infer call of one deployment, or of one pinned version of it."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    async def __call__(self, exchange: Exchange) -> Answer:
        """Answer one request; InvalidInput or Refused if it cannot be answered."""
        body = await exchange.body()
        since = time.perf_counter_ns()
        json_length = exchange.json_length(len(body))
        if len(body) > INLINE_BYTES:
            request = await self._predictor.elsewhere(lambda: read_request(body, json_length))
        else:
            request = read_request(body, json_length)
        return await self._predictor.answer(request, write_answer, since)
