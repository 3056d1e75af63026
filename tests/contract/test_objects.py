"""What every object store must do, run on a folder and on an S3-speaking server."""

import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from threading import Barrier

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from custody.adapters.blobs.folder import FolderObjects
from custody.adapters.blobs.keys.master import LocalMaster
from custody.adapters.blobs.keys.ring import KeyRing
from custody.adapters.blobs.naming import is_name
from custody.adapters.blobs.open import open_objects
from custody.adapters.blobs.sealed import SealedObjects
from custody.core.digest import Digest, digest_of
from custody.core.errors import InvalidInput, NotFound
from custody.core.objects import Objects

MASTER = LocalMaster(bytes(range(32)), "test")
KEYS = {"AWS_ACCESS_KEY_ID": "test-only", "AWS_SECRET_ACCESS_KEY": "test-only"}


Open = Callable[[str], Objects]


@pytest.fixture(params=["folder", "s3", "s3-prefix", "sealed folder", "sealed s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the address of an empty store; S3 stores are alone under a prefix of their own."""
    if request.param.endswith("folder"):
        return str(tmp_path / "store")
    deeper = "/in/a/prefix" if request.param == "s3-prefix" else ""
    s3_url: str = request.getfixturevalue("s3_url")
    return s3_url.replace("?", f"/{secrets.token_hex(8)}{deeper}?", 1)


@pytest.fixture
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Return what opens a store at an address, plainly or with a ring of keys beside it."""
    sealed = request.node.callspec.params["url"].startswith("sealed")

    def open_(url: str) -> Objects:
        plain = open_objects(url, environ=KEYS)
        return SealedObjects(plain, KeyRing(FolderObjects(tmp_path / "ring"), MASTER)) if sealed else plain

    return open_


@pytest.fixture
def objects(opened: Open, url: str) -> Objects:
    return opened(url)


def test_bytes_come_back_under_their_digest(objects: Objects) -> None:
    for body in (b"", b"model", bytes(range(256)) * 30_000):
        digest = objects.put(body)
        assert digest == digest_of(body)
        assert objects.has(digest)
        assert objects.get(digest) == body


def test_the_same_bytes_are_stored_once(objects: Objects) -> None:
    assert objects.put(b"model") == objects.put(b"model")
    assert list(objects.digests()) == [digest_of(b"model")]


def test_all_digests_are_listed(objects: Objects) -> None:
    assert list(objects.digests()) == []
    stored = {objects.put(bytes([number])) for number in range(20)}
    objects.publish("manifest/current", b"not an object")
    assert sorted(objects.digests()) == sorted(stored)


def test_an_object_that_was_never_stored_is_not_found(objects: Objects) -> None:
    absent = digest_of(b"absent")
    assert not objects.has(absent)
    with pytest.raises(NotFound):
        objects.get(absent)


@pytest.mark.parametrize("text", ["", "../../etc/passwd", "a" * 63, "A" * 64, "a" * 62 + "/b", "a" * 64 + "\n"])
def test_only_a_digest_names_an_object(objects: Objects, text: str) -> None:
    for ask in (objects.get, objects.has):
        with pytest.raises(InvalidInput):
            ask(Digest(text))


def test_publishing_replaces_a_document(objects: Objects) -> None:
    assert objects.read("manifest/current") is None
    for body in (b"1", b"", b"two", b"1"):
        objects.publish("manifest/current", body)
        assert objects.read("manifest/current") == body


def test_the_stamp_changes_with_every_publication(objects: Objects) -> None:
    assert objects.stamp("manifest/current") is None
    stamps = []
    for number in range(20):
        objects.publish("manifest/current", f"{number:04}".encode())
        stamps.append(objects.stamp("manifest/current"))
        assert stamps[-1] == objects.stamp("manifest/current")
    assert None not in stamps
    assert all(before != after for before, after in pairwise(stamps))


def test_a_reader_sees_the_old_or_the_new_document(objects: Objects) -> None:
    versions = {letter * 200_000 for letter in (b"a", b"b")}
    objects.publish("manifest/current", b"a" * 200_000)

    def publish() -> None:
        for _ in range(5):
            for body in versions:
                objects.publish("manifest/current", body)

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(publish)
        seen = 0
        while not writing.done() or seen == 0:
            assert objects.read("manifest/current") in versions
            seen += 1
        writing.result()


def test_a_document_is_created_once(objects: Objects) -> None:
    assert objects.create("batches/1", b"first")
    assert not objects.create("batches/1", b"second")
    assert objects.read("batches/1") == b"first"
    objects.remove("batches/1")
    assert objects.create("batches/1", b"third")


@pytest.mark.parametrize("size", [0, 5, 3_000_000])
def test_a_document_is_created_from_memory_that_is_used_again(objects: Objects, size: int) -> None:
    room = bytearray(b"w" + secrets.token_bytes(size) + b"x")
    expected = bytes(room[1:-1])
    with memoryview(room)[1:-1] as part:
        assert objects.create("batches/1", part)
        assert not objects.create("batches/1", part)
    room[:] = bytes(len(room))
    room.clear()  # nothing holds it any more
    assert objects.read("batches/1") == expected


def test_a_document_is_created_from_a_file_once_and_the_file_may_go(objects: Objects, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for path in (first, second):
        path.write_text(path.name)
    assert objects.create_from("batches/1", first)
    assert not objects.create_from("batches/1", second)
    for path in (first, second):
        path.unlink()
    assert objects.read("batches/1") == b"first"
    with pytest.raises(FileNotFoundError):
        objects.create_from("batches/2", first)
    assert objects.read("batches/2") is None


def test_of_eight_writers_exactly_one_creates_a_name(opened: Open, url: str) -> None:
    start = Barrier(8)

    def create(number: int) -> list[bool]:
        own = opened(url)
        wins = []
        for round_ in range(5):
            start.wait(30)
            wins.append(own.create(f"batches/{round_}", bytes([number])))
        return wins

    with ThreadPoolExecutor(8) as pool:
        wins = list(pool.map(create, range(8)))
    objects = opened(url)
    for round_ in range(5):
        winners = [number for number in range(8) if wins[number][round_]]
        assert [bytes([number]) for number in winners] == [objects.read(f"batches/{round_}")]


def test_names_are_listed_below_a_prefix_in_order(objects: Objects) -> None:
    names = ["captures/acme/2.gz", "captures/acme/10.gz", "captures/acme-eu/1.gz", "captures2/1", "captures.old", "manifest"]
    for name in names:
        objects.publish(name, b"")
    objects.put(b"an object is not a document")
    below = sorted(names[:3])
    assert list(objects.names("")) == sorted(names)
    assert list(objects.names("captures/")) == list(objects.names("captures")) == below
    assert list(objects.names("captures/acme/")) == sorted(names[:2])
    assert list(objects.names("nothing/")) == []


def test_a_removed_document_is_gone_and_may_be_removed_again(objects: Objects) -> None:
    objects.publish("captures/1", b"x")
    objects.publish("captures/2", b"y")
    for _ in range(2):
        objects.remove("captures/1")
        assert objects.read("captures/1") is None
        assert list(objects.names("")) == ["captures/2"]


def test_another_instance_sees_the_same_store(opened: Open, url: str) -> None:
    digest = opened(url).put(b"model")
    opened(url).publish("manifest/current", b"m")
    again = opened(url)
    assert (again.get(digest), again.read("manifest/current")) == (b"model", b"m")


LOOK_ALIKES = [
    "\N{FULLWIDTH FULL STOP}" * 2,
    "\N{ONE DOT LEADER}" * 2,
    "\N{DIVISION SLASH}",
    "\N{RIGHT-TO-LEFT OVERRIDE}",
    "\ud800",
]
PATHS = ["..", ".", "...", "", "/", "//", "\\", "\0", "%2e%2e", "..%2f", "~", "C:", "etc", "passwd", "file:", "$HOME", "`id`"]
OTHERS = ["\n", "\r", " ", "*", "?", "#", "-", "_", "a" * 201]
HOSTILE = st.sampled_from([*LOOK_ALIKES, *PATHS, *OTHERS])
NAMES = st.lists(HOSTILE | st.text(max_size=5), max_size=8).map("/".join) | st.lists(HOSTILE, max_size=8).map("".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(NAMES.filter(lambda text: not is_name(text)))
@example("../../outside")
@example("/etc/passwd")
@example("captures/../../../outside")
@example("a//b")
@example("a/")
@example("a\n")
@example("x/" * 400 + "x")
def test_a_name_that_could_leave_the_store_is_refused(objects: Objects, name: str) -> None:
    for use in (objects.read, objects.stamp, objects.remove):
        with pytest.raises(InvalidInput):
            use(name)
    for write in (objects.publish, objects.create):
        with pytest.raises(InvalidInput) as refusal:
            write(name, b"x")
        assert len(name) < 5 or name not in str(refusal.value)
    if name and not is_name(name.removesuffix("/")):
        with pytest.raises(InvalidInput):
            objects.names(name)


SEGMENTS = st.text("abcXYZ019._-", min_size=1, max_size=12).filter(lambda text: set(text) != {"."})


@settings(max_examples=60, deadline=None)
@given(names=st.sets(st.lists(SEGMENTS, min_size=1, max_size=4).map("/".join), max_size=8))
def test_every_plain_name_stays_inside_the_folder(tmp_path_factory: pytest.TempPathFactory, names: set[str]) -> None:
    home = tmp_path_factory.mktemp("home")
    objects = FolderObjects(home / "store")
    written: set[str] = set()
    for name in names:
        try:
            objects.publish(name, name.encode())
        except InvalidInput:  # it is the folder of an earlier name, or runs through one
            assert any(f"{other}/".startswith(f"{name}/") or f"{name}/".startswith(f"{other}/") for other in written)
        else:
            written.add(name)
    assert list(objects.names("")) == sorted(written)
    assert all(objects.read(name) == name.encode() for name in written)
    assert [entry.name for entry in home.iterdir()] == (["store"] if names else [])
