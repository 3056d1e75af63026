"""What a folder as object store must survive: killed writers, full disks, planted links, edited files."""

import errno
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from custody.adapters.blobs.folder import FolderObjects
from custody.adapters.blobs.open import open_objects
from custody.core.digest import Digest, digest_of
from custody.core.errors import IntegrityBroken, InvalidInput, Unavailable

WRITER = """
import os, sys
from pathlib import Path
from custody.adapters.blobs.folder import FolderObjects
objects = FolderObjects(Path(sys.argv[1]))
while True:
    digest = objects.put(os.urandom(50_000))
    objects.publish("manifest/current", digest.encode() * 1_000)
    print(digest, flush=True)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_writer_killed_ten_times_leaves_only_whole_objects(root: Path) -> None:
    acknowledged: set[Digest] = set()
    for _ in range(10):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(root)], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            for _ in range(random.randint(1, 15)):
                acknowledged.add(Digest(writer.stdout.readline().strip()))
            writer.send_signal(signal.SIGKILL)
    objects = FolderObjects(root)
    visible = list(objects.digests())
    for digest in visible:
        objects.get(digest)
    assert acknowledged <= set(visible)
    current = objects.read("manifest/current")
    assert current is not None
    assert len(current) == 64_000
    assert current == current[:64] * 1_000
    assert list(objects.names("")) == ["manifest/current"]
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    left = len(files(root / "tmp"))
    assert objects.sweep(older_than_seconds=3600, now=tomorrow) == left
    assert files(root / "tmp") == []
    assert sorted(objects.digests()) == sorted(visible)


def test_the_sweep_spares_files_that_may_still_be_written(root: Path) -> None:
    objects = FolderObjects(root)
    now = datetime.now(UTC)
    assert objects.sweep(older_than_seconds=60, now=now) == 0
    objects.put(b"model")
    for name, age in (("old", 61), ("young", 59)):
        part = root / "tmp" / name
        part.write_bytes(b"half")
        os.utime(part, (now.timestamp() - age,) * 2)
    assert objects.sweep(older_than_seconds=60, now=now) == 1
    assert [part.name for part in files(root / "tmp")] == ["young"]


def test_a_finished_write_leaves_nothing_in_tmp(root: Path) -> None:
    objects = FolderObjects(root)
    objects.put(b"model")
    objects.publish("a", b"1")
    objects.create("b", b"1")
    objects.create("b", b"2")
    with pytest.raises(InvalidInput):
        objects.publish("a/b", b"3")
    assert files(root / "tmp") == []


def test_an_edited_object_is_found_when_read(root: Path) -> None:
    objects = FolderObjects(root)
    digest = objects.put(b"model")
    (root / "objects" / digest[:2] / digest[2:]).write_bytes(b"m0del")
    with pytest.raises(IntegrityBroken):
        objects.get(digest)


def test_files_of_others_are_not_listed(root: Path) -> None:
    objects = FolderObjects(root)
    digest = objects.put(b"model")
    objects.publish("a", b"1")
    (root / "objects" / "README").write_text("hello")
    (root / "objects" / digest[:2] / "half").write_text("hello")
    (root / "documents" / "not a name").write_text("hello")
    os.mkfifo(root / "documents" / "pipe")
    assert list(objects.digests()) == [digest]
    assert list(objects.names("")) == ["a"]


def test_links_are_not_followed_out_of_the_root(root: Path, tmp_path: Path) -> None:
    objects = FolderObjects(root)
    objects.publish("a", b"1")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    (root / "documents" / "link").symlink_to(outside / "secret")
    (root / "documents" / "folder").symlink_to(outside)
    for name in ("link", "folder/secret"):
        with pytest.raises(IntegrityBroken):
            objects.read(name)
        with pytest.raises(IntegrityBroken):
            objects.stamp(name)
    with pytest.raises(IntegrityBroken):
        objects.publish("folder/new", b"x")
    with pytest.raises(IntegrityBroken):
        objects.names("folder/")
    assert list(objects.names("")) == ["a"]
    objects.publish("link", b"replaced")
    assert objects.read("link") == b"replaced"
    assert {path.name: path.read_bytes() for path in outside.iterdir()} == {"secret": b"secret"}


def test_a_linked_object_folder_is_refused(root: Path, tmp_path: Path) -> None:
    objects = FolderObjects(root)
    digest = digest_of(b"model")
    elsewhere = FolderObjects(tmp_path / "elsewhere")
    elsewhere.put(b"model")
    root.mkdir()
    (root / "objects").symlink_to(tmp_path / "elsewhere" / "objects")
    for ask in (objects.get, objects.has):
        with pytest.raises(IntegrityBroken):
            ask(digest)
    with pytest.raises(IntegrityBroken):
        objects.put(b"another")


def test_a_root_that_is_itself_a_link_works(root: Path, tmp_path: Path) -> None:
    root.mkdir()
    (tmp_path / "link").symlink_to(root)
    digest = FolderObjects(tmp_path / "link").put(b"model")
    assert FolderObjects(root).has(digest)


@pytest.mark.parametrize(("first", "second"), [("a", "a/b"), ("a/b", "a"), ("a/b/c", "a/b")])
def test_a_name_is_a_document_or_a_folder(root: Path, first: str, second: str) -> None:
    objects = FolderObjects(root)
    objects.publish(first, b"1")
    for write in (objects.publish, objects.create):
        with pytest.raises(InvalidInput, match="folder"):
            write(second, b"2")
    assert objects.read(second) is None
    assert objects.stamp(second) is None
    objects.remove(second)
    assert list(objects.names("")) == [first]


def test_reading_from_a_store_that_does_not_exist_creates_nothing(root: Path) -> None:
    objects = FolderObjects(root)
    assert objects.read("a") is None
    assert list(objects.digests()) == list(objects.names("")) == []
    assert not root.exists()


def test_stored_files_are_closed_to_other_users(root: Path) -> None:
    FolderObjects(root).put(b"model")
    assert all(path.stat().st_mode & 0o007 == 0 for path in root.rglob("*"))


def test_a_file_is_moved_in_and_copied_where_it_cannot_be(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = FolderObjects(root)
    objects.publish("a/0", b"")
    file = tmp_path / "file"
    file.write_bytes(b"lines")
    file.chmod(0o600)
    assert objects.create_from("a/1", file)
    assert (root / "documents/a/1").samefile(file)
    link = os.link

    def refused(source: str | Path, *args: object, **more: object) -> None:
        if source == file:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        link(source, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "link", refused)
    assert objects.create_from("a/2", file)
    monkeypatch.undo()
    if os.getuid() == 0:  # a group whose members may read the store, and not this file
        os.chown(file, -1, 1)
        assert objects.create_from("a/3", file)
        assert not (root / "documents/a/3").samefile(file)
    modes = {path.stat().st_mode for path in root.rglob("*") if path.is_file() and not path.samefile(file)}
    assert len(modes) == 1
    assert not (root / "documents/a/2").samefile(file)
    assert objects.read("a/1") == objects.read("a/2") == b"lines"
    assert [*(root / "tmp").iterdir()] == []


LIMITED = """
import resource, sys
from custody.adapters.blobs.open import open_objects
from custody.core.errors import Unavailable
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
objects = open_objects(sys.argv[1])
objects.publish("manifest/current", b"old")
for write in (lambda: objects.publish("manifest/current", b"x" * 200_000), lambda: objects.put(b"x" * 200_000)):
    try:
        write()
    except Unavailable as error:
        print(error.facts["cause"])
"""


def test_a_disk_that_takes_no_more_is_reported_and_keeps_what_was_there(root: Path) -> None:
    done = subprocess.run([sys.executable, "-c", LIMITED, str(root)], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["EFBIG", "EFBIG"]
    objects = open_objects(str(root))
    assert objects.read("manifest/current") == b"old"
    assert list(objects.digests()) == []
    assert files(root / "tmp") == []


@contextmanager
def without_privileges() -> Iterator[None]:
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_read_only_folder_is_reported_in_a_clear_sentence() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        with without_privileges():
            for objects in (FolderObjects(Path(folder)), FolderObjects(Path(folder) / "deeper")):
                with pytest.raises(Unavailable, match="no permission"):
                    objects.put(b"x")
                with pytest.raises(Unavailable, match="no permission"):
                    objects.publish("a", b"x")
                with pytest.raises(Unavailable, match="no permission"):
                    objects.create("a", b"x")
        assert list(Path(folder).iterdir()) == []


def test_only_long_documents_that_are_made_once_leave_the_page_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[str] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda *_: left.append("left"), raising=False)
    objects, long = FolderObjects(tmp_path / "objects"), bytes(2**20)
    objects.put(long)
    objects.publish("a/current", long)
    assert objects.create("a/short", b"short")
    assert left == []
    assert objects.create("a/long", long)
    assert left == ["left"]
    assert objects.read("a/long") == long
