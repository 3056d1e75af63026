"""Following the published manifest: look often, apply the new one beside the old, report what is wrong."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from custody.core.manifest import Manifest
from custody.core.objects import Objects
from custody.inference.metrics import Metrics
from custody.inference.models.cache import Cache
from custody.inference.models.library import Library, State, sentence_of
from custody.serving import open_manifest, require_newer

DOCUMENT = "manifest/current"
_LOOK_S = 0.25
_LONGEST_WAIT_S = 30.0
_log = logging.getLogger("custody.inference")
T = TypeVar("T")


class Follower:
    """Keeps `state` at the newest good manifest; `problem` says why the newest one is not (fully) served.

    prepare: makes all that a state needs, in a thread, and returns what puts it in place at once.
    """

    def __init__(
        self,
        objects: Objects,
        public_key: bytes,
        library: Library,
        cache: Cache,
        metrics: Metrics,
        prepare: Callable[[State], Callable[[], None]],
    ) -> None:
        self._objects, self._public_key, self._library, self._cache = objects, public_key, library, cache
        self._metrics, self._prepare = metrics, prepare
        self._thread, self._loader = ThreadPoolExecutor(1, "manifest"), ThreadPoolExecutor(1, "advance")
        self._stamp: str | None = None  # of the document that is done with
        self._retry: tuple[str, float, float] = ("", 0.0, 0.0)  # stamp of a failed document, not before, last wait
        self._store_is_away = False
        self._begun = -1  # the sequence of the manifest of which a part is served already
        self.state = State()
        self.problem = ""

    async def start(self) -> None:
        """Serve what the last run left in its cache."""
        for body in await self._run(self._cache.manifests):
            await self._apply(body, keep=False)  # keeping an older one would drop the newer ones

    async def follow(self) -> None:
        """Look for a new manifest, for ever."""
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_S)

    async def look(self) -> None:
        """Look once; apply the published manifest if it changed, or failed a while ago."""
        try:
            stamp = await self._run(lambda: self._objects.stamp(DOCUMENT))
            if stamp is None or stamp == self._stamp or not self._is_due(stamp):
                return
            body = await self._run(lambda: self._objects.read(DOCUMENT))
        except Exception as error:  # noqa: BLE001 - an object store fails in its library's own ways; serving goes on
            self._store_failed(error)
            return
        self._store_is_away = False
        if body is not None and await self._apply(body):
            self._stamp, self._retry = stamp, ("", 0.0, 0.0)
        else:
            self._postpone(stamp)

    def close(self) -> None:
        """Let the thread end."""
        for threads in (self._thread, self._loader):
            threads.shutdown(wait=False, cancel_futures=True)

    async def _apply(self, body: bytes, *, keep: bool = True) -> bool:
        try:
            manifest = require_newer(open_manifest(body, self._public_key), max(self.state.sequence, self._begun))
            if self.state.sequence >= 0 and self._library.to_load(manifest):
                await self._begin(manifest, body)
            state = await self._loaded(manifest)
            if state is None:
                return False
            await self._serve(state)
            self._tell(state)  # in the same step: who sees the new state also sees what is said about it
            if keep:
                await self._run(lambda: self._library.keep(state, body))
        except Exception as error:  # noqa: BLE001 - whatever a manifest does, the old one goes on serving
            self._report(sentence_of(error))
            return False
        return not state.failures

    async def _begin(self, manifest: Manifest, body: bytes) -> None:
        """Serve what needs no loading: one tenant's slow model must not hold up another's rollback, nor a key's end."""
        await self._run(lambda: self._cache.add(body, manifest.sequence))  # a restart begins it again
        self._begun = manifest.sequence
        await self._serve(await self._run(lambda: self._library.at_once(manifest, self.state)))

    async def _loaded(self, manifest: Manifest) -> State | None:
        """Return the state after a manifest once its models are loaded; None if a newer one came and was begun meanwhile."""
        loading = asyncio.get_running_loop().run_in_executor(self._loader, self._library.advance, manifest, self.state)
        seen, newest = self._stamp, manifest
        while not (await asyncio.wait((loading,), timeout=_LOOK_S))[0]:
            if self.state.sequence < 0:
                continue  # nothing is served yet that could change
            try:
                stamp = await self._run(lambda: self._objects.stamp(DOCUMENT))
                body = await self._run(lambda: self._objects.read(DOCUMENT)) if stamp not in {None, seen} else None
                if body is not None:
                    found = require_newer(open_manifest(body, self._public_key), newest.sequence)
                    if found.sequence > newest.sequence:
                        await self._begin(found, body)
                        newest = found
                seen = stamp
            except Exception as error:  # noqa: BLE001 - the next look, after this loading, says what it is
                _log.debug("no newer manifest could be read: %s", type(error).__name__)
        state = await loading
        return state if newest is manifest else None

    async def _serve(self, state: State) -> None:
        publish = await self._run(lambda: self._prepare(state))
        publish()
        self.state = state

    def _tell(self, state: State) -> None:
        if state.failures:
            self._report("; ".join(f"{key}: {why}" for key, why in state.failures.items()))
        else:
            _log.info("manifest %d is served: %d services", state.sequence, len(state.served))
            self.problem = ""

    def _report(self, problem: str) -> None:
        self._metrics.counts["manifest_failures"] += 1
        if problem != self.problem:
            _log.error("manifest not (fully) served: %s", problem)
        self.problem = problem

    def _store_failed(self, error: Exception) -> None:
        self._metrics.counts["store_failures"] += 1
        if not self._store_is_away:
            _log.warning("the object store does not answer, serving goes on: %s", sentence_of(error))
        self._store_is_away = True

    def _is_due(self, stamp: str) -> bool:
        failed, due, _ = self._retry
        return stamp != failed or asyncio.get_running_loop().time() >= due

    def _postpone(self, stamp: str) -> None:
        failed, _, last = self._retry
        wait = min(2 * last, _LONGEST_WAIT_S) if stamp == failed else _LOOK_S
        self._retry = (stamp, asyncio.get_running_loop().time() + wait, wait)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
