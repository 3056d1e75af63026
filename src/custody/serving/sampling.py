"""Which captured rows are kept, by a number that their ids give; the others are summarised (lines `rest`, of format version 3).

A row is kept if its point lies below the deployment's share: the same on every node and at every attempt, and whoever is kept
at a small share is kept at every larger one.
"""

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, compress, repeat
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from custody.core.digest import Digest
from custody.core.errors import InvalidInput
from custody.core.measures.spec import Kind, Reading, Spec, spread
from custody.core.measures.summary import ColumnSummary, Summary, count, count_floats, joined, summarise
from custody.core.prediction import ALPHABET, PredictionId
from custody.core.refs import DeploymentKey, ModelRef
from custody.serving.capture import (
    Capture,
    CaptureMode,
    Column,
    Kept,
    Together,
    line_of,
    plain,
    read_lines,
    together,
    unpacked,
    write_batch,
    written,
)

_REST = b'{"v":3,"rest":'


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
    """Return a stable number in [0, 1) for a prediction: from the random part of its id, and its row.

    Source: splitmix64 (Vigna 2015, after Steele, Lea and Flood, Fast splittable pseudorandom number generators, 2014), seeded with the
    last 60 bits of the id; row i takes its number i, of which the 53 highest bits are a fraction.
    """
    return float(_points([id.unique], [id.row + 1])[-1])


def _points(uniques: Sequence[str], counts: Sequence[int]) -> NDArray[np.float64]:
    """Return `point_of_row` of every row of requests, shape (rows,). uniques: what their ids end with."""
    letters = np.frombuffer("".join(uniques).encode("ascii"), np.uint8).reshape(len(uniques), -1)[:, -12:]
    seeds = _VALUES[letters] @ _PLACES
    rows = np.arange(sum(counts), dtype=np.uint64)
    rows -= np.repeat(np.cumsum(counts, dtype=np.uint64) - np.array(counts, np.uint64), counts)
    state = np.repeat(seeds, counts) + (rows + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    state = (state ^ (state >> np.uint64(31))) >> np.uint64(11)
    points: NDArray[np.float64] = state.astype(np.float64) / 2.0**53
    return points


_PLACES = np.uint64(1) << np.arange(55, -1, -5, dtype=np.uint64)
_VALUES = np.zeros(256, np.uint64)  # of Crockford's letters
_VALUES[np.frombuffer(ALPHABET.encode(), np.uint8)] = np.arange(32, dtype=np.uint64)


def sampled(pieces: Iterable[bytes], rules: Mapping[tuple[ModelRef, float], Rule]) -> bytes:
    """Keep each row with its rule's share, and summarise the others in lines behind; rows without a rule are all kept.

    pieces: of whole lines. A shadow's row goes with the answer that it mirrors, so that pairs stay together. Lines of other versions,
    which an older server left, stay as they are.
    """
    kept: list[bytes] = []
    rest: dict[_Group, _Gone] = {}
    for line in chain.from_iterable(piece.splitlines(keepends=True) for piece in pieces):
        told = together(line)
        if told is None:
            kept.append(line)
            continue
        counts = told.counts()
        rows = sum(counts)
        first = PredictionId.parse(told.id + told.unique[0])  # the others are of the same target
        rule = rules.get((first.model, told.threshold))
        inputs = told.columns(rows) if rule is not None and rule.share < 1 else {}
        columns = spread(inputs)
        if rule is None or not rule.sources <= {*columns, "score", "decision"}:
            kept.append(line)
            continue
        mirrored = told.of or repeat(None)
        uniques = [own if of is None else PredictionId.parse(of).unique for own, of in zip(told.unique, mirrored, strict=False)]
        stay = _points(uniques, counts) < rule.share
        if stay.any():
            kept.append(_picked(told, inputs, counts, stay, rule.share))
        if not stay.all():
            day = datetime.fromtimestamp(told.at / 1000, UTC).date().isoformat()
            group = _Group(first.deployment, first.model, told.threshold, told.mode, day)
            rest.setdefault(group, _Gone(rule)).add(told, counts, columns, ~stay)
    return b"".join([*kept, *(_rest_line(group, gone) for group, gone in rest.items())])


def _picked(told: Together, inputs: Mapping[str, Column], counts: Sequence[int], stay: NDArray[np.bool_], share: float) -> bytes:
    """Write the rows of a line that stay as a line."""
    places: dict[int, list[int]] = {}  # of rows, by the number of their request
    requests, first = np.repeat(np.arange(len(counts)), counts), np.cumsum(counts) - counts
    for request, row in zip(requests[stay].tolist(), np.flatnonzero(stay).tolist(), strict=True):
        places.setdefault(request, []).append(row - int(first[request]))

    def some(values: Sequence[Any] | None) -> Any:
        return None if values is None else [values[request] for request in places]

    def each(values: Sequence[Sequence[Any]]) -> list[list[Any]]:
        return [[values[request][place] for place in rows] for request, rows in places.items()]

    keys = told.keys and [
        None if (names := told.keys[request]) is None else tuple(names[place] for place in rows)
        for request, rows in places.items()
    ]
    kept = Kept(
        id=told.id,
        at=told.at,
        unique=some(told.unique),
        us=some(told.us),
        event=some(told.event),
        keys=keys,
        mode=told.mode,
        of=some(told.of),
        threshold=told.threshold,
        inputs={name: written(_where(column, stay)) for name, column in inputs.items()},
        score=each(told.score),
        decision=each(told.decision),
        share=share,
        rows=[tuple(rows) for rows in places.values()],
    )
    return msgspec.json.encode(kept) + b"\n"


def _where(column: Column, chosen: NDArray[np.bool_]) -> Column:
    return column[chosen] if isinstance(column, np.ndarray) else [*compress(column, chosen)]


class _Gone:
    """The rows of a group that are not kept."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.at: list[int] = []
        self.event: list[int] = []
        self._parts: dict[str, list[Column]] = {name: [] for name in rule.sources}

    def add(self, told: Together, counts: Sequence[int], columns: Mapping[str, Column], go: NDArray[np.bool_]) -> None:
        """Count the rows of a line where `go` is true."""
        self.at.append(told.at)
        if told.event is None:
            self.event.append(told.at)
        else:
            answered = [told.event[request] for request in {*np.repeat(np.arange(len(counts)), counts)[go].tolist()}]
            self.event += [told.at if event is None else min(event, told.at) for event in answered]  # as the kept rows are read
        for name, parts in self._parts.items():
            if name in ("score", "decision"):
                column: Column = np.array([*chain.from_iterable(told.score if name == "score" else told.decision)])
            else:
                column = columns[name]
            parts.append(_where(column, go))

    def summary(self) -> Summary:
        """Return their counts."""
        return joined(_counted(spec, self._parts[spec.source]) for spec in self.rule.specs)


def _counted(spec: Spec, parts: Sequence[Column]) -> ColumnSummary:
    """Count the values of a column."""
    types = {part.dtype if isinstance(part, np.ndarray) else None for part in parts}
    if len(types) == 1 and None not in types:
        values = np.concatenate(parts)
        if values.dtype.kind == "f" and spec.kind is Kind.NUMBER and spec.reading is Reading.VALUE:
            return count_floats(spec, values)
        if values.dtype == bool:
            return count(spec, (values,))
    return summarise({spec.source: [value for part in parts for value in plain(part)]}, (spec,)).columns[0]


def _rest_line(group: _Group, gone: _Gone) -> bytes:
    summary = gone.summary()
    rest = Rest(
        str(group.key),
        str(group.model),
        group.threshold,
        group.mode,
        group.day,
        gone.rule.reference,
        gone.rule.share,
        summary.rows,
        (min(gone.at), max(gone.at)),
        (min(gone.event), max(gone.event)),
        [column.to_json(quickly=True) for column in summary.columns],
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
