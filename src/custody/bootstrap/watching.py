"""Who watches an inference process: its log, an access log, traces; each only if it is asked for."""

import logging
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

from custody.core.errors import InvalidInput
from custody.inference.access import AccessLog
from custody.inference.app import InferenceApp
from custody.inference.logs import JsonLines, TextLines
from custody.inference.watching import Watcher

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
LOG_FORMATS = ("text", "json")


def log_to_stderr(form: str) -> None:
    """Log to stderr as text or as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def watch(app: InferenceApp, environ: Mapping[str, str], access_log: str | None) -> None:
    """Give an app its watchers. access_log: a file, or - for stderr; without one there is no access log.

    Traces are sent where the standard OTEL_* variables say, and made at all only if one of them names an endpoint.
    Raises: InvalidInput if the file cannot be written, or the extra is missing.
    """
    if access_log is not None:
        log = AccessLog(_stream(access_log), app.metrics)
        app.watch(log, log.close)
    if traced(environ):
        app.watch(*_tracing(environ))


def traced(environ: Mapping[str, str]) -> bool:
    """Tell whether the environment asks for traces."""
    off = environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER", "otlp") != "otlp"
    return not off and any(environ.get(name) for name in _ENDPOINTS)


def _stream(path: str) -> IO[bytes]:
    if path == "-":
        return sys.stderr.buffer
    try:
        return Path(path).open("ab")
    except OSError as error:
        raise InvalidInput(f"The access log cannot be written to '{path}'.", why=f"{error.strerror}.") from error


def _tracing(environ: Mapping[str, str]) -> tuple[Watcher, Callable[[], None]]:
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - an extra
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - an extra
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - an extra
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - an extra

        from custody.inference.tracing import Tracing  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise InvalidInput("Traces need OpenTelemetry.", why=f"{error}.", fix="pip install 'custody-ml[otel]'") from error
    named = "OTEL_SERVICE_NAME" in environ or "service.name=" in environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    provider = TracerProvider(resource=Resource.create({} if named else {"service.name": "custody-inference"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    tracing = Tracing(provider)
    return tracing, tracing.close
