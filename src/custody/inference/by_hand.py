"""Load and unload as clients call them: the manifest says what is served, and these say what of it is in memory now."""

from collections.abc import Awaitable, Callable
from typing import Any

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
_decoder = msgspec.json.Decoder(dict[str, Any])


def load(served: Served, memory: Memory) -> Callable[[Exchange], Awaitable[Answer]]:
    """Return what brings a deployment's models into memory, and answers when they are there; an override is refused."""

    async def handler(exchange: Exchange) -> Answer:
        if exchange.announced() > _LONGEST:  # nothing else is so long
            raise Refused(400, REFUSAL)
        if any(name == "config" or name.startswith("file:") for name in _parameters(await exchange.body())):
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
        if exchange.announced() > _LONGEST:
            raise Refused(413, f"The body of this call is at most {_LONGEST} bytes, and says so in its content-length.")
        _parameters(await exchange.body())
        for arm in served.arms:
            if not _used_by_others(arm.slot, served, state):
                memory.release(arm.slot)
        return _DONE

    return handler


def _used_by_others(slot: Slot, served: Served, state: State) -> bool:
    own = served.service.key
    return any(arm.slot is slot for key, one in state.served.items() if key != own for arm in one.arms)


def _parameters(body: bytes) -> dict[str, Any]:
    """Return the parameters of a call whose body may be empty."""
    try:
        found = _decoder.decode(body).get("parameters", {}) if body else {}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Refused(400, 'The body of this call is empty, {} or {"parameters": {...}}.')
    return found
