"""Logs of the data plane as JSON lines: what failed and where, without the words of an exception, which may quote a request."""

import logging
import traceback
from datetime import UTC, datetime

import orjson


class JsonLines(logging.Formatter):
    """Writes a record as one JSON object: at, level, logger, message, and an exception as its type and places in the code."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        document: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info and record.exc_info[0] is not None:
            document["error"] = record.exc_info[0].__name__
            document["trace"] = [
                f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(record.exc_info[2])
            ]
        return orjson.dumps(document).decode()
