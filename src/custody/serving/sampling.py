"""Which captured rows are kept, by a number that their ids give; the others are summarised (lines `rest`, of format version 3).

A row is kept if its point lies below the deployment's share: the same on every node and at every attempt, and whoever is kept
at a small share is kept at every larger one.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from itertools import chain, compress, islice, repeat
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
    Flat,
    Kept,
    flat,
    line_of,
    plain,
    read_lines,
    unpacked,
    write_batch,
    written,
)

_REST = b'{"v":3,"rest":'
_DAY_MS, _FIRST = 86_400_000, date(1970, 1, 1)
_ENOUGH = 4096  # rows that are looked at in one step


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


class Counted:
    """Rows of one target and day that are not kept, and are counted.

    start: what their ids begin with. day: since 1970.
    """

    def __init__(self, start: str, mode: CaptureMode, threshold: float, day: int, rule: Rule) -> None:
        key, model = target_of(start)
        day_written = (_FIRST + timedelta(day)).isoformat()
        self._head = str(key), str(model), threshold, mode, day_written, rule.reference, rule.share
        self._specs = rule.specs
        self._parts: dict[str, list[Column]] = {}
        self._at: list[int] = []
        self._event: list[int] = []

    def add(self, columns: Mapping[str, Column], at: Sequence[int], event: Sequence[int]) -> None:
        """Take rows: n values of each input, `score` and `decision`; when their requests were answered, and happened, ms since 1970."""
        for name, column in columns.items():
            self._parts.setdefault(name, []).append(column)
        self._at += at
        self._event += event

    def rest(self) -> bytes:
        """Write what was counted as a line; nothing if there were no rows."""
        if not self._at:
            return b""
        pieces: dict[str, list[Column]] = {}
        for name, parts in self._parts.items():
            are_arrays = all(isinstance(part, np.ndarray) for part in parts)  # else one may not tell how wide its rows are
            for part in parts if are_arrays else [_concatenated(parts)]:
                for place, values in spread({name: part}).items():
                    pieces.setdefault(place, []).append(values)
        summary = joined(_counted(spec, pieces[spec.source]) for spec in self._specs)
        at, event = ((min(times), max(times)) for times in (self._at, self._event))
        rest = Rest(*self._head, summary.rows, at, event, [column.to_json(quickly=True) for column in summary.columns])
        return _REST + msgspec.json.encode(rest) + b"}\n"


def point_of_row(id: PredictionId) -> float:  # noqa: A002 - the field's word
    """Return a stable number in [0, 1) for a prediction: from the random part of its id, and its row.

    Source: splitmix64 (Vigna 2015, after Steele, Lea and Flood, Fast splittable pseudorandom number generators, 2014), seeded with the
    last 60 bits of the id; row i takes its number i, of which the 53 highest bits are a fraction.
    """
    return float(points_of_rows([str(id)])[0])


def points_of_rows(ids: Sequence[str]) -> NDArray[np.float64]:
    """Return `point_of_row` of each of some ids, shape (n,)."""
    ends = [one.rpartition(":")[2].partition(".") for one in ids]
    return _points([unique for unique, _, _ in ends], np.array([int(row or 0) for _, _, row in ends], dtype=np.uint64))


def _points(uniques: Sequence[str], rows: NDArray[np.uint64], counts: Sequence[int] | int = 1) -> NDArray[np.float64]:
    """Return the points of rows by their numbers, shape (n,). uniques: what ids end with, each of so many rows in turn as counts says."""
    letters = np.frombuffer("".join(uniques).encode("ascii"), np.uint8).reshape(len(uniques), -1)[:, -12:]
    state = np.repeat(_VALUES[letters] @ _PLACES, counts) + (rows + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
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
    kept: list[bytes | memoryview] = []
    alike: dict[tuple[Any, ...], _Alike] = {}
    for whole in chain.from_iterable(map(_lines_in, pieces)):
        line = flat(whole)
        if line is None:
            kept.append(whole)
            continue
        told = line.told
        _, model = target_of(told.id)  # the same of all its requests
        rule = rules.get((model, told.threshold))
        if rule is None or rule.share >= 1:
            kept.append(whole)
            continue
        day = told.at // _DAY_MS  # that of all its requests
        kinds = ((c.dtype, c.shape[1:]) if isinstance(c, np.ndarray) else None for c in line.inputs.values())
        group = model, told.threshold, told.mode, day, *kinds
        some = alike.get(group)
        if some is None:
            some = alike[group] = _Alike(rule, Counted(told.id, told.mode, told.threshold, day, rule))
        kept += some.add(line)
    for some in alike.values():
        kept += some.settle()
    return b"".join([*kept, *(some.counter.rest() for some in alike.values())])


def _lines_in(piece: bytes) -> Iterator[memoryview]:
    """Return the lines of a piece, which are not copied."""
    whole, at = memoryview(piece), 0
    while at < len(piece):
        end = piece.find(b"\n", at) + 1 or len(piece)
        yield whole[at:end]
        at = end


@lru_cache(256)
def target_of(start: str) -> tuple[DeploymentKey, ModelRef]:
    """Return the deployment and the model of predictions whose ids begin so."""
    first = PredictionId.parse(start + "0" * 26)
    return first.deployment, first.model


class _Alike:
    """Lines of one target, mode and day, with columns of the same types: hundreds of rows are looked at in one step."""

    def __init__(self, rule: Rule, counter: Counted) -> None:
        self._rule, self.counter = rule, counter
        self._lines: list[Flat] = []
        self._rows = 0

    def add(self, line: Flat) -> Sequence[bytes | memoryview]:
        """Take a line; return what is kept of those before, once there are enough."""
        self._lines.append(line)
        self._rows += len(line.scores)
        return self.settle() if self._rows >= _ENOUGH else ()

    def settle(self) -> Sequence[bytes | memoryview]:
        """Return what is kept of the lines, and count the rest."""
        lines, self._lines, self._rows = self._lines, [], 0
        if not lines:
            return ()
        columns = {name: _concatenated([line.inputs[name] for line in lines]) for name in lines[0].inputs}
        if not self._rule.sources <= {*spread(columns), "score", "decision"}:
            return [line.written for line in lines]
        counts = [count for line in lines for count in line.counts]
        ends = np.cumsum(counts)
        rows = np.arange(ends[-1]) - np.repeat(ends - counts, counts)
        stay = (
            _points([unique for line in lines for unique in _decided_by(line)], rows.astype(np.uint64), counts) < self._rule.share
        )
        of_lines = np.cumsum([len(line.scores) for line in lines])
        self._count(lines, columns, ~stay, ends)
        there = np.logical_or.reduceat(stay, [0, *of_lines[:-1]])
        parts = zip(lines, np.split(stay, of_lines[:-1]), np.split(rows, of_lines[:-1]), there.tolist(), strict=True)
        return [_picked(line, mask, places, self._rule.share) for line, mask, places, any_ in parts if any_]

    def _count(self, lines: Sequence[Flat], columns: dict[str, Column], go: NDArray[np.bool_], ends: NDArray[np.int64]) -> None:
        """Have the rows where `go` is true counted; ends: where each request's end."""
        if not go.any():
            return
        columns["score"] = np.concatenate([line.scores for line in lines])
        columns["decision"] = np.concatenate([line.decisions for line in lines])
        there = iter(np.logical_or.reduceat(go, [0, *ends[:-1]]).tolist())
        all_at, all_events = list[int](), list[int]()
        for line in lines:
            told, requests = line.told, [*islice(there, len(line.counts))]
            at = [told.at + later for later in compress(told.later or repeat(0), requests)]
            events = compress(told.event or repeat(None), requests)
            all_at += at
            all_events += [when if event is None else min(event, when) for event, when in zip(events, at, strict=False)]
        self.counter.add({name: _where(column, go) for name, column in columns.items()}, all_at, all_events)


def _decided_by(line: Flat) -> Sequence[str]:
    """Return the ends of the ids that decide whether the rows of a line stay: a shadow's goes with the answer that it mirrors."""
    told = line.told
    return (
        told.unique
        if told.of is None
        else [own if of is None else of[-len(own) :] for own, of in zip(told.unique, told.of, strict=True)]
    )


def _picked(line: Flat, stay: NDArray[np.bool_], places: NDArray[np.int64], share: float) -> bytes:
    """Write the rows of a line that stay as a line; places: of each row in its request."""
    told = line.told
    of_each = np.bincount(np.repeat(np.arange(len(line.counts)), line.counts)[stay])
    requests = np.flatnonzero(of_each).tolist()
    sizes, rows = of_each[requests].tolist(), places[stay].tolist()

    def some(values: Sequence[Any] | None) -> Any:
        return None if values is None else [values[request] for request in requests]

    def each(values: Iterable[Any]) -> list[list[Any]]:
        left = iter(values)
        return [[*islice(left, size)] for size in sizes]

    its_rows = each(rows)
    keys = told.keys and [
        None if (names := told.keys[request]) is None else tuple(names[place] for place in own)
        for request, own in zip(requests, its_rows, strict=True)
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
        inputs={name: written(_where(column, stay)) for name, column in line.inputs.items()},
        score=each(line.scores[stay].tolist()),
        decision=each(line.decisions[stay].tolist()),
        later=some(told.later),
        share=share,
        rows=[*map(tuple, its_rows)],
    )
    return msgspec.json.encode(kept) + b"\n"


def _where(column: Column, chosen: NDArray[np.bool_]) -> Column:
    return column.compress(chosen, 0) if isinstance(column, np.ndarray) else [*compress(column, chosen)]  # a third of indexing


def _concatenated(parts: Sequence[Column]) -> Column:
    arrays = [part for part in parts if isinstance(part, np.ndarray)]
    return np.concatenate(arrays) if len(arrays) == len(parts) else [*chain.from_iterable(parts)]


def _counted(spec: Spec, pieces: Sequence[Column]) -> ColumnSummary:
    """Count the values of a column."""
    arrays = [piece for piece in pieces if isinstance(piece, np.ndarray)]
    if len(arrays) == len(pieces):
        if arrays[0].dtype.kind == "f" and spec.kind is Kind.NUMBER and spec.reading is Reading.VALUE:
            return count_floats(spec, arrays)
        if arrays[0].dtype == bool:
            return count(spec, arrays)
    return summarise({spec.source: [*chain.from_iterable(map(plain, pieces))]}, (spec,)).columns[0]


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
