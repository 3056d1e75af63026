"""After an erasure no object, row, log page or older version holds the person's texts: on folder and bucket, SQLite and PostgreSQL."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from erasure_world import ACME, KEYS, Place, bucket_for, fill, project
from sqlalchemy import text
from stores_world import ADA, CHURN, NOW

from custody.adapters.blobs.history import purge
from custody.core.digest import digest_of
from custody.core.refs import DatasetRef
from custody.lifecycle.forget import forget
from custody.lifecycle.listing import unknown
from custody.lifecycle.replay import replay
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
    objects, text = place.ports.stores.objects.of(ACME), place.canary.encode()
    digest = objects.put(text)
    if place.bucket is not None:
        place.begin_upload(f"documents/captures/{ACME}/y", text)
        place.begin_upload("theirs/y", b"of others who keep things in the bucket")
    objects.publish("captures/acme/x", text)
    objects.remove("captures/acme/x")
    objects.discard(digest)
    objects.discard(digest_of(b"never there"))
    objects.purge("captures/acme")
    assert all(text not in body for body in place.raw())
    assert not objects.has(digest)
    if place.bucket is not None:
        assert list(place.unfinished()) == ["theirs/y"]


@pytest.mark.parametrize("place", ["postgresql s3", "postgresql s3 sealed"], indirect=True)
def test_an_upload_that_was_cut_off_before_is_gone_after_an_erasure(place: Place) -> None:
    fill(place)
    text, digest = place.canary.encode(), digest_of(place.canary.encode())
    for key in (f"documents/captures/{ACME}/cut", f"documents/sealed/{ACME}/cut", f"objects/{digest[:2]}/{digest[2:]}"):
        place.begin_upload(key, text)
    assert sum(text in body for body in place.raw()) >= 3
    done, _ = forget(place.ports, Caller(ACME, ADA, NOW), place.who, canaries=[place.canary])
    assert done.state is ErasureState.DONE
    assert place.unfinished() == {}
    assert not any(stands_in(body, place.canary) for body in place.raw())


@pytest.mark.parametrize("place", ["postgresql s3"], indirect=True)
def test_an_upload_that_may_still_be_at_work_is_spared(place: Place) -> None:
    place.begin_upload("documents/captures/acme/young", b"half")
    (begun,) = [one["Initiated"] for one in place.bucket.list_multipart_uploads(Bucket=place.name)["Uploads"]]
    endpoint = place.url.split("endpoint=")[1].split("&", maxsplit=1)[0]
    access, at = {**KEYS, "endpoint": endpoint, "region": "us-east-1"}, "documents/captures"
    assert purge(place.name, at, access, uploads=[at], before=begun) == 0
    assert place.unfinished() == {"documents/captures/acme/young": [b"half"]}
    assert purge(place.name, at, access, uploads=[at], before=begun + timedelta(seconds=1)) == 1
    assert place.unfinished() == {}


def test_who_was_in_old_versions_is_indexed_when_somebody_asks(place: Place) -> None:
    fill(place)
    with place.ports.stores.change(ACME, ADA, NOW) as change:
        change._access.write(text("delete from subject_rows"))  # type: ignore[attr-defined]
    shown, _ = forget(place.ports, Caller(ACME, ADA, NOW + timedelta(days=1)), place.who, dry_run=True)
    assert shown.found.datasets == ("tickets@1", "tickets@2")


def test_an_erasure_that_a_restored_database_does_not_know_is_carried_out_again(place: Place) -> None:
    fill(place)
    done, _ = forget(place.ports, Caller(ACME, ADA, NOW), place.who)
    assert unknown(place.ports) == ([], [])
    with place.ports.stores.change(ACME, ADA, NOW) as change:  # as in a backup from before
        change._access.write(text("delete from erasures"))  # type: ignore[attr-defined]
    place.ports.stores.objects.publish("erasures/acme/01ZZZZZZZZZZZZZZZZZZZZZZZZ.json", place.canary.encode())
    told = replay(place.ports, NOW + timedelta(days=1))
    assert (told.begun, told.done, len(told.refused)) == ((done.id,), 1, 1)
    assert not replay(place.ports, NOW + timedelta(days=2)).begun
    assert [one.state for one in place.ports.stores.of(ACME).subjects.erasures()] == [ErasureState.DONE]
