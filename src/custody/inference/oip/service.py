"""The protocol's calls by name: each is guarded, told about at its end, and its failure said in gRPC's words."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc

from custody.inference.exchange import Refused, refusal
from custody.inference.models.library import Arm
from custody.inference.predict import blamed
from custody.inference.routes import Route

SERVICE = "inference.GRPCInferenceService"
_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    501: grpc.StatusCode.UNIMPLEMENTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}


@dataclass(slots=True, eq=False)
class Call:
    """A call on its way in; its message is read when it is asked for, like the body of an HTTP request.

    name: of the protocol, else `unsupported`, since callers may write anything. since: `time.perf_counter_ns()` when it began.
    route: what was asked, once the caller may ask it. arm: what answered, or failed to, if it came to one.
    """

    name: str
    messages: Iterator[bytes]
    context: grpc.ServicerContext
    since: int
    headers: Mapping[bytes, bytes]
    route: Route | None = None
    arm: Arm | None = None

    def seconds(self) -> float:
        """Return how long it has taken until now."""
        return (time.perf_counter_ns() - self.since) / 1e9


Answering = Callable[[Call], Any]  # returns the answer's message


class Service(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpcio publishes no types
    """Finds a call's handler by its name; one that is not there says so.

    ended: told about each call and its status, as in HTTP, before the answer leaves.
    """

    def __init__(self, calls: Mapping[str, Answering], ended: Callable[[Call, int], None]) -> None:
        self._handlers = {f"/{SERVICE}/{name}": _handler(name, answering, ended) for name, answering in calls.items()}
        self._ended = ended

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Return the handler of a call."""
        method: str = handler_call_details.method
        return self._handlers.get(method) or _handler("unsupported", _unsupported(method), self._ended)


def _handler(name: str, answering: Answering, ended: Callable[[Call, int], None]) -> Any:
    """Return a handler that takes a stream, of which one message is the usual case: so the call begins without it."""

    def handle(messages: Iterator[bytes], context: grpc.ServicerContext) -> Any:
        since = time.perf_counter_ns()
        headers = {key.encode(): value.encode() for key, value in context.invocation_metadata() if isinstance(value, str)}
        call, status = Call(name, messages, context, since, headers), 200
        try:
            return answering(call)
        except Exception as error:  # noqa: BLE001 - one broken request must not stop the server
            refused = refusal(error)
            status = refused.status
            call.arm = call.arm or blamed(error)
            _abort(context, status, refused.sentence)
        finally:
            ended(call, status)

    return grpc.stream_unary_rpc_method_handler(handle, response_serializer=_serialized)


def _serialized(message: Any) -> bytes:
    body: bytes = message.SerializeToString()
    return body


def _abort(context: grpc.ServicerContext, status: int, sentence: str) -> NoReturn:
    if status in {429, 503}:
        context.set_trailing_metadata((("retry-after", "1"),))
    context.abort(_CODES.get(status, grpc.StatusCode.INTERNAL), sentence[:4000])
    raise AssertionError("abort does not return")


def _unsupported(method: str) -> Answering:
    def refuse(call: Call) -> NoReturn:  # noqa: ARG001 - one shape for all
        name = method.rpartition("/")[2][:80]
        raise Refused(501, f"'{name}' is not supported: this server has no streams, traces, log settings or shared memory.")

    return refuse
