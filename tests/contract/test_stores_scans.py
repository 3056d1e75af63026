"""Scans and privacy policies, on every database: the newest one counts, and what is stale is found."""

from contextlib import suppress
from dataclasses import replace

import pytest
from stores_world import ACME, ADA, BETA, NOW, dataset, digest, later

from custody.adapters.sql.stores import SqlStores
from custody.core.errors import Conflict
from custody.core.refs import DatasetRef
from custody.privacy.policy import HOUSE_POLICY, Captures, PrivacyPolicy, ScrubPolicy
from custody.privacy.scans.scan import Answer, Found, Place, Scan, Standing
from custody.privacy.scans.state import ScanState

FOUND = Found("note", "EMAIL", "user.contact.email", 3, Standing.FOUND, (Place(0, 4, 9),), whole=True)
ANSWER = Answer("note/EMAIL", "harmless", "a list of shops", "ada", NOW)
POLICY, PACK = digest("policy"), digest("pack")


def scan(version: int = 1, state: ScanState = ScanState.CLEARED) -> Scan:
    ref = DatasetRef("tickets", version)
    return Scan(ref, state, ("because",), (FOUND,), POLICY, PACK, digest("report"), NOW, (ANSWER,))


def test_a_scan_comes_back_as_it_was_stored_and_the_newest_replaces_it(stores: SqlStores) -> None:
    with stores.change(ACME, ADA, NOW) as change:
        change.scans.save(scan())
    assert stores.of(ACME).scans.get(DatasetRef("tickets", 1)) == scan()
    with stores.change(ACME, ADA, NOW) as change:
        change.scans.save(scan(state=ScanState.REJECTED))
    assert stores.of(ACME).scans.get(DatasetRef("tickets", 1)) == scan(state=ScanState.REJECTED)
    assert stores.of(ACME).scans.get(DatasetRef("tickets", 2)) is None
    assert stores.of(BETA).scans.get(DatasetRef("tickets", 1)) is None


def test_a_scan_of_a_change_that_failed_is_not_kept(stores: SqlStores) -> None:
    with suppress(ZeroDivisionError), stores.change(ACME, ADA, NOW) as change:
        change.scans.save(scan())
        1 / 0  # noqa: B018 - any exception
    assert stores.of(ACME).scans.get(DatasetRef("tickets", 1)) is None


def test_stale_is_what_was_never_scanned_or_under_another_policy_or_pack_oldest_first(stores: SqlStores) -> None:
    with stores.change(ACME, ADA, NOW) as change:
        for version in (3, 2, 1):
            change.datasets.add(dataset(version=version, at=later(10 * version)))
        change.scans.save(scan(1))
        change.scans.save(replace(scan(2), pack=digest("another")))
    with stores.change(BETA, ADA, NOW) as change:
        change.datasets.add(dataset())
        change.scans.save(scan(1))
    scans = stores.of(ACME).scans
    assert scans.stale(POLICY, PACK, limit=9) == [DatasetRef("tickets", 2), DatasetRef("tickets", 3)]
    assert scans.stale(digest("new policy"), PACK, limit=2) == [DatasetRef("tickets", 1), DatasetRef("tickets", 2)]


def test_a_list_of_datasets_tells_where_their_scans_stand(stores: SqlStores) -> None:
    with stores.change(ACME, ADA, NOW) as change:
        change.datasets.add(dataset())
        change.datasets.add(dataset(version=2))
        change.scans.save(scan(1))
    assert [one.scan for one in stores.of(ACME).datasets.page().items] == ["quarantined", "cleared"]
    assert [one.scan for one in stores.of(ACME).datasets.page("tickets").items] == ["quarantined", "cleared"]


def test_the_default_policy_holds_until_a_tenant_sets_one(stores: SqlStores) -> None:
    assert stores.of(ACME).scans.policy() is HOUSE_POLICY
    policy = PrivacyPolicy(ScrubPolicy(name="ours", keep=("URL", "DATE")), Captures.KEEP, 1, NOW)
    with stores.change(ACME, ADA, NOW) as change:
        change.scans.add_policy(policy)
        change.scans.add_policy(replace(policy, number=2, captures=Captures.SCRUB))
    assert stores.of(ACME).scans.policy() == replace(policy, number=2, captures=Captures.SCRUB)
    assert stores.of(BETA).scans.policy() is HOUSE_POLICY
    with pytest.raises(Conflict, match="exists already"), stores.change(ACME, ADA, NOW) as change:
        change.scans.add_policy(policy)
