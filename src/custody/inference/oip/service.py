"""The names of the protocol's calls, and how a failure is told in gRPC's words."""

from collections.abc import Callable
from typing import Any, NoReturn

import grpc

from custody.inference.exchange import failed

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
Call = Callable[[Any, grpc.ServicerContext], Any]


class Service(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpcio publishes no types
    """Finds a call's handler by its name; one that is not there says so.

    calls: by name, what answers, and the message that it takes.
    """

    def __init__(self, calls: dict[str, tuple[Call, Any]]) -> None:
        self._handlers = {
            f"/{SERVICE}/{name}": grpc.unary_unary_rpc_method_handler(
                _guarded(call), request_deserializer=kind.FromString, response_serializer=_serialized
            )
            for name, (call, kind) in calls.items()
        }

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Return the handler of a call."""
        method: str = handler_call_details.method
        return self._handlers.get(method) or grpc.stream_stream_rpc_method_handler(_unsupported(method))


def _serialized(message: Any) -> bytes:
    body: bytes = message.SerializeToString()
    return body


def _guarded(call: Call) -> Call:
    def guarded(request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return call(request, context)
        except Exception as error:  # noqa: BLE001 - one broken request must not stop the server
            _abort(context, *failed(error))

    return guarded


def _abort(context: grpc.ServicerContext, status: int, sentence: str) -> NoReturn:
    if status in {429, 503}:
        context.set_trailing_metadata((("retry-after", "1"),))
    context.abort(_CODES.get(status, grpc.StatusCode.INTERNAL), sentence[:4000])
    raise AssertionError("abort does not return")


def _unsupported(method: str) -> Call:
    def refuse(requests: Any, context: grpc.ServicerContext) -> Any:  # noqa: ARG001 - the shape of a handler
        name = method.rpartition("/")[2][:80]
        sentence = f"'{name}' is not supported: this server has no streams, traces, log settings or shared memory."
        context.abort(grpc.StatusCode.UNIMPLEMENTED, sentence)

    return refuse
