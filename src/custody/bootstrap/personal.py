"""Reads and writes rows, those that are sealed under keys of single people too."""

import pyarrow as pa

from custody.adapters.blobs.keys.people import PersonKeys
from custody.adapters.connectors import files
from custody.core.keys import PERSONAL


class PersonalTables:
    """The files that custody reads and writes, and sealed rows."""

    read = staticmethod(files.read)
    to_parquet = staticmethod(files.to_parquet)
    columns_of = staticmethod(files.columns_of)

    def __init__(self, people: PersonKeys) -> None:
        self._people = people

    def from_parquet(self, body: bytes) -> pa.Table:
        """Read rows back; of sealed ones, without those of people whose key was destroyed."""
        return self._people.open(body) if body.startswith(PERSONAL) else files.from_parquet(body)
