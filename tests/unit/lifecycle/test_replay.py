"""A backup is restored: who was erased since then is erased again before anything opens, as the list outside the database says."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from lifecycle_world import ACME, CARD, World, opened, rows
from test_forget import CANARY, LIVE, WHO, add, erased, everywhere, killed, people
from test_forget_several import names

from custody.bootstrap import control
from custody.core.errors import Conflict, IntegrityBroken, InvalidInput, Unavailable
from custody.core.refs import DatasetRef
from custody.core.tenancy import HOUSE
from custody.data.inherit import Waiver
from custody.lifecycle import forget as steps
from custody.lifecycle import replay as replays
from custody.lifecycle.admit import add_tenant
from custody.lifecycle.forget import begin_again, forget, resume
from custody.lifecycle.ingest import ingest
from custody.lifecycle.listing import enlist, enlist_all, unknown
from custody.lifecycle.owed import owed
from custody.lifecycle.replay import Replayed, replay
from custody.lifecycle.sealing import destroy
from custody.lifecycle.stores import Ports
from custody.lifecycle.subjects import token_of
from custody.privacy.erasure.listed import Listed, signed
from custody.privacy.erasure.listed import opened as opened_entry
from custody.privacy.erasure.ports import ErasureState

OTHER = "person9@example.org"
TICKETS = DatasetRef("tickets", 1)
WRITTEN = ("custody.db", "custody.db-wal", "custody.db-shm", "objects")


@pytest.fixture(params=["in the objects", "apart"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a project's folder. In the objects: these are restored without the list. Apart: the objects are restored whole."""
    made = tmp_path / "project"
    with opened(made):
        pass
    if request.param == "apart":
        with (made / "custody.toml").open("a") as settings:
            settings.write('erasure_list = "../apart"\n')
    return made


def back_up(folder: Path) -> None:
    for name in WRITTEN:
        if (path := folder / name).exists():
            (shutil.copytree if path.is_dir() else shutil.copy)(path, folder.parent / "backup" / name)


def restore(folder: Path, kept: tuple[str, ...] = ()) -> None:
    """Put the backup in the place of what is there; without a list apart, the list among the objects stays as it is."""
    listed, safe = folder / "objects/documents/erasures", folder.parent / "safe"
    if listed.exists() and not (folder.parent / "apart").exists():
        shutil.move(listed, safe)
    for name in WRITTEN:
        path = folder / name
        if name not in kept and path.exists():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        if name not in kept and (old := folder.parent / "backup" / name).exists():
            (shutil.copytree if old.is_dir() else shutil.copy)(old, path)
    if safe.exists():
        shutil.move(safe, listed)


@contextmanager
def unguarded(folder: Path) -> Iterator[World]:
    """Open a project as one that knows no list would."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(control, "replay", lambda *_: None)
        with opened(folder) as ports:
            yield World(ports)


def backed_up(folder: Path, fill: Any = everywhere, who: tuple[str, ...] = (WHO,)) -> None:
    """Fill a project, back it up, erase people, and restore the backup."""
    (folder.parent / "backup").mkdir()
    with opened(folder) as ports:
        fill(World(ports))
    back_up(folder)
    with opened(folder) as ports:
        world = World(ports)
        world.now = world.now.replace(month=2)
        for name in who:
            assert forget(ports, world.caller(), name)[0].state is ErasureState.DONE
    restore(folder)


def state_of(ports: Ports) -> list[ErasureState]:
    return [one.state for one in ports.stores.of(HOUSE).subjects.erasures()]


def unreadable(ports: Ports, ref: DatasetRef = TICKETS) -> None:
    with pytest.raises(Conflict, match="erased"):
        ports.stores.of(HOUSE).datasets.get(ref).standing()


def test_a_restored_backup_opens_without_the_person(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    backed_up(folder)
    with unguarded(folder) as world:  # so that this test can fail: the backup does hold the person
        assert WHO in names(world, TICKETS)
        assert state_of(world.ports) == []
    with opened(folder) as ports:
        world = World(ports)
        assert state_of(ports) == [ErasureState.DONE]
        assert "was begun again" in caplog.text
        unreadable(ports)
        assert WHO not in names(world, DatasetRef("tickets", 2))
        shelf = ports.stores.of(HOUSE)
        assert shelf.datasets.get(DatasetRef("tickets", 2)).rows == 297
        assert shelf.captures.count(LIVE) == 2
        (obligation,) = owed(ports, world.caller(), only_open=True)
        (known,) = shelf.subjects.erasures()
        assert (str(obligation.model), obligation.erasure, obligation.owner) == ("churn@1", known.id, "ada")
        assert world.kinds().count("erasure.replayed") == 1
        assert "subject.erased" not in world.kinds()
    for path in folder.rglob("*"):
        assert not path.is_file() or WHO.encode() not in path.read_bytes()
        assert not path.is_file() or CANARY.encode() not in path.read_bytes()


def test_rows_under_keys_of_single_people_are_gone_after_a_restore_too(folder: Path) -> None:
    backed_up(folder, lambda world: add(world, own_keys=True))
    with opened(folder) as ports:
        assert state_of(ports) == [ErasureState.DONE]
        assert ports.stores.of(HOUSE).datasets.get(DatasetRef("tickets", 2)).rows == 297


def test_nothing_happens_when_it_opens_again(folder: Path) -> None:
    backed_up(folder)
    with opened(folder) as ports:
        before = World(ports).kinds()
    with opened(folder) as ports:
        assert World(ports).kinds() == before
        assert replay(ports, World(ports).now) == Replayed()
        assert erased(World(ports)).state is ErasureState.DONE
        assert enlist_all(ports) == (1 if ports.erasure_list else 0)  # the copy that was restored too gets the entry again
        assert enlist_all(ports) == 0
        assert World(ports).kinds() == before


def test_rows_are_out_of_reach_before_the_first_is_rewritten_and_the_worker_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backed_up(folder)
    with monkeypatch.context() as patched:
        patched.setattr(steps, "erase_golden", killed)
        with unguarded(folder) as world, pytest.raises(KeyboardInterrupt):
            replay(world.ports, world.now)
    with opened(folder) as ports:
        unreadable(ports)
        assert state_of(ports) == [ErasureState.PENDING]
        assert resume(ports, World(ports).now) == 1
        assert state_of(ports) == [ErasureState.DONE]
        assert WHO not in names(World(ports), DatasetRef("tickets", 2))


def shared(world: World) -> None:
    """Store both people in one version, and in one made from it that does not say whose rows it holds."""
    add(world, people())
    bare = people().select(["age", "left", "note"])
    reason = Waiver(("subject_key",), "the names are not needed")
    card = replace(CARD, categories={"note": "user"})
    ingest(world.ports, world.caller(), "bare", bare, card, derived_from=["tickets@1"], waiver=reason)


def test_people_who_share_a_version_are_all_out_of_reach_until_the_last_is_gone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backed_up(folder, shared, (WHO, OTHER))
    ages = people().column("age").to_pylist()
    with unguarded(folder) as world:
        assert OTHER in names(world, TICKETS)
        with monkeypatch.context() as patched:
            patched.setattr(replays, "resume_in", lambda *_: 0)
            assert len(replay(world.ports, world.now).begun) == 2
        first, second = world.ports.stores.of(HOUSE).subjects.erasures()
        own = steps._carry_out
        monkeypatch.setattr(steps, "_carry_out", lambda who, one, *more: own(who, one, *more) if one.id == first.id else killed())
        with pytest.raises(KeyboardInterrupt):
            resume(world.ports, world.now)
        for name in ("tickets", "bare"):
            rest = world.ports.stores.of(HOUSE).datasets.get(DatasetRef(name, 2))
            assert (rest.rows, rest.erasure) == (297, second.id)
            unreadable(world.ports, rest.ref)
        monkeypatch.undo()
        assert resume(world.ports, world.now) == 1
        assert state_of(world.ports) == [ErasureState.DONE] * 2
        assert not {WHO, OTHER} & names(world, DatasetRef("tickets", 3))
        left = world.ports.stores.of(HOUSE).datasets.get(DatasetRef("bare", 3))
        assert (left.rows, left.closed_at) == (296, None)
        assert str(ages[9]) not in names(world, left.ref, "age")


def test_two_processes_that_open_at_once_begin_it_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backed_up(folder)
    own, entered = begin_again, list[bool]()

    def overtaken(ports: Ports, entry: Listed, now: Any) -> bool:
        if not entered:
            entered.append(True)
            assert replay(ports, now).done == 1
        return own(ports, entry, now)

    monkeypatch.setattr(replays, "begin_again", overtaken)
    with unguarded(folder) as world:
        assert replay(world.ports, world.now) == Replayed()
        assert (world.kinds().count("erasure.replayed"), world.kinds().count("erasure.done")) == (1, 1)


def test_the_database_alone_is_restored_and_the_rows_stay_out_of_reach(folder: Path) -> None:
    (folder.parent / "backup").mkdir()
    with opened(folder) as ports:
        add(World(ports))
    back_up(folder)
    with opened(folder) as ports:
        erased(World(ports))
    restore(folder, kept=("objects",))
    with opened(folder) as ports:  # the bytes are gone already: what is left of the version cannot be made of them
        unreadable(ports)
        assert state_of(ports) == [ErasureState.PENDING]


def entry_in(folder: Path) -> Path:
    place = folder.parent / "apart" if (folder.parent / "apart").exists() else folder / "objects"
    (found,) = (place / "documents/erasures/default").iterdir()
    return found


@pytest.mark.parametrize("forgery", ["another token", "another id", "another tenant", "another key", "no entry"])
def test_a_forged_entry_is_refused_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture, forgery: str) -> None:
    folder = tmp_path / "project"
    with opened(folder):
        pass
    with (folder / "custody.toml").open("a") as settings:
        settings.write('erasure_list = "../apart"\n')
    backed_up(folder, add)
    path = entry_in(folder)
    outer = json.loads(path.read_bytes())
    if forgery == "another token":
        entry = json.loads(outer["erasure"])
        with unguarded(folder) as world:
            entry["token"] = token_of(world.ports, HOUSE, OTHER)
        path.write_text(json.dumps({**outer, "erasure": json.dumps(entry)}))
    elif forgery == "another id":
        path.rename(path.with_name("01ZZZZZZZZZZZZZZZZZZZZZZZZ.json"))
    elif forgery == "another tenant":
        with unguarded(folder) as world:
            add_tenant(world.ports, world.caller(), ACME)
        (path.parent.parent / "acme").mkdir()
        path.rename(path.parent.parent / "acme" / path.name)
    elif forgery == "another key":
        entry = opened_entry_of(folder, path)
        path.write_bytes(signed(entry, key_id=outer["key_id"], signature_of=Ed25519PrivateKey.generate().sign))
    else:
        path.write_bytes(b"[1, 2")
    caplog.clear()
    with opened(folder) as ports:
        assert "was refused" in caplog.text
        assert state_of(ports) == []
        assert "erasure.replayed" not in World(ports).kinds()
        assert ports.stores.of(HOUSE).datasets.get(TICKETS).standing().rows == 300
        (why,) = replay(ports, World(ports).now).refused
        assert path.name.removesuffix(".json") in why or forgery == "another id"


def opened_entry_of(folder: Path, path: Path) -> Listed:
    with unguarded(folder) as world:
        return opened_entry(path.read_bytes(), f"erasures/default/{path.name}", world.ports.signer.public_key)


def test_an_erasure_whose_list_was_written_and_whose_transaction_failed_is_begun_when_it_opens_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(folder) as ports:
        world = World(ports)
        add(world)

        def cut_off(*given: Any) -> None:
            enlist(*given)
            killed()

        monkeypatch.setattr(steps, "enlist", cut_off)
        with pytest.raises(KeyboardInterrupt):
            erased(world)
        assert state_of(ports) == []
    with opened(folder) as ports:
        assert state_of(ports) == [ErasureState.DONE]


def test_without_the_list_nothing_is_erased_and_the_database_is_as_before(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise Unavailable("The disk is full.")

    with opened(folder) as ports:
        add(World(ports))
        monkeypatch.setattr(steps, "enlist", full)
        with pytest.raises(Unavailable):
            erased(World(ports))
        assert state_of(ports) == []
        assert ports.stores.of(HOUSE).datasets.get(TICKETS).closed_at is None


def test_a_tenant_whose_keys_are_destroyed_is_passed_over_and_holds_up_no_other(folder: Path) -> None:
    (folder.parent / "backup").mkdir()
    with opened(folder) as ports:
        world = World(ports)
        add(world)
        add_tenant(ports, world.caller(), ACME)
        table = rows().append_column("who", pa.array([f"somebody{i}@example.org" for i in range(300)]))
        ingest(ports, world.caller(tenant=ACME), "tickets", table, replace(CARD, subject_key="who"))
    back_up(folder)
    with opened(folder) as ports:
        world = World(ports)
        for tenant, who in ((HOUSE, WHO), (ACME, "somebody7@example.org")):
            assert forget(ports, world.caller(tenant=tenant), who)[0].state is ErasureState.DONE
        destroy(ports, world.caller(tenant=ACME), reason="the contract ended")
    restore(folder)
    with opened(folder) as ports:
        assert state_of(ports) == [ErasureState.DONE]
        assert not ports.stores.of(ACME).subjects.any_erased()
        assert replay(ports, World(ports).now) == Replayed()
        enlist_all(ports)
        assert enlist_all(ports) == 0


def test_an_entry_of_a_newer_custody_keeps_an_older_one_from_opening(folder: Path) -> None:
    with opened(folder) as ports:
        add(World(ports))
        erased(World(ports))
        (known,) = ports.stores.of(HOUSE).subjects.erasures()
        newer = Listed(version=2, id="01ZZZZZZZZZZZZZZZZZZZZZZZZ", tenant=HOUSE, token="t", asked_at=known.asked_at, by="ada")
        enlist(ports, newer)
        with pytest.raises(InvalidInput, match="version 2"):
            unknown(ports)


def test_an_entry_names_nobody_and_is_read_back_as_it_was_written(folder: Path) -> None:
    with opened(folder) as ports:
        add(World(ports))
        erased(World(ports), days=7, owner="bob")
        (known,) = ports.stores.of(HOUSE).subjects.erasures()
        name = f"erasures/{HOUSE}/{known.id}.json"
        body = ports.stores.objects.read(name)
        assert body is not None
        assert WHO.encode() not in body
        entry = opened_entry(body, name, ports.signer.public_key)
        assert (entry.token, entry.asked_at, entry.by) == (known.token, known.asked_at, known.by)
        assert (entry.owner, entry.days, entry.version) == ("bob", 7, 1)
        with pytest.raises(IntegrityBroken):
            opened_entry(body, name, bytes(32))


def test_names_that_are_none_of_an_entry_are_passed_over(folder: Path) -> None:
    with opened(folder) as ports:
        ports.stores.objects.publish("erasures/readme.txt", b"hello")
        assert unknown(ports) == ([], [])
