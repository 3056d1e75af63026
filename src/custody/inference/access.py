"""The access log: one JSON line for each answered request, written by a thread of its own, without what was asked or answered."""

import threading
from collections import deque
from datetime import UTC, datetime
from typing import IO

import orjson

from custody.inference.metrics import Metrics
from custody.inference.watching import Noted

_PAUSE_S = 0.2
_AT_ONCE = 1000  # lines in one write


class AccessLog:
    """Writes what it is told to a stream; what does not fit its queue, while the stream is slow, is dropped and counted."""

    def __init__(self, stream: IO[bytes], metrics: Metrics, *, most: int = 10_000) -> None:
        self._stream, self._metrics, self._most = stream, metrics, most
        self._queue: deque[Noted] = deque()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, name="access-log", daemon=True)
        self._thread.start()

    def __call__(self, noted: Noted) -> None:
        """Queue one line."""
        if len(self._queue) >= self._most:
            self._metrics.counts["access_log_dropped"] += 1
        else:
            self._queue.append(noted)

    def close(self) -> None:
        """Write what waits, and stop."""
        self._end.set()
        self._thread.join(5)

    def _work(self) -> None:
        ended = False
        while not ended:
            ended = self._end.wait(_PAUSE_S)
            while self._queue:
                lines = [line_of(self._queue.popleft()) for _ in range(min(len(self._queue), _AT_ONCE))]
                self._write(lines)

    def _write(self, lines: list[bytes]) -> None:
        try:
            self._stream.write(b"".join(lines))
            self._stream.flush()
        except (OSError, ValueError):  # a full disk or a closed pipe: requests are answered all the same
            self._metrics.counts["access_log_dropped"] += len(lines)


def line_of(noted: Noted) -> bytes:
    """Write one line of JSON with its newline."""
    key, arm = noted.key, noted.arm
    document = {
        "at": datetime.fromtimestamp(noted.ended_ns / 1e9, UTC).isoformat(timespec="milliseconds"),
        "door": noted.door,
        "method": noted.method,
        "path": noted.path,
        "status": noted.status,
        "us": round(noted.seconds * 1e6),
        "tenant": key.tenant if key else None,
        "environment": key.environment if key else None,
        "deployment": (key and key.name) or None,
        "revision": arm.revision if arm else None,
        "model": str(arm.target.model) if arm else None,
        "mode": arm.mode.value if arm else None,
    }
    return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)
