"""The real servers that contract suites run against: a private PostgreSQL and an S3-speaking server, both on loopback."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from postgres_server import postgres

from custody.adapters.blobs.folder import FolderObjects
from custody.adapters.sql.stores import SqlStores


@pytest.fixture(scope="session")
def fresh_postgres() -> Iterator[Callable[[], str]]:
    """Hand out a function that creates a new empty database on a private server and returns its SQLAlchemy URL."""
    with postgres() as fresh:
        yield fresh


@pytest.fixture(scope="module")
def postgres_url(fresh_postgres: Callable[[], str]) -> str:
    """Return the URL of an empty PostgreSQL database that this test module has to itself."""
    return fresh_postgres()


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """Return the URL of a bucket on an S3-speaking server; any credentials open it."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        keys = {"aws_access_key_id": "test-only", "aws_secret_access_key": "test-only"}
        client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **keys)
        client.create_bucket(Bucket="contract")
        client.close()
        yield f"s3://contract?endpoint={endpoint}&region=us-east-1"
    finally:
        server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the SQLAlchemy URL of an empty database, once for each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/custody.db"
    fresh: Callable[[], str] = request.getfixturevalue("fresh_postgres")
    return fresh()


@pytest.fixture
def stores(database_url: str, tmp_path: Path) -> Iterator[SqlStores]:
    """Return the stores of an empty project."""
    opened = SqlStores(database_url, FolderObjects(tmp_path / "objects"))
    opened.upgrade()
    yield opened
    opened.close()
