"""Writing captures to the spool, and counting what was written and what was shed."""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from custody.core.prediction import ALPHABET, PredictionId, time_part
from custody.inference.captures.journal import COMPILED, ENOUGH, Journal, Line, left, left_in, opened
from custody.inference.captures.pair import BatchJournal, Pair, nothing
from custody.inference.captures.spool import Spool, write_alone
from custody.inference.metrics import Metrics
from custody.inference.models.library import Arm
from custody.inference.models.scoring import Scored
from custody.serving import PLAIN, Parameters, Told, line_after, line_of_one

_log = logging.getLogger("custody.inference")
_TAIL, _BLOCK = 16, 256
_TOGETHER = 1024 * 1024  # bytes up to which a line goes into a file with others: handing them to the system takes a millisecond
_WARN_NS = 60_000_000_000  # between two warnings of the same trouble
_NOTHING = Told()
Away = Callable[[Callable[[], Any]], Awaitable[Any]]
_LETTERS = bytes(ord(ALPHABET[byte % len(ALPHABET)]) for byte in range(256))  # each letter for 8 bytes, so none is likelier


class _Uniques:
    """Unique parts of prediction ids. Random letters are drawn in blocks, the time is written once a millisecond: both cost."""

    def __init__(self) -> None:
        self._tails: list[str] = []
        self._time = (-1, "")

    def __call__(self) -> str:
        """Return 26 characters that no other prediction has and that sort by time."""
        ms = time.time_ns() // 1_000_000
        written = self._time
        if written[0] != ms:
            written = self._time = (ms, time_part(ms))
        try:
            return written[1] + self._tails.pop()
        except IndexError:  # threads may find none at the same time: each then draws a block
            block = os.urandom(_TAIL * _BLOCK).translate(_LETTERS).decode("ascii")
            self._tails += [block[at : at + _TAIL] for at in range(_TAIL, len(block), _TAIL)]
            return written[1] + block[:_TAIL]


new_unique = _Uniques()


# no class of its own: made for every request; and no more than is written, since what it holds is freed late, which costs more
_Said = tuple[Parameters, str | None]
_Record = tuple[str, int, Mapping[str, NDArray[Any]], tuple[bytes, bytes], int, _Said | None]


class Recorder:
    """Writes captures to the spool, and counts what was written and what was shed.

    On the event loop's thread only. What an arm answered since the last `flush` is one line: alone, each would cost several times
    as much. Nobody may be told an answer before `flush`. journal: takes the usual capture first, if there is one. pair: those of
    arms whose inputs are numbers.
    """

    def __init__(self, spool: Spool, metrics: Metrics, journal: Journal | None = None, pair: Pair | None = None) -> None:
        self._spool, self._metrics, self._journal, self._pair = spool, metrics, journal, pair
        self._add = journal.add if journal is not None else nothing
        self._waiting: dict[Arm, list[_Record]] = {}
        self._warned = -_WARN_NS

    def record(
        self, arm: Arm, scored: Scored, parameters: Parameters, unique: str, since: int, of: PredictionId | None = None
    ) -> None:
        """Keep one capture until `flush`; since: `time.perf_counter_ns()` when the work began. of: what a shadow mirrors."""
        inputs, written = scored.inputs, scored.written
        mirrored = None if of is None else str(of)
        pair = self._pair if arm.is_numeric else None
        add = self._add if pair is None or (pair.is_crowded and not arm.is_sampled) else pair.add
        if add(arm.place, arm.line, unique, since, inputs, written, parameters.event_ms, parameters.key, mirrored):
            return
        said = None if parameters is PLAIN and of is None else (parameters, mirrored)
        record = unique, since, inputs, written, len(scored.scores), said
        waiting = self._waiting.get(arm)
        if waiting is None:
            self._waiting[arm] = [record]
        else:
            waiting.append(record)

    async def record_long(
        self,
        away: Away,
        arm: Arm,
        scored: Scored,
        parameters: Parameters,
        unique: str,
        since: int,
        of: PredictionId | None = None,
    ) -> None:
        """As `record` and `flush`, of a request with many rows: nobody else waits for its line, nor for the disk.

        away: does work off the event loop.
        """
        said = None if parameters is PLAIN and of is None else (parameters, None if of is None else str(of))
        record = unique, since, scored.inputs, scored.written, len(scored.scores), said
        now_ms, now = _times()
        try:
            line = await away(partial(_line, arm, record, now_ms, now))
        except Exception as error:  # noqa: BLE001 - as below
            self._shed(arm.place, record[4], error)
            return
        if len(line) <= _TOGETHER:
            self._append(arm.place, record[4], line)
            return
        path = self._spool.begin(arm.place, len(line))
        if path is None:
            self._shed(arm.place, record[4])
            return

        def ended(done: "asyncio.Future[Any]") -> None:
            written = not done.cancelled() and done.exception() is None and done.result()
            self._spool.end(path, len(line), written=written)
            self._count(arm.place, record[4], written=written)

        writing = asyncio.ensure_future(away(partial(write_alone, path, line)))
        writing.add_done_callback(ended)  # it goes on where nobody waits any more
        await asyncio.shield(writing)

    def flush(self) -> None:
        """Make safe what was recorded since the last time."""
        waiting, journal = self._waiting, self._journal
        if waiting:
            self._waiting, (now_ms, now) = {}, _times()
            for arm, records in waiting.items():
                self._write(arm, records, now_ms, now)
        if journal is not None and journal.commit() > ENOUGH:
            self.settle()
        if self._pair is not None:
            self._pair.commit()

    def settle(self) -> None:
        """Write what stands in the journal to the spool. A journal that cannot be read any more is left to the next process."""
        journal = self._journal
        if journal is not None:
            try:
                lines = journal.lines()
            except Exception:  # noqa: BLE001 - there is no memory, or somebody else wrote there; what comes after may not fail
                _log.exception("the journal of captures cannot be read; captures are recorded without one until the next start")
                self._journal, self._add = None, nothing
                return
            self._append_all(lines)
            journal.clear()  # and not before: whoever finds the journal sees what is in the spool, see `recover`

    def close(self) -> None:
        """Remove the journal, when what stands there is in the spool; what is still recorded is written there as it comes."""
        self.settle()
        journal, self._journal, self._add = self._journal, None, nothing
        if journal is not None:
            journal.close()

    async def keep(self, away: Away, journal: BatchJournal, stored: Collection[str]) -> bool:
        """Write what stands in a journal to the spool, but for deployments whose batches are stored; False if that cannot be.

        away: as in `record_long`. It is written as `recover` does.
        """
        try:
            for number, (place, rows, parts) in enumerate(_by_place(await away(journal.lines))):
                if place in stored:
                    continue
                line = b"".join(parts)
                path = self._spool.begin(place, len(line), f"{journal.id}-{number}")
                written = path is not None and await away(partial(write_alone, path, line))
                if path is not None:
                    self._spool.end(path, len(line), written=written)
                self._count(place, rows, written=written)
        except Exception:  # noqa: BLE001 - as in `settle`
            _log.exception("a journal of captures cannot be read; they go to the spool until the next start")
            return False
        return True

    def recover(self, journal: Path) -> None:
        """Write what another process left in its journal to the spool, but for what it wrote there itself, and remove it.

        A journal that cannot be read is kept beside, under another name.
        """
        if not COMPILED:
            _log.warning("the captures in %s wait until custody is installed again, where there is a C compiler", journal)
            return
        try:
            name, lines = left(journal)
        except OSError as error:
            _log.error("the last captures of a process that was killed cannot be read: %s: %s", journal, error.strerror)
            return
        except Exception as error:  # noqa: BLE001 - whatever stands there, this process must start
            kept = journal.replace(journal.with_name(f"unreadable-{new_unique()}"))
            _log.error("the last captures of a process that was killed cannot be read, they are kept in %s: %s", kept, error)
            return
        if name is None:
            self._append_all(self._spool.lacking(lines))
        else:
            self._append_named(name, lines)
        journal.unlink()

    def _write(self, arm: Arm, records: list[_Record], now_ms: int, now: int) -> None:
        try:
            if len(records) == 1:
                total, line = records[0][4], _line(arm, records[0], now_ms, now)
            else:
                uniques, since, inputs, written, rows, sayings = zip(*records, strict=True)
                scores, decisions = zip(*written, strict=True)
                latencies_us, total, all_told = [(now - began) // 1000 for began in since], sum(rows), None
                if sayings.count(None) < len(sayings):
                    all_told = [_told(*each) for each in zip(sayings, rows, strict=True)]
                line = line_after(arm.line, now_ms, uniques, latencies_us, inputs, scores, decisions, all_told)
        except Exception as error:  # noqa: BLE001 - whatever a caller sent and a model made: the records of others are written
            if len(records) > 1:
                for alone in records:
                    self._write(arm, [alone], now_ms, now)
                return
            self._shed(arm.place, records[0][4], error)
        else:
            self._append(arm.place, total, line)

    def _append_all(self, lines: list[Line]) -> None:
        for place, rows, parts in _by_place(lines):  # at once: that is three times cheaper than line by line
            self._append(place, rows, *parts)

    def _append_named(self, name: str, lines: list[Line]) -> None:
        """Write lines to files of their own: by the batch's name the store knows whether it has them already."""
        for number, (place, rows, parts) in enumerate(_by_place(lines)):
            batch, line = f"{name}-{number}", b"".join(parts)
            if not self._spool.holds(place, batch):  # written before its process was killed too
                path = self._spool.begin(place, len(line), batch)
                written = path is not None and write_alone(path, line)
                if path is not None:
                    self._spool.end(path, len(line), written=written)
                self._count(place, rows, written=written)

    def _append(self, place: str, rows: int, *parts: bytes) -> None:
        self._count(place, rows, written=self._spool.append(place, *parts))

    def _count(self, place: str, rows: int, *, written: bool) -> None:
        if written:
            self._metrics.counts["captured_predictions"] += rows
        else:
            self._shed(place, rows)

    def _shed(self, place: str, rows: int, error: Exception | None = None) -> None:
        self._metrics.counts["shed_predictions"] += rows
        self._metrics.shed[place] += rows
        now = time.perf_counter_ns()
        if error is not None:
            _log.error("a prediction could not be recorded: %s", type(error).__name__)
        elif now - self._warned >= _WARN_NS:
            self._warned = now
            _log.warning(
                "predictions of %s were answered and not recorded: its tenant's part of the spool is full, or the disk is; "
                "the metric custody_shed_predictions_total counts them",
                place,
            )


def recording(folder: Path, spool: Spool, metrics: Metrics, pair: Pair | None = None) -> Recorder:
    """Return a recorder with a journal in a process's folder, if there can be one, after what others left there is in the spool."""
    recovering = Recorder(spool, metrics)
    for journal in left_in(folder):
        recovering.recover(journal)
    return Recorder(spool, metrics, opened(folder), pair)


def _by_place(lines: list[Line]) -> Iterator[tuple[str, int, list[bytes]]]:
    """Return each deployment, as it is first named, with its rows and its lines in parts."""
    places: dict[str, list[Line]] = {}
    for line in lines:
        places.setdefault(line.place, []).append(line)
    for place, some in places.items():
        yield place, sum(line.rows for line in some), [*chain.from_iterable(line.parts for line in some)]


def _times() -> tuple[int, int]:
    """Return when something is recorded: ms since 1970, and ns by the clock that requests come by."""
    return time.time_ns() // 1_000_000, time.perf_counter_ns()


def _line(arm: Arm, record: _Record, now_ms: int, now: int) -> bytes:
    unique, began, values, (score, decision), rows, said = record
    told = None if said is None else _told(said, rows)
    return line_of_one(arm.line, now_ms, unique, (now - began) // 1000, values, score, decision, told)


def _told(said: _Said | None, rows: int) -> Told:
    if said is None:
        return _NOTHING
    parameters, of = said
    return Told(parameters.event_ms, parameters.keys(rows), of)
