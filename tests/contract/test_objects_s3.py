"""How a bucket as object store fails: unreachable, missing, careless, or without its library."""

import sys
from collections.abc import Callable, Iterable, Iterator
from threading import Thread
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest

from custody.adapters.blobs.open import open_objects
from custody.core.digest import digest_of
from custody.core.errors import InvalidInput, Unavailable
from custody.core.objects import Objects

KEYS = {"AWS_ACCESS_KEY_ID": "test-only", "AWS_SECRET_ACCESS_KEY": "test-only"}
USES: dict[str, Callable[[Objects], object]] = {
    "put": lambda objects: objects.put(b"x"),
    "get": lambda objects: objects.get(digest_of(b"x")),
    "publish": lambda objects: objects.publish("a", b"x"),
    "create": lambda objects: objects.create("a", b"x"),
    "read": lambda objects: objects.read("a"),
    "names": lambda objects: objects.names(""),
    "digests": lambda objects: objects.digests(),
    "remove": lambda objects: objects.remove("a"),
}


@pytest.mark.parametrize("use", USES)
def test_a_server_that_does_not_answer_is_unavailable(use: str) -> None:
    objects = open_objects("s3://contract?endpoint=http://127.0.0.1:9&region=us-east-1", environ=KEYS)
    with pytest.raises(Unavailable, match="does not answer") as refusal:
        USES[use](objects)
    assert "test-only" not in str(refusal.value)


@pytest.mark.parametrize("use", USES)
def test_a_missing_bucket_is_named(s3_url: str, use: str) -> None:
    objects = open_objects(s3_url.replace("s3://contract", "s3://nowhere"), environ=KEYS)
    with pytest.raises(Unavailable, match="no bucket 'nowhere'"):
        USES[use](objects)


@pytest.fixture
def careless_url(s3_url: str) -> Iterator[str]:
    """Start an S3-speaking server that ignores conditional writes in silence, as some do."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    moto = DomainDispatcherApplication(create_backend_app)

    def careless(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ.pop("HTTP_IF_NONE_MATCH", None)
        answer: Iterable[bytes] = moto(environ, start_response)
        return answer

    server = make_server("127.0.0.1", 0, careless, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"s3://contract?endpoint=http://127.0.0.1:{server.server_port}&region=us-east-1"
    server.shutdown()
    thread.join(10)
    server.server_close()


def test_a_server_that_ignores_conditions_is_refused_before_anything_is_created(careless_url: str) -> None:
    objects = open_objects(careless_url.replace("?", "/careless?", 1), environ=KEYS)
    with pytest.raises(Unavailable, match="overwrites"):
        objects.create("batches/1", b"x")
    assert list(objects.names("")) == []


def test_a_missing_library_names_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    missing: Any = None
    monkeypatch.setitem(sys.modules, "obstore", missing)
    with pytest.raises(InvalidInput) as refusal:
        open_objects("s3://contract")
    assert refusal.value.fix == "pip install 'custody-ml[s3]'"
