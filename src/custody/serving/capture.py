"""The record of answered requests: JSON lines, shipped in batches (format version 6; 7 where rows are sampled; 8, 9 with bytes behind it).

A line holds requests that one target answered: a column of inputs has the rows of all of them, scores and decisions have a list for
each. A column is a list of values; one of floats is their bytes, little-endian, in base 64 behind their type: `f4:AACAPw==`, where NaN
is missing. Version 7 has some of the rows, with their chance and their places. Versions 8 and 9 are 6 and 7 with the bytes of each
column behind the line, and not in it: `f4:1920` says how many, and where they end the next line begins; they are read as 6 and 7. In
versions 4 and 5, which are else the same, requests were answered at the same moment. Versions 1 to 3 had a line for each request, in
version 1 with lists only, null for a missing number; 3 was what 5 was later.
"""

import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import accumulate, chain, repeat
from typing import IO, Any, NamedTuple

import msgspec
import numpy as np
import orjson
import pybase64
import simdjson
from isal import isal_zlib
from numpy.typing import NDArray

from custody.core.errors import InvalidInput
from custody.core.prediction import BYTES_VERSIONS, CAPTURE_VERSION, SAMPLED_VERSION, PredictionId
from custody.core.refs import DeploymentKey

Column = Sequence[Any] | NDArray[Any]  # n values; a value is a list where the signature's rows are wider than one; or [n, 1]
_MOST_BYTES = 512 * 1024 * 1024
_PIECE = 512 * 1024  # of lines, in a processor's own cache while they are looked through and compressed
_GZIP = b"\x1f\x8b"
_SAMPLE = 16 * 1024  # of a batch's lines: whether compressing them pays
_TYPES: dict[str, Any] = {"f2": np.dtype("<f2"), "f4": np.dtype("<f4"), "f8": np.dtype("<f8")}
_KINDS = {dtype: b'"%b:' % kind.encode() for kind, dtype in _TYPES.items()}
_CODES = {dtype.char: kind for dtype, kind in _KINDS.items()}
_NUMPY = orjson.OPT_SERIALIZE_NUMPY
_LINE = b'%b"at":%d,"later":null,"unique":%b,"us":%b,%b,"inputs":{%b},"score":[%b],"decision":[%b]}\n'
_BEGIN = re.compile(rb'\{"v":\d+,"id":"([\w.-]+):([\w.-]+):([\w.-]+):')  # to read a whole line costs a third of storing it
_SAID_NOTHING = b'"event":null,"keys":null,"of":null'


class CaptureMode(StrEnum):
    """Who answered: the live target, the canary, or (nobody was answered) the shadow."""

    LIVE = "live"
    CANARY = "canary"
    SHADOW = "shadow"


@dataclass(frozen=True, slots=True)
class Capture:
    """One answered request of n rows; row i is the prediction `id.of_row(i)`.

    at_ms: when it was answered; event_ms: when it happened, if the caller said so (both ms since 1970).
    keys: the caller's own names of the rows. of: the live prediction that a shadow's record mirrors.
    inputs: by input name, n values, null where a number was missing. latency_us: microseconds from the request's arrival to its answer.
    share: the chance, in (0, 1], with which each row was kept. places: which rows of the request these are; None means all.
    """

    id: PredictionId
    at_ms: int
    event_ms: int | None
    keys: tuple[str, ...] | None
    mode: CaptureMode
    of: PredictionId | None
    threshold: float
    inputs: Mapping[str, Column]
    scores: Sequence[float] | NDArray[Any]
    decisions: Sequence[bool] | NDArray[Any]
    latency_us: int
    share: float = 1.0
    places: tuple[int, ...] | None = None

    @property
    def rows(self) -> int:
        """Return the number of predictions in the record."""
        return len(self.scores)


class _Line(msgspec.Struct, tag_field="v", tag=1):
    """One request, as versions 1 to 3 have it."""

    id: str
    at: int
    event: int | None
    keys: tuple[str, ...] | None
    mode: CaptureMode
    of: str | None
    threshold: float
    inputs: dict[str, list[Any] | str]
    score: list[float]
    decision: list[bool]
    us: int


class _Packed(_Line, tag=2):
    pass


class _Sampled(_Line, tag=3, kw_only=True):
    share: float
    rows: tuple[int, ...]


class _Answered(msgspec.Struct, tag_field="v", kw_only=True):
    """Requests that one target answered; id: what their ids begin with. event, keys, of: null if that holds for each.

    later: how many ms later than `at` each was answered; null if none was.
    """

    id: str
    at: int
    later: list[int] | None = None
    unique: list[str]
    us: list[int]
    event: list[int | None] | None
    keys: list[tuple[str, ...] | None] | None
    mode: CaptureMode
    of: list[str | None] | None
    threshold: float
    inputs: dict[str, list[Any] | str]

    def check(self, counts: Sequence[int], decisions: int) -> None:
        """Refuse requests that are not told alike: ValueError. counts: the rows of each; decisions: of how many there are some."""
        by_request = (self.unique, self.us, self.event, self.keys, self.of, self.later)
        if not counts or decisions != len(counts) or any(len(one) != len(counts) for one in by_request if one is not None):
            raise ValueError("the requests of a line are not told alike")


class _Together(_Answered, tag=CAPTURE_VERSION, kw_only=True):
    score: list[list[float]]
    decision: list[list[bool]]


class Kept(_Together, tag=SAMPLED_VERSION, kw_only=True):
    """Requests of which some rows were kept: share is their chance, rows has their places in each request."""

    share: float
    rows: list[tuple[int, ...]]


class _AtOnce(_Together, tag=4):
    pass


class _KeptAtOnce(Kept, tag=5):
    pass


class _Raw(_Answered, tag=CAPTURE_VERSION, kw_only=True):
    score: msgspec.Raw
    decision: msgspec.Raw


_decoder = msgspec.json.Decoder(_Line | _Packed | _Sampled | _AtOnce | _KeptAtOnce | _Together | Kept)
_flat_decoder = msgspec.json.Decoder(_Raw)
_HEAD = b'{"v":%d,' % CAPTURE_VERSION
_AS_BYTES = {b'{"v":%d,' % version: b'{"v":%d,' % as_text for version, as_text in BYTES_VERSIONS.items()}
_WHOLE_NUMBERS = {kind: np.dtype(f"<{kind}") for kind in ("b1", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")}


@lru_cache(4096)
def _name(name: str) -> bytes:
    return orjson.dumps(name) + b":"


@dataclass(frozen=True, slots=True)
class Told:
    """What a request said beyond its inputs, or which answer a shadow mirrors: see `Capture`."""

    event_ms: int | None = None
    keys: tuple[str, ...] | None = None
    of: str | None = None


def line_of(capture: Capture) -> bytes:
    """Write a capture as one line of JSON with its newline; numbers keep their own precision."""
    head = line_head(str(capture.id)[: -len(capture.id.unique)], capture.mode, capture.threshold)
    scores, decisions = (orjson.dumps(values, option=_NUMPY) for values in (capture.scores, capture.decisions))
    told = Told(capture.event_ms, capture.keys, str(capture.of) if capture.of else None)
    one = capture.id.unique, capture.latency_us, capture.inputs, scores, decisions
    line = line_of_one(head, capture.at_ms, *one, None if told == Told() else told)
    if capture.places is None:
        return line
    whole = msgspec.json.decode(line, type=_Together)
    return msgspec.json.encode(Kept(**msgspec.structs.asdict(whole), share=capture.share, rows=[capture.places])) + b"\n"


def line_head(start: str, mode: CaptureMode, threshold: float) -> bytes:
    """Write what all lines of a target begin with; start: of its predictions' ids, all but the unique part."""
    written = orjson.dumps({"id": start, "mode": mode, "threshold": threshold})
    return _HEAD + written[1:-1] + b","


def line_after(
    head: bytes,
    at_ms: int,
    uniques: Sequence[str],
    latencies_us: Sequence[int],
    inputs: Sequence[Mapping[str, Column]],
    scores: Sequence[bytes],
    decisions: Sequence[bytes],
    told: Sequence[Told] | None = None,
) -> bytes:
    """Write a line behind its head: requests of one target that were answered at the same time, see `Capture`.

    scores, decisions: as JSON. told: None if none said anything. Raises ValueError if their inputs do not fit
    together: each is then a line of its own.
    """
    columns = b",".join([_name(name) + _together([one[name] for one in inputs]) for name in inputs[0]])
    said = _SAID_NOTHING if told is None else _said(told)
    lists = orjson.dumps(uniques), orjson.dumps(latencies_us), said, columns, b",".join(scores), b",".join(decisions)
    return _LINE % (head, at_ms, *lists)


def line_of_one(
    head: bytes,
    at_ms: int,
    unique: str,
    latency_us: int,
    inputs: Mapping[str, Column],
    scores: bytes,
    decisions: bytes,
    told: Told | None = None,
) -> bytes:
    """Write the line of one request, as `line_after` does for many: at half the cost, and where few ask, few is one."""
    columns = b",".join([_name(name) + _column(column) for name, column in inputs.items()])
    said = _SAID_NOTHING if told is None else _said((told,))
    return _LINE % (head, at_ms, b'["%b"]' % unique.encode(), b"[%d]" % latency_us, said, columns, scores, decisions)


class Lists(NamedTuple):
    """What requests have one each of, as JSON, but for the brackets. events, keys, ofs: None if none of them said anything."""

    uniques: bytes
    scores: bytes
    decisions: bytes
    events: bytes | None
    keys: bytes | None
    ofs: bytes | None
    latencies_us: bytes
    laters_ms: bytes


def line_of_columns(head: bytes, at_ms: int, lists: Lists, columns: Iterable[tuple[bytes, str, bytes]]) -> list[bytes]:
    """Write a line as `line_after` does, of requests whose columns are joined already; in parts, since long ones cost when they are copied.

    columns: what stands before a column, as `"name":`; the type of its numbers, a code of `struct`, and their bytes, or `s` and texts
    as JSON with a comma behind each.
    """
    said = _SAID_NOTHING
    if lists.events is not None and lists.keys is not None and lists.ofs is not None:
        said = b'"event":%b,"keys":%b,"of":%b' % (_listed(lists.events), _listed(lists.keys), _listed(lists.ofs))
    parts = [
        _HEAD,
        head.partition(b",")[2],
        b'"at":%d,"later":%b,"unique":[' % (at_ms, _listed(lists.laters_ms, b"0,")),
        lists.uniques,
        b'],"us":[',
        lists.latencies_us,
        b"],",
        said,
        b',"inputs":{',
    ]
    for name, code, data in columns:
        if begin := _CODES.get(code):
            parts += name, begin, pybase64.b64encode(data), b'",'
        elif code == "s":
            parts += name, b"[", data[:-1], b"],"
        else:
            parts += name, orjson.dumps(np.frombuffer(data, code), option=_NUMPY), b","
    parts[-1] = parts[-1][:-1]
    parts += b'},"score":[', lists.scores, b'],"decision":[', lists.decisions, b"]}\n"
    return parts


def _listed(values: bytes, nothing: bytes = b"nul,") -> bytes:
    return b"[%b]" % values if values.strip(nothing) else b"null"


def _said(told: Sequence[Told]) -> bytes:
    lists: dict[str, list[Any]] = {
        "event": [one.event_ms for one in told],
        "keys": [one.keys for one in told],
        "of": [one.of for one in told],
    }
    return orjson.dumps({name: None if values.count(None) == len(values) else values for name, values in lists.items()})[1:-1]


def _together(parts: list[Any]) -> bytes:
    """Write a column of several requests."""
    first = parts[0]
    if len(parts) == 1:
        return _column(first)
    if not isinstance(first, np.ndarray):
        return orjson.dumps([*chain.from_iterable(parts)])
    begin = _KINDS.get(first.dtype) if first.size else None
    if begin and [one.shape for one in parts].count(first.shape) == len(parts):
        return b"".join((begin, pybase64.b64encode(b"".join(parts)), b'"'))  # half of what looking at widths costs
    return _column(np.concatenate(parts))


def _column(column: Any) -> bytes:
    """Write a column; [n, 1] becomes n values."""
    if not isinstance(column, np.ndarray):
        return orjson.dumps(column)
    column = np.ascontiguousarray(column)
    begin = _KINDS.get(column.dtype) if column.size else None
    if begin:
        return b"".join((begin, pybase64.b64encode(column.data), b'"'))  # none of these letters is escaped
    if column.shape[1:] == (1,):
        column = column.reshape(-1)
    return orjson.dumps(column.tolist() if column.dtype == object else column, option=_NUMPY)


def deployment_of(lines: bytes) -> DeploymentKey:
    """Return the deployment that the first line names; InvalidInput if it names none."""
    if (begin := _BEGIN.match(lines)) is None:
        raise InvalidInput("This line of a capture names no deployment.")
    return DeploymentKey.parse(b"/".join(begin.groups()).decode())


def complete_lines(file: IO[bytes]) -> Iterator[bytes]:
    """Read lines in pieces of about 512 KiB; a torn last line is left out: its requests were never answered, or are in a journal."""
    at, most, torn = 0, _PIECE, 0  # torn: bytes that were read behind the last line
    while block := file.read(most):
        end = block.rfind(b"\n") + 1
        if end:
            yield block[:end]
            at, most, torn = at + end, _PIECE, 0
        elif len(block) > torn:
            most, torn = 2 * most, len(block)  # a long line
        else:
            return
        file.seek(at)  # reading what was torn again costs less than joining it


def write_batch(lines: bytes) -> bytes:
    """Make a batch of lines."""
    return packed((lines,))


def packed(pieces: Iterable[bytes]) -> bytes:
    """Make a batch of pieces of lines, the same ones always to the same bytes; nothing if there are none.

    It is compressed where that `pays`.
    """
    pieces = iter(pieces)
    first = next(pieces, b"")
    every = chain((first,), pieces)
    if not pays(first):
        return b"".join(every)
    packer = isal_zlib.compressobj(1, wbits=31)
    return b"".join((*map(packer.compress, every), packer.flush()))


def pays(lines: bytes) -> bool:
    """Tell whether compressing lines like these pays: they become a third as long, which those of numbers and of prose do not.

    A batch is kept until it is sealed, which takes a minute, and compressing it costs a server more than what it need not store then.
    """
    sample = lines[:_SAMPLE]
    return len(isal_zlib.compress(sample, 1)) * 3 <= len(sample)


def is_packed(batch: bytes) -> bool:
    """Tell whether a batch is compressed."""
    return batch.startswith(_GZIP)


def read_batch(body: bytes) -> list[Capture]:
    """Read a batch of captures; anything but valid lines, plain or as one whole gzip stream, is InvalidInput."""
    return [capture for captures in read_lines(lambda: unpacked(body)) for capture in captures]


def read_lines(lines: Callable[[], Sequence[bytes]]) -> list[list[Capture]]:
    """Read the captures of each line; a line that is not valid is InvalidInput that names its number."""
    number = 0
    try:
        found = []
        for number, line in enumerate(lines(), start=1):  # noqa: B007 - the number stands in the error below
            found.append(_captures(_decoder.decode(line)))
    except (zlib.error, msgspec.MsgspecError, ValueError, RecursionError, InvalidInput) as error:
        raise InvalidInput(
            f"Line {number} of this capture batch cannot be read." if number else "This is not a capture batch.",
            why=str(error),
            facts={"line": number},
        ) from error
    return found


def unpacked(body: bytes) -> list[bytes]:
    """Return the lines of a batch, none with bytes behind it; ValueError or zlib.error if it is not one whole stream of them."""
    if is_packed(body):
        unpacker = zlib.decompressobj(wbits=31)
        body = unpacker.decompress(body, _MOST_BYTES)
        if not unpacker.eof or unpacker.unused_data:
            raise ValueError("the compressed stream is cut, too long, or followed by something else")
    if not body:
        raise ValueError("nothing stands in it")
    if any(head in body for head in _AS_BYTES):
        return [*_with_their_bytes(body)]
    lines = body.split(b"\n")
    if lines.pop():
        raise ValueError("the last line is torn")
    return lines


def _with_their_bytes(body: bytes) -> Iterator[bytes]:
    """Return lines, those of versions 8 and 9 as 6 and 7 have them."""
    at = 0
    while at < len(body):
        end = body.find(b"\n", at)
        if end < 0:
            raise ValueError("the last line is torn")
        line, at = body[at:end], end + 1
        if head := _AS_BYTES.get(line[: len(_HEAD)]):
            before, begin, rest = line.partition(b',"inputs":{')  # in a text there is a backslash before each quotation mark
            sizes, behind, rest = rest.partition(b'},"score":[')
            columns = []
            for name, told in orjson.loads(b"{%b}" % sizes).items():
                kind, _, size = str(told).partition(":")
                end = at + int(size)
                columns.append(_name(name) + _column_of(kind, body[at:end], int(size)))
                at = end
            line = b"".join((head, before[len(head) :], begin, b",".join(columns), behind, rest))
        yield line


def _column_of(kind: str, data: bytes, size: int) -> bytes:
    """Write a column of so many bytes."""
    dtype = _TYPES.get(kind) or _WHOLE_NUMBERS.get(kind)
    if dtype is None or size <= 0 or len(data) != size:
        raise ValueError("the bytes behind a line are cut, or of an unknown type")
    return _column(np.frombuffer(data, dtype))


@dataclass(frozen=True, slots=True, eq=False)
class Flat:
    """A line of this version whose numbers are arrays: counts are the rows of its requests, all else has the rows of all of them."""

    written: memoryview
    told: _Answered
    counts: list[int]
    scores: NDArray[np.float64]
    decisions: NDArray[np.bool_]
    inputs: dict[str, Column]


def flat(line: memoryview) -> Flat | None:
    """Read a line without an object for each number; None for one of sampled rows, or of another version.

    Raises ValueError, TypeError or a `msgspec.MsgspecError` for a line that is damaged.
    """
    if line[: len(_HEAD)] != _HEAD:
        _decoder.decode(line)
        return None
    told = _flat_decoder.decode(line)
    nested: Any = simdjson.Parser().parse(bytes(told.score))
    counts = [len(scores) for scores in nested]
    letters = np.frombuffer(told.decision, np.uint8)
    is_true = letters == ord("t")
    places, ends = np.flatnonzero(is_true | (letters == ord("f"))), np.flatnonzero(letters == ord("]"))[:-1]
    told.check(counts, len(ends))
    scores, decisions = np.frombuffer(nested.as_buffer(of_type="d")), is_true[places]
    keys = told.keys or repeat(None)
    if (
        0 in counts
        or len(scores) != len(places)
        or np.searchsorted(places, ends).tolist() != [*accumulate(counts)]
        or any(names is not None and len(names) != rows for names, rows in zip(keys, counts, strict=False))
    ):
        raise ValueError("the columns have different lengths")
    return Flat(line, told, counts, scores, decisions, _columns(told.inputs, len(scores)))


def _captures(line: _Line | _Together) -> list[Capture]:
    if isinstance(line, _Line):
        return [_capture(line)]
    counts = [*map(len, line.score)]
    line.check(counts, len(line.decision))
    ends = [*accumulate(counts)]
    if isinstance(line, Kept) and len(line.rows) != len(ends):
        raise ValueError("the requests of a line are not told alike")
    inputs = {name: plain(column) for name, column in _columns(line.inputs, ends[-1]).items()}
    none = repeat(None)
    share, places = (line.share, line.rows) if isinstance(line, Kept) else (1.0, none)
    told = line.event or none, line.keys or none, line.of or none  # `none` goes on for ever
    by_one = zip(line.unique, line.us, *told, line.score, line.decision, ends, places, line.later or repeat(0), strict=False)
    return [
        _checked(
            Capture(
                id=PredictionId.parse(line.id + unique),
                at_ms=line.at + later,
                event_ms=event,
                keys=keys,
                mode=line.mode,
                of=PredictionId.parse(of) if of is not None else None,
                threshold=line.threshold,
                inputs={name: column[end - len(scores) : end] for name, column in inputs.items()},
                scores=scores,
                decisions=decisions,
                latency_us=us,
                share=share,
                places=rows,
            )
        )
        for unique, us, event, keys, of, scores, decisions, end, rows, later in by_one
    ]


def _capture(line: _Line) -> Capture:
    share, places = (line.share, line.rows) if isinstance(line, _Sampled) else (1.0, None)
    return _checked(
        Capture(
            id=PredictionId.parse(line.id),
            at_ms=line.at,
            event_ms=line.event,
            keys=line.keys,
            mode=line.mode,
            of=PredictionId.parse(line.of) if line.of is not None else None,
            threshold=line.threshold,
            inputs={name: plain(column) for name, column in _columns(line.inputs, len(line.score)).items()},
            scores=line.score,
            decisions=line.decision,
            latency_us=line.us,
            share=share,
            places=places,
        )
    )


def _checked(capture: Capture) -> Capture:
    rows, places = capture.rows, capture.places
    if not rows or len(capture.decisions) != rows or (capture.keys is not None and len(capture.keys) != rows):
        raise ValueError("the columns have different lengths")
    if not 0 < capture.share <= 1:
        raise ValueError("the share is not in (0, 1]")
    if places is not None and (len(places) != rows or list(places) != sorted({*places}) or places[0] < 0):
        raise ValueError("the places of the rows are not in order")
    return capture


def _columns(inputs: Mapping[str, list[Any] | str], rows: int) -> dict[str, Column]:
    found: dict[str, Column] = {
        name: _unpacked(column, rows) if isinstance(column, str) else column for name, column in inputs.items()
    }
    if any(len(column) != rows for column in found.values()):
        raise ValueError("the columns have different lengths")
    return found


def _unpacked(text: str, rows: int) -> NDArray[Any]:
    """Read floats that were written as bytes: shape (rows,), or (rows, width) where a row has several."""
    kind, _, written = text.partition(":")
    if kind not in _TYPES:
        raise ValueError("a column of bytes has an unknown type")
    values = np.frombuffer(pybase64.b64decode(written, validate=True), _TYPES[kind])
    if not rows or not values.size or values.size % rows:
        raise ValueError("the columns have different lengths")
    return values.reshape(rows, -1) if values.size > rows else values


def written(column: Column) -> list[Any] | str:
    """Return a column as a line has it: the bytes of floats as text, other values as they are."""
    if isinstance(column, np.ndarray) and (begin := _KINDS.get(column.dtype)):
        return (begin[1:] + pybase64.b64encode(np.ascontiguousarray(column).data)).decode()
    return plain(column)


def plain(column: Column) -> list[Any]:
    """Return values as JSON has them: the fewest digits that tell a float in its own precision; None for what is not finite."""
    found: list[Any] = orjson.loads(orjson.dumps(column, option=_NUMPY)) if isinstance(column, np.ndarray) else [*column]
    return found
