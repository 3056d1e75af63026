"""Logs of the data plane: what failed and where, without the words of a foreign exception, which may quote a request."""

import logging
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from types import TracebackType

import orjson

from custody.core.errors import CustodyError, InvalidInput


class JsonLines(logging.Formatter):
    """Writes a record as one JSON object: at, level, logger, message, and an exception as its type and places in the code."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        document: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
        }
        if record.exc_info and record.exc_info[0] is not None:
            document["error"] = record.exc_info[0].__name__
            document["trace"] = list(_places(record.exc_info[2]))
            if words := _words(record.exc_info[1]):
                document["words"] = words
        return orjson.dumps(document).decode()


class TextLines(logging.Formatter):
    """Writes a record as a line, and under it an exception as its type and places in the code."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, or several."""
        at = datetime.fromtimestamp(record.created).astimezone().isoformat(" ", "milliseconds")
        lines = [f"{at} {record.levelname} {record.name} {_message(record)}"]
        if record.exc_info and record.exc_info[0] is not None:
            lines += [f"  at {place}" for place in _places(record.exc_info[2])]
            words = _words(record.exc_info[1])
            lines.append(f"  {record.exc_info[0].__name__}" + (f": {words}" if words else ""))
        return "\n".join(lines)


def _message(record: logging.LogRecord) -> str:
    """Return what is said; asyncio shows objects on further lines, among them exceptions with their words."""
    text = record.getMessage()
    return text.partition("\n")[0] if record.name == "asyncio" else text


def _words(error: BaseException | None) -> str:
    """Return what an error of ours says, unless it speaks of what somebody sent."""
    return str(error) if isinstance(error, CustodyError) and not isinstance(error, InvalidInput) else ""


def _places(trace: TracebackType | None) -> Iterator[str]:
    for frame in traceback.extract_tb(trace):
        yield f"{frame.filename}:{frame.lineno} {frame.name}"
