"""Traces: one OpenTelemetry span for each answered request; imported only where they are configured (an extra)."""

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from custody.inference.watching import TRACE, Noted


class Tracing:
    """Makes a span when a request was answered; the provider's processors send them elsewhere, in their own thread."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("custody.inference")
        self._context = TraceContextTextMapPropagator()

    def __call__(self, noted: Noted) -> None:
        """Record one request under the caller's trace, if its headers name one."""
        carrier = {name.decode(): noted.headers[name].decode("latin-1") for name in TRACE if name in noted.headers}
        span = self._tracer.start_span(
            name_of(noted),
            self._context.extract(carrier) if carrier else None,
            trace.SpanKind.SERVER,
            attributes_of(noted),
            start_time=noted.ended_ns - int(noted.seconds * 1e9),
        )
        if noted.status >= 500:
            span.set_status(trace.StatusCode.ERROR)
        span.end(noted.ended_ns)

    def close(self) -> None:
        """Send what waits, and stop."""
        self._provider.shutdown()


def name_of(noted: Noted) -> str:
    """Return a span's name: few different ones, whatever callers send."""
    return f"{noted.method} {noted.key.name}" if noted.key and noted.key.name else noted.method


def attributes_of(noted: Noted) -> dict[str, str | int]:
    """Return a span's attributes: who was asked and how it ended, never what."""
    found: dict[str, str | int] = {"http.response.status_code": noted.status, "http.request.method": noted.method}
    found["network.protocol.name"] = noted.door
    if noted.path:
        found["url.path"] = noted.path
    if noted.key:
        found |= {"custody.tenant": noted.key.tenant, "custody.environment": noted.key.environment}
        if noted.key.name:
            found["custody.deployment"] = noted.key.name
    if noted.arm:
        found |= {
            "custody.revision": noted.arm.revision,
            "custody.model": noted.arm.target.model.name,
            "custody.model_version": noted.arm.target.model.version,
            "custody.mode": noted.arm.mode.value,
        }
    return found
