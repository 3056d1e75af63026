"""Load and unload as clients call them: the manifest says what is served, and these say what of it is in memory now."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from custody.core.errors import Unavailable
from custody.inference.exchange import Answer, Exchange, Refused
from custody.inference.models.library import Served, State
from custody.inference.models.memory import Memory, Slot

REFUSAL = (
    "A model's configuration and files cannot be given with a call: this server serves what its signed manifest says. "
    "Use: custody deployment deploy"
)
_DONE = Answer(200, b"{}")
_LONGEST = 64 * 1024
_KINDS: dict[type, str] = {bool: "true or false", dict: "an object"}
T = TypeVar("T")
_decoder = msgspec.json.Decoder(dict[str, Any])


def load(served: Served, memory: Memory) -> Callable[[Exchange], Awaitable[Answer]]:
    """Return what brings a deployment's models into memory, and answers when they are there; an override is refused."""

    async def handler(exchange: Exchange) -> Answer:
        try:
            given = await said(exchange, "parameters", dict, {})
        except Refused as error:
            if error.status != 413:
                raise
            raise Refused(400, REFUSAL) from error  # nothing else is so long
        if any(name == "config" or name.startswith("file:") for name in given):
            raise Refused(400, REFUSAL)
        for arm in served.arms:
            try:
                await memory.ready(arm.slot, arm.key.tenant)
            except Unavailable as error:
                raise Refused(503, f"Model '{arm.key.name}' is not loaded: {error}") from error
        return _DONE

    return handler


def unload(served: Served, state: State, memory: Memory) -> Callable[[Exchange], Awaitable[Answer]]:
    """Return what takes a deployment's models out of memory, those left in that another deployment uses too.

    They come back when they are asked for, or with the next manifest if there is room.
    """

    async def handler(exchange: Exchange) -> Answer:
        await said(exchange, "parameters", dict, {})
        for arm in served.arms:
            if not _used_by_others(arm.slot, served, state):
                memory.release(arm.slot)
        return _DONE

    return handler


def _used_by_others(slot: Slot, served: Served, state: State) -> bool:
    own = served.service.key
    return any(arm.slot is slot for key, one in state.served.items() if key != own for arm in one.arms)


async def said(exchange: Exchange, name: str, kind: type[T], otherwise: T) -> T:
    """Return a field of the JSON object in a call's body, which may be empty: 400 if it is of another kind, 413 if it is long."""
    try:
        body = await exchange.body(_LONGEST)
    except Refused as error:
        if error.status == 413:
            raise Refused(413, f"The body of this call is at most {_LONGEST} bytes.") from error
        raise
    try:
        found = _decoder.decode(body).get(name, otherwise) if body else otherwise
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        found = None
    if not isinstance(found, kind):
        raise Refused(400, f"The body of this call is empty, or a JSON object whose '{name}' is {_KINDS[kind]}.")
    return found
