"""Counters of the data plane, and their text for Prometheus."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field

from custody.core.refs import DeploymentKey, ModelRef
from custody.serving import CaptureMode

BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_KEPT = 16  # versions of a deployment, those that ended too: what made them end is looked up afterwards
_COUNTERS = {
    "captured_predictions": "Predictions (rows) written to the spool.",
    "shed_predictions": "Predictions (rows) answered but not captured, because the spool was full or not writable.",
    "shipped_batches": "Capture batches stored in the object store.",
    "ship_failures": "Attempts to store a capture batch that failed; they are repeated.",
    "manifest_failures": "Manifests refused, or with a service that did not load.",
    "store_failures": "Looks at the object store that failed.",
    "model_loads": "Models loaded into memory.",
    "model_evictions": "Models dropped from memory to make room for others.",
    "model_failures": "Attempts to load a model that failed.",
    "provider_fallbacks": "Models that a GPU's execution provider could not load, and that run on the CPU.",
    "batches": "Runs of a model for requests that waited for each other.",
    "batched_requests": "Requests that were answered by such runs.",
    "connections_evicted": "Connections that waited for their clients and were closed to make room for new ones.",
    "access_log_dropped": "Lines of the access log that were not written, because its file was slow or not writable.",
}
Sample = tuple[str, int | float | str]  # labels as they are written, and the value


@dataclass(slots=True)
class Latency:
    """Requests of one deployment by duration: counts per bucket (the last is +Inf), and their sum in seconds."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))
    total_s: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one request."""
        self.counts[bisect_left(BUCKETS_S, seconds)] += 1
        self.total_s += seconds


@dataclass(slots=True)
class Meter:
    """What one version did in one mode of a deployment; without a mode, the requests that came to no version, or to no deployment.

    answers: requests by status. latency: of those with 200. rows: predictions made; runs: of the model for them.
    dropped, failed: requests that a shadow did not see, and those that it could not answer.
    """

    key: DeploymentKey | None = None
    mode: CaptureMode | None = None
    model: str = ""
    answers: dict[int, int] = field(default_factory=dict)
    latency: Latency = field(default_factory=Latency)
    rows: int = 0
    runs: int = 0
    dropped: int = 0
    failed: int = 0

    @property
    def labels(self) -> str:
        """Return its labels in Prometheus."""
        return f'{labels(self.key)},mode="{self.mode or ""}",model="{self.model}"'

    def answered(self, status: int, seconds: float) -> None:
        """Count an answer."""
        self.answers[status] = self.answers.get(status, 0) + 1
        if status == 200:
            self.latency.add(seconds)


_OF_SHADOWS: dict[str, tuple[str, Callable[[Meter], int]]] = {
    "predictions": ("Predictions (rows) made by a shadow candidate.", lambda one: one.rows),
    "dropped": ("Requests that a shadow candidate did not see, because too many waited.", lambda one: one.dropped),
    "failures": ("Requests that a shadow candidate could not answer.", lambda one: one.failed),
}


class Metrics:
    """All counters of one process; changed on the event loop's thread only, read from any."""

    def __init__(self) -> None:
        self._meters: dict[DeploymentKey | None, Meter] = {}
        self._versions: dict[DeploymentKey, dict[tuple[CaptureMode, ModelRef], Meter]] = {}
        self.counts: Counter[str] = Counter()
        self.shed: Counter[str] = Counter()

    def meter(self, key: DeploymentKey | None) -> Meter:
        """Return the meter of what comes to no version of a deployment, or to no deployment."""
        found = self._meters.get(key)
        return found if found is not None else self._meters.setdefault(key, Meter(key))

    def version(self, key: DeploymentKey, mode: CaptureMode, model: ModelRef) -> Meter:
        """Return the meter of a version in one mode of a deployment, which goes on where it ended; the last 16 are kept."""
        kept = self._versions.setdefault(key, {})
        meter = kept[mode, model] = kept.pop((mode, model), Meter(key, mode, str(model)))  # now the newest
        if len(kept) > _KEPT:
            del kept[next(iter(kept))]
        return meter

    def keep(self, keys: Collection[DeploymentKey]) -> None:
        """Forget the versions of deployments that are not among these."""
        for key in self._versions.keys() - set(keys):
            del self._versions[key]

    def lines(self) -> Iterator[str]:
        """Write the counters in the Prometheus text format 0.0.4."""
        versions = [one for kept in list(self._versions.values()) for one in list(kept.values())]
        answering = [one for one in versions if one.mode is not CaptureMode.SHADOW]
        meters = [*self._meters.values(), *answering]
        requests = [(f'{one.labels},status="{status}"', count) for one in meters for status, count in list(one.answers.items())]
        yield from family("requests_total", "Requests answered, by status.", "counter", requests)
        yield from head("request_seconds", "Seconds from the request's first byte to its answer.", "histogram")
        for one in answering:
            if 200 in one.answers:
                yield from _histogram(one.labels, one.latency)
        shed = [(labels(DeploymentKey.parse(key)), count) for key, count in list(self.shed.items())]
        yield from family("deployment_shed_predictions_total", "Predictions (rows) not captured, by deployment.", "counter", shed)
        shadows = [one for one in versions if one.mode is CaptureMode.SHADOW]
        for name, (text, count_of) in _OF_SHADOWS.items():
            yield from family(f"shadow_{name}_total", text, "counter", [(one.labels, count_of(one)) for one in shadows])
        for name, text in _COUNTERS.items():
            yield from family(f"{name}_total", text, "counter", [("", self.counts[name])])


def head(name: str, text: str, kind: str) -> list[str]:
    """Return the two lines before a metric's samples."""
    return [f"# HELP custody_{name} {text}", f"# TYPE custody_{name} {kind}"]


def family(name: str, text: str, kind: str, samples: Iterable[Sample]) -> list[str]:
    """Return a metric's lines."""
    return [*head(name, text, kind), *(sample_line(f"custody_{name}", *sample) for sample in samples)]


def sample_line(name: str, labels: str, value: float | str) -> str:
    """Return one sample's line."""
    return f"{name}{{{labels}}} {value}" if labels else f"{name} {value}"


def labels(key: DeploymentKey | None) -> str:
    """Return the labels of a deployment; those of none are empty."""
    tenant, environment, name = (key.tenant, key.environment, key.name) if key else ("", "", "")
    return f'tenant="{tenant}",environment="{environment}",deployment="{name}"'


def _histogram(labels: str, latency: Latency) -> Iterator[str]:
    below = 0
    for edge, count in zip((*BUCKETS_S, "+Inf"), latency.counts.copy(), strict=True):
        below += count
        yield sample_line("custody_request_seconds_bucket", f'{labels},le="{edge}"', below)
    yield sample_line("custody_request_seconds_sum", labels, f"{latency.total_s:.6f}")
    yield sample_line("custody_request_seconds_count", labels, below)
