"""A server as one writes it by hand with FastAPI: a typed body, one route, ONNX Runtime.

Run: python fastapi_app.py PORT def|async
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from session import OUTPUT, open_session

SESSION, NAME = open_session()


class Numbers(BaseModel):
    """Rows of numbers."""

    inputs: list[list[float]]


class Texts(BaseModel):
    """Rows of text."""

    inputs: list[str]


def predict(rows: Any) -> dict[str, Any]:
    """Score rows."""
    return {OUTPUT: SESSION.run([OUTPUT], {NAME: rows})[0].tolist()}


def numbers(body: Numbers) -> dict[str, Any]:
    """Answer in a thread."""
    return predict(np.array(body.inputs, dtype=np.float32))


def texts(body: Texts) -> dict[str, Any]:
    """Answer in a thread."""
    return predict(np.array(body.inputs, dtype=object))


async def numbers_inline(body: Numbers) -> dict[str, Any]:
    """Answer on the event loop."""
    return numbers(body)


async def texts_inline(body: Texts) -> dict[str, Any]:
    """Answer on the event loop."""
    return texts(body)


ROUTES: dict[tuple[str, str], Callable[..., Any]] = {
    ("numbers", "def"): numbers,
    ("texts", "def"): texts,
    ("numbers", "async"): numbers_inline,
    ("texts", "async"): texts_inline,
}
KIND = "texts" if SESSION.get_inputs()[0].type == "tensor(string)" else "numbers"
app = FastAPI()
app.post("/predict")(ROUTES[KIND, sys.argv[2]])

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), loop="uvloop", http="httptools", access_log=False)
