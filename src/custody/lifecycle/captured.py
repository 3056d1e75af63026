"""Captured predictions as rows: how a sealed batch is written, and how it is read back."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate, chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from custody.core.measures.spec import spread
from custody.core.prediction import CaptureBatch, PredictionId
from custody.core.refs import DeploymentKey, ModelRef
from custody.lifecycle.stores import Ports
from custody.serving.capture import Capture, CaptureMode
from custody.serving.sampling import Rest, points_of_rows

INPUT = "input."  # before the name of each model input
SHARE = "share"  # the chance with which a row was kept; no such column where all rows were
_LONGEST = timedelta(minutes=2)  # that a request took
_TIME = pa.timestamp("ms", tz="UTC")
_EMPTY = {
    **{name: pa.array([], pa.string()) for name in ("prediction", "key", "mode", "of", "model")},
    **{name: pa.array([], _TIME) for name in ("at", "event")},
    **{name: pa.array([], pa.int64()) for name in ("revision", "latency_us")},
    **{name: pa.array([], pa.float64()) for name in ("threshold", "score")},
    "decision": pa.array([], pa.bool_()),
}


def capture_table(captures: Sequence[Capture]) -> pa.Table:
    """Write captures as one row per prediction; inputs of different model versions share columns by name.

    An input whose rows hold several values has a column for each: `input.NAME.0`, `input.NAME.1`. One that two versions take
    in different types is text.
    """
    versions: dict[ModelRef, list[Capture]] = {}
    for capture in captures:
        versions.setdefault(capture.id.model, []).append(capture)
    return joined([_table_of(one) for one in versions.values()]) if versions else pa.table(_EMPTY)


def _table_of(captures: Sequence[Capture]) -> pa.Table:
    """Write captures of one version."""
    rows: dict[str, list[Any]] = {name: [] for name in ("prediction", "key", "at", "event", "mode", "of")}
    numbers: dict[str, list[Any]] = {name: [] for name in ("revision", "model", "threshold", "score", "decision", "latency_us")}
    given = [spread(capture.inputs) for capture in captures]
    names = list(dict.fromkeys(name for columns in given for name in columns))
    inputs: dict[str, list[Any]] = {INPUT + name: [] for name in names}
    shares: list[float] = []
    for capture, columns in zip(captures, given, strict=True):
        n = capture.rows
        places = capture.places or range(n)
        rows["prediction"] += [str(capture.id.of_row(row)) for row in places]
        rows["key"] += list(capture.keys) if capture.keys else [None] * n
        rows["at"] += [capture.at_ms] * n
        event = capture.at_ms if capture.event_ms is None else min(capture.event_ms, capture.at_ms)
        rows["event"] += [event] * n  # an event later than its prediction is a wrong clock
        rows["mode"] += [capture.mode.value] * n
        rows["of"] += [str(capture.of.of_row(row)) if capture.of else None for row in places]
        numbers["revision"] += [capture.id.revision] * n
        numbers["model"] += [str(capture.id.model)] * n
        numbers["threshold"] += [capture.threshold] * n
        numbers["score"] += list(capture.scores)
        numbers["decision"] += list(capture.decisions)
        numbers["latency_us"] += [capture.latency_us] * n
        shares += [capture.share] * n
        for name in names:
            inputs[INPUT + name] += list(columns.get(name) or [None] * n)
    sampled = {SHARE: shares} if any(share < 1 for share in shares) else {}
    table = pa.table({**rows, **numbers, **sampled, **{name: _array(values) for name, values in inputs.items()}})
    for name in ("at", "event"):
        table = table.set_column(table.column_names.index(name), name, table.column(name).cast(pa.int64()).cast(_TIME))
    return table


def _array(values: list[Any]) -> pa.Array:
    """Return an input's values as they are; as floats if whole numbers do not fit 64 bits with a sign, and as text if types mix."""
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError):
        pass
    if {type(value) for value in values} <= {int, float, type(None)}:
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    return pa.array([None if value is None else str(value) for value in values], pa.string())


def batch_of(
    table: pa.Table,
    id: str,  # noqa: A002 - the field's word
    key: DeploymentKey,
    digest: Any,
    now: datetime,
    *,
    rest: Sequence[Rest] = (),
) -> CaptureBatch:
    """Describe a batch by the times in its rows, and of those that were not kept.

    It begins when the first of its requests came, which is the time in a prediction's id.
    """
    at, event = [time for one in rest for time in one.at], [time for one in rest for time in one.event]
    for name, times in (("at", at), ("event", event)):
        times += [time for time in pc.min_max(table.column(name).cast(pa.int64())).as_py().values() if time is not None]
    spans = [datetime.fromtimestamp(time / 1000, UTC) for times in (at, event) for time in (min(times), max(times))]
    first_at, last_at, first_event, last_event = spans
    if table.num_rows:
        first = min(table.column("prediction").to_pylist(), key=lambda text: text.rpartition(":")[2])
        first_at = min(first_at, PredictionId.parse(first).at)
    total = answered(table).num_rows + sum(one.rows for one in rest if one.mode is not CaptureMode.SHADOW)
    return CaptureBatch(id, key, digest, table.num_rows, first_at, last_at, first_event, last_event, now, total)


def rows_between(
    ports: Ports,
    key: DeploymentKey,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    since: datetime | None = None,
    newest: int | None = None,
    columns: Sequence[str] | None = None,
) -> pa.Table | None:
    """Read the captured rows of a deployment whose events lie in [start, end), sealed since a time; None if there are none.

    newest: rows that are enough; batches that were sealed before the last so many are not read. What was sealed together is read
    together: a large answer and what its shadow made of it are two batches. columns: None for all; those that are not there are left out.
    """
    found = ports.stores.of(key.tenant).captures.of(key, start=start, end=end)
    batches = [batch for batch in found if batch.rows and (since is None or batch.last_at >= since)]
    if not batches:
        return None
    if newest is not None:
        later = accumulate((batch.rows for batch in reversed(batches)), initial=0)
        oldest = min(batch.sealed_at for batch, rows in zip(reversed(batches), later, strict=False) if rows < newest)
        batches = [batch for batch in batches if batch.sealed_at >= oldest]
    objects = ports.stores.objects.of(key.tenant)
    tables = (ports.tables.from_parquet(objects.get(batch.object)) for batch in batches)
    if columns is not None:
        tables = (one.select([name for name in one.column_names if name in columns]) for one in tables)
    table = joined([*tables])
    if since is not None:
        table = table.filter(pc.greater_equal(table.column("at"), pa.scalar(since.astimezone(UTC), _TIME)))
    if start is not None:
        table = table.filter(pc.greater_equal(table.column("event"), pa.scalar(start.astimezone(UTC), _TIME)))
    if end is not None:
        table = table.filter(pc.less(table.column("event"), pa.scalar(end.astimezone(UTC), _TIME)))
    return table


def joined(tables: Sequence[pa.Table]) -> pa.Table:
    """Join captured rows; an input that two versions take in different types is joined as text."""
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException:
        types: dict[str, set[pa.DataType]] = {}
        for table in tables:
            for field in table.schema:
                types.setdefault(field.name, set()).add(field.type)
        mixed = {name for name, found in types.items() if name.startswith(INPUT) and len(found) > 1}
        texts = [
            pa.schema([pa.field(f.name, pa.string() if f.name in mixed else f.type) for f in table.schema]) for table in tables
        ]
        return pa.concat_tables([t.cast(s) for t, s in zip(tables, texts, strict=True)], promote_options="permissive")


def row_of(ports: Ports, id: PredictionId) -> dict[str, Any] | None:  # noqa: A002 - the field's word
    """Return the captured row of one prediction; None if its batch has not been sealed."""
    captures = ports.stores.of(id.deployment.tenant).captures
    exact = captures.around(id.deployment, id.at)
    later = (one for one in captures.around(id.deployment, id.at, before=_LONGEST) if one not in exact)
    for batch in chain(exact, later):  # those that were sealed earlier begin with their first answer
        if not batch.rows:
            continue
        table = ports.tables.from_parquet(ports.stores.objects.of(id.deployment.tenant).get(batch.object))
        found = table.filter(pc.equal(table.column("prediction"), str(id)))
        if found.num_rows:
            row: dict[str, Any] = found.slice(0, 1).to_pylist()[0]
            return row
    return None


def answered(table: pa.Table) -> pa.Table:
    """Keep the rows that somebody was answered with: live and canary, not shadow."""
    return table.filter(pc.not_equal(table.column("mode"), CaptureMode.SHADOW.value))


def even(table: pa.Table) -> pa.Table:
    """Return rows that were kept with one chance: the smallest among them. Who is in at a small chance is in at a larger one.

    What is left is a uniform sample, so that no statistic needs weights; a shadow's row stays or goes with the answer that it mirrors,
    also where their chances differ. Rows that were all kept with one chance stay as they are.
    """
    if SHARE not in table.column_names:
        return table
    shares = np.array(pc.fill_null(table.column(SHARE), 1.0).to_pylist())
    if not shares.size or (least := shares.min()) == shares.max():
        return table
    mirrored = zip(table.column("prediction").to_pylist(), table.column("of").to_pylist(), strict=True)
    ids = [of or own for own, of in mirrored]
    points = points_of_rows(ids)
    stay = points < least
    for row in np.flatnonzero(points >= shares).tolist():  # another number decided then, so this one may not: see `_drawn`
        stay[row] = _drawn(ids[row]) < least / shares[row]
    return table.filter(pa.array(stay))


def _drawn(prediction: str) -> float:
    """Return a stable number in [0, 1) for a row that was kept before `point_of_row` decided: BLAKE2b over `even`, NUL, id.

    Of rows that were kept with chance s by a number that says nothing of their point p, those with p < s stay if p < l, a part l of all,
    and the others, a part 1 - s, with chance l / s: together l + (1 - s) l / s = l / s, as it should be.
    """
    return int.from_bytes(hashlib.blake2b(f"even\0{prediction}".encode(), digest_size=8).digest()) / 2**64


def labelled_values(table: pa.Table, labels: dict[str, str]) -> list[str]:
    """Return the labels that rows have, by prediction id or by the caller's key; rows without one are left out."""
    return [value for value in _values(table, labels) if value is not None]


def _values(table: pa.Table, labels: dict[str, str]) -> list[str | None]:
    ids, keys = table.column("prediction").to_pylist(), table.column("key").to_pylist()
    return [
        labels.get(one) if one in labels else labels.get(two) if two is not None else None
        for one, two in zip(ids, keys, strict=True)
    ]


def with_labels(table: pa.Table, labels: dict[str, str], positive: str) -> tuple[pa.Table, np.ndarray]:
    """Return the rows that have a label, by prediction id or by the caller's key, and whether it is the positive class."""
    values = _values(table, labels)
    known = np.array([value is not None for value in values], dtype=bool)
    actual = np.array([value == positive for value in values if value is not None], dtype=bool)
    return table.filter(pa.array(known)), actual
