"""After an erasure no object, row, log page or older version holds the person's texts: on folder and bucket, SQLite and PostgreSQL."""

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pyarrow as pa
import pytest
from sqlalchemy import text
from stores_world import ADA, CHURN, NOW, dataset, label, model, revision, run

from custody.adapters.blobs.folder import FolderObjects
from custody.adapters.blobs.keys.master import LocalMaster
from custody.adapters.blobs.keys.ring import KeyRing
from custody.adapters.blobs.open import open_objects
from custody.adapters.blobs.sealed import SealedObjects
from custody.adapters.connectors import files
from custody.adapters.frameworks.embedding import Embeddings
from custody.adapters.frameworks.onnx import OnnxModel
from custody.adapters.sql.stores import SqlStores
from custody.bootstrap.pseudonyms import PseudonymFiles
from custody.bootstrap.signing import KeyFile, make_key
from custody.core.digest import digest_of
from custody.core.prediction import PredictionId, unique_at
from custody.core.refs import DatasetRef, ModelRef
from custody.core.tenancy import TenantId
from custody.gates.golden import GoldenCase, GoldenSet
from custody.lifecycle.captured import batch_of, capture_table
from custody.lifecycle.forget import forget
from custody.lifecycle.ingest import ingest
from custody.lifecycle.residue import search
from custody.lifecycle.stores import Caller, Ports, Tenant
from custody.privacy.erasure.ports import ErasureState
from custody.registry.run import DatasetUse
from custody.serving.capture import Capture, CaptureMode, line_of, write_batch

WHO, CANARY = "zora.quellenberg@example.org", "Quellenberg of Nowhere Street 12"
ACME = TenantId("acme")
KEYS = {"AWS_ACCESS_KEY_ID": "test-only", "AWS_SECRET_ACCESS_KEY": "test-only"}


@dataclass
class Place:
    """A project in one of the places, and how its raw bytes are read."""

    ports: Ports
    folder: Path
    bucket: Any = None
    name: str = ""

    def raw(self) -> Iterator[bytes]:
        """Return every byte that is stored: files, rows, and every version of every key of a bucket."""
        yield from (path.read_bytes() for path in self.folder.rglob("*") if path.is_file())
        if self.bucket is not None:
            pages = self.bucket.get_paginator("list_object_versions").paginate(Bucket=self.name)
            kept = [one for page in pages for one in page.get("Versions", [])]
            for one in kept:
                answer = self.bucket.get_object(Bucket=self.name, Key=one["Key"], VersionId=one["VersionId"])
                yield answer["Body"].read()


@pytest.fixture(params=["sqlite folder", "sqlite folder sealed", "postgresql s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    kind, bucket, name = request.param, None, f"erasure-{uuid4().hex}"  # the server is shared with other tests
    if "s3" in kind:
        s3_url: str = request.getfixturevalue("s3_url")
        endpoint = s3_url.split("endpoint=")[1].split("&", maxsplit=1)[0]
        bucket = boto3.client(
            "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="test-only", aws_secret_access_key="test-only"
        )
        bucket.create_bucket(Bucket=name)
        bucket.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        url, database = s3_url.replace("contract", name), request.getfixturevalue("fresh_postgres")()
    else:
        url, database = str(tmp_path / "objects"), f"sqlite:///{tmp_path}/custody.db"
    make_key(tmp_path / "signing.key")
    ring = KeyRing(FolderObjects(tmp_path / "ring"), LocalMaster(bytes(32), "test"))
    objects = SealedObjects(open_objects(url, environ=KEYS), ring, sealing="sealed" in kind)
    with closing(SqlStores(database, objects)) as stores:
        stores.upgrade()
        ports = Ports(
            stores,
            files,
            OnnxModel,
            KeyFile(tmp_path / "signing.key"),
            os.urandom,
            Embeddings(tmp_path / "embeddings"),
            PseudonymFiles(tmp_path / "pseudonyms"),
            ring,
        )
        yield Place(ports, tmp_path, bucket, name)
    if bucket is not None:
        bucket.close()


def rows() -> pa.Table:
    names = [WHO if i in (3, 77) else f"person{i}@example.org" for i in range(100)]
    notes = [CANARY if name == WHO else "nothing" for name in names]
    return pa.table({"who": names, "note": notes, "age": list(range(100)), "left": ["Yes", "No"] * 50})


def capture(number: int, key: str) -> Capture:
    ms = int(NOW.timestamp() * 1000)
    id_ = PredictionId(CHURN, 1, ModelRef("churn", 1), unique_at(ms, f"{number:>10}".encode()))
    return Capture(id_, ms, None, (key,), CaptureMode.LIVE, None, 0.4, {"age": [3.0], "note": [CANARY]}, [0.7], [True], 90)


def fill(place: Place) -> str:
    """Put the person into two versions, a run and its model, traffic (sealed, waiting and set aside), labels, a golden set."""
    ports, caller = place.ports, Caller(ACME, ADA, NOW)
    with ports.stores.change(ACME, ADA, NOW) as change:
        change.tenants.add(Tenant(ACME, NOW))
    card = replace(dataset().card, subject_key="who", categories={"note": "user"})
    first, _ = ingest(ports, caller, "tickets", rows(), card)
    ingest(ports, caller, "tickets", pa.concat_tables([rows(), rows().slice(0, 10)]), card)
    objects = ports.stores.objects.of(ACME)
    fixture = objects.put(b'{"inputs":{"age":[3,4]},"scores":[0.1,0.2],"tolerance":0,"version":1}')
    made = replace(run(), datasets=(DatasetUse(first.ref, first.digest, "train"),))
    made = replace(made, models=(replace(made.models[0], fixture=fixture),))
    captures = [capture(0, WHO), replace(capture(1, "person1@example.org"), inputs={"age": [1.0], "note": ["nothing"]})]
    table = capture_table(captures)
    batch = batch_of(table, "b0", CHURN, objects.put(ports.tables.to_parquet(table)), NOW)
    with ports.stores.change(ACME, ADA, NOW) as change:
        change.runs.add(made)
        change.models.add(replace(model(), datasets=made.datasets, fixture=fixture))
        change.deployments.add(replace(revision(), owner=ACME))
        change.captures.add(batch)
        change.labels.add([label(str(captures[0].id.of_row(0))), label(WHO), label("person1@example.org")])
        case = GoldenCase("theirs", {"age": 3.0, "note": CANARY}, "Yes")
        change.gates.add_golden(GoldenSet("churn", 1, (case, replace(case, id="other", inputs={"age": 99.0})), NOW))
    ports.stores.objects.publish("captures/acme/b1.ndjson.gz", write_batch(line_of(capture(2, WHO))))
    ports.stores.objects.publish("quarantine/acme/b2.ndjson.gz", write_batch(line_of(capture(3, WHO))))
    return str(first.ref)


def test_nothing_of_the_person_is_left_in_any_place(place: Place) -> None:
    fill(place)
    assert len(search(place.ports, ACME, [WHO, CANARY])) > 6
    done, _ = forget(place.ports, Caller(ACME, ADA, NOW), WHO, canaries=[CANARY])
    assert (done.state, done.left) == (ErasureState.DONE, ())
    for body in place.raw():
        assert WHO.encode() not in body
        assert CANARY.encode() not in body
    shelf = place.ports.stores.of(ACME)
    assert [shelf.datasets.get(DatasetRef("tickets", n)).rows for n in (3, 4)] == [98, 107]
    assert done.found.models == ("churn@1",)
    assert done.found.fixtures == 1
    assert [one.rows for one in shelf.captures.of(CHURN)] == [1, 0]
    assert list(shelf.labels.names(CHURN)) == ["person1@example.org"]
    assert place.ports.stores.holds("person1@example.org") > 0  # the search does find what is there


def test_every_version_of_a_discarded_object_and_every_unfinished_upload_is_gone(place: Place) -> None:
    objects = place.ports.stores.objects.of(ACME)
    digest = objects.put(CANARY.encode())
    objects.publish("captures/acme/x", CANARY.encode())
    objects.remove("captures/acme/x")
    objects.discard(digest)
    objects.discard(digest_of(b"never there"))
    objects.purge("captures/acme")
    assert all(CANARY.encode() not in body for body in place.raw())
    assert not objects.has(digest)


def test_who_was_in_old_versions_is_indexed_when_somebody_asks(place: Place) -> None:
    fill(place)
    with place.ports.stores.change(ACME, ADA, NOW) as change:
        change._access.write(text("delete from subject_rows"))  # type: ignore[attr-defined]
    shown, _ = forget(place.ports, Caller(ACME, ADA, NOW + timedelta(days=1)), WHO, dry_run=True)
    assert shown.found.datasets == ("tickets@1", "tickets@2")
