"""Shipping closed spool files to the object store, again and again until each is there."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from custody.core.errors import CustodyError, Unavailable
from custody.core.objects import Objects
from custody.inference.captures.spool import Prepare, Spool, ship
from custody.inference.metrics import Metrics

_ROLL_S = 1.0
_MOST_FILES, _TURNS = 100, 10  # a file costs more than its lines: see `Shipper`
_OF_ONE = (CustodyError, ValueError)  # failures that say nothing of other files
_log = logging.getLogger("custody.inference")


class Shipper:
    """Rolls the spool every second and ships what it closed; the only one who does.

    settle: has what is not in the spool yet written there. Over 100 deployments take turns: what one of them answered is shipped ten
    seconds later at most.
    """

    def __init__(
        self, spool: Spool, objects: Objects, metrics: Metrics, prepare: Prepare, settle: Callable[[], None] = lambda: None
    ) -> None:
        self._spool, self._objects, self._metrics, self._prepare, self._settle = spool, objects, metrics, prepare, settle
        self._thread = ThreadPoolExecutor(1, "ship")
        self._turn = asyncio.Lock()
        self._is_away = False
        self._unreadable: set[Path] = set()  # of which was told

    async def work(self) -> None:
        """Ship what there is, for ever."""
        while True:
            await self.ship(max(_MOST_FILES, self._spool.open_files // _TURNS))
            await asyncio.sleep(_ROLL_S)

    async def ship(self, most: int | None = None) -> None:
        """Ship what there is, once; stop when the store fails, since the next file would fail as well.

        most: of the files that are still written to, close only so many, the oldest.
        """
        self._settle()
        if not self._is_away:  # small files would take many times their room on the disk
            self._spool.roll(most)
        async with self._turn:
            for path in self._spool.pending():
                if not path.exists():  # somebody removed it
                    self._metrics.counts["ship_failures"] += 1
                    self._spool.shipped(path)
                    continue
                try:
                    size = await asyncio.get_running_loop().run_in_executor(
                        self._thread, ship, path, self._objects, self._prepare
                    )
                except Exception as error:  # noqa: BLE001 - an object store fails in its library's own ways; the file stays
                    self._metrics.counts["ship_failures"] += 1
                    self._is_away = not isinstance(error, _OF_ONE) or isinstance(error, Unavailable)
                    if self._is_away:
                        _log.debug("captures were not shipped, they wait: %s: %s", type(error).__name__, error)
                        return
                    if path not in self._unreadable:  # the file's own fault, or its tenant's: no other waits for it
                        _log.warning("the captures in %s cannot be shipped, they wait: %s", path, type(error).__name__)
                    self._unreadable.add(path)
                else:
                    self._spool.shipped(path)
                    self._metrics.counts["shipped_batches"] += bool(size)  # nothing stands in a file whose disk was full
            self._is_away = False

    async def close(self, seconds: float) -> None:
        """Ship what is left, but not longer; the rest is shipped at the next start."""
        await asyncio.wait((asyncio.create_task(self.ship()),), timeout=seconds)
        self._thread.shutdown(wait=False, cancel_futures=True)
