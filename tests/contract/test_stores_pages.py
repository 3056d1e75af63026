"""Lists come in pages that neither skip nor repeat, on SQLite and on PostgreSQL."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stores_world import ACME, ADA, BETA, CHURN, NOW, dataset, later, model, revision, run, verdict

from custody.adapters.sql.stores import SqlStores
from custody.core.errors import InvalidInput
from custody.core.page import Page, cursor_of
from custody.core.refs import DatasetRef, DeploymentKey, ModelRef
from custody.core.tenancy import TenantId
from custody.ledger.entry import Entry
from custody.lifecycle.stores import Tenant
from custody.registry.run import RunStatus

T = TypeVar("T")
on_one_database = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
fresh_tenants = (TenantId(f"tenant-{number}") for number in range(1_000_000))


def walk(page: Callable[[str | None], Page[T]], between: Callable[[], None] = lambda: None) -> Iterator[T]:
    """Yield all items, page by page, and do something between two pages."""
    found = page(None)
    while True:
        yield from found.items
        if found.next is None:
            return
        between()
        found = page(found.next)


@on_one_database
@given(
    seconds=st.lists(st.integers(0, 3), max_size=12), limit=st.integers(1, 5), names=st.lists(st.sampled_from("abc"), min_size=12)
)
def test_pages_of_models_put_together_are_all_models(stores: SqlStores, seconds: list[int], limit: int, names: list[str]) -> None:
    tenant = next(fresh_tenants)
    stored = [model(name, n, at=later(second)) for n, (second, name) in enumerate(zip(seconds, names, strict=False), 1)]
    with stores.change(tenant, ADA, NOW) as change:
        for item in stored:
            change.models.add(item)

    def add_newer() -> None:
        with stores.change(tenant, ADA, NOW) as change:
            head = change.models.latest("newer")
            change.models.add(model("newer", head.ref.version + 1 if head else 1, at=later(100)))

    models = stores.of(tenant).models
    seen = list(walk(lambda after: models.page(after=after, limit=limit), add_newer))
    expected = sorted(stored, key=lambda m: (m.created_at, m.ref), reverse=True)
    assert [item.ref for item in seen] == [item.ref for item in expected]
    of_a = [item.ref for item in walk(lambda after: models.page("a", after=after, limit=limit))]
    assert of_a == sorted((m.ref for m in stored if m.ref.name == "a"), reverse=True)


@on_one_database
@given(
    rows=st.lists(st.tuples(st.integers(0, 3), st.sampled_from("ab"), st.sampled_from(RunStatus)), max_size=12),
    limit=st.integers(1, 5),
    name=st.none() | st.sampled_from("ab"),
    status=st.none() | st.sampled_from(RunStatus),
)
def test_pages_of_runs_put_together_are_all_runs_that_the_filter_lets_through(
    stores: SqlStores, rows: list[tuple[int, str, RunStatus]], limit: int, name: str | None, status: RunStatus | None
) -> None:
    tenant = next(fresh_tenants)
    stored = [run(f"r{n:02}", name, status=status, at=later(second)) for n, (second, name, status) in enumerate(rows)]
    with stores.change(tenant, ADA, NOW) as change:
        for item in stored:
            change.runs.add(item)

    def add_newer() -> None:
        with stores.change(tenant, ADA, NOW) as change:
            head = change.runs.last()
            change.runs.add(run(f"s{head.id if head else ''}", name or "a", status=status or RunStatus.RUNNING, at=later(100)))

    runs = stores.of(tenant).runs
    seen = list(walk(lambda after: runs.page(name, status=status, after=after, limit=limit), add_newer))
    fitting = [item for item in stored if name in (None, item.name) and status in (None, item.status)]
    assert [item.id for item in seen] == [r.id for r in sorted(fitting, key=lambda r: (r.started_at, r.id), reverse=True)]


def test_every_list_is_walked_to_its_end_newest_first(stores: SqlStores) -> None:
    with stores.change(ACME, ADA, NOW) as change:
        for n in range(1, 8):
            change.datasets.add(dataset(version=n, at=later(n)))
            change.gates.add(verdict(f"v-{n}", n, at=later(n)))
            change.deployments.add(revision(n))
            change.tenants.add(Tenant(TenantId(f"tenant-{n}"), NOW))
            change.record("model.converted", f"churn@{n}", {})
    shelf, down = stores.of(ACME), [7, 6, 5, 4, 3, 2, 1]
    for name in (None, "tickets"):
        refs = [item.ref for item in walk(lambda after, name=name: shelf.datasets.page(name, after=after, limit=3))]  # type: ignore[misc] # bound at once
        assert refs == [DatasetRef("tickets", n) for n in down]
    for name in (None, "churn"):
        verdicts = walk(lambda after, name=name: shelf.gates.page(name, after=after, limit=3))  # type: ignore[misc] # bound at once
        assert [item.model for item in verdicts] == [ModelRef("churn", n) for n in down]
    assert [item.number for item in walk(lambda after: shelf.deployments.history(CHURN, after=after, limit=3))] == down
    assert [t.id for t in walk(lambda after: stores.tenants.page(after=after, limit=3))] == [
        f"tenant-{n}" for n in reversed(down)
    ]


def test_the_ledger_is_filtered_by_tenant_subject_and_kind(stores: SqlStores) -> None:
    for n in range(12):
        with stores.change((ACME, BETA)[n % 2], ADA, later(n)) as change:
            change.record(("gate.passed", "gate.refused")[n % 3 == 0], f"churn@{n % 4}", {"n": n})

    def seqs(tenant: TenantId | None, subject: str | None = None, kind: str | None = None) -> list[int]:
        def page(after: str | None) -> Page[Entry]:
            return stores.ledger.page(tenant, subject=subject, kind=kind, after=after, limit=2)

        return [entry.seq for entry in walk(page)]

    assert seqs(None) == list(range(12, 0, -1))
    assert seqs(ACME) == [11, 9, 7, 5, 3, 1]
    assert seqs(ACME, "churn@0") == [9, 5, 1]
    assert seqs(ACME, kind="gate.refused") == [7, 1]
    assert seqs(None, "churn@1", "gate.refused") == [10]


def test_a_list_says_on_its_last_page_that_there_is_no_more(stores: SqlStores) -> None:
    with stores.change(ACME, ADA, NOW) as change:
        for n in range(1, 5):
            change.models.add(model(version=n))
    page = stores.of(ACME).models.page(limit=4)
    assert (len(page.items), page.next) == (4, None)
    assert stores.of(BETA).models.page().items == ()


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "é",
        "bnVsbA",
        cursor_of("a"),
        cursor_of(1, 2),
        cursor_of("a", 1),
        cursor_of("a", "b", "c"),
        cursor_of("a", "b", 2**70),
    ],
)
def test_a_garbled_cursor_or_one_of_another_list_is_refused(stores: SqlStores, cursor: str) -> None:
    shelf = stores.of(ACME)
    with pytest.raises(InvalidInput, match="cursor"):
        shelf.models.page(after=cursor)
    with pytest.raises(InvalidInput, match="cursor"):
        shelf.deployments.history(CHURN, after=cursor)


def test_a_page_of_no_or_too_many_items_is_refused(stores: SqlStores) -> None:
    for limit in (0, -1, 1001):
        with pytest.raises(InvalidInput, match="A page of"):
            stores.of(ACME).runs.page(limit=limit)


def test_heads_come_in_the_order_of_their_keys_whatever_the_locale(stores: SqlStores) -> None:
    names = ["b", "B", "a-b", "a_b", "ab", "Zz"]
    with stores.change(ACME, ADA, NOW) as change:
        for name in names:
            change.deployments.add(revision(key=DeploymentKey(ACME, "prod", name)))
    assert [head.key.name for head in stores.of(ACME).deployments.heads()] == sorted(names)


def test_a_moment_shared_by_many_is_no_obstacle_to_paging(stores: SqlStores) -> None:
    same: datetime = NOW
    with stores.change(ACME, ADA, NOW) as change:
        for n in range(10):
            change.runs.add(replace(run(f"run-{n}"), started_at=same))
    runs = stores.of(ACME).runs
    assert [r.id for r in walk(lambda after: runs.page(after=after, limit=3))] == [f"run-{n}" for n in range(9, -1, -1)]
