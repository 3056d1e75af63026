"""Time the lists of a large SQLite project: the 95th percentile of 200 calls each, beside the target.

Run: python bench/lists.py, or QUICK=1 python bench/lists.py for a tenth of the rows. Exit 1 when a list is too slow.
"""

import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

from sqlalchemy import Table, insert

from custody.adapters.blobs.folder import FolderObjects
from custody.adapters.sql.body import body_of, text_of
from custody.adapters.sql.stores import SqlStores
from custody.adapters.sql.tables import models, runs
from custody.core.digest import digest_of
from custody.core.page import Page
from custody.core.refs import ModelRef
from custody.core.schema import Signature, Tensor
from custody.core.tenancy import HOUSE
from custody.registry.model import ModelVersion
from custody.registry.run import Run, RunStatus

TARGET_MS = 100
CALLS = 200
QUICK = os.environ.get("QUICK") == "1"
MODELS, RUNS = (1_000, 10_000) if QUICK else (10_000, 100_000)
START = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = [f"model-{number}" for number in range(50)]
Ask = Callable[[str | None], Page[Any]]


def model_rows() -> list[dict[str, object]]:
    signature = Signature(tuple(Tensor(f"f{i}", "FP32", (-1, 1)) for i in range(20)), (), "scores", ("No", "Yes"))
    digest = digest_of(b"model")
    first = ModelVersion(ModelRef("m", 1), digest, 10_000, signature, "scikit-learn", digest, (), (), "run-1", (), START)
    rows = []
    for number in range(MODELS):
        ref = ModelRef(NAMES[number % len(NAMES)], number // len(NAMES) + 1)
        at = START + timedelta(seconds=number)
        own = {"tenant": HOUSE, "name": ref.name, "version": ref.version, "artifact": digest, "run_id": f"run-{number:06}"}
        rows.append({**own, "created_at": text_of(at), **body_of(replace(first, ref=ref, created_at=at))})
    return rows


def run_rows() -> list[dict[str, object]]:
    extra = {f"param_{i}": "0.123456" for i in range(20)}
    first = Run("run", "name", RunStatus.FINISHED, START, START, "3f2a", params=extra, metrics=dict.fromkeys(extra, 0.5))
    rows = []
    for number in range(RUNS):
        at, status = START + timedelta(seconds=number), RunStatus.FAILED if number % 1000 == 0 else RunStatus.FINISHED
        run = replace(first, id=f"run-{number:06}", name=NAMES[number % len(NAMES)], status=status, started_at=at, ended_at=at)
        own = {"tenant": HOUSE, "id": run.id, "name": run.name, "status": status.value}
        rows.append({**own, "started_at": text_of(at), "ended_at": text_of(at), **body_of(run)})
    return rows


def fill(stores: SqlStores, table: Table, rows: list[dict[str, object]]) -> None:
    with stores._engines.write.begin() as connection:  # noqa: SLF001 - faster than one by one, and not what is timed
        connection.execute(insert(table), rows)


def deep(ask: Ask, share: float, total: int) -> str | None:
    """Return the cursor behind this share of a list."""
    cursor, seen = None, 0
    while seen < share * total:
        page = ask(cursor)
        cursor, seen = page.next, seen + len(page.items)
    return cursor


def time_ms(ask: Ask, cursor: str | None) -> list[float]:
    times = []
    for _ in range(CALLS):
        start = perf_counter()
        found = ask(cursor)
        times.append(1000 * (perf_counter() - start))
        assert found.items
    return sorted(times)


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        stores = SqlStores(f"sqlite:///{folder}/custody.db", FolderObjects(Path(folder, "objects")))
        stores.upgrade()
        fill(stores, models, model_rows())
        fill(stores, runs, run_rows())
        shelf = stores.of(HOUSE)
        lists: list[tuple[str, int, Ask]] = [
            ("models", MODELS, lambda after: shelf.models.page(after=after)),
            ("models of one name", MODELS // 50, lambda after: shelf.models.page(NAMES[7], after=after)),
            ("runs", RUNS, lambda after: shelf.runs.page(after=after)),
            ("runs of one name", RUNS // 50, lambda after: shelf.runs.page(NAMES[7], after=after)),
            ("failed runs (1 in 1,000)", RUNS // 1000, lambda after: shelf.runs.page(status=RunStatus.FAILED, after=after)),
            (
                "finished runs of one name",
                RUNS // 50,
                lambda after: shelf.runs.page(NAMES[7], status=RunStatus.FINISHED, after=after),
            ),
        ]
        print(
            f"{MODELS:,} model versions and {RUNS:,} runs on SQLite; pages of 50, {CALLS} calls each, target p95 < {TARGET_MS} ms"
        )
        slow = 0
        for name, total, ask in lists:
            for place, cursor in (("first page", None), ("page at 90%", deep(ask, 0.9, total) if total > 100 else None)):
                if place == "first page" or cursor:
                    times = time_ms(ask, cursor)
                    p95 = times[int(0.95 * CALLS)]
                    slow += p95 >= TARGET_MS
                    said = "ok" if p95 < TARGET_MS else "TOO SLOW"
                    print(f"{name:26} {place:12} p95 {p95:7.2f} ms  (from {times[0]:.2f} to {times[-1]:.2f})  {said}")
        stores.close()
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
