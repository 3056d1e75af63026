"""Which captured rows are kept, by a hash of their ids; the others are summarised (lines of format version 3).

A row is kept if its point lies below the deployment's share: the same on every node and at every attempt, and whoever is kept
at a small share is kept at every larger one.
"""

import hashlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import orjson

from custody.core.digest import Digest
from custody.core.errors import InvalidInput
from custody.core.measures.spec import Spec
from custody.core.measures.summary import ColumnSummary, Summary, summarise
from custody.core.prediction import SAMPLED_VERSION, PredictionId
from custody.core.refs import DeploymentKey, ModelRef
from custody.serving.capture import Capture, CaptureMode, line_of, read_lines, unpacked, write_batch

_REST = b'{"v":%d,"rest":' % SAMPLED_VERSION


@dataclass(frozen=True, slots=True)
class Rule:
    """How the rows of one target are sampled: the share that is kept, and how the others are summarised."""

    share: float
    reference: Digest
    specs: tuple[Spec, ...]

    @property
    def sources(self) -> set[str]:
        """Return the columns that summaries are read from."""
        return {spec.source for spec in self.specs}


@dataclass(frozen=True, slots=True)
class Rest:
    """Rows of one target and day (ISO date, UTC) that were not kept: how many, when, and each column's counts as JSON.

    reference: the digest of the summary whose specs they are counted by. Times are ms since 1970: of answers, and of events.
    """

    deployment: str
    model: str
    threshold: float
    mode: CaptureMode
    day: str
    reference: Digest
    share: float
    rows: int
    at: tuple[int, int]
    event: tuple[int, int]
    columns: list[dict[str, Any]]

    @property
    def key(self) -> DeploymentKey:
        """Return the deployment."""
        return DeploymentKey.parse(self.deployment)

    def summary(self, specs: tuple[Spec, ...]) -> Summary:
        """Return the counts under the reference's specs; other specs are InvalidInput."""
        if len(specs) != len(self.columns):
            raise InvalidInput("A summary of rows that were not kept has other columns than its reference.")
        try:
            found = Summary(tuple(ColumnSummary.from_json(spec, one) for spec, one in zip(specs, self.columns, strict=True)))
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInput("A summary of rows that were not kept is not readable.", why="It was cut or edited.") from error
        if any(column.rows != self.rows for column in found.columns):
            raise InvalidInput("A summary of rows that were not kept has another number of rows than it says.")
        return found


@dataclass(frozen=True, slots=True)
class _Group:
    """Rows that are summarised together."""

    key: DeploymentKey
    model: ModelRef
    threshold: float
    mode: CaptureMode
    day: str


def point_of_row(id: PredictionId) -> float:  # noqa: A002 - the field's word
    """Return a stable number in [0, 1) for a prediction.

    Source: the first 8 bytes of BLAKE2b over `keep`, NUL and the id's text, as a fraction of 2^64.
    """
    return point_of_text(str(id))


def point_of_text(id: str) -> float:  # noqa: A002 - the field's word
    """Return the same for an id that is written already."""
    return int.from_bytes(hashlib.blake2b(f"keep\0{id}".encode(), digest_size=8).digest()) / 2**64


def sampled(lines: bytes, rules: Mapping[tuple[ModelRef, float], Rule]) -> bytes:
    """Keep each row with its rule's share, and summarise the others in lines behind; rows without a rule are all kept.

    A shadow's row goes with the answer that it mirrors, so that pairs stay together.
    """
    kept: list[bytes] = []
    rest: dict[_Group, list[tuple[Capture, list[int]]]] = {}
    every = lines.splitlines(keepends=True)
    for line, captures in zip(every, read_lines(lambda: every), strict=True):
        first = captures[0]  # the others are of the same target, with the same inputs
        rule = rules.get((first.id.model, first.threshold))
        if rule is None or rule.share >= 1 or first.share < 1 or not rule.sources <= {*first.inputs, "score", "decision"}:
            kept.append(line)
            continue
        day = datetime.fromtimestamp(first.at_ms / 1000, UTC).date().isoformat()
        group = _Group(first.id.deployment, first.id.model, first.threshold, first.mode, day)
        for capture in captures:
            stay, go = _parted(capture, rule.share)
            if stay:
                kept.append(_picked(capture, stay, rule.share))
            if go:
                rest.setdefault(group, []).append((capture, go))
    return b"".join([*kept, *(_rest_line(group, rules[group.model, group.threshold], parts) for group, parts in rest.items())])


def _parted(capture: Capture, share: float) -> tuple[list[int], list[int]]:
    own = capture.of or capture.id
    points = [point_of_row(own.of_row(row)) for row in range(capture.rows)]
    return [i for i, one in enumerate(points) if one < share], [i for i, one in enumerate(points) if one >= share]


def _picked(capture: Capture, rows: list[int], share: float) -> bytes:
    document = {
        "v": SAMPLED_VERSION,
        "id": str(capture.id),
        "at": capture.at_ms,
        "event": capture.event_ms,
        "keys": [capture.keys[row] for row in rows] if capture.keys else None,
        "mode": capture.mode,
        "of": str(capture.of) if capture.of else None,
        "threshold": capture.threshold,
        "inputs": {name: [column[row] for row in rows] for name, column in capture.inputs.items()},
        "score": [capture.scores[row] for row in rows],
        "decision": [capture.decisions[row] for row in rows],
        "us": capture.latency_us,
        "share": share,
        "rows": rows,
    }
    return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)


def _rest_line(group: _Group, rule: Rule, parts: Sequence[tuple[Capture, list[int]]]) -> bytes:
    columns: dict[str, list[Any]] = {name: [] for name in rule.sources}
    for capture, rows in parts:
        told = {**capture.inputs, "score": capture.scores, "decision": capture.decisions}
        for name, values in columns.items():
            values += [told[name][row] for row in rows]
    summary = summarise(columns, rule.specs)
    at = [capture.at_ms for capture, _ in parts]
    event = [c.at_ms if c.event_ms is None else min(c.event_ms, c.at_ms) for c, _ in parts]  # as the kept rows are read
    rest = Rest(
        str(group.key),
        str(group.model),
        group.threshold,
        group.mode,
        group.day,
        rule.reference,
        rule.share,
        summary.rows,
        (min(at), max(at)),
        (min(event), max(event)),
        [dict(column.to_json()) for column in summary.columns],
    )
    return _REST + msgspec.json.encode(rest) + b"}\n"


def open_batch(body: bytes) -> tuple[list[Capture], list[Rest]]:
    """Read a batch: the rows that were kept, and the summaries of those that were not; anything else is InvalidInput."""
    captures, rest = list[Capture](), list[Rest]()
    for _, held in _opened(body):
        if isinstance(held, Rest):
            rest.append(held)
        else:
            captures += held
    return captures, rest


def without(body: bytes, gone: Callable[[Capture], bool]) -> bytes | None:
    """Return a batch without the records that are gone, every other one as it is; None if all stay, nothing if none does.

    Raises InvalidInput where the batch cannot be read.
    """
    kept, lost = list[bytes](), 0
    for line, held in _opened(body):
        stay = [] if isinstance(held, Rest) else [capture for capture in held if not gone(capture)]
        if isinstance(held, Rest) or len(stay) == len(held):
            kept.append(line + b"\n")
        else:
            lost += 1
            kept += map(line_of, stay)
    if not lost:
        return None
    return write_batch(b"".join(kept)) if kept else b""


def _opened(body: bytes) -> list[tuple[bytes, list[Capture] | Rest]]:
    """Return a batch's lines, each with what it holds."""
    try:
        lines = unpacked(body)
        rest = {number: _rest(line) for number, line in enumerate(lines) if line.startswith(_REST)}
    except (zlib.error, msgspec.MsgspecError, ValueError, RecursionError, InvalidInput) as error:
        raise InvalidInput("This is not a capture batch.", why=str(error)) from error
    if not lines:
        raise InvalidInput("This capture batch is empty.")
    captures = iter(read_lines(lambda: [line for number, line in enumerate(lines) if number not in rest]))
    return [(line, rest[number] if number in rest else next(captures)) for number, line in enumerate(lines)]


def _rest(line: bytes) -> Rest:
    rest = msgspec.json.decode(line[len(_REST) : -1], type=Rest)
    DeploymentKey.parse(rest.deployment)
    ModelRef.parse(rest.model)
    return rest
