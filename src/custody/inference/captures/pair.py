"""Journals that batches are made of, without a spool: two that take turns. For deployments of numbers."""

import asyncio
import logging
import mmap
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from custody.inference.captures.journal import (
    COMPILED,
    END,
    END_AT,
    FIRST,
    NAMED,
    Journal,
    Target,
    named,
    target_of,
    why_none,
)
from custody.serving import Column

if COMPILED:
    from custody.inference.captures._journal import sampled

_NAMES, _SIZE, _ENOUGH = ("sampled-0.journal", "sampled-1.journal"), 8 * 1024 * 1024, 7 * 1024 * 1024
_log = logging.getLogger("custody.inference")


class Gone(NamedTuple):
    """Rows of one target and day that are not kept.

    at, event: when their requests were answered, and happened: the first and the last, ms since 1970. columns: of the inputs, `score` and
    `decision` n values each, or of shape (n, width); arrays of floats are in the room of its lines.
    """

    rows: int
    at: tuple[int, int]
    event: tuple[int, int]
    columns: Mapping[str, Column]


class Written(NamedTuple):
    """A line of so many rows, and where it begins and ends in the room that it was written in."""

    rows: int
    begin: int
    end: int


class BatchJournal(Journal):
    """A journal that batches are made of, one of each deployment, without a spool.

    id: what their names begin with, 26 characters that sort by time, until it is cleared.
    """

    def __init__(self, path: Path, size: int) -> None:
        """Make the file, see `Journal`."""
        super().__init__(path, size, makes_batches=True)
        self._clear, self.clear = self.clear, self._begin
        self._begin()

    def _begin(self) -> None:
        self._clear()
        # behind it: what is left of the old records never has the new name
        self._map[NAMED] = (time.time_ns() // 1_000_000).to_bytes(6) + os.urandom(10)
        self.id = named(self._map[NAMED])

    def close(self) -> None:
        """Remove it; its room on the disk is free as soon as nobody holds it any more, and not when garbage is collected."""
        super().close()
        self.clear = self._clear

    def sampled(
        self, share_of: Callable[[Target], float], room: mmap.mmap
    ) -> Iterator[tuple[Target, Written | None, Gone | None]]:
        """Return what is safe by target and shape: the rows that are kept as a line, and what the others had; by and by, also in a thread.

        share_of: says what part of a target's rows is kept, see `point_of_row`. room: for lines, one behind the other, and from its end on for
        what the others had; twice the journal's bytes are enough. Raises ValueError where there are texts, or for what is damaged.
        """

        def share(what: bytes) -> float:
            return share_of(target_of(what))

        end, generation = END.unpack_from(self._map, END_AT)
        with memoryview(self._map) as whole, whole[FIRST:end] as batches:
            at, free_from, free_to = 0, 0, len(room)
            while at < len(batches):
                with batches[at:] as left_over:
                    used, free_from, free_to, found = sampled(left_over, generation, share, room, free_from, free_to)
                at += used
                for what, line, gone in found:
                    target = target_of(what)
                    yield target, line and Written(*line), gone and _gone(target, room, *gone)


def _gone(target: Target, room: mmap.mmap, rows: int, *times_and_begin: int) -> Gone:
    *times, at = times_and_begin

    def next_of(code: str, width: int = 1) -> NDArray[Any]:
        nonlocal at
        values = np.frombuffer(room, code, rows * width, at)
        at += (values.nbytes + 7) // 8 * 8
        return values

    score = next_of("d")
    named = zip(target.names, target.columns, strict=True)
    found = {name: _values(next_of(code, width), code, width) for name, (_, code, width) in named}
    return Gone(rows, (times[0], times[1]), (times[2], times[3]), {**found, "score": score, "decision": next_of("?")})


def _values(values: NDArray[Any], code: str, width: int) -> Column:
    """Return the values of a column whose places follow each other."""
    if code not in "efd":
        found: list[Any] = values.tolist()
        return found
    return values.reshape(width, -1).T if width > 1 else values


def room_for(journal: BatchJournal) -> mmap.mmap:
    """Return room for the lines of a journal: memory that is taken when it is written to."""
    return mmap.mmap(-1, 2 * journal.size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


class Pair:
    """Two journals that take turns: one is written to while the other one is shipped. They are made when they are first needed.

    add: takes a record as `Journal.add` does. full: set where it is time to ship. is_crowded: so many deployments answer that those of which
    all rows are kept should go another way. On the event loop's thread only, but for that.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._journals: list[BatchJournal] = []
        self._is_paused = self.is_crowded = False
        self.add: Callable[..., bool] = self._first
        self.full = asyncio.Event()

    def commit(self) -> None:
        """Make safe what was added."""
        if self._journals and self._journals[0].commit() > _ENOUGH:
            self.full.set()

    def turn(self) -> BatchJournal | None:
        """Return the journal that was written to, from now on it is the other one; None if nothing stands in it, or in the other one something."""
        self.full.clear()
        if not self._journals or self._journals[0].is_empty() or not self._journals[1].is_empty():
            return None
        self._journals.reverse()
        self.pause(paused=self._is_paused)
        return self._journals[1]

    def pause(self, *, paused: bool) -> None:
        """Take nothing for a while, or go on."""
        self._is_paused = paused
        self.add = nothing if paused else self._journals[0].add if self._journals else self._first

    def close(self) -> None:
        """Take nothing any more. What still stands in a journal is left to the next process."""
        self.pause(paused=True)
        for journal in self._journals:
            if journal.is_empty():
                journal.close()
        self._journals = []

    def _first(self, *record: object) -> bool:
        try:
            why = why_none(self._folder)
            for name in _NAMES if why is None else ():
                self._journals.append(BatchJournal(self._folder / name, _SIZE))
        except OSError as error:
            why = f"{error.filename or self._folder}: {error.strerror}"
            self.close()
        if why is not None:
            _log.info("what deployments of numbers answer goes to the spool first, which costs a few per cent more: %s", why)
        self.pause(paused=why is not None)
        return self.add(*record)


def nothing(*_: object) -> bool:
    """Take nothing, where there is no journal."""
    return False
