"""Models in memory: loaded when needed, checked and warm before they answer, the least recently used one first to go."""

import asyncio
import ctypes
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass, field

from custody.core.digest import Digest
from custody.core.errors import Unavailable
from custody.core.manifest import Target
from custody.core.schema import Signature
from custody.core.tenancy import TenantId
from custody.serving import Arrays, Model

Identity = tuple[Digest, Signature, Digest | None]
_IDLE_NS = 60_000_000_000
_BASE_BYTES, _FACTOR = 256 * 1024, 5
_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 60.0
_give_back = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc keeps freed memory otherwise


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model in memory whose scores were checked.

    seconds_per_row: measured at warm-up. known: one row that it takes, arrays of length 1, or None if no such row came with it.
    """

    model: Model
    seconds_per_row: float
    known: Arrays | None = None


@dataclass(slots=True, eq=False)
class Slot:
    """The place of one model: targets with the same file, signature and fixture share it.

    loaded: None while the model is not in memory; who holds it may go on using it. used: when it last answered, a
    `time.perf_counter_ns()`. cost: bytes that it takes in memory, estimated. checked: it was loaded before, in this process.
    problem: why the last attempt to load it failed; it is tried again after due, a `time.monotonic()`.
    """

    target: Target
    loaded: Loaded | None = None
    used: int = 0
    cost: int = 0
    checked: bool = False
    problem: str = ""
    due: float = 0.0
    wait_s: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)
    loading: "asyncio.Task[Loaded] | None" = None

    def failed(self, problem: str) -> None:
        """Note a failure, and wait twice as long as the last time before the next attempt."""
        self.wait_s = min(2 * self.wait_s, _LONGEST_WAIT_S) or _FIRST_WAIT_S
        self.problem, self.due = problem, time.monotonic() + self.wait_s


def identity(target: Target) -> Identity:
    """Return what decides whether a target that is in memory can serve another one."""
    return target.artifact, target.signature, target.parity


def cost_of(file_bytes: int) -> int:
    """Estimate the bytes that a model takes in memory: 256 KiB and five times its file.

    Measured with ONNX Runtime 1.32: 92 to 195 KiB for files of 1 to 22 KiB, 4.2 to 5.3 times the file for tree ensembles of
    0.2 to 10 MiB, once the file for dense weights of 50 MiB.
    """
    return _BASE_BYTES + _FACTOR * file_bytes


class Memory:
    """All models of one process. most_bytes: what they may take together; None means that none is ever dropped.

    fetch: makes sure that a target's file is on this machine and returns its size in bytes. make: loads, checks and warms a
    target. Both are called in threads, never twice at once for one slot.
    """

    def __init__(
        self,
        fetch: Callable[[Target], int],
        make: Callable[[Target], Loaded],
        threads: Executor,
        *,
        most_bytes: int | None = None,
    ) -> None:
        self._fetch, self._make, self._threads, self.most_bytes = fetch, make, threads, most_bytes
        self._slots: dict[Identity, Slot] = {}
        self._room = threading.Condition()
        self._turns: defaultdict[TenantId, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.bytes, self.loads, self.evictions, self.failures, self.fallbacks = 0, 0, 0, 0, 0

    @property
    def loaded(self) -> int:
        """Return the number of models in memory."""
        return sum(slot.loaded is not None for slot in list(self._slots.values()))

    @property
    def providers(self) -> Counter[str]:
        """Return how many models in memory each provider runs."""
        loaded = [slot.loaded for slot in list(self._slots.values())]
        return Counter(one.model.provider for one in loaded if one is not None)

    def slot(self, target: Target) -> Slot:
        """Return the place of a target's model, its file fetched; the first failure to fetch it is raised."""
        slot = self._slots.get(identity(target)) or Slot(target)
        if not slot.cost:
            slot.cost = cost_of(self._fetch(target))
            self._slots[identity(target)] = slot
        return slot

    def holds(self, target: Target) -> bool:
        """Tell whether a target's model is in memory."""
        slot = self._slots.get(identity(target))
        return slot is not None and slot.loaded is not None

    def may_take(self, slot: Slot) -> bool:
        """Tell whether a model that nobody waits for is in memory, or may come there: needed still, in the room of idle ones."""
        if slot.loaded is not None:
            return True
        if self._slots.get(identity(slot.target)) is not slot:
            return False
        if self.most_bytes is None:
            return True
        since = time.perf_counter_ns() - _IDLE_NS
        idle = sum(one.cost for one in list(self._slots.values()) if one.loaded is not None and one.used < since)
        return self.bytes - idle + slot.cost <= self.most_bytes

    def has_room(self, slot: Slot) -> bool:
        """Tell whether a model fits beside the others."""
        return self.most_bytes is None or self.bytes + slot.cost <= self.most_bytes

    def load(self, slot: Slot) -> Loaded:
        """Return the slot's model, loaded and checked now if it is not in memory; drops others until it fits."""
        with slot.lock:
            if slot.loaded is not None:
                return slot.loaded
            dropped = self._reserve(slot.cost)
            try:
                loaded = self._make(slot.target)
            except BaseException:
                self._release(slot.cost)
                self.failures += 1
                raise
            if dropped and _give_back is not None:
                _give_back(0)
            slot.used, slot.checked, slot.problem, slot.wait_s = time.perf_counter_ns(), True, "", 0.0
            with self._room:
                self.loads += 1
                self.fallbacks += loaded.model.fell_back
                if self._slots.get(identity(slot.target)) is slot:
                    slot.loaded = loaded
                else:  # forgotten meanwhile: only who asked for it goes on using it
                    self.bytes -= slot.cost
                self._room.notify_all()
            return loaded

    async def ready(self, slot: Slot, tenant: TenantId) -> Loaded:
        """Return the slot's model, loaded now if it is not in memory; Unavailable if it cannot be, or could not a moment ago.

        Callers of one model share one attempt; a tenant has one at a time, so that it cannot hold up the others.
        """
        if slot.loaded is not None:
            return slot.loaded
        if slot.loading is None:
            if time.monotonic() < slot.due:
                raise _unavailable(slot)
            slot.loading = asyncio.create_task(self._bring(slot, tenant))
            slot.loading.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(slot.loading)

    def release(self, slot: Slot) -> None:
        """Take a model out of memory; it is loaded again when it is asked for."""
        with self._room:
            self._drop(slot)
            self._room.notify_all()

    def keep(self, targets: Iterable[Target]) -> None:
        """Forget the models that none of these targets needs."""
        needed = {identity(target) for target in targets}
        with self._room:
            for one in [one for one in self._slots if one not in needed]:
                self._drop(self._slots.pop(one))
            self._room.notify_all()

    async def _bring(self, slot: Slot, tenant: TenantId) -> Loaded:
        try:
            async with self._turns[tenant]:
                return await asyncio.get_running_loop().run_in_executor(self._threads, self.load, slot)
        except Exception as error:
            slot.failed(str(error) or type(error).__name__)
            raise _unavailable(slot) from error
        finally:
            slot.loading = None

    def _reserve(self, cost: int) -> bool:
        """Count the bytes of a model that is about to be loaded; tell whether others had to go for it."""
        with self._room:
            if self.most_bytes is None:
                self.bytes += cost
                return False
            if cost > self.most_bytes:
                raise Unavailable(
                    f"The model takes about {cost / 2**20:.1f} MiB, and all models together may take {self.most_bytes / 2**20:.1f}.",
                    fix="Start the server with a larger --memory-mb.",
                )
            before = self.evictions
            while self.bytes + cost > self.most_bytes:
                idle = [slot for slot in self._slots.values() if slot.loaded is not None]
                if idle:
                    self._drop(min(idle, key=lambda slot: slot.used))
                    self.evictions += 1
                else:
                    self._room.wait()  # other models are being loaded; one of them will be dropped
            self.bytes += cost
            return self.evictions > before

    def _release(self, cost: int) -> None:
        with self._room:
            self.bytes -= cost
            self._room.notify_all()

    def _drop(self, slot: Slot) -> None:
        if slot.loaded is not None:
            slot.loaded = None
            self.bytes -= slot.cost


def _unavailable(slot: Slot) -> Unavailable:
    return Unavailable(slot.problem, fix=f"It is tried again after {slot.wait_s:g} seconds.")
