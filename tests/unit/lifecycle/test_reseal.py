"""Keys of a tenant: everything is sealed anew before older ones go, and a destruction leaves nothing that opens or links."""

from datetime import timedelta

import pytest
from lifecycle_world import ACME, ADA, GLOBEX, World

from custody.core.errors import Conflict, Denied
from custody.core.tenancy import HOUSE
from custody.lifecycle.reseal import reseal
from custody.lifecycle.sealing import destroy, list_keys, rotate
from custody.lifecycle.stores import Caller
from custody.lifecycle.subjects import token_of
from custody.lifecycle.verify import verify_all


@pytest.fixture
def filled(world: World) -> World:
    for n in range(5):
        world.ports.stores.objects.of(ACME).put(bytes([n]) * 10)
    return world


def test_older_keys_go_only_when_nothing_needs_them_and_each_step_has_its_entry(filled: World) -> None:
    rotate(filled.ports, filled.caller(tenant=ACME))
    caller = filled.caller(tenant=ACME)
    with pytest.raises(Conflict, match="cannot go yet"):
        reseal(filled.ports, _at_rotation(filled), retire=True)
    shown, entry = reseal(filled.ports, caller, dry_run=True)
    assert (shown.looked, shown.changed, entry) == (5, 5, None)
    later = filled.caller(tenant=ACME)
    first, _ = reseal(filled.ports, later, limit=2)
    assert (first.looked, first.changed, first.done) == (2, 2, False)
    begun = filled.ports.stores.of(ACME).reseals.get()
    assert begun is not None
    assert begun.done_at is None
    done, _ = reseal(filled.ports, later, limit=100, retire=True)  # begun again from the front, as after a kill
    assert (done.looked, done.changed, done.done, done.retired) == (5, 3, True, 1)
    assert [key.number for key in list_keys(filled.ports, later) if key.tenant == ACME] == [2]
    kinds = [one for one in filled.kinds() if one.startswith("encryption.")]
    assert kinds == ["encryption.rotated", "encryption.resealing", "encryption.resealed"]
    ended = filled.ports.stores.of(ACME).reseals.get()
    assert ended is not None
    assert ended.done_at == later.now


def _at_rotation(world: World) -> Caller:
    key = next(one for one in world.ports.keys.ls(ACME) if one.current)
    return Caller(ACME, ADA, key.made_at + timedelta(seconds=5))


def test_who_has_no_key_is_told(world: World) -> None:
    with pytest.raises(Conflict, match="no data key"):
        reseal(world.ports, world.caller(tenant=GLOBEX))


def test_a_destruction_takes_the_key_for_pseudonyms_too_and_verification_goes_on(filled: World) -> None:
    ports = filled.ports
    token_of(ports, ACME, "ada@example.org")
    shown, entry = destroy(ports, filled.caller(tenant=ACME), reason="the contract ended", dry_run=True)
    assert (shown.destroyed, shown.pseudonyms, entry) == (1, True, None)
    destroy(ports, filled.caller(tenant=ACME), reason="the contract ended")
    for use in (lambda: ports.pseudonyms.of(ACME), lambda: token_of(ports, ACME, "ada@example.org")):
        with pytest.raises(Denied):
            use()
    again, entry = destroy(ports, filled.caller(tenant=ACME), reason="the contract ended")
    assert (again.destroyed, again.pseudonyms, entry) == (0, False, None)
    assert verify_all(ports, filled.caller(ADA)).ok
    with pytest.raises(Conflict, match="team's own"):
        destroy(ports, filled.caller(tenant=HOUSE), reason="by mistake", dry_run=True)


def test_a_key_for_pseudonyms_that_a_kill_left_goes_with_the_same_call(filled: World) -> None:
    ports = filled.ports
    ports.pseudonyms.of(ACME)
    ports.keys.destroy(ACME, filled.now)
    found, entry = destroy(ports, filled.caller(tenant=ACME), reason="the contract ended")
    assert (found.destroyed, found.pseudonyms) == (0, True)
    assert entry is not None
    assert not ports.pseudonyms.has(ACME)
