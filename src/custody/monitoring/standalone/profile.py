"""A stored reference: what rows look like, column by column, in a few kilobytes; the rows are never read again."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Self

from custody.core.errors import InvalidInput
from custody.core.measures.summary import Summary, merge
from custody.monitoring.standalone import files
from custody.monitoring.standalone.rows import Rows, chosen, rows_of
from custody.monitoring.standalone.scan import scan, scan_reference


@dataclass(frozen=True, slots=True)
class Profile:
    """The summary of some rows; name: of their file; `ignored` names columns that cannot be summarised (nested, binary, a frame's own index)."""

    summary: Summary
    name: str = ""
    ignored: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """Return the number of rows."""
        return self.summary.rows

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the summarised columns."""
        return tuple(spec.column for spec in self.summary.specs)

    def merge(self, other: Self) -> Self:
        """Add the rows of another profile, exactly; one that was made like another reference is InvalidInput."""
        return type(self)(merge(self.summary, other.summary), self.name, self.ignored)

    def save(self, path: str | PathLike[str]) -> None:
        """Write it as JSON, packed if the name ends in .gz or .zst; `summarise` and `compare` take the path."""
        files.store_text(path, json.dumps(self.summary.to_json(), separators=(",", ":")))

    def __str__(self) -> str:
        return f"{self.rows:,} rows of {len(self.columns)} columns: {', '.join(self.columns)}"


def summarise(data: Any, *, like: Any = None, columns: Sequence[str] | None = None) -> Profile:
    """Summarise rows: a data frame, arrays by column name, the path of a Parquet file, or of a profile that was saved.

    like: a profile or its path; the rows are then counted by its grid and levels, so that the two can be compared and merged.
    columns: which ones, all by default; not with `like`.
    Raises: InvalidInput if the data is nothing of that kind, or lacks a column; NotFound if there is no such file.
    """
    if isinstance(data, Profile):
        return data
    if is_profile_path(data):
        return _stored(fspath(data))
    rows, name = opened(data)
    if like is None:
        return Profile(scan_reference(rows, chosen(rows, columns)), name, rows.ignored)
    specs = summarise(like).summary.specs
    known = {spec.source for spec in specs}
    return Profile(scan(rows, specs), name, (*rows.ignored, *(column for column in rows.names if column not in known)))


def opened(data: Any) -> tuple[Rows, str]:
    """Open rows in memory or in a Parquet file, with the file's name."""
    if isinstance(data, (str, PathLike)):
        return files.open_parquet(data), Path(data).name
    return rows_of(data), ""


def is_profile_path(data: Any) -> bool:
    """Tell whether this is the path of a saved profile, by its ending: .json, .json.gz or .json.zst."""
    return isinstance(data, (str, PathLike)) and fspath(data).endswith((".json", ".json.gz", ".json.zst"))


def _stored(path: str) -> Profile:
    try:
        body = json.loads(files.load_text(path))
    except ValueError as error:
        raise InvalidInput(f"{Path(path).name} is not a saved profile.", why="It is no JSON.") from error
    return Profile(Summary.from_json(body), Path(path).name.split(".json")[0])
