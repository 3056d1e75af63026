"""The least that answers, on the same uvicorn: decode V2 JSON, run the model, encode its scores, with the fastest libraries.

No keys, no checks, no routing, no metrics, no records, no decision: what custody adds is measured against this.
"""

import sys

import msgspec
import numpy as np
import orjson
from front import serve
from session import OUTPUT, open_session

SESSION, NAME = open_session()
IS_TEXT = SESSION.get_inputs()[0].type == "tensor(string)"
SHAPE = [-1 if not isinstance(length, int) else length for length in SESSION.get_inputs()[0].shape]
_BEFORE = b'{"model_name":"bench","model_version":"1","outputs":[{"name":"score","datatype":"FP64","shape":[%d],"data":'


class Tensor(msgspec.Struct):
    """A tensor."""

    name: str
    datatype: str
    shape: list[int]
    data: list[str] if IS_TEXT else list[float]  # type: ignore[valid-type]


class Request(msgspec.Struct):
    """An infer request."""

    inputs: list[Tensor]


DECODER = msgspec.json.Decoder(Request)


def answered(body: bytes) -> bytes:
    """Score the rows of one request."""
    tensor = DECODER.decode(body).inputs[0]
    rows = np.array(tensor.data, object if IS_TEXT else np.float32).reshape(SHAPE)
    scores = SESSION.run([OUTPUT], {NAME: rows})[0][:, -1].astype(np.float64)
    return b"".join((_BEFORE % len(scores), orjson.dumps(scores, option=orjson.OPT_SERIALIZE_NUMPY), b"}]}"))


if __name__ == "__main__":
    serve(answered, int(sys.argv[1]))
