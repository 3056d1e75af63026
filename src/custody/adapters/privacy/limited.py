"""A scan in a process of its own that is ended when its time is up: `re` itself cannot be interrupted."""

import io
import subprocess
import sys
from dataclasses import dataclass
from typing import BinaryIO

import msgspec
import pyarrow as pa

from custody.core.errors import Unavailable
from custody.core.tenancy import TenantId
from custody.privacy.columns.table import ScrubbedTable, scrub_table
from custody.privacy.policy import ScrubPolicy
from custody.privacy.pseudonym import PseudonymKey


@dataclass(frozen=True, slots=True)
class _Order:
    policy: ScrubPolicy
    columns: tuple[str, ...]
    tenant: str | None = None
    key_id: str = ""
    secret: bytes = b""


def scrub_within(
    table: pa.Table,
    policy: ScrubPolicy,
    *,
    seconds: float,
    columns: tuple[str, ...] | None = None,
    key: PseudonymKey | None = None,
) -> ScrubbedTable:
    """Scrub a table with the patterns in a child process; see `scrub_table`.

    seconds: of wall time, including about one for the child's start. The table and the key go through a pipe, never through
    arguments or files.
    Raises: Unavailable if the time is up or the child failed; the partition then stays in quarantine.
    """
    order = _Order(policy, columns or tuple(table.column_names), *((key.tenant, key.id, key.secret) if key else ()))
    head = msgspec.msgpack.encode(order)
    body = len(head).to_bytes(4, "big") + head + _written(table)
    command = [sys.executable, "-m", "custody.adapters.privacy.limited"]
    try:
        done = subprocess.run(command, input=body, capture_output=True, timeout=seconds, check=False)  # noqa: S603 - our own module
    except subprocess.TimeoutExpired as error:
        raise Unavailable(
            f"The scan did not end within {seconds:g} seconds.",
            why="A text may be very long.",
            fix="Give it more time, or split it.",
        ) from error
    if done.returncode:
        raise Unavailable(
            "The scan failed.",
            why="Its process ended early.",
            fix="Scan it in this process to see why.",
            facts={"exit": done.returncode},
        )
    size = int.from_bytes(done.stdout[:4], "big")
    values = msgspec.msgpack.decode(done.stdout[4 : 4 + size])
    return msgspec.convert({**values, "table": _read(done.stdout[4 + size :])}, ScrubbedTable, dec_hook=lambda _, value: value)


def main(source: BinaryIO, sink: BinaryIO) -> None:
    """Read an order and a table, scrub, and write the result."""
    body = source.read()
    size = int.from_bytes(body[:4], "big")
    order = msgspec.msgpack.decode(body[4 : 4 + size], type=_Order)
    key = PseudonymKey(TenantId(order.tenant), order.key_id, order.secret) if order.tenant is not None else None
    done = scrub_table(_read(body[4 + size :]), order.policy, columns=order.columns, key=key)
    values = {name: getattr(done, name) for name in ScrubbedTable.__slots__ if name != "table"}
    head = msgspec.msgpack.encode(values)
    sink.write(len(head).to_bytes(4, "big") + head + _written(done.table))


def _written(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _read(body: bytes) -> pa.Table:
    return pa.ipc.open_stream(body).read_all()


if __name__ == "__main__":
    main(sys.stdin.buffer, sys.stdout.buffer)
