"""Sends rows as live traffic: one HTTP request each, over the Open Inference Protocol."""

import http.client
import json
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass
class Sent:
    """What came back; decisions: the version that answered and whether it said yes, in the order of the rows."""

    count: int = 0
    yes: int = 0
    decisions: list[tuple[int, bool]] = field(default_factory=list)
    times_ms: list[float] = field(default_factory=list)

    @property
    def median_ms(self) -> float:
        """Return the median latency, milliseconds."""
        return statistics.median(self.times_ms)


class Door:
    """One tenant's way into the data plane; shape: of each input of one row, [1, 1] for columns of a table, [1] for a text."""

    def __init__(self, port: int, tenant: str, key: str, model: str, shape: tuple[int, ...] = (1, 1)) -> None:
        self._path, self._shape = f"/tenants/{tenant}/v2/models/{model}", list(shape)
        self._headers = {"Authorization": f"Bearer {key}"}
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.total = 0

    def wait(self, seconds: float = 20) -> None:
        """Wait until the deployment answers: a new revision is live within a second."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._connection.request("GET", f"{self._path}/ready", headers=self._headers)
            answer = self._connection.getresponse()
            answer.read()
            if answer.status == 200:
                return
            time.sleep(0.05)
        sys.exit("the deployment did not become ready")

    def renew(self) -> None:
        """Begin with a fresh connection: the data plane closes one that was idle for half a minute."""
        self._connection.close()

    def infer(self, row: dict[str, Any], key: str, at: datetime) -> dict[str, Any]:
        """Send one row and return the answer."""
        inputs = [
            {"name": name, "datatype": "BYTES" if isinstance(value, str) else "INT64", "shape": self._shape, "data": [value]}
            for name, value in row.items()
        ]
        body = {"id": key, "parameters": {"event_time": at.isoformat(), "entity": key}, "inputs": inputs}
        self._connection.request("POST", f"{self._path}/infer", json.dumps(body), self._headers)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            sys.exit(f"the data plane answered {answer.status}: {text.decode()}")
        found: dict[str, Any] = json.loads(text)
        return found


def replay(door: Door, rows: Sequence[tuple[dict[str, Any], datetime]], prefix: str) -> tuple[Sent, str]:
    """Send rows in order, each with a key of its own, and return what came back and the last prediction id."""
    sent, last = Sent(), ""
    door.renew()
    for i, (row, at) in enumerate(rows):
        started = time.perf_counter()
        found = door.infer(row, f"{prefix}-{i}", at)
        sent.times_ms.append((time.perf_counter() - started) * 1000)
        sent.count += 1
        decision = bool(found["outputs"][1]["data"][0])
        sent.yes += decision
        sent.decisions.append((int(found["model_version"]), decision))
        last = found["parameters"]["prediction_id"]
    door.total += sent.count
    return sent, last
