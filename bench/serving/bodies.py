"""Requests in each server's own format, rendered before anything is timed, and the scores read back from the answers."""

import http.client
import json
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from models import Model

REQUESTS = 64  # different ones, in rotation; of texts all that there are: what was seen a moment ago is not looked through again
Headers = dict[str, str]


@dataclass(frozen=True, slots=True)
class Format:
    """How a server is spoken to; render makes headers and body of some rows, read finds the positive class's scores."""

    render: Callable[[Model, list[Any]], tuple[Headers, bytes]]
    read: Callable[[bytes, Mapping[str, str]], list[float]]


@dataclass(frozen=True, slots=True)
class Request:
    """One rendered request, and the scores that the original model gave its rows."""

    path: str
    headers: Headers
    body: bytes
    scores: list[float]

    def raw(self, port: int) -> bytes:
        """Return the request as it goes over the wire."""
        fixed = {"Host": f"127.0.0.1:{port}", "Content-Type": "application/json", "Content-Length": str(len(self.body))}
        lines = [f"POST {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in {**fixed, **self.headers}.items())]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


def requests_of(model: Model, spoken: Format, batch: int, paths: Sequence[str], headers: Headers) -> list[Request]:
    """Return requests of so many rows each; the paths take turns, and each gets at least one request."""
    made = []
    different = len(model.rows) // batch if isinstance(model.rows[0], str) else REQUESTS
    for number in range(max(different, len(paths))):
        start = (number % different) * batch
        own, body = spoken.render(model, model.rows[start : start + batch])
        made.append(Request(paths[number % len(paths)], {**headers, **own}, body, model.scores[start : start + batch]))
    return made


def write(requests: Sequence[Request], port: int, path: Path) -> None:
    """Write requests for wrk: each behind its length in 4 bytes."""
    with path.open("wb") as file:
        for request in requests:
            raw = request.raw(port)
            file.write(struct.pack("<I", len(raw)) + raw)


def ask(request: Request, port: int, timeout_s: float = 60) -> tuple[int, bytes, dict[str, str]]:
    """Send one request; return status, body and headers. OSError or HTTPException if nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        headers = {"Content-Type": "application/json", **request.headers}
        connection.request("POST", request.path, request.body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()


def _json(document: object) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _v2_input(model: Model, rows: list[Any]) -> dict[str, Any]:
    tensor = model.signature.inputs[0]
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": [len(rows), *tensor.shape[1:]]}


def _flat(rows: list[Any]) -> Iterator[Any]:
    return (value for row in rows for value in (row if isinstance(row, list) else [row]))


def _v2_json(model: Model, rows: list[Any]) -> tuple[Headers, bytes]:
    return {}, _json({"inputs": [{**_v2_input(model, rows), "data": [*_flat(rows)]}]})


def _v2_columns(model: Model, rows: list[Any]) -> tuple[Headers, bytes]:
    columns = zip(model.signature.inputs, zip(*rows, strict=True), strict=True)
    shape = [len(rows), 1]
    inputs = [{"name": one.name, "datatype": one.datatype, "shape": shape, "data": values} for one, values in columns]
    return {}, _json({"inputs": inputs})


def _v2_binary(model: Model, rows: list[Any]) -> tuple[Headers, bytes]:
    blob = np.array(rows, "<f4").tobytes()
    described = {**_v2_input(model, rows), "parameters": {"binary_data_size": len(blob)}}
    head = _json({"inputs": [described], "parameters": {"binary_data_output": True}})
    return {"Inference-Header-Content-Length": str(len(head))}, head + blob


def _plain(_: Model, rows: list[Any]) -> tuple[Headers, bytes]:
    return {}, _json({"inputs": rows})


def _positive(values: Any) -> list[float]:
    """Return the last of each row's two probabilities, whether they come nested or flat."""
    return [float(one) for one in np.array(values, float).reshape(-1, 2)[:, 1]]


def _read_v2(body: bytes, headers: Mapping[str, str]) -> list[float]:
    """Read `score`, custody's own output, or the model's `probabilities`."""
    size = int(headers.get("inference-header-content-length", len(body)))
    output = next(one for one in json.loads(body[:size])["outputs"] if one["name"] in {"score", "probabilities"})
    if "data" in output:
        return [float(one) for one in output["data"]] if output["name"] == "score" else _positive(output["data"])
    return [float(one) for one in np.frombuffer(body, "<f8", output["shape"][0], size)]


def _read_plain(body: bytes, _: Mapping[str, str]) -> list[float]:
    found = json.loads(body)
    while isinstance(found, dict):
        found = found["probabilities"] if "probabilities" in found else next(iter(found.values()))
    return _positive(found)


V2_JSON, V2_BINARY, V2_COLUMNS = Format(_v2_json, _read_v2), Format(_v2_binary, _read_v2), Format(_v2_columns, _read_v2)
PLAIN = Format(_plain, _read_plain)
