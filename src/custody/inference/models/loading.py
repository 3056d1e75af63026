"""From a manifest to loaded models: fetch, verify, load, warm up; what did not change stays in memory."""

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from custody.core.digest import Digest, verified
from custody.core.errors import CustodyError
from custody.core.manifest import Manifest, Service, Target
from custody.core.objects import Objects
from custody.core.refs import DeploymentKey
from custody.core.schema import Signature
from custody.core.tenancy import TenantId
from custody.serving import CaptureMode, Loader, Model, check_parity, dtype_of, fixture_arrays, read_fixture

_WARM_ROWS = 64
Identity = tuple[Digest, Signature, Digest | None]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model in memory whose scores were checked; seconds_per_row was measured at warm-up."""

    model: Model
    seconds_per_row: float


@dataclass(frozen=True, slots=True)
class Arm:
    """A loaded target of one service."""

    key: DeploymentKey
    revision: int
    mode: CaptureMode
    target: Target
    loaded: Loaded


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


def identity(target: Target) -> Identity:
    """Return what decides whether a target that is in memory can serve another one."""
    return target.artifact, target.signature, target.parity


def grants_of(manifest: Manifest) -> dict[Digest, frozenset[TenantId | None]]:
    """Return the tenants of each key."""
    grants: dict[Digest, frozenset[TenantId | None]] = {}
    for key in manifest.keys:
        grants[key.sha256] = grants.get(key.sha256, frozenset()) | {key.tenant}
    return grants


def sentence_of(error: Exception) -> str:
    """Return an error's text; of an unexpected one its type too."""
    return str(error) if isinstance(error, CustodyError) else f"{type(error).__name__}: {error}"[:500]


class Cache:
    """What a restart needs while the object store is away: the signed manifests still in use, and their objects."""

    def __init__(self, folder: Path) -> None:
        self._manifests, self._objects = folder / "manifests", folder / "objects"
        self._manifests.mkdir(parents=True, exist_ok=True)
        self._objects.mkdir(exist_ok=True)

    def object(self, digest: Digest, objects: Objects) -> bytes:
        """Return an object from here, or fetch and keep it; always verified."""
        path = self._objects / digest
        try:
            return verified(path.read_bytes(), digest)
        except (OSError, CustodyError):
            body = verified(objects.get(digest), digest)
            with suppress(OSError):  # a full disk must not keep a new revision, or a rollback, from being served
                _write(path, body)
            return body

    def manifests(self) -> list[bytes]:
        """Return the kept signed manifests, oldest first."""
        return [path.read_bytes() for path in sorted(self._manifests.glob("*.json"))]

    def keep(self, state: State, body: bytes) -> None:
        """Keep the newest manifest and the older ones that still serve something; drop the rest, and unused objects."""
        _write(self._manifests / _name(state.sequence), body)
        names = {_name(state.sequence), *(_name(served.sequence) for served in state.served.values())}
        targets = [arm.target for served in state.served.values() for arm in served.arms]
        digests = {digest for target in targets for digest in (target.artifact, target.parity)}
        for path in self._manifests.iterdir():
            if path.name not in names:
                path.unlink()
        for path in self._objects.iterdir():
            if path.name not in digests:
                path.unlink()


def _name(sequence: int) -> str:
    return f"{sequence:020d}.json"


def _write(path: Path, body: bytes) -> None:
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


class Library:
    """Loads the targets of manifests; used by one thread at a time."""

    def __init__(self, objects: Objects, cache: Cache, load: Loader) -> None:
        self._objects, self._cache, self._load = objects, cache, load

    def advance(self, manifest: Manifest, state: State) -> State:
        """Return the state after a manifest; a service that fails to load keeps its old revision, and the reason is recorded."""
        held = {identity(arm.target): arm.loaded for served in state.served.values() for arm in served.arms}
        served: dict[DeploymentKey, Served] = {}
        failures: dict[DeploymentKey, str] = {}
        for service in manifest.services:
            try:
                served[service.key] = self._serve(service, manifest.sequence, held)
            except Exception as error:  # noqa: BLE001 - whatever a model file does, the other services go on
                failures[service.key] = sentence_of(error)
                if old := state.served.get(service.key):
                    served[service.key] = old
        return State(manifest.sequence, served, failures, grants_of(manifest))

    def _serve(self, service: Service, sequence: int, held: dict[Identity, Loaded]) -> Served:
        live = self._arm(service, service.live, CaptureMode.LIVE, held)
        if service.candidate is None:
            return Served(service, sequence, live, None)
        mode = CaptureMode(service.candidate.mode.value)
        return Served(service, sequence, live, self._arm(service, service.candidate.target, mode, held))

    def _arm(self, service: Service, target: Target, mode: CaptureMode, held: dict[Identity, Loaded]) -> Arm:
        loaded = held.get(identity(target))
        if loaded is None:
            loaded = held[identity(target)] = self._loaded(target)
        return Arm(service.key, service.revision, mode, target, loaded)

    def _loaded(self, target: Target) -> Loaded:
        model = self._load(self._cache.object(target.artifact, self._objects), target.signature)
        arrays = _blank_row(target.signature)
        if target.parity is not None:
            fixture = read_fixture(self._cache.object(target.parity, self._objects))
            check_parity(model, fixture, target.signature)
            arrays = {name: array[:_WARM_ROWS] for name, array in fixture_arrays(fixture, target.signature).items()}
        model.scores(arrays)
        return Loaded(model, _seconds_per_row(model, arrays))


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
