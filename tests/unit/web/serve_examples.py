"""Serve the dashboard with hand-made examples: `python tests/unit/web/serve_examples.py [port]`; prints its address."""

import socket
import sys

import uvicorn
from dashboard_examples import Examples
from fastapi import FastAPI

from custody.web.pages import router


def made() -> FastAPI:
    app = FastAPI(openapi_url=None)
    app.include_router(router(Examples(), sign_in=lambda key: "session" if key == "good" else None, sign_out=lambda _: None))
    return app


def main() -> None:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    uvicorn.Server(uvicorn.Config(made(), log_level="warning")).run([listener])


if __name__ == "__main__":
    main()
