"""A project in one of the places where it may stand, filled with one person whom an erasure has to find, and its raw bytes."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pyarrow as pa
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from stores_world import ADA, CHURN, NOW, dataset, label, model, revision, run

from custody.adapters.blobs.folder import FolderObjects
from custody.adapters.blobs.keys.master import LocalMaster
from custody.adapters.blobs.keys.ring import KeyRing
from custody.adapters.blobs.keys.texts import SealedTexts
from custody.adapters.blobs.open import open_objects
from custody.adapters.blobs.sealed import SealedObjects
from custody.adapters.connectors import files
from custody.adapters.frameworks.embedding import Embeddings
from custody.adapters.frameworks.onnx import OnnxModel
from custody.adapters.sql.stores import SqlStores
from custody.bootstrap.pseudonyms import PseudonymFiles
from custody.bootstrap.signing import KeyFile, make_key
from custody.core.prediction import PredictionId, unique_at
from custody.core.refs import ModelRef
from custody.core.tenancy import TenantId
from custody.gates.golden import GoldenCase, GoldenSet
from custody.lifecycle.captured import batch_of, capture_table
from custody.lifecycle.ingest import ingest
from custody.lifecycle.stores import Caller, Ports, Tenant
from custody.registry.run import DatasetUse
from custody.serving.capture import Capture, CaptureMode, line_of, write_batch

ACME = TenantId("acme")
KEYS = {"AWS_ACCESS_KEY_ID": "test-only", "AWS_SECRET_ACCESS_KEY": "test-only"}


@dataclass
class Place:
    """A project in one of the places, and how its raw bytes are read."""

    ports: Ports
    folder: Path
    url: str
    who: str
    canary: str
    bucket: Any = None
    name: str = ""

    def raw(self) -> Iterator[bytes]:
        """Return every byte that is stored: files, rows; of a bucket every version, delete marker and part of an unfinished upload."""
        yield from (path.read_bytes() for path in self.folder.rglob("*") if path.is_file())
        if self.bucket is not None:
            pages = list(self.bucket.get_paginator("list_object_versions").paginate(Bucket=self.name))
            for one in [one for page in pages for one in page.get("Versions", [])]:
                answer = self.bucket.get_object(Bucket=self.name, Key=one["Key"], VersionId=one["VersionId"])
                yield answer["Body"].read()
            yield from (one["Key"].encode() for page in pages for one in page.get("DeleteMarkers", []))
            yield from (part for key, parts in self.unfinished().items() for part in (key.encode(), *parts))

    def unfinished(self) -> dict[str, list[bytes]]:
        """Return the parts of uploads that never ended, by key: S3 lists them and reads out none, so that the server is asked itself."""
        listed = self.bucket.list_multipart_uploads(Bucket=self.name).get("Uploads", [])
        held = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].get_bucket(self.name).multiparts
        return {one["Key"]: [part.value for part in held[one["UploadId"]].parts.values()] for one in listed}

    def begin_upload(self, key: str, body: bytes) -> None:
        """Begin an upload as a process does that is killed before it ends."""
        id_ = self.bucket.create_multipart_upload(Bucket=self.name, Key=key)["UploadId"]
        self.bucket.upload_part(Bucket=self.name, Key=key, UploadId=id_, PartNumber=1, Body=body)


@contextmanager
def project(home: Path, database: str, url: str, *, sealing: bool) -> Iterator[Place]:
    """Open an empty project; url: the object store's."""
    make_key(home / "signing.key")
    ring = KeyRing(FolderObjects(home / "ring"), LocalMaster(bytes(32), "test"))
    objects = SealedObjects(open_objects(url, environ=KEYS), ring, sealing=sealing)
    with closing(SqlStores(database, objects, SealedTexts(ring, sealing=sealing))) as stores:
        stores.upgrade()
        ports = Ports(
            stores,
            files,
            OnnxModel,
            KeyFile(home / "signing.key"),
            os.urandom,
            Embeddings(home / "embeddings"),
            PseudonymFiles(home / "pseudonyms"),
            ring,
            backup_days=30.0,
        )
        yield Place(
            ports,
            home,
            url,
            f"zora.quellenberg.{uuid4().hex[:8]}@example.org",
            f"Quellenb\u00e9rg of Nowhere Street {uuid4().hex[:8]}",
        )


@contextmanager
def bucket_for(s3_url: str) -> Iterator[tuple[str, Any, str]]:
    """Make a bucket that keeps versions; yield its URL, a client, and its name."""
    endpoint, name = s3_url.split("endpoint=")[1].split("&", maxsplit=1)[0], f"erasure-{uuid4().hex}"  # others use the server too
    client = boto3.client(
        "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="test-only", aws_secret_access_key="test-only"
    )
    with closing(client):
        client.create_bucket(Bucket=name)
        client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        yield s3_url.replace("contract", name), client, name


def rows(place: Place) -> pa.Table:
    names = [place.who if i in (3, 77) else f"person{i}@example.org" for i in range(100)]
    notes = [place.canary if name == place.who else "nothing" for name in names]
    return pa.table({"who": names, "note": notes, "age": list(range(100)), "left": ["Yes", "No"] * 50})


def capture(place: Place, number: int, key: str) -> Capture:
    ms = int(NOW.timestamp() * 1000)
    id_ = PredictionId(CHURN, 1, ModelRef("churn", 1), unique_at(ms, f"{number:>10}".encode()))
    return Capture(id_, ms, None, (key,), CaptureMode.LIVE, None, 0.4, {"age": [3.0], "note": [place.canary]}, [0.7], [True], 90)


def fill(place: Place) -> str:
    """Put the person into two versions, a run and its model, traffic (sealed, waiting and set aside), labels, a golden set."""
    ports, caller = place.ports, Caller(ACME, ADA, NOW)
    with ports.stores.change(ACME, ADA, NOW) as change:
        change.tenants.add(Tenant(ACME, NOW))
    card = replace(dataset().card, subject_key="who", categories={"note": "user"})
    first, _ = ingest(ports, caller, "tickets", rows(place), card)
    ingest(ports, caller, "tickets", pa.concat_tables([rows(place), rows(place).slice(0, 10)]), card)
    objects = ports.stores.objects.of(ACME)
    fixture = objects.put(b'{"inputs":{"age":[3,4]},"scores":[0.1,0.2],"tolerance":0,"version":1}')
    made = replace(run(), datasets=(DatasetUse(first.ref, first.digest, "train"),))
    made = replace(made, models=(replace(made.models[0], fixture=fixture),))
    captures = [
        capture(place, 0, place.who),
        replace(capture(place, 1, "person1@example.org"), inputs={"age": [1.0], "note": ["nothing"]}),
    ]
    table = capture_table(captures)
    batch = batch_of(table, "b0", CHURN, objects.put(ports.tables.to_parquet(table)), NOW)
    with ports.stores.change(ACME, ADA, NOW) as change:
        change.runs.add(made)
        change.models.add(replace(model(), datasets=made.datasets, fixture=fixture))
        change.deployments.add(replace(revision(), owner=ACME))
        change.captures.add(batch)
        change.labels.add([label(str(captures[0].id.of_row(0))), label(place.who), label("person1@example.org")])
        case = GoldenCase("theirs", {"age": 3.0, "note": place.canary}, "Yes")
        change.gates.add_golden(GoldenSet("churn", 1, (case, replace(case, id="other", inputs={"age": 99.0})), NOW))
    ports.stores.objects.publish("captures/acme/b1.ndjson.gz", write_batch(line_of(capture(place, 2, place.who))))
    ports.stores.objects.publish("quarantine/acme/b2.ndjson.gz", write_batch(line_of(capture(place, 3, place.who))))
    return str(first.ref)
