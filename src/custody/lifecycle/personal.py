"""Rows that are stored under a key of each person, where their dataset asks for it."""

import pyarrow as pa

from custody.core.errors import InvalidInput
from custody.core.tenancy import TenantId
from custody.lifecycle.stores import Ports
from custody.lifecycle.subjects import people_in, tokens_for


def stored(ports: Ports, tenant: TenantId, table: pa.Table, column: str | None, *, own_keys: bool) -> bytes:
    """Return the bytes that stand for rows in the object store; own_keys: each person's sealed under their own key.

    column: names the person. Raises: InvalidInput without such a column, or where the project has no keys for people.
    """
    plain = ports.tables.to_parquet(table)
    if not own_keys:
        return plain
    if ports.people is None or column is None:
        raise InvalidInput(
            "Rows cannot be sealed under keys of their own.",
            why="No column says whose they are." if column is None else "This project keeps no keys for single people.",
            fix="Name the column: subject_key on the card, or --subject-key.",
        )
    known = {
        value: token for token, values in people_in(table.column(column), tokens_for(ports, tenant)).items() for value in values
    }
    people = [known.get(value, "") for value in table.column(column).to_pylist()]
    return ports.people.seal(tenant, ports.tables.from_parquet(plain), people)
