"""A master key in AWS KMS: a server that speaks its API wraps and unwraps, and refuses what is another place's."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from custody.adapters.blobs.folder import FolderObjects
from custody.adapters.blobs.keys.master import open_master
from custody.adapters.blobs.keys.ring import KeyRing
from custody.adapters.blobs.sealed import SealedObjects
from custody.core.errors import InvalidInput, Unavailable
from custody.core.tenancy import TenantId

REGION = "eu-central-1"


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def made(endpoint: str) -> str:
    """Make a key and return its address."""
    client, alias = boto3.client("kms", region_name=REGION, endpoint_url=endpoint), f"alias/{secrets.token_hex(8)}"
    client.create_alias(AliasName=alias, TargetKeyId=client.create_key()["KeyMetadata"]["KeyId"])
    return f"aws-kms://{alias}?region={REGION}&endpoint={endpoint}"


def test_what_is_wrapped_for_one_place_is_unwrapped_there_and_nowhere_else(endpoint: str) -> None:
    url = made(endpoint)
    master = open_master(url, environ={}, folder=Path())
    wrapped = master.wrap(b"a data key", b"acme")
    assert (master.unwrap(wrapped, b"acme"), master.name) == (b"a data key", f"aws-kms:{url[16:32]}")
    with pytest.raises(Unavailable, match="It refused"):
        master.unwrap(wrapped, b"globex")
    with pytest.raises(Unavailable, match="It refused"):
        open_master(made(endpoint), environ={}, folder=Path()).unwrap(wrapped, b"acme")
    with pytest.raises(Unavailable, match="not wrapped by AWS KMS"):
        master.unwrap("no base64!", b"acme")


def test_a_ring_of_keys_lives_under_it(endpoint: str, tmp_path: Path) -> None:
    url = made(endpoint)

    def opened() -> SealedObjects:
        ring = KeyRing(FolderObjects(tmp_path / "ring"), open_master(url, environ={}, folder=Path()))
        return SealedObjects(FolderObjects(tmp_path / "objects"), ring).of(TenantId("acme"))

    digest = opened().put(b"rows of people")
    assert opened().get(digest) == b"rows of people"
    assert all(b"rows of people" not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_a_service_that_refuses_or_is_away_is_told_in_words(endpoint: str) -> None:
    absent = open_master(f"aws-kms://alias/absent?region={REGION}&endpoint={endpoint}", environ={}, folder=Path())
    with pytest.raises(Unavailable, match="It refused: NotFound"):
        absent.wrap(b"x", b"acme")
    away = open_master(f"aws-kms://alias/custody?region={REGION}&endpoint=http://127.0.0.1:9", environ={}, folder=Path())
    with pytest.raises(Unavailable, match="It cannot be asked"):
        away.wrap(b"x", b"acme")


@pytest.mark.parametrize(
    "url",
    [
        "aws-kms://",
        "aws-kms://alias/custody",
        "aws-kms://?region=eu-central-1",
        "aws-kms://alias/custody?region=eu-central-1&token=x",
        "aws-kms://alias/custody?region=eu-central-1&endpoint=http://kms.example",
    ],
)
def test_an_address_that_is_none_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(InvalidInput) as error:
        open_master(url, environ={}, folder=Path())
    assert "aws-kms://alias/custody?region=" in error.value.fix
