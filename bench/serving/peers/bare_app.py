"""The least that answers: one route on the same uvicorn that decodes V2 JSON, runs the model and encodes its scores, with the fastest libraries.

No keys, no checks, no routing, no metrics, no records, no decision: what custody adds is measured against this.
"""

import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec
import numpy as np
import orjson
import uvicorn
from session import OUTPUT, open_session

Message = MutableMapping[str, Any]
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


async def app(scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]) -> None:
    """Answer any request."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    message = await receive()
    body = message["body"]
    while message.get("more_body", False):
        message = await receive()
        body += message["body"]
    answer = answered(body)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        lifespan="on",
        ws="none",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        log_config=None,
        limit_concurrency=4096,
        timeout_keep_alive=30,
    )
