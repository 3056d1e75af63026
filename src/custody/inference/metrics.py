"""Counters of the data plane, and their text for Prometheus."""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

from custody.core.refs import DeploymentKey

BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_HELP = {
    "requests": "Requests answered, by status.",
    "captured_predictions": "Predictions (rows) written to the spool.",
    "shed_predictions": "Predictions (rows) answered but not captured, because the spool was full or not writable.",
    "shipped_batches": "Capture batches stored in the object store.",
    "ship_failures": "Attempts to store a capture batch that failed; they are repeated.",
    "shadow_predictions": "Predictions (rows) made by shadow candidates.",
    "shadow_dropped": "Requests that a shadow candidate did not see, because its queue was full.",
    "shadow_failures": "Requests that a shadow candidate could not answer.",
    "manifest_failures": "Manifests refused, or with a service that did not load.",
    "store_failures": "Looks at the object store that failed.",
    "model_loads": "Models loaded into memory.",
    "model_evictions": "Models dropped from memory to make room for others.",
    "model_failures": "Attempts to load a model that failed.",
}
_GAUGES = {
    "manifest_sequence": "Sequence of the newest manifest served.",
    "spool_bytes": "Bytes of captures waiting to be shipped.",
    "models_loaded": "Models in memory.",
    "models_bytes": "Bytes that the models in memory take, estimated.",
}


@dataclass(slots=True)
class Latency:
    """Requests of one deployment by duration: counts per bucket (the last is +Inf), and their sum in seconds."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))
    total_s: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one request."""
        self.counts[bisect_left(BUCKETS_S, seconds)] += 1
        self.total_s += seconds


class Metrics:
    """All counters of one process; changed on the event loop's thread only."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[DeploymentKey | None, int]] = Counter()
        self.latency: dict[DeploymentKey, Latency] = {}
        self.counts: Counter[str] = Counter()
        self.gauges = dict.fromkeys(_GAUGES, 0)

    def answered(self, key: DeploymentKey | None, status: int, seconds: float) -> None:
        """Count an answer; latency is kept per deployment, of successes only."""
        self.requests[key, status] += 1
        if key is not None and status == 200:
            found = self.latency.get(key)
            if found is None:
                found = self.latency[key] = Latency()
            found.add(seconds)

    def text(self) -> str:
        """Write everything in the Prometheus text format 0.0.4."""
        lines = [*_head("custody_requests_total", _HELP["requests"], "counter")]
        lines += [
            f'custody_requests_total{{{_labels(key)},status="{status}"}} {count}'
            for (key, status), count in self.requests.items()
        ]
        lines += _head("custody_request_seconds", "Seconds from the request's first byte to its answer.", "histogram")
        for key, latency in self.latency.items():
            lines += _histogram(_labels(key), latency)
        for name, text in list(_HELP.items())[1:]:
            lines += [*_head(f"custody_{name}_total", text, "counter"), f"custody_{name}_total {self.counts[name]}"]
        for name, text in _GAUGES.items():
            lines += [*_head(f"custody_{name}", text, "gauge"), f"custody_{name} {self.gauges[name]}"]
        return "\n".join(lines) + "\n"


def _head(name: str, text: str, kind: str) -> list[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]


def _labels(key: DeploymentKey | None) -> str:
    tenant, environment, name = (key.tenant, key.environment, key.name) if key else ("", "", "")
    return f'tenant="{tenant}",environment="{environment}",deployment="{name}"'


def _histogram(labels: str, latency: Latency) -> list[str]:
    lines, below = [], 0
    for edge, count in zip((*BUCKETS_S, "+Inf"), latency.counts, strict=True):
        below += count
        lines.append(f'custody_request_seconds_bucket{{{labels},le="{edge}"}} {below}')
    lines.append(f"custody_request_seconds_sum{{{labels}}} {latency.total_s:.6f}")
    return [*lines, f"custody_request_seconds_count{{{labels}}} {below}"]
