"""Files: the one module below the adapters that opens any, so that a notebook needs nothing else (decision 10)."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from custody.core.errors import InvalidInput, NotFound
from custody.core.measures.spec import Values
from custody.monitoring.standalone.rows import PIECE, SAMPLE, readable, spread

PathLike = str | os.PathLike[str]
BUFFER = 262_144  # bytes read from the file at once
_FAULTS = (pa.ArrowException, OSError, ValueError, OverflowError)


@dataclass(frozen=True, slots=True, eq=False)
class ParquetRows:
    """A Parquet file, of which one column at a time is read, in pieces; the memory does not depend on its rows."""

    path: Path
    metadata: Any
    names: tuple[str, ...]
    ignored: tuple[str, ...]

    def column(self, name: str) -> Iterable[Values]:
        """Return a column; text comes as dictionaries, whose values are decoded once per row group."""
        return _Column(self, name, None)

    def sample(self, name: str) -> Iterable[Values]:
        """Return the first rows of row groups that are evenly spread over the file."""
        return _Column(self, name, spread(self.metadata.num_row_groups))


@dataclass(frozen=True, slots=True, eq=False)
class _Column:
    rows: ParquetRows
    name: str
    groups: list[int] | None

    def __iter__(self) -> Iterator[Values]:
        read = 0
        try:
            for piece in self._pieces():
                yield piece
                read += len(piece)
        except _FAULTS:
            raise _unreadable(self.rows.path) from None  # not `from error`: its text may quote values
        if self.groups is None and read != self.rows.metadata.num_rows:
            raise _unreadable(self.rows.path)

    def _pieces(self) -> Iterator[Any]:
        metadata = self.rows.metadata
        options = {"read_dictionary": [self.name], "page_checksum_verification": True, "pre_buffer": False, "buffer_size": BUFFER}
        with pq.ParquetFile(self.rows.path, metadata=metadata, **options) as file:
            groups = range(metadata.num_row_groups) if self.groups is None else self.groups
            for group in groups:
                most = metadata.num_rows if self.groups is None else SAMPLE // len(groups)
                for batch in file.iter_batches(PIECE, row_groups=[group], columns=[self.name], use_threads=False):
                    yield batch.column(self.name)
                    most -= batch.num_rows
                    if most <= 0:
                        break


def open_parquet(path: PathLike) -> ParquetRows:
    """Open a Parquet file to be summarised; a missing file is NotFound, anything else that is not Parquet InvalidInput."""
    where = Path(path)
    try:
        metadata = pq.read_metadata(where)
        return ParquetRows(where, metadata, *readable(metadata.schema.to_arrow_schema()))
    except FileNotFoundError:
        raise NotFound.of("file", str(where)) from None
    except _FAULTS:
        raise _unreadable(where) from None


def _unreadable(path: Path) -> InvalidInput:
    return InvalidInput(f"{path.name} is not a readable Parquet file.", why="It is damaged, cut off, or something else.")


def load_text(path: PathLike) -> str:
    """Read a text file, unpacked if its name ends in .gz or .zst; a missing one is NotFound, an unreadable one InvalidInput."""
    try:
        with pa.input_stream(str(path)) as file:
            return str(file.read().decode())
    except FileNotFoundError:
        raise NotFound.of("file", str(path)) from None
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{Path(path).name} is not a readable text file.", why="It is damaged or something else.") from error


def store_text(path: PathLike, text: str) -> None:
    """Write a text file, packed if its name ends in .gz or .zst; a reader sees the old text or the new, never half of one."""
    where = Path(path)
    draft = where.with_name(f".new-{where.name}")
    with pa.output_stream(str(draft)) as file:
        file.write(text.encode())
    draft.replace(where)
