"""What a caller says beside the tensors: its own key, when the event happened, whom it is about."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from custody.core.errors import InvalidInput

_LONGEST = 256
_SEQUENCE = ("sequence_id", "sequence_start", "sequence_end")
_LONGEST_US = 24 * 3600 * 1_000_000  # a longer timeout is as good as none
_LATEST_MS = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z


@dataclass(slots=True)  # not frozen: made for every request, and that costs three times as much
class Parameters:
    """A request's parameters, read and checked.

    key: the caller's own name for the prediction (one text, or one per row), for joining labels later.
    event_ms: when the event happened, ms since 1970, if not now. entity: whom it is about; picks the canary arm.
    timeout_us: the caller needs the answer within this time, in microseconds.
    """

    key: str | tuple[str, ...] | None = None
    event_ms: int | None = None
    entity: str | None = None
    timeout_us: int | None = None

    def keys(self, rows: int) -> tuple[str, ...] | None:
        """Return one key per row: a single key of a batch gets `#0`, `#1`, ... behind it; a wrong count is InvalidInput.

        They are made once: the next call for as many rows finds them.
        """
        if self.key is None:
            return None
        if isinstance(self.key, str):
            self.key = (self.key,) if rows == 1 else tuple([f"{self.key}#{row}" for row in range(rows)])
        if len(self.key) != rows:
            raise InvalidInput(
                f"Parameter 'key' lists {len(self.key)} keys for {rows} rows.",
                fix="Send one text, or a list with one key per row.",
            )
        return self.key


PLAIN = Parameters()  # of every request that says nothing


def read_parameters(identifier: str, parameters: Mapping[str, object]) -> Parameters:
    """Read a request's `id` and `parameters`; the id is the key unless `parameters.key` says otherwise.

    Parameters that mean nothing here are ignored, except sequences, which are refused: they would change the answer.
    """
    key = _key(parameters["key"]) if "key" in parameters else _text("id", identifier) if identifier else None
    if not parameters:
        return PLAIN if key is None else Parameters(key)
    if any(parameters.get(name) for name in _SEQUENCE):
        raise InvalidInput(
            "Sequences are not supported.", fix=f"Leave out {', '.join(map(repr, _SEQUENCE))}: each request stands alone."
        )
    entity = parameters.get("entity")
    return Parameters(
        key=key,
        event_ms=_event(parameters.get("event_time")),
        entity=_text("entity", str(entity) if type(entity) is int else entity) if entity is not None else None,
        timeout_us=_timeout(parameters.get("timeout")),
    )


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST:
        what = "The request's 'id'" if name == "id" else f"Parameter '{name}'"
        raise InvalidInput(f"{what} must be a text of 1 to {_LONGEST} characters, got {_kind(value)}.")
    return value


def _kind(value: object) -> str:
    return f"{len(value)} characters" if isinstance(value, str) else type(value).__name__


def _key(value: object) -> str | tuple[str, ...] | None:
    if value is None:
        return None
    if isinstance(value, list):
        if set(map(type, value)) == {str} and 0 < len(min(value, key=len)) <= len(max(value, key=len)) <= _LONGEST:
            return tuple(value)  # as they should be, a thousand rows in a moment
        return tuple(_text("key", one) for one in value)
    return _text("key", value)


def _event(value: object) -> int | None:
    if value is None:
        return None
    ms = value if type(value) is int else _iso_ms(value) if isinstance(value, str) else -1
    if not 0 <= ms <= _LATEST_MS:
        raise InvalidInput(
            "Parameter 'event_time' is not a time.",
            fix="Send ms since 1970 as an integer, or ISO 8601 with its zone, such as 2026-03-01T12:00:00Z.",
        )
    return ms


def _iso_ms(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text[:64])
        return int(moment.astimezone(UTC).timestamp() * 1000) if moment.tzinfo else -1
    except (ValueError, OverflowError):
        return -1


def _timeout(value: object) -> int | None:
    if value is None or value == 0:
        return None
    if type(value) is not int or value < 0:
        raise InvalidInput("Parameter 'timeout' must be a whole number of microseconds.")
    return min(value, _LONGEST_US)
