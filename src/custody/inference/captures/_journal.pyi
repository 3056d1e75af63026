from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

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

_Line: TypeAlias = tuple[
    int,
    bytes,
    int,
    bytes,
    bytes,
    bytes,
    bytes | None,
    bytes | None,
    bytes | None,
    bytes,
    bytes,
    tuple[bytes, ...],
]
_Written: TypeAlias = tuple[int, int, int]
_Rest: TypeAlias = tuple[int, int, int, int, int, int]

def lines(batches: Buffer, generation: int, /) -> list[_Line]: ...
def sampled(
    batches: Buffer, generation: int, share_of: Callable[[bytes], float], room: Buffer, free_from: int, free_to: int, /
) -> tuple[int, int, int, list[tuple[bytes, _Written | None, _Rest | None]]]: ...
