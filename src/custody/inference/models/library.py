"""From a manifest to what is served: which models are loaded at once, and which when they are first asked for."""

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from custody.core.digest import Digest
from custody.core.errors import CustodyError, InvalidInput
from custody.core.manifest import Manifest, Service, Target
from custody.core.objects import Objects
from custody.core.prediction import PredictionId
from custody.core.refs import DeploymentKey
from custody.core.schema import Signature
from custody.core.tenancy import TenantId
from custody.inference.metrics import Meter, Metrics
from custody.inference.models.cache import Cache
from custody.inference.models.memory import Identity, Loaded, Memory, Slot, identity
from custody.serving import CaptureMode, Loader, Model, check_parity, dtype_of, fixture_arrays, line_head, read_fixture

_WARM_ROWS = 64
_LOADING = "Its model is being loaded."
_REFUSED_S = 600.0  # until a model that failed its check is tried again: it takes others' memory, and may have lacked some


@dataclass(frozen=True, slots=True, eq=False)
class Arm:
    """A target of one service, and the place of its model in memory.

    place: its deployment, as text. told: what every answer says about where it came from. line: how all its capture lines
    begin, see `line_head`. is_numeric: all inputs are numbers. is_sampled: a part of the rows is kept. meter: of the version in this mode, see `Metrics.version`.
    """

    key: DeploymentKey
    revision: int
    mode: CaptureMode
    target: Target
    slot: Slot
    place: str
    told: Mapping[str, str | int | float]
    line: bytes
    is_numeric: bool = False
    is_sampled: bool = False
    meter: Meter = field(default_factory=Meter)


@dataclass(frozen=True, slots=True)
class Served:
    """One service as it answers now; sequence tells which manifest it came from."""

    service: Service
    sequence: int
    live: Arm
    candidate: Arm | None

    @property
    def arms(self) -> tuple[Arm, ...]:
        """Return the live arm and the candidate, if any."""
        return (self.live,) if self.candidate is None else (self.live, self.candidate)


@dataclass(frozen=True, slots=True)
class State:
    """All that is served at one moment; never changed, only replaced.

    failures: why a service of the newest manifest is not served at its new revision.
    grants: the tenants that a key (by its sha-256) may call; None among them means every tenant.
    """

    sequence: int = -1
    served: Mapping[DeploymentKey, Served] = field(default_factory=dict)
    failures: Mapping[DeploymentKey, str] = field(default_factory=dict)
    grants: Mapping[Digest, frozenset[TenantId | None]] = field(default_factory=dict)

    @property
    def targets(self) -> list[Target]:
        """Return every target that is served."""
        return [arm.target for served in self.served.values() for arm in served.arms]


def _targets(service: Service) -> tuple[Target, ...]:
    return (service.live,) if service.candidate is None else (service.live, service.candidate.target)


def has_texts(target: Target) -> bool:
    """Tell whether texts are among a target's inputs."""
    return any(tensor.datatype == "BYTES" for tensor in target.signature.inputs)


def grants_of(manifest: Manifest) -> dict[Digest, frozenset[TenantId | None]]:
    """Return the tenants of each key."""
    grants: dict[Digest, frozenset[TenantId | None]] = {}
    for key in manifest.keys:
        grants[key.sha256] = grants.get(key.sha256, frozenset()) | {key.tenant}
    return grants


def sentence_of(error: Exception) -> str:
    """Return an error's text; of an unexpected one its type too."""
    return str(error) if isinstance(error, CustodyError) else f"{type(error).__name__}: {error}"[:500]


class Library:
    """Turns manifests into states; used by one thread at a time, while requests may have models loaded by others.

    most_bytes: what the models may take in memory together; None loads all of them, and drops none.
    """

    def __init__(
        self,
        objects: Objects,
        cache: Cache,
        load: Loader,
        threads: Executor,
        metrics: Metrics,
        *,
        most_bytes: int | None = None,
    ) -> None:
        self._objects, self._cache, self._load, self._metrics = objects, cache, load, metrics
        self._refused: dict[Identity, tuple[InvalidInput, float]] = {}  # and when, a `time.monotonic()`
        self.memory = Memory(self._fetched, self._made, threads, most_bytes=most_bytes)

    def advance(self, manifest: Manifest, state: State) -> State:
        """Return the state after a manifest; a service that fails to load keeps its old revision, and the reason is recorded.

        What replaces a served target is always loaded and checked first. A target that replaces none is loaded if there is
        room, and else when it is first asked for.
        """
        if self._refused:
            wanted = {identity(target) for service in manifest.services for target in _targets(service)}
            self._refused = {one: why for one, why in self._refused.items() if one in wanted}
        served, failures = self._served(manifest.services, manifest.sequence, state)
        return State(manifest.sequence, served, failures, grants_of(manifest))

    def to_load(self, manifest: Manifest) -> set[DeploymentKey]:
        """Return the services of which a model is not in memory."""
        return {one.key for one in manifest.services if not all(self.memory.holds(target) for target in _targets(one))}

    def at_once(self, manifest: Manifest, state: State) -> State:
        """Return what of a manifest may be served before its other models are loaded: rollbacks, keys, ends.

        It has the old sequence: what is left is to come. What was not served before is not ready yet, and says so.
        """
        waiting = self.to_load(manifest)
        served, failures = self._served([one for one in manifest.services if one.key not in waiting], manifest.sequence, state)
        served |= {key: state.served[key] for key in waiting if key in state.served}
        failures |= {key: state.failures.get(key, _LOADING) for key in waiting if key in state.failures or key not in served}
        return State(state.sequence, served, failures, grants_of(manifest))

    def keep(self, state: State, body: bytes) -> None:
        """Keep what a restart needs of this state, and forget the files and models that it does not need."""
        used = {digest for target in state.targets for digest in (target.artifact, target.parity)}
        self.memory.keep(state.targets)  # first: a full disk must not keep models in memory
        self._metrics.keep(state.served.keys())
        self._cache.keep(body, state.sequence, {served.sequence for served in state.served.values()}, used)

    def _served(
        self, services: Iterable[Service], sequence: int, state: State
    ) -> tuple[dict[DeploymentKey, Served], dict[DeploymentKey, str]]:
        served: dict[DeploymentKey, Served] = {}
        failures: dict[DeploymentKey, str] = {}
        for service in services:
            old = state.served.get(service.key)
            try:
                served[service.key] = self._serve(service, sequence, old)
            except Exception as error:  # noqa: BLE001 - whatever a model file does, the other services go on
                failures[service.key] = sentence_of(error)
                if old:
                    served[service.key] = old
        return served, failures

    def _serve(self, service: Service, sequence: int, old: Served | None) -> Served:
        live = self._arm(service, service.live, CaptureMode.LIVE, old)
        if service.candidate is None:
            return Served(service, sequence, live, None)
        mode = CaptureMode(service.candidate.mode.value)
        return Served(service, sequence, live, self._arm(service, service.candidate.target, mode, old))

    def _arm(self, service: Service, target: Target, mode: CaptureMode, old: Served | None) -> Arm:
        refusal, since = self._refused.get(identity(target), (None, 0.0))
        if refusal is not None and time.monotonic() - since < _REFUSED_S:
            raise refusal.with_traceback(None)
        slot = self.memory.slot(target)
        changed = old is not None and identity(target) not in {identity(arm.target) for arm in old.arms}
        if slot.loaded is None and (self.memory.has_room(slot) or (changed and not slot.checked)):
            try:
                self.memory.load(slot)
            except InvalidInput as error:  # the file's own fault: trying again would only take others' memory
                kept = InvalidInput(error.what, why=error.why, fix=error.fix, facts=error.facts)
                self._refused[identity(target)] = kept, time.monotonic()
                raise
        told: dict[str, str | int | float] = {
            "deployment": str(service.key),
            "revision": service.revision,
            "model": str(target.model),
            "threshold": target.threshold,
        }
        line = line_head(str(PredictionId(service.key, service.revision, target.model, "")), mode, target.threshold)
        meter = self._metrics.version(service.key, mode, target.model)
        is_sampled = service.handling.capture_share < 1 and target.reference is not None
        known = str(service.key), told, line, not has_texts(target), is_sampled, meter
        return Arm(service.key, service.revision, mode, target, slot, *known)

    def _fetched(self, target: Target) -> int:
        if target.parity is not None:
            self._cache.object(target.parity, self._objects)
        return len(self._cache.object(target.artifact, self._objects))

    def _made(self, target: Target) -> Loaded:
        model = self._load(self._cache.object(target.artifact, self._objects), target.signature)
        arrays, known = _blank_row(target.signature), None
        if target.parity is not None:
            fixture = read_fixture(self._cache.object(target.parity, self._objects))
            check_parity(model, fixture, target.signature)
            arrays = {name: array[:_WARM_ROWS] for name, array in fixture_arrays(fixture, target.signature).items()}
            known = {name: array[:1].copy() for name, array in arrays.items()}
        model.scores(arrays)
        return Loaded(model, _seconds_per_row(model, arrays), known)


def _blank_row(signature: Signature) -> dict[str, NDArray[Any]]:
    row = {}
    for tensor in signature.inputs:
        shape = [1 if length == -1 else length for length in tensor.shape]
        row[tensor.name] = (
            np.full(shape, "", object) if tensor.datatype == "BYTES" else np.zeros(shape, dtype_of(tensor.datatype))
        )
    return row


def _seconds_per_row(model: Model, arrays: dict[str, NDArray[Any]]) -> float:
    started = time.perf_counter()
    model.scores(arrays)
    return (time.perf_counter() - started) / len(next(iter(arrays.values())))
