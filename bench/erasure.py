"""Time how fast every model that learned from a person is found, and check that none is missed.

One person in every thousandth of many dataset versions; each version trained one model, some versions derive from others.
The answer is compared with a brute-force walk over the same made-up history.
Run: python bench/erasure.py, or QUICK=1 python bench/erasure.py for a tenth. Exit 1 when it is slow or wrong.
"""

import os
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
from sqlalchemy import Table, insert

from custody.adapters.blobs.folder import FolderObjects
from custody.adapters.sql.stores import SqlStores
from custody.adapters.sql.tables import reach, subject_rows
from custody.core.refs import ModelRef
from custody.core.tenancy import HOUSE

QUICK = os.environ.get("QUICK") == "1"
VERSIONS, PEOPLE, ROWS = (1_000, 20_000, 200_000) if QUICK else (10_000, 200_000, 2_000_000)
TARGET_S = 1.0
ASKED = 50
_SOME = 50_000
Edge = tuple[int, int]


def fill(stores: SqlStores, table: Table, rows: list[dict[str, object]]) -> None:
    with stores._engines.write.begin() as connection:  # noqa: SLF001 - faster than one by one, and not what is timed
        for start in range(0, len(rows), _SOME):
            connection.execute(insert(table), rows[start : start + _SOME])


def history(rng: np.random.Generator) -> tuple[np.ndarray, list[Edge]]:
    """Return who is in which version (pairs, shape (n, 2)), and which version was derived from which."""
    skewed = (PEOPLE * rng.random(ROWS) ** 4).astype(np.int64)  # a few people are nearly everywhere
    pairs = np.unique(np.column_stack([skewed, rng.integers(0, VERSIONS, ROWS)]), axis=0)
    children = rng.choice(VERSIONS - 1, VERSIONS // 3, replace=False) + 1
    return pairs, [(int(rng.integers(0, child)), int(child)) for child in children]


def brute_force(pairs: np.ndarray, derived: list[Edge], person: int) -> set[int]:
    """Return the versions that hold a person, and all derived from them, by looking at everything."""
    found = set(pairs[pairs[:, 0] == person, 1].tolist())
    for source, child in sorted(derived, key=lambda edge: edge[1]):
        if source in found:
            found.add(child)
    return found


def load(stores: SqlStores, pairs: np.ndarray, derived: list[Edge]) -> None:
    own: dict[str, object] = {"tenant": HOUSE}
    rows = [{**own, "token": f"1.subject.{p:032x}", "dataset": "d", "version": v + 1, "part": 0} for p, v in pairs.tolist()]
    fill(stores, subject_rows, rows)
    learned = [{**own, "dataset": "d", "version": v + 1, "kind": "model", "name": "m", "number": v + 1} for v in range(VERSIONS)]
    runs = [{**own, "dataset": "d", "version": v + 1, "kind": "run", "name": f"run-{v:06}", "number": 0} for v in range(VERSIONS)]
    made = [{**own, "dataset": "d", "version": a + 1, "kind": "dataset", "name": "d", "number": b + 1} for a, b in derived]
    fill(stores, reach, [*learned, *runs, *made])


def main() -> int:
    rng = np.random.default_rng(7)
    pairs, derived = history(rng)
    with tempfile.TemporaryDirectory() as folder:
        stores = SqlStores(f"sqlite:///{folder}/custody.db", FolderObjects(Path(folder, "objects")))
        stores.upgrade()
        load(stores, pairs, derived)
        subjects = stores.of(HOUSE).subjects
        people = np.concatenate([np.arange(5), rng.integers(0, PEOPLE, ASKED - 5)])  # the first are in the most versions
        times, missed, most = [], 0, 0
        for person in people.tolist():
            wanted = brute_force(pairs, derived, person)
            start = perf_counter()
            found: set[ModelRef] = set(subjects.reached(subjects.datasets(f"1.subject.{person:032x}")).models)
            times.append(perf_counter() - start)
            missed += found != {ModelRef("m", version + 1) for version in wanted}
            most = max(most, len(found))
        size = Path(folder, "custody.db").stat().st_size
        stores.close()
    worst, median = max(times), float(np.median(times))
    print(
        f"{VERSIONS:,} model versions, {len(pairs):,} rows in the index of {PEOPLE:,} people, {size / 2**20:,.0f} MiB of SQLite"
    )
    print(f"{ASKED} people asked for, up to {most:,} models each: median {1000 * median:.1f} ms, slowest {1000 * worst:.1f} ms")
    print(f"answers that differ from brute force: {missed}")
    bad = worst >= TARGET_S or missed
    print("TOO SLOW OR WRONG" if bad else f"ok: below {TARGET_S:g} s, nobody missed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
