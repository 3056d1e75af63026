"""The same uvicorn as custody's, with the least of an ASGI application: it reads a body and answers what a function makes of it."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import uvicorn

Message = MutableMapping[str, Any]
Headers = list[tuple[bytes, bytes]]
JSON: Headers = [(b"content-type", b"application/json")]


def serve(answered: Callable[[Headers, bytes], tuple[Headers, bytes]], port: int) -> None:
    """Answer any request with what the function makes of its headers and its body, until the process ends."""

    async def app(scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]) -> None:
        message = await receive()
        body = message["body"]
        while message.get("more_body", False):
            message = await receive()
            body += message["body"]
        own, answer = answered(scope["headers"], body)
        headers = [*own, (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    uvicorn.run(
        app,
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        ws="none",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        log_config=None,
        limit_concurrency=4096,
        timeout_keep_alive=30,
    )
