from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray
from typing_extensions import Buffer

FORMAT: int

class Frames:
    def __init__(self, buffer: Buffer, /) -> None: ...
    def add(
        self,
        place: str,
        head: bytes,
        unique: str,
        since: int,
        inputs: Mapping[str, NDArray[Any]],
        written: tuple[bytes, bytes],
        event_ms: int | None,
        keys: str | tuple[str, ...] | None,
        of: str | None,
        /,
    ) -> bool: ...
    def commit(self) -> int: ...
    def clear(self) -> None: ...

def lines(
    batches: Buffer, generation: int, /
) -> list[
    tuple[int, bytes, int, bytes, bytes, bytes, bytes | None, bytes | None, bytes | None, bytes, bytes, tuple[bytes, ...]]
]: ...
