"""Access log, traces and structured logs: told after the answer, without what was asked, and nothing at all by default."""

import asyncio
import gc
import io
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest
from inference_world import ACME, CHURN, KEYS, World, body, metric, tabular
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from test_inference_manifest import until

from custody.bootstrap.watching import traced
from custody.core.errors import Conflict, InvalidInput
from custody.inference.access import AccessLog, line_of
from custody.inference.logs import JsonLines, TextLines
from custody.inference.metrics import Metrics
from custody.inference.watching import Noted

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
NOTED = Noted("http", "POST", "/v2/models/churn/infer", CHURN, None, 200, 0.00125, 1_772_366_400_123_000_000)


class Collector(BaseHTTPRequestHandler):
    """Takes spans as an OpenTelemetry collector does."""

    spans: list[Any]

    def do_POST(self) -> None:
        sent = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["content-length"])))
        self.spans += [(one, part.resource) for part in sent.resource_spans for scope in part.scope_spans for one in scope.spans]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[tuple[str, list[Any]]]:
    spans: list[Any] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Collector,), {"spans": spans}))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", spans
    server.shutdown()
    thread.join()
    server.server_close()


def told(values: Any) -> dict[str, Any]:
    return {one.key: one.value.string_value or one.value.int_value for one in values}


def test_every_answer_is_a_span_under_the_callers_trace_and_a_line_in_the_access_log(
    world: World, collector: tuple[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, spans = collector
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    world.publish([world.service(world.target(tabular(1), 7), revision=3)])
    log = world.folder / "access.ndjson"
    with world.server("--access-log", str(log), "--log-format", "json") as server, server.client() as client:
        parent = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
        assert client.post("/v2/models/churn/infer", json=body(), headers=parent).status_code == 200
        assert client.post("/v2/models/churn/infer", json={"inputs": []}).status_code == 400
        assert client.post("/v2/models/nobody@example.org/infer", json=body()).status_code == 404
        assert client.get("/v2/models/churn").status_code == 200
        assert client.post("/v2/repository/index").status_code == 200
        until(lambda: len(spans) == 5)
        assert server.stop() == 0
    first, resource = spans[0]
    assert (first.trace_id.hex(), first.parent_span_id.hex(), first.name) == (TRACE, "00f067aa0ba902b7", "POST churn")
    found = told(first.attributes)
    assert (found["custody.tenant"], found["custody.deployment"], found["custody.revision"]) == (ACME, "churn", 3)
    assert (found["custody.model"], found["custody.model_version"], found["http.response.status_code"]) == ("churn", 7, 200)
    assert 0 < first.end_time_unix_nano - first.start_time_unix_nano < 10**10
    assert told(resource.attributes)["service.name"] == "custody-inference"
    lines = [orjson.loads(line) for line in log.read_bytes().splitlines()]
    assert [line["status"] for line in lines] == [200, 400, 404, 200, 200]
    assert [line["tenant"] for line in lines] == [ACME, ACME, None, ACME, ACME]
    assert [line["deployment"] for line in lines] == ["churn", "churn", None, "churn", None]
    assert [one.name for one, _ in spans] == ["POST churn", "POST churn", "POST", "GET churn", "POST"]
    assert "custody.deployment" not in told(spans[4][0].attributes)
    assert (lines[0]["tenant"], lines[0]["model"], lines[0]["mode"]) == (ACME, "churn@7", "live")
    everything = log.read_text() + "".join(str(one) for one, _ in spans)
    assert not [word for word in ("basic", "30.5", "nobody@example", KEYS[ACME]) if word in everything]


def test_nothing_of_opentelemetry_is_imported_unless_it_is_configured() -> None:
    program = "import sys, custody.bootstrap.inference; print([m for m in sys.modules if m.startswith('opentelemetry')])"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
    assert not traced({})
    assert not traced({"OTEL_SERVICE_NAME": "mine"})
    assert not traced({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://here", "OTEL_SDK_DISABLED": "true"})
    assert not traced({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://here", "OTEL_TRACES_EXPORTER": "none"})
    assert traced({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://here"})


def test_an_access_log_that_cannot_be_written_is_an_error_at_the_start(world: World) -> None:
    command = [sys.executable, "-m", "custody.bootstrap.inference", "--objects", f"file:{world.folder}", "--public-key"]
    command += ["00" * 32, "--state-dir", str(world.folder / "s"), "--port", "0", "--access-log", str(world.folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("The access log cannot be written to")


class Slow(io.BytesIO):
    """A stream that takes nothing until it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may, self.asked = threading.Event(), threading.Event()

    def write(self, data: Any) -> int:
        self.asked.set()
        self.may.wait(20)
        return super().write(data)


def test_a_slow_stream_drops_lines_and_counts_them() -> None:
    stream, metrics = Slow(), Metrics()
    log = AccessLog(stream, metrics, most=5)
    log(NOTED)
    assert stream.asked.wait(20)
    for _ in range(7):
        log(NOTED)
    stream.may.set()
    log.close()
    assert len(stream.getvalue().splitlines()) == 6
    assert metrics.counts["access_log_dropped"] == 2


def test_a_broken_stream_counts_what_it_lost() -> None:
    metrics, closed = Metrics(), io.BytesIO()
    closed.close()
    log = AccessLog(closed, metrics)
    log(NOTED)
    log.close()
    assert metrics.counts["access_log_dropped"] == 1


def test_a_line_says_who_was_asked_and_how_it_ended() -> None:
    line = orjson.loads(line_of(NOTED))
    assert line == {
        "at": datetime(2026, 3, 1, 12, 0, 0, 123_000, UTC).isoformat(timespec="milliseconds"),
        "door": "http", "method": "POST", "path": "/v2/models/churn/infer", "status": 200, "us": 1250,
        "tenant": "acme", "environment": "prod", "deployment": "churn", "revision": None, "model": None, "mode": None,
    }  # fmt: skip


def test_a_json_log_names_the_place_of_an_exception_and_not_its_words() -> None:
    try:
        raise ValueError("the text of a request")
    except ValueError:
        record = logging.LogRecord("custody", logging.ERROR, __file__, 1, "it %s", ("failed",), sys.exc_info())
    text = JsonLines().format(record)
    line = orjson.loads(text)
    assert (line["level"], line["logger"], line["message"], line["error"]) == ("ERROR", "custody", "it failed", "ValueError")
    assert Path(line["trace"][0].rpartition(":")[0]).name == Path(__file__).name
    assert "the text of a request" not in text


def test_a_text_log_names_the_place_of_an_exception_and_not_its_words() -> None:
    try:
        try:
            raise KeyError("the text of a request")
        except KeyError as error:
            raise ValueError("the text of a request") from error
    except ValueError:
        record = logging.LogRecord("custody", logging.ERROR, __file__, 1, "it %s", ("failed",), sys.exc_info())
    first, *rest = TextLines().format(record).splitlines()
    assert first.endswith(" ERROR custody it failed")
    assert Path(__file__).name in rest[0]
    assert rest[-1].strip() == "ValueError"
    assert "the text of a request" not in TextLines().format(record)


@pytest.mark.parametrize("form", [TextLines, JsonLines])
def test_what_the_server_itself_says_is_told_but_not_of_a_request(form: type[logging.Formatter]) -> None:
    def logged(error: Exception) -> str:
        return form().format(logging.LogRecord("custody", logging.ERROR, __file__, 1, "no", (), (type(error), error, None)))

    assert "The port is taken." in logged(Conflict("The port is taken."))
    assert "30.5" not in logged(InvalidInput("Input 'age' must not be 30.5."))


@pytest.mark.parametrize("form", [TextLines, JsonLines])
def test_what_asyncio_shows_of_an_exception_is_left_out(form: type[logging.Formatter]) -> None:
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    async def main() -> None:
        async def fails() -> None:
            raise ValueError("the text of a request")

        task = asyncio.create_task(fails())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        del task  # nobody asks how it ended

    handler, logger = Keep(), logging.getLogger("asyncio")
    handler.setFormatter(form())
    logger.addHandler(handler)
    try:
        asyncio.run(main())
        gc.collect()
    finally:
        logger.removeHandler(handler)
    assert "never retrieved" in lines[0]
    assert "the text of a request" not in "".join(lines)


def test_the_count_of_dropped_lines_is_a_metric(shared: Any) -> None:
    assert metric(shared, "custody_access_log_dropped_total") == 0
