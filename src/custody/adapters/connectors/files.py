"""Files of rows in and out: CSV, JSON Lines and Parquet, told apart by their ending."""

import gzip
import io
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa

from custody.adapters.connectors.delimited import read_csv
from custody.adapters.connectors.faults import empty
from custody.adapters.connectors.json_lines import read_jsonl
from custody.adapters.connectors.parquet import columns_of, from_parquet, read_parquet, to_parquet
from custody.core.errors import InvalidInput, NotFound

__all__ = ["FORMATS", "columns_of", "from_parquet", "read", "to_parquet"]

FORMATS = ("csv", "csv.gz", "jsonl", "jsonl.gz", "parquet")
_READ_ROWS = {"csv": read_csv, "jsonl": read_jsonl}
_BLOCK_BYTES = 1 << 18


def read(
    source: Path | BinaryIO,
    format: str | None = None,  # noqa: A002 - the field's word
    *,
    columns: Sequence[str] | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> pa.Table:
    """Read a file of rows into one table of the five types of `columns_of`.

    format: one of FORMATS; by default the ending of the path. columns: the names to expect; the table has them in this
    order. progress: called after each batch with the rows read so far and the share of the file, 0..1, and at the end
    with 1.0; the share stays 0.0 until then if the size is not known.
    Raises: InvalidInput that names up to 20 malformed rows by line and column, never by value; NotFound for no file.
    """
    name = f"The file '{source.name}'" if isinstance(source, Path) else "The file"
    kind = _format_of(source, format)
    with _opened(source) as stream:
        table = _read(stream, kind, name, columns, progress or (lambda _rows, _share: None))
    return table.select(list(columns)) if columns is not None else table


def _read(
    stream: "_Counted", kind: str, name: str, columns: Sequence[str] | None, progress: Callable[[int, float], None]
) -> pa.Table:
    if stream.size == 0:
        raise empty(name)
    if kind == "parquet":
        return read_parquet(stream.source, name, columns, progress)
    blocks: BinaryIO = io.BufferedReader(stream, _BLOCK_BYTES)
    plain, _, packed = kind.partition(".")
    rows = cast("BinaryIO", gzip.GzipFile(fileobj=blocks)) if packed else blocks
    try:
        table = _READ_ROWS[plain](rows, name, columns, lambda count: progress(count, stream.share))
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InvalidInput(
            f"{name} cannot be decompressed.",
            why="It is damaged, cut off, or not packed with gzip.",
            fix="Pack or copy it again, or give its true format.",
        ) from error
    progress(table.num_rows, 1.0)
    return table


def _format_of(source: Path | BinaryIO, given: str | None) -> str:
    ending = source.name.lower() if isinstance(source, Path) and given is None else f".{given}"
    for known in FORMATS:
        if ending.endswith(f".{known}"):
            return known
    raise InvalidInput(
        f"The format '{given}' is not known." if given else "The format of this file is not known.",
        why=f"custody reads {', '.join(FORMATS)}.",
        fix="Rename the file to end in one of these, or name the format.",
        facts={"formats": FORMATS},
    )


@contextmanager
def _opened(source: Path | BinaryIO) -> Iterator["_Counted"]:
    if not isinstance(source, Path):
        yield _Counted(source)
        return
    try:
        file = source.open("rb")
    except FileNotFoundError as error:
        raise NotFound(f"There is no file '{source}'.", fix="Check the path.", facts={"path": str(source)}) from error
    except OSError as error:
        raise InvalidInput(f"The file '{source}' cannot be opened.", why=f"{error.strerror}.") from error
    with file:
        yield _Counted(file)


class _Counted(io.RawIOBase):
    """A stream that knows how much of it was read, and leaves closing to its owner."""

    def __init__(self, source: BinaryIO) -> None:
        self.source, self._read_bytes = source, 0
        self.size = _size(source)

    @property
    def share(self) -> float:
        """Return how much was read, 0..1; 0 if the size is not known."""
        return min(self._read_bytes / self.size, 1.0) if self.size else 0.0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self.source.read(len(buffer))
        buffer[: len(block)] = block
        self._read_bytes += len(block)
        return len(block)


def _size(source: BinaryIO) -> int | None:
    if not source.seekable():
        return None
    here = source.tell()
    end = source.seek(0, io.SEEK_END)
    source.seek(here)
    return end - here
