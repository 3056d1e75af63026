"""The gRPC server: a thread pool of its own; every call is admitted, answered and captured where HTTP's calls are."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from contextlib import contextmanager
from typing import Any, TypeVar

import grpc
import orjson
from google.protobuf.json_format import ParseDict
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from custody.core.errors import Conflict, InvalidInput
from custody.core.tenancy import HOUSE, TenantId
from custody.inference.app import InferenceApp
from custody.inference.by_hand import REFUSAL
from custody.inference.exchange import Refused, address
from custody.inference.oip import open_inference_pb2 as wire
from custody.inference.oip.service import Answering, Call, Service
from custody.inference.oip.tensors import read_request, write_answer
from custody.inference.routes import PRODUCTION, Route
from custody.inference.watching import Noted, traced_by

_THREADS = 128
_OF_ONE, _OF_ALL = 96, 112  # threads that one tenant and all of them may hold; the rest answer health, and refuse
_LONGEST_S = 600.0  # a call without a deadline says it has centuries left
_GRACE_S = 0.5
_WAITING = 1024  # calls that may wait for a thread; more are refused
T = TypeVar("T")


class GrpcDoor:
    """Serves `inference.GRPCInferenceService` on a port; 0 takes a free one, found in `port` once it is open.

    shared: several processes may listen on the port, and the system deals the connections.
    """

    def __init__(self, app: InferenceApp, host: str, port: int, *, shared: bool = False) -> None:
        self._app, self._address, self.port = app, address(host, port), port
        self._options = [
            ("grpc.so_reuseport", int(shared)),
            ("grpc.max_receive_message_length", app.limits.body_bytes),
            ("grpc.max_send_message_length", -1),
        ]
        self._server: Any = None
        self._lock, self._threads = threading.Lock(), Counter[TenantId]()
        self._most = min(_OF_ONE, app.limits.tenant_requests)
        self._unread: set[Call] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._next_look: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """Listen; Conflict if the port is taken."""
        self._loop = asyncio.get_running_loop()
        threads = ThreadPoolExecutor(_THREADS, "grpc")
        service = Service(self._calls(), self._ended)
        self._server = grpc.server(threads, handlers=(service,), options=self._options, maximum_concurrent_rpcs=_WAITING)
        try:
            self.port = self._server.add_insecure_port(self._address)
        except RuntimeError as error:
            raise Conflict(
                f"The gRPC server cannot listen on {self._address}.",
                why="The port is taken by another program.",
                fix="Take another --grpc-port.",
            ) from error
        self._server.start()
        self._look()

    async def close(self, seconds: float) -> None:
        """Take no more calls, and wait until those in flight are answered, but not longer."""
        stopped = self._server.stop(seconds)
        await asyncio.get_running_loop().run_in_executor(None, stopped.wait)
        if self._next_look is not None:
            self._next_look.cancel()

    def _calls(self) -> dict[str, Answering]:
        return {
            "ServerLive": lambda _: wire.ServerLiveResponse(live=True),
            "ServerReady": lambda _: wire.ServerReadyResponse(ready=self._app.is_ready()),
            "ServerMetadata": self._keyed(wire.ServerMetadataRequest, self._server_metadata),
            "ModelReady": self._model_ready,
            "ModelMetadata": self._keyed(wire.ModelMetadataRequest, self._model_metadata),
            "ModelConfig": self._keyed(wire.ModelConfigRequest, self._config),
            "ModelStatistics": self._keyed(wire.ModelStatisticsRequest, self._statistics),
            "RepositoryIndex": self._keyed(wire.RepositoryIndexRequest, self._index),
            "RepositoryModelLoad": self._keyed(wire.RepositoryModelLoadRequest, self._load),
            "RepositoryModelUnload": self._keyed(wire.RepositoryModelUnloadRequest, self._unload),
            "ModelInfer": self._keyed(wire.ModelInferRequest, self._infer),
        }

    def _keyed(self, kind: Any, answer: Callable[[Any, Call], Any]) -> Answering:
        """Return what answers a call that needs a key: who calls is known, and has a thread, before the message is read."""

        def answering(call: Call) -> Any:
            key = self._route(call, "", "GET").key
            assert key is not None  # it needs one
            with self._thread_of(key.tenant):
                return answer(self._message(call, kind), call)

        return answering

    def _infer(self, asked: wire.ModelInferRequest, call: Call) -> wire.ModelInferResponse:
        route = self._route(call, f"{_model(asked.model_name, asked.model_version)}/infer", "POST")
        left_s = call.context.time_remaining()
        until = time.perf_counter_ns() + int(left_s * 1e9) if left_s < _LONGEST_S else None
        predicted = self._wait(call, self._app.predict(route, read_request(asked), call.since, until))
        call.arm = predicted.arm
        return write_answer(predicted)

    def _model_ready(self, call: Call) -> wire.ModelReadyResponse:
        ask = self._keyed(wire.ModelReadyRequest, lambda asked, _: self._told(call, f"{_model(asked.name, asked.version)}/ready"))
        try:
            ask(call)
        except Refused as error:
            if error.status not in {404, 503}:
                raise
            return wire.ModelReadyResponse(ready=False)
        return wire.ModelReadyResponse(ready=True)

    def _server_metadata(self, _: wire.ServerMetadataRequest, call: Call) -> wire.ServerMetadataResponse:
        return _message(self._told(call, ""), wire.ServerMetadataResponse())

    def _model_metadata(self, asked: wire.ModelMetadataRequest, call: Call) -> wire.ModelMetadataResponse:
        return _message(self._told(call, _model(asked.name, asked.version)), wire.ModelMetadataResponse())

    def _config(self, asked: wire.ModelConfigRequest, call: Call) -> wire.ModelConfigResponse:
        document = {"config": self._told(call, f"{_model(asked.name, asked.version)}/config")}
        return _message(document, wire.ModelConfigResponse())

    def _statistics(self, asked: wire.ModelStatisticsRequest, call: Call) -> wire.ModelStatisticsResponse:
        path = f"{_model(asked.name, asked.version)}/stats" if asked.name else "/models/stats"
        return _message(self._told(call, path), wire.ModelStatisticsResponse())

    def _index(self, asked: wire.RepositoryIndexRequest, call: Call) -> wire.RepositoryIndexResponse:
        models = self._told(call, "/repository/index", "POST", orjson.dumps({"ready": asked.ready}))
        return _message({"models": models}, wire.RepositoryIndexResponse())

    def _load(self, asked: wire.RepositoryModelLoadRequest, call: Call) -> wire.RepositoryModelLoadResponse:
        if len(UnknownFieldSet(asked)):  # parameters, which only say what the manifest must say
            raise Refused(400, REFUSAL)
        self._told(call, f"/repository/models/{asked.model_name}/load", "POST")
        return wire.RepositoryModelLoadResponse()

    def _unload(self, asked: wire.RepositoryModelUnloadRequest, call: Call) -> wire.RepositoryModelUnloadResponse:
        self._told(call, f"/repository/models/{asked.model_name}/unload", "POST")
        return wire.RepositoryModelUnloadResponse()

    def _told(self, call: Call, path: str, method: str = "GET", body: bytes = b"") -> Any:
        """Return what HTTP answers to the same question."""
        return orjson.loads(self._wait(call, self._app.tell(self._route(call, path, method), body)).body)

    def _route(self, call: Call, path: str, method: str) -> Route:
        """Return what answers a path of the tenant and environment that a call is for; 401 and 404 as over HTTP."""
        view, headers = self._app.view, call.headers
        tenants = view.tenants_of(self._app.exchange(method, b"", headers.items(), b""))
        own = next(iter(tenants)) if tenants and len(tenants) == 1 else None
        tenant = headers.get(b"x-custody-tenant", b"").decode() or own or HOUSE
        environment = headers.get(b"x-custody-environment", b"").decode() or PRODUCTION
        raw = f"/tenants/{tenant}/environments/{environment}/v2{path}".encode()
        call.route = view.admit(tenants, view.routes.get(raw), method, raw)
        return call.route

    @contextmanager
    def _thread_of(self, tenant: TenantId) -> Iterator[None]:
        """Hold one of a tenant's threads: 429 if it has too many, 503 if all have, so that there is one for whoever comes next."""
        held = self._threads
        with self._lock:
            if held[tenant] >= self._most:
                raise Refused(429, f"{held[tenant]} calls of this tenant are not answered yet; send fewer at a time.")
            if held.total() >= _OF_ALL:
                raise Refused(503, "The server has more calls than it can answer now; try again in a moment.")
            held[tenant] += 1
        try:
            yield
        finally:
            with self._lock:
                held[tenant] -= 1
                if not held[tenant]:
                    del held[tenant]

    def _message(self, call: Call, kind: Any) -> Any:
        """Read a call's message: 408 if it takes too long, 400 if the call ends without it or it is something else."""
        self._unread.add(call)
        try:
            message = next(call.messages, None)
        except grpc.RpcError:  # the call was cancelled, which may also look like the end of its messages
            message = None
        finally:
            self._unread.discard(call)
        if message is None and call.seconds() > (longest := self._app.limits.body_seconds):
            raise Refused(408, f"The message was not complete after {longest:g} seconds.")
        if message is None:
            raise InvalidInput("The call has no message.")
        try:
            return kind.FromString(message)
        except DecodeError as error:
            raise InvalidInput(
                f"The message is not a {kind.DESCRIPTOR.name}.", fix="Use the protocol's own .proto file."
            ) from error

    def _look(self) -> None:
        """End the calls whose message takes too long, now and then: a thread that waits for one cannot be woken otherwise."""
        assert self._loop is not None
        longest = self._app.limits.body_seconds
        for call in self._unread.copy():
            if call.seconds() > longest:
                call.context.cancel()
        self._next_look = self._loop.call_later(longest / 10, self._look)

    def _wait(self, call: Call, work: Coroutine[Any, Any, T]) -> T:
        """Do work where all requests are answered, and wait for it as long as the caller does, and a moment more.

        What knows of the deadline says itself what was late.
        """
        assert self._loop is not None
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(min(call.context.time_remaining(), _LONGEST_S) + _GRACE_S)
        except TooLate:
            future.cancel()
            raise Refused(504, "The answer was not ready when the call's deadline passed.") from None

    def _ended(self, call: Call, status: int) -> None:
        assert self._loop is not None
        key = call.route.key if call.route else None
        traced = traced_by(call.headers)
        noted = Noted("grpc", call.name, "", key, call.arm, status, call.seconds(), time.time_ns(), traced)
        self._loop.call_soon_threadsafe(self._app.count, call.route, noted)


def _model(name: str, version: str) -> str:
    if "/" in name + version or name == "stats":  # which stands for all models' statistics in paths
        raise Refused(404, f"'{name[:80]}' is no model's name.")
    return f"/models/{name}" + (f"/versions/{version}" if version else "")


def _message(document: object, message: T) -> T:
    ParseDict(document, message, ignore_unknown_fields=True)
    return message
