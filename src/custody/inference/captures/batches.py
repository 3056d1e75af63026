"""Records of deployments of numbers on a short way: batches are made of journals, and shipped, without a spool."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from mmap import mmap
from typing import TYPE_CHECKING

from custody.core.errors import Unavailable
from custody.core.objects import Objects
from custody.inference.captures.journal import Target
from custody.inference.captures.pair import BatchJournal, Pair, room_for
from custody.inference.captures.record import Recorder
from custody.inference.metrics import Metrics
from custody.serving import CaptureMode

if TYPE_CHECKING:
    from custody.serving.sampling import Counted, Rule

RuleOf = Callable[[Target], "Rule | None"]
_EVERY_S, _MOST_S, _CROWDED_S = 1.0, 10.0, 600.0
_BATCHES_A_SECOND = 100
_DAY_MS = 86_400_000
_log = logging.getLogger("custody.inference")


class BatchShipper:
    """Ships what stands in journals, every second or as soon as one is full; the only one who does.

    What cannot be stored now goes to the spool, and so does what comes in the ten seconds behind it where the store is away. rule_of: says
    how a target's rows are sampled, None if all are kept; called in a thread. Where over a hundred deployments answer, those that keep all rows
    go by the spool for ten minutes, since each journal makes a batch of each, and what others answered waits longer, ten seconds at most. What is stored may go to the spool as well, if its process is killed in between: it has the same name.
    """

    def __init__(self, pair: Pair, recorder: Recorder, objects: Objects, metrics: Metrics, rule_of: RuleOf) -> None:
        self._pair, self._recorder, self._objects, self._metrics, self._rule_of = pair, recorder, objects, metrics, rule_of
        self._thread = ThreadPoolExecutor(1, "batches")
        self._turn = asyncio.Lock()
        self._again = self._crowded = (
            0.0  # by the loop's clock: when a store that failed is tried again; until when there are many
        )
        self._is_closed = False
        self._room: mmap | None = None  # for lines, which stays: new memory costs more than what is written there

    async def work(self) -> None:
        """Ship what there is, for ever."""
        while True:
            batches = await self.ship()
            with suppress(TimeoutError):
                seconds = min(max(_EVERY_S, batches / _BATCHES_A_SECOND), _MOST_S)
                await asyncio.wait_for(self._pair.full.wait(), seconds)

    async def ship(self) -> int:
        """Ship what there is, once; return how many batches that were."""
        loop = asyncio.get_running_loop()
        away = partial(loop.run_in_executor, self._thread)
        async with self._turn:
            if self._is_closed:
                return 0
            if self._again and loop.time() >= self._again:
                self._again = 0.0
                self._pair.pause(paused=False)
            self._pair.is_crowded = loop.time() < self._crowded
            journal = self._pair.turn()
            if journal is None:
                return 0
            rows, error, is_away = await away(partial(self._shipped, journal))
            if len(rows) > _BATCHES_A_SECOND:
                self._crowded, self._pair.is_crowded = loop.time() + _CROWDED_S, True
            self._metrics.counts["captured_predictions"] += rows.total()
            self._metrics.counts["shipped_batches"] += len(rows)
            if error is not None:
                self._metrics.counts["ship_failures"] += 1
                _log.debug("captures were not shipped, they go to the spool: %s: %s", type(error).__name__, error)
                if is_away:
                    self._again = loop.time() + _MOST_S
                    self._pair.pause(paused=True)
                if not await self._recorder.keep(away, journal, rows):
                    self._is_closed = True
                    self._pair.close()
                    return len(rows)
            journal.clear()
            return len(rows)

    async def close(self, seconds: float) -> None:
        """Ship what is left, but not longer; the rest is shipped at the next start."""
        await asyncio.wait((asyncio.create_task(self.ship()),), timeout=seconds)
        self._is_closed = True
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._pair.pause(paused=True)
        if not self._turn.locked():
            self._pair.close()

    def _shipped(self, journal: BatchJournal) -> tuple[Counter[str], Exception | None, bool]:
        """Store a batch of each deployment that has records in a journal.

        Returns the rows of those that are stored, what went wrong, and whether that concerns them all.
        """
        rows, wrong = Counter[str](), dict[str, Exception]()

        def rule_of(target: Target) -> "Rule | None":
            try:
                return self._rule_of(target)
            except (Unavailable, OSError):
                raise
            except Exception as error:  # noqa: BLE001 - as below
                wrong[target.place] = error
                return None

        try:
            room, self._room = self._room or room_for(journal), None
            batches = _batches(journal, rule_of, room)
            self._pair.is_crowded |= len(batches) > _BATCHES_A_SECOND  # or there are as many again while they are stored
            for number, (place, (size, lines)) in enumerate(batches.items()):
                if place in wrong:
                    continue
                try:
                    self._objects.create(f"captures/{place.partition('/')[0]}/{journal.id}-{number}.ndjson", lines)
                    rows[place] = size
                except (Unavailable, OSError):
                    raise
                except Exception as error:  # noqa: BLE001 - its tenant's keys, say: no other waits for it
                    wrong[place] = error
        except Exception as error:  # noqa: BLE001 - whatever it is: nothing may be lost
            return rows, error, True
        if not wrong:  # an upload that was cut off may still read the old one
            self._room = room
        return rows, next(iter(wrong.values()), None), False


def _batches(journal: BatchJournal, rule_of: RuleOf, room: mmap) -> dict[str, tuple[int, bytes | memoryview]]:
    """Return by deployment, as it is first named there, how many rows a journal has of it, and their lines, which may stand in the room."""
    rules: dict[Target, Rule | None] = {}

    def share_of(target: Target) -> float:
        if target not in rules:
            rules[target] = rule_of(target)
        rule = rules[target]
        return 1.0 if rule is None else rule.share

    rows, parts = Counter[str](), dict[str, list[bytes | slice]]()
    counted: dict[tuple[Target, int], Counted] = {}
    for target, line, gone in journal.sampled(share_of, room):
        own = parts.setdefault(target.place, [])
        if line is not None:
            rows[target.place] += line.rows
            begin = line.begin
            if own and isinstance(last := own[-1], slice) and last.stop == begin:  # they are one piece
                own.pop()
                begin = last.start
            own.append(slice(begin, line.end))
        if gone is not None and (rule := rules[target]) is not None:
            rows[target.place] += gone.rows
            day = target, gone.at[0] // _DAY_MS
            if day not in counted:
                counted[day] = _counted(target, day[1], rule)
            counted[day].add(gone.columns, gone.at, gone.event)
    for (target, _), some in counted.items():
        parts[target.place].append(some.rest())
    return {place: (rows[place], _joined(own, memoryview(room))) for place, own in parts.items()}


def _counted(target: Target, day: int, rule: "Rule") -> "Counted":
    from custody.serving.sampling import Counted  # noqa: PLC0415 - brings pyarrow, which servers that keep all do without

    told = target.told
    return Counted(told["id"], CaptureMode(told["mode"]), target.threshold, day, rule)


def _joined(parts: list[bytes | slice], room: memoryview) -> bytes | memoryview:
    pieces = [room[part] if isinstance(part, slice) else part for part in parts]
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
