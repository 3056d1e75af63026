"""The gRPC server: a thread pool of its own; every call is admitted, answered and captured where HTTP's calls are."""

import asyncio
import hashlib
import threading
import time
from collections import Counter
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from contextlib import contextmanager
from typing import Any, TypeVar

import grpc
import orjson
from google.protobuf.json_format import ParseDict
from google.protobuf.unknown_fields import UnknownFieldSet

from custody.core.digest import Digest
from custody.core.errors import Conflict, InvalidInput
from custody.core.tenancy import HOUSE, TenantId
from custody.inference.app import InferenceApp
from custody.inference.by_hand import REFUSAL
from custody.inference.exchange import Answer, Refused
from custody.inference.oip import open_inference_pb2 as wire
from custody.inference.oip.service import Call, Service
from custody.inference.oip.tensors import read_request, write_answer
from custody.inference.routes import PRODUCTION, Route
from custody.inference.watching import TRACE

_THREADS = 128
_LONGEST_S = 600.0  # a call without a deadline says it has centuries left
_WAITING = 1024  # calls that may wait for a thread; more are refused
T = TypeVar("T")


class GrpcDoor:
    """Serves `inference.GRPCInferenceService` on a port; 0 takes a free one, found in `port` once it is open.

    shared: several processes may listen on the port, and the system deals the connections.
    """

    def __init__(
        self, app: InferenceApp, host: str, port: int, *, shared: bool = False, most_bytes: int = 16 * 1024 * 1024
    ) -> None:
        self._app, self._address, self.port = app, f"{host}:{port}", port
        self._options = [
            ("grpc.so_reuseport", int(shared)),
            ("grpc.max_receive_message_length", most_bytes),
            ("grpc.max_send_message_length", -1),
        ]
        self._server: Any = None
        self._lock, self._threads = threading.Lock(), Counter[TenantId | None]()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def open(self) -> None:
        """Listen; Conflict if the port is taken."""
        self._loop = asyncio.get_running_loop()
        threads = ThreadPoolExecutor(_THREADS, "grpc")
        self._server = grpc.server(
            threads, handlers=(Service(self._calls()),), options=self._options, maximum_concurrent_rpcs=_WAITING
        )
        try:
            self.port = self._server.add_insecure_port(self._address)
        except RuntimeError as error:
            raise Conflict(
                f"The gRPC server cannot listen on {self._address}.",
                why="The port is taken by another program.",
                fix="Take another --grpc-port.",
            ) from error
        self._server.start()

    async def close(self, seconds: float) -> None:
        """Take no more calls, and wait until those in flight are answered, but not longer."""
        stopped = self._server.stop(seconds)
        await asyncio.get_running_loop().run_in_executor(None, stopped.wait)

    def _calls(self) -> dict[str, tuple[Call, Any]]:
        return {
            "ServerLive": (lambda _, __: wire.ServerLiveResponse(live=True), wire.ServerLiveRequest),
            "ServerReady": (lambda _, __: wire.ServerReadyResponse(ready=self._app.is_ready()), wire.ServerReadyRequest),
            "ModelReady": (self._model_ready, wire.ModelReadyRequest),
            "ServerMetadata": (
                lambda _, context: self._told("", wire.ServerMetadataResponse(), context),
                wire.ServerMetadataRequest,
            ),
            "ModelMetadata": (
                lambda request, context: self._told(_model(request.name, request.version), wire.ModelMetadataResponse(), context),
                wire.ModelMetadataRequest,
            ),
            "ModelConfig": (self._config, wire.ModelConfigRequest),
            "ModelStatistics": (self._statistics, wire.ModelStatisticsRequest),
            "RepositoryIndex": (self._index, wire.RepositoryIndexRequest),
            "RepositoryModelLoad": (self._by_hand("load"), wire.RepositoryModelLoadRequest),
            "RepositoryModelUnload": (self._by_hand("unload"), wire.RepositoryModelUnloadRequest),
            "ModelInfer": (self._infer, wire.ModelInferRequest),
        }

    def _infer(self, request: wire.ModelInferRequest, context: grpc.ServicerContext) -> wire.ModelInferResponse:
        since = time.perf_counter_ns()
        route = self._route(f"{_model(request.model_name, request.model_version)}/infer", "POST", context)
        if route.predictor is None:
            raise Refused(503, orjson.loads(self._asked(route, context).body)["error"])
        try:
            asked = read_request(request)
        except InvalidInput:
            self._count(route, 400)
            raise
        with self._thread_of(route):
            metadata = ((name.encode(), value) for name, value in context.invocation_metadata() if isinstance(value, str))
            given = {name: value.encode() for name, value in metadata if name in TRACE}
            return write_answer(self._wait(self._app.predict(route, asked, since, given), context))

    def _model_ready(self, request: wire.ModelReadyRequest, context: grpc.ServicerContext) -> wire.ModelReadyResponse:
        try:
            self._document(f"{_model(request.name, request.version)}/ready", context)
        except Refused as error:
            if error.status not in {404, 503}:
                raise
            return wire.ModelReadyResponse(ready=False)
        return wire.ModelReadyResponse(ready=True)

    def _config(self, request: wire.ModelConfigRequest, context: grpc.ServicerContext) -> wire.ModelConfigResponse:
        document = {"config": self._document(f"{_model(request.name, request.version)}/config", context)}
        return _message(document, wire.ModelConfigResponse())

    def _statistics(self, request: wire.ModelStatisticsRequest, context: grpc.ServicerContext) -> wire.ModelStatisticsResponse:
        path = f"{_model(request.name, request.version)}/stats" if request.name else "/models/stats"
        return self._told(path, wire.ModelStatisticsResponse(), context)

    def _index(self, request: wire.RepositoryIndexRequest, context: grpc.ServicerContext) -> wire.RepositoryIndexResponse:
        models = self._document("/repository/index", context, method="POST")
        kept = [one for one in models if one["state"] == "READY" or not request.ready]
        return _message({"models": kept}, wire.RepositoryIndexResponse())

    def _by_hand(self, verb: str) -> Call:
        def call(request: Any, context: grpc.ServicerContext) -> Any:
            route = self._route(f"/repository/models/{request.model_name}/{verb}", "POST", context)
            if verb == "load" and len(UnknownFieldSet(request)):  # parameters, which only say what the manifest must say
                raise Refused(400, REFUSAL)
            with self._thread_of(route):
                answer = self._asked(route, context)
            assert answer.status == 200  # what is refused was raised
            return wire.RepositoryModelLoadResponse() if verb == "load" else wire.RepositoryModelUnloadResponse()

        return call

    def _told(self, path: str, message: T, context: grpc.ServicerContext) -> T:
        return _message(self._document(path, context), message)

    def _document(self, path: str, context: grpc.ServicerContext, *, method: str = "GET") -> Any:
        """Return what HTTP answers to the same question."""
        answer = self._asked(self._route(path, method, context), context)
        document = orjson.loads(answer.body)
        if answer.status != 200:
            raise Refused(answer.status, document["error"])
        return document

    def _asked(self, route: Route, context: grpc.ServicerContext) -> Answer:
        return self._wait(self._app.tell(route), context)

    def _route(self, path: str, method: str, context: grpc.ServicerContext) -> Route:
        view = self._app.view
        given = {name: value for name, value in context.invocation_metadata() if isinstance(value, str)}
        authorization = given.get("authorization", "")
        secret = authorization[7:].strip() if authorization[:7].lower() == "bearer " else given.get("x-custody-key", "")
        key = Digest(hashlib.sha256(secret.encode()).hexdigest()) if secret else None
        tenants = view.state.grants.get(key) if key else None
        own = next(iter(tenants)) if tenants and len(tenants) == 1 else None
        tenant = TenantId(given.get("x-custody-tenant", own or HOUSE))
        environment = given.get("x-custody-environment", PRODUCTION)
        raw = f"/tenants/{tenant}/environments/{environment}/v2{path}".encode()
        return view.admit(tenants, view.routes.get(raw), method, raw)

    @contextmanager
    def _thread_of(self, route: Route) -> Iterator[None]:
        """Hold one of the tenant's threads; 429 if it has too many, so that others still find one."""
        with self._lock:
            if self._threads[route.tenant] >= _THREADS * 3 // 4:
                self._count(route, 429)
                raise Refused(
                    429, f"{self._threads[route.tenant]} calls of this tenant are not answered yet; send fewer at a time."
                )
            self._threads[route.tenant] += 1
        try:
            yield
        finally:
            with self._lock:
                self._threads[route.tenant] -= 1

    def _count(self, route: Route, status: int) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._app.meter_of(route).answered, status, 0.0)

    def _wait(self, work: Coroutine[Any, Any, T], context: grpc.ServicerContext) -> T:
        """Do work where all requests are answered, and wait for it as long as the caller does."""
        assert self._loop is not None
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(min(context.time_remaining(), _LONGEST_S))
        except TooLate:
            future.cancel()
            raise Refused(504, "The answer was not ready when the call's deadline passed.") from None


def _model(name: str, version: str) -> str:
    if "/" in name + version:
        raise Refused(404, f"'{name[:80]}' is no model's name.")
    return f"/models/{name}" + (f"/versions/{version}" if version else "")


def _message(document: object, message: T) -> T:
    ParseDict(document, message, ignore_unknown_fields=True)
    return message
