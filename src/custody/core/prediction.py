"""One decision made in production: its id, and the record that serving captures."""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Self

from custody.core.digest import Digest
from custody.core.errors import InvalidInput
from custody.core.refs import DeploymentKey, ModelRef

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32, as in ULID
_UNIQUE = re.compile(rf"[0-7][{ALPHABET}]{{25}}")
CAPTURE_VERSION, SAMPLED_VERSION = 6, 7  # of lines; 7 where rows are sampled
BYTES_VERSIONS = {8: CAPTURE_VERSION, 9: SAMPLED_VERSION}  # with bytes behind it, and what they are else


def unique_at(at_ms: int, random: bytes) -> str:
    """Write a time in ms since 1970 and 10 random bytes as 26 characters that sort by time.

    Source: the ULID specification (github.com/ulid/spec).
    """
    return f"{time_part(at_ms)}{_written(int.from_bytes(random[:10]), 16)}"


def time_part(at_ms: int) -> str:
    """Write a time in ms since 1970 as the first 10 of those characters; 16 random ones may follow it."""
    return _second(at_ms >> 10) + _LAST[at_ms & 1023]


@lru_cache(8)
def _second(part: int) -> str:
    return _written(part, 8)


def _written(number: int, characters: int) -> str:
    return "".join([ALPHABET[number >> shift & 31] for shift in range(5 * characters - 5, -1, -5)])


_LAST = tuple(_written(part, 2) for part in range(1024))  # this is asked for every millisecond


def time_of(unique: str) -> datetime:
    """Read the time back from the 26 characters."""
    ms = sum(ALPHABET.index(c) << shift for c, shift in zip(unique[:10], range(45, -1, -5), strict=True))
    return datetime.fromtimestamp(ms / 1000, UTC)


@dataclass(frozen=True, slots=True)
class PredictionId:
    """Names one prediction; deployment, revision and model version are read from the text alone.

    Written `acme:prod:churn:3:churn@7:01JDB...`, row i of a batched request with `.i` behind it (row 0 without).
    """

    deployment: DeploymentKey
    revision: int
    model: ModelRef
    unique: str
    row: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an id; anything else is InvalidInput."""
        try:
            tenant, environment, name, revision, model, tail = text.split(":")
            unique, _, row = tail.partition(".")
            if not _UNIQUE.fullmatch(unique) or not (revision + row).isascii() or not (revision + (row or "0")).isdigit():
                raise ValueError(text)
            time_of(unique)  # after the year 9999 there are no times
            key = DeploymentKey.parse(f"{tenant}/{environment}/{name}")
            found = cls(key, int(revision), ModelRef.parse(model), unique, int(row or 0))
            if str(found) != text:  # one spelling only: labels are joined by the text
                raise ValueError(text)
        except ValueError as error:
            raise InvalidInput(
                f"'{text[:120]}' is not a prediction id.",
                why="It is written tenant:environment:deployment:revision:model@version:unique.",
                fix="Copy it from the 'prediction_id' of an inference response.",
            ) from error
        return found

    @property
    def at(self) -> datetime:
        """Return when the prediction was made, to the millisecond."""
        return time_of(self.unique)

    def of_row(self, row: int) -> "PredictionId":
        """Return the id of another row of the same request."""
        return replace(self, row=row)

    def __str__(self) -> str:
        key = self.deployment
        row = f".{self.row}" if self.row else ""
        return f"{key.tenant}:{key.environment}:{key.name}:{self.revision}:{self.model}:{self.unique}{row}"


@dataclass(frozen=True, slots=True)
class CaptureBatch:
    """A sealed batch of captured predictions of one deployment.

    id: fixed by the data plane, so that a batch is recorded once. rows: of the Parquet object.
    answered: predictions that somebody was answered with, of shadows none, also those of which no row was kept.
    first_at, last_at: when the predictions were made. first_event, last_event: when what they are about happened.
    """

    id: str
    deployment: DeploymentKey
    object: Digest
    rows: int
    first_at: datetime
    last_at: datetime
    first_event: datetime
    last_event: datetime
    sealed_at: datetime
    answered: int
