"""After an erasure no object, row, log page or older version holds the person's texts: on folder and bucket, SQLite and PostgreSQL."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from erasure_world import ACME, Place, bucket_for, fill, project
from sqlalchemy import text
from stores_world import ADA, CHURN, NOW

from custody.core.digest import digest_of
from custody.core.refs import DatasetRef
from custody.lifecycle.forget import forget
from custody.lifecycle.residue import search
from custody.lifecycle.stores import Caller
from custody.privacy.erasure.ports import ErasureState
from custody.privacy.erasure.spelling import stands_in


@pytest.fixture(params=["sqlite folder", "sqlite folder sealed", "postgresql s3", "postgresql s3 sealed"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    kind: str = request.param
    if "s3" not in kind:
        with project(tmp_path, f"sqlite:///{tmp_path}/custody.db", str(tmp_path / "objects"), sealing="sealed" in kind) as made:
            yield made
        return
    database: str = request.getfixturevalue("fresh_postgres")()
    with (
        bucket_for(request.getfixturevalue("s3_url")) as (url, client, name),
        project(tmp_path, database, url, sealing="sealed" in kind) as made,
    ):
        made.bucket, made.name = client, name
        yield made


def test_nothing_of_the_person_is_left_in_any_place(place: Place) -> None:
    fill(place)
    assert len(search(place.ports, ACME, [place.who, place.canary])) > 6
    done, _ = forget(place.ports, Caller(ACME, ADA, NOW), place.who, canaries=[place.canary])
    assert (done.state, done.left) == (ErasureState.DONE, ())
    for body in place.raw():
        assert not stands_in(body, place.who)
        assert not stands_in(body, place.canary)
    shelf = place.ports.stores.of(ACME)
    assert [shelf.datasets.get(DatasetRef("tickets", n)).rows for n in (3, 4)] == [98, 107]
    assert done.found.models == ("churn@1",)
    assert done.found.fixtures == 1
    assert [one.rows for one in shelf.captures.of(CHURN)] == [1, 0]
    assert list(shelf.labels.names(CHURN)) == ["person1@example.org"]
    assert place.ports.stores.holds("person1@example.org") > 0  # the search does find what is there


def test_every_version_of_a_discarded_object_and_every_unfinished_upload_is_gone(place: Place) -> None:
    objects = place.ports.stores.objects.of(ACME)
    digest = objects.put(place.canary.encode())
    objects.publish("captures/acme/x", place.canary.encode())
    objects.remove("captures/acme/x")
    objects.discard(digest)
    objects.discard(digest_of(b"never there"))
    objects.purge("captures/acme")
    assert all(place.canary.encode() not in body for body in place.raw())
    assert not objects.has(digest)


def test_who_was_in_old_versions_is_indexed_when_somebody_asks(place: Place) -> None:
    fill(place)
    with place.ports.stores.change(ACME, ADA, NOW) as change:
        change._access.write(text("delete from subject_rows"))  # type: ignore[attr-defined]
    shown, _ = forget(place.ports, Caller(ACME, ADA, NOW + timedelta(days=1)), place.who, dry_run=True)
    assert shown.found.datasets == ("tickets@1", "tickets@2")
