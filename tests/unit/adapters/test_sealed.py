"""Sealed objects: what opens, what does not, whose key it takes, and what is left when a key is destroyed."""

import base64
import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from custody.adapters.blobs.folder import FolderObjects
from custody.adapters.blobs.keys import ring as ring_module
from custody.adapters.blobs.keys.envelope import DataKey, is_sealed, key_id_of, seal, unseal
from custody.adapters.blobs.keys.master import LocalMaster, make_master, open_master
from custody.adapters.blobs.keys.ring import KeyRing
from custody.adapters.blobs.sealed import SealedObjects
from custody.core.digest import digest_of
from custody.core.errors import Conflict, Denied, IntegrityBroken, InvalidInput, NotFound, Unavailable
from custody.core.keys import Resealed
from custody.core.tenancy import HOUSE, TenantId

KEY = DataKey(b"k" * 16, bytes(range(32)))
ACME, BETA = TenantId("acme"), TenantId("beta")
NOW = datetime(2026, 3, 1, tzinfo=UTC)
GOLDEN = Path(__file__).parent / "sealed_v1.bin"


def opened(body: bytes, place: bytes = b"here") -> bytes:
    return unseal(body, lambda _: KEY, place)


# the format


@pytest.mark.parametrize("size", [0, 1, 2**20 - 1, 2**20, 2**20 + 1, 2**21])
def test_what_is_sealed_opens_again_at_every_chunk_border(size: int) -> None:
    body = os.urandom(size)
    sealed = seal(body, KEY, b"here")
    assert opened(sealed) == body
    assert is_sealed(sealed)
    assert key_id_of(sealed) == KEY.id
    assert seal(body, KEY, b"here") != sealed


@settings(max_examples=150, deadline=None)
@given(body=st.binary(max_size=200), at=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_any_changed_byte_is_noticed(body: bytes, at: int, flip: int) -> None:
    sealed = bytearray(seal(body, KEY, b"here"))
    sealed[at % len(sealed)] ^= flip
    with pytest.raises(IntegrityBroken):
        opened(bytes(sealed))


@settings(max_examples=50, deadline=None)
@given(body=st.binary(max_size=200), cut=st.integers(1, 300))
def test_a_cut_object_does_not_open(body: bytes, cut: int) -> None:
    sealed = seal(body, KEY, b"here")
    with pytest.raises(IntegrityBroken):
        opened(sealed[: max(len(sealed) - cut, 0)])


def test_a_chunk_cannot_be_left_out_or_moved() -> None:
    sealed, size = seal(os.urandom(3 * 2**20), KEY, b"here"), 2**20 + 16
    first = 56 + size
    for broken in (sealed[:-16], sealed[:56] + sealed[first:], sealed[:56] + sealed[first : first + size] + sealed[56:first]):
        with pytest.raises(IntegrityBroken):
            opened(broken)


def test_an_object_put_in_the_place_of_another_does_not_open() -> None:
    with pytest.raises(IntegrityBroken):
        opened(seal(b"x", KEY, b"here"), b"there")


def test_version_1_of_the_format_is_still_read() -> None:
    assert opened(GOLDEN.read_bytes()) == b"sealed by version 1"


# tenants


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


def ring_in(home: Path, secret: int = 0, former: tuple[int, ...] = ()) -> KeyRing:
    masters = [LocalMaster(bytes([one]) * 32, "test") for one in (secret, *former)]
    return KeyRing(FolderObjects(home / "ring"), masters[0], former=masters[1:])


def store_in(home: Path, ring: KeyRing | None = None, *, sealing: bool = True) -> SealedObjects:
    return SealedObjects(FolderObjects(home / "store"), ring or ring_in(home), sealing=sealing)


def raw(home: Path) -> list[bytes]:
    return [path.read_bytes() for path in (home / "store").rglob("*") if path.is_file()]


def test_nothing_readable_is_stored_and_no_name_tells_what_it_is(home: Path) -> None:
    objects = store_in(home)
    digest = objects.put(b"a secret row")
    objects.publish("captures/acme/b1", b"a secret row")
    assert all(b"secret" not in body for body in raw(home))
    assert all(digest[2:] not in str(path) for path in (home / "store").rglob("*"))


def test_the_same_bytes_of_two_tenants_stand_twice_under_different_keys(home: Path) -> None:
    objects = store_in(home)
    assert objects.of(ACME).put(b"same") == objects.of(BETA).put(b"same")
    assert len(set(raw(home))) == 2
    assert objects.of(ACME).get(digest_of(b"same")) == b"same"


def test_an_object_of_one_tenant_copied_to_another_ones_name_is_refused(home: Path) -> None:
    objects = store_in(home)
    objects.publish("captures/acme/b1", b"x")
    objects.publish("captures/beta/b1", b"y")
    captures = home / "store" / "documents" / "captures"
    (captures / "beta" / "b1").write_bytes((captures / "acme" / "b1").read_bytes())
    with pytest.raises(NotFound):  # the key that sealed it is none of beta's
        objects.read("captures/beta/b1")


def test_what_was_stored_before_sealing_began_is_read_and_so_is_what_was_sealed_after_it_ended(home: Path) -> None:
    plain = FolderObjects(home / "store")
    old = plain.put(b"old")
    plain.publish("uploads/acme/x", b"old")
    assert store_in(home).get(old) == b"old"
    assert store_in(home).read("uploads/acme/x") == b"old"
    new = store_in(home).of(ACME).put(b"new")
    later = store_in(home, sealing=False)
    assert (later.get(new), later.of(ACME).get(new)) == (b"new", b"new")
    assert set(later.digests()) == {old, new}


def test_reading_a_plain_store_makes_no_keys(home: Path) -> None:
    objects = store_in(home, sealing=False)
    digest = objects.put(b"x")
    assert objects.get(digest) == b"x"
    assert not objects.has(digest_of(b"y"))
    assert ring_in(home).is_empty


def test_the_name_of_sealed_objects_is_not_free(home: Path) -> None:
    with pytest.raises(InvalidInput):
        store_in(home).publish("sealed/acme/x", b"x")


# rotation and destruction


def test_a_rotated_key_seals_and_the_one_before_still_opens(home: Path) -> None:
    ring = ring_in(home)
    objects = store_in(home, ring).of(ACME)
    old = objects.put(b"old")
    info = ring.rotate(ACME, NOW)
    new = objects.put(b"new")
    assert (info.number, info.current) == (2, True)
    assert [one.current for one in ring.ls(ACME)] == [False, True]
    assert (objects.get(old), objects.get(new)) == (b"old", b"new")
    assert len({key_id_of(body) for body in raw(home)}) == 2


def test_a_new_master_wraps_everything_again_and_the_old_one_opens_nothing_then(home: Path) -> None:
    digest = store_in(home).put(b"x")
    with pytest.raises(Unavailable, match="does not open"):
        store_in(home, ring_in(home, 1)).get(digest)
    both = ring_in(home, 1, former=(0,))
    assert store_in(home, both).get(digest) == b"x"
    assert both.rewrap() == 2
    assert both.rewrap() == 0
    assert store_in(home, ring_in(home, 1)).get(digest) == b"x"
    with pytest.raises(Unavailable):
        store_in(home, ring_in(home, 0)).get(digest)


def test_a_destroyed_key_leaves_its_objects_unreadable_and_says_so(home: Path) -> None:
    ring = ring_in(home)
    objects = store_in(home, ring)
    digest, shared = objects.of(ACME).put(b"theirs"), objects.of(ACME).put(b"shared")
    objects.of(BETA).put(b"shared")
    objects.publish("captures/acme/b1", b"theirs")
    assert ring.destroy(ACME, NOW) == 1
    assert ring.destroy(ACME, NOW) == 0
    for use in (
        lambda: objects.of(ACME).get(digest),
        lambda: objects.read("captures/acme/b1"),
        lambda: objects.of(ACME).put(b"z"),
    ):
        with pytest.raises(Denied, match="can never be read again"):
            use()
    assert objects.of(BETA).get(shared) == b"shared"
    assert [one.destroyed_at for one in ring.ls(ACME)] == [NOW]
    assert not list((home / "ring" / "documents" / "ring" / "acme").glob("data-*"))


def test_another_process_forgets_a_destroyed_key_within_seconds(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = store_in(home, ring_in(home)).of(ACME)
    digest = elsewhere.put(b"theirs")
    ring_in(home).destroy(ACME, NOW)
    monkeypatch.setattr(ring_module, "_FRESH_S", -1.0)
    with pytest.raises(Denied):
        elsewhere.get(digest)


def test_the_teams_own_keys_cannot_be_destroyed(home: Path) -> None:
    with pytest.raises(Conflict, match="team's own"):
        ring_in(home).destroy(HOUSE, NOW)


def test_a_lost_ring_is_told_from_a_changed_object(home: Path) -> None:
    objects = store_in(home)
    objects.publish("manifest/current", b"x")
    for path in (home / "ring").rglob("data-00001"):
        path.unlink()
    ring_in(home).current(HOUSE)
    with pytest.raises(NotFound, match="is missing"):
        store_in(home).read("manifest/current")


def test_a_damaged_file_of_the_ring_is_named(home: Path) -> None:
    ring_in(home).current(HOUSE)
    for path in (home / "ring").rglob("data-00001"):
        path.write_text("{}")
    with pytest.raises(IntegrityBroken, match="ring"):
        ring_in(home).current(HOUSE)


class _Killing(FolderObjects):
    """A folder whose process is killed when it is asked to replace a document for the fifth time."""

    asked = 0

    def publish(self, name: str, body: bytes) -> None:
        self.asked += 1
        if self.asked == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        super().publish(name, body)


def keys_used(home: Path) -> set[bytes]:
    return {
        key_id_of(body)
        for path in (home / "store").rglob("*")
        if "acme" in str(path) and path.is_file()
        for body in [path.read_bytes()]
    }


def test_sealing_anew_that_was_killed_goes_on_and_then_the_older_key_can_go(home: Path) -> None:
    ring = ring_in(home)
    objects = store_in(home, ring)
    digests = [objects.of(ACME).put(bytes([n]) * 100) for n in range(10)]
    objects.publish("captures/acme/b1", b"shipped")
    objects.of(BETA).put(b"another's")
    new = ring.rotate(ACME, NOW)
    assert objects.of(ACME).reseal("", 100, dry_run=True) == Resealed("", 11, 11, 11)
    child = os.fork()
    if child == 0:
        SealedObjects(_Killing(home / "store"), ring_in(home)).of(ACME).reseal("", 100)
        os._exit(0)  # never reached
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert len(keys_used(home)) == 2
    first = objects.of(ACME).reseal("", 6)
    rest = objects.of(ACME).reseal(first.after, 6)
    assert (first.looked + rest.looked, first.changed + rest.changed, rest.after) == (11, 7, "")
    assert {one.hex()[:8] for one in keys_used(home)} == {new.id}
    assert ring.retire(ACME, new.number) == 1
    assert ring.retire(ACME, new.number) == 0
    again = store_in(home, ring_in(home))
    assert [again.of(ACME).get(one) for one in digests] == [bytes([n]) * 100 for n in range(10)]
    assert again.read("captures/acme/b1") == b"shipped"
    assert len(ring.ls(BETA)) == 1


def test_a_document_that_was_replaced_or_removed_meanwhile_is_left_alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = ring_in(home)
    objects = store_in(home, ring)
    objects.publish("captures/acme/b1", b"old")
    ring.rotate(ACME, NOW)
    read = FolderObjects.read

    def removing(self: FolderObjects, name: str) -> bytes | None:
        body = read(self, name)
        self.remove(name)
        return body

    monkeypatch.setattr(FolderObjects, "read", removing)
    monkeypatch.setattr(ring, "find", lambda tenant, _: ring._read(tenant).data[1])
    assert objects.of(ACME).reseal("", 10).changed == 0
    assert list(objects.names("captures/")) == []


def test_a_rotation_meanwhile_keeps_the_key_that_seals(home: Path) -> None:
    ring = ring_in(home)
    ring.current(ACME)
    second = ring.rotate(ACME, NOW)
    third = ring.rotate(ACME, NOW)
    assert ring.retire(ACME, second.number) == 1
    assert [key.id for key in ring.ls(ACME)] == [second.id, third.id]


def test_nobody_replaces_a_document_while_it_is_sealed_anew(home: Path) -> None:
    ring = ring_in(home)
    objects, inside = store_in(home, ring), list[bool]()
    objects.publish("quarantine/acme/b1", b"old")
    ring.rotate(ACME, NOW)

    @contextmanager
    def alone() -> Iterator[None]:
        objects.publish("quarantine/acme/b1", b"without the person")  # it was quicker; then nobody else comes in
        inside.append(True)
        yield

    assert objects.of(ACME).reseal("", 10, alone=alone).changed == 0
    assert inside == [True]
    assert objects.read("quarantine/acme/b1") == b"without the person"


# master keys


def test_a_master_key_comes_from_a_file_that_only_its_owner_reads_or_from_the_environment(home: Path) -> None:
    make_master(home / "keys" / "master.key")
    before = (home / "keys" / "master.key").read_text()
    make_master(home / "keys" / "master.key")
    assert (home / "keys" / "master.key").read_text() == before
    assert (home / "keys" / "master.key").stat().st_mode & 0o777 == 0o600
    by_file = open_master("file:keys/master.key", environ={}, folder=home)
    by_name = open_master("env:THE_KEY", environ={"THE_KEY": before}, folder=home)
    assert by_name.unwrap(by_file.wrap(b"secret", b"c"), b"c") == b"secret"
    with pytest.raises(Unavailable):
        by_name.unwrap(by_file.wrap(b"secret", b"c"), b"another")
    assert before.strip() not in by_file.name


@pytest.mark.parametrize("url", ["file:absent", "env:ABSENT"])
def test_an_absent_master_key_says_where_it_was_expected(home: Path, url: str) -> None:
    with pytest.raises(Unavailable, match="cannot be read"):
        open_master(url, environ={}, folder=home)


@pytest.mark.parametrize(
    "url", ["", "key", "file:", "ftp://x", "http://vault.example/v1/transit/keys/a", "https://x/transit/keys/a"]
)
def test_what_is_no_master_key_is_refused(home: Path, url: str) -> None:
    with pytest.raises(InvalidInput):
        open_master(url, environ={"BAO_TOKEN": "t"}, folder=home)


class _Transit(BaseHTTPRequestHandler):
    """Speaks the two calls of a transit engine that custody makes; the token is `good`."""

    cipher = AESGCM(bytes(32))

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        context = base64.b64decode(asked["associated_data"])
        status, data = 200, {}
        if self.headers["X-Vault-Token"] != "good":
            status = 403
        elif self.path == "/v1/transit/encrypt/custody":
            nonce = os.urandom(12)
            sealed = nonce + self.cipher.encrypt(nonce, base64.b64decode(asked["plaintext"]), context)
            data = {"ciphertext": "vault:v1:" + base64.b64encode(sealed).decode()}
        elif self.path == "/v1/transit/decrypt/custody":
            sealed = base64.b64decode(asked["ciphertext"].removeprefix("vault:v1:"))
            try:
                data = {"plaintext": base64.b64encode(self.cipher.decrypt(sealed[:12], sealed[12:], context)).decode()}
            except InvalidTag:
                status = 400
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps({"data": data}).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def transit() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Transit)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/transit/keys/custody"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_key_service_wraps_and_no_key_of_it_is_ever_here(home: Path) -> None:
    with transit() as url:
        master = open_master(url, environ={"VAULT_TOKEN": "good"}, folder=home)
        ring = KeyRing(FolderObjects(home / "ring"), master)
        digest = store_in(home, ring).put(b"x")
        again = KeyRing(FolderObjects(home / "ring"), open_master(url, environ={"BAO_TOKEN": "good"}, folder=home))
        assert store_in(home, again).get(digest) == b"x"
        assert master.name == "transit:custody"
        names = sorted((home / "ring").rglob("data-00001"))
        swapped = names[0].parent.parent / "acme" / "data-00001"
        swapped.parent.mkdir()
        swapped.write_bytes(names[0].read_bytes())
        with pytest.raises(Unavailable, match="status 400"):
            again.current(ACME)
        bad = open_master(url, environ={"VAULT_TOKEN": "bad"}, folder=home)
        with pytest.raises(Unavailable, match="status 403") as refusal:
            bad.wrap(b"x", b"c")
        assert "bad" not in str(refusal.value)
    with pytest.raises(Unavailable, match="cannot be reached"):
        master.wrap(b"x", b"c")


def test_a_key_service_without_a_token_asks_for_one(home: Path) -> None:
    with pytest.raises(Unavailable, match="token"):
        open_master("https://vault.example/v1/transit/keys/custody", environ={}, folder=home)
