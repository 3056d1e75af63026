from typing import Any

from numpy.typing import NDArray

def counted(
    pieces: tuple[NDArray[Any], ...], center: float, scale: float, /
) -> tuple[bytes, bytes, tuple[int, int, int, int], bytes]: ...
