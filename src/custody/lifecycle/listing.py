"""The list of erasures, outside the database: written with each erasure, and read when a project opens."""

from collections.abc import Iterator
from contextlib import suppress

from custody.core.errors import Denied, IntegrityBroken
from custody.core.objects import Objects
from custody.core.tenancy import TenantId
from custody.lifecycle.publish import tenants_of
from custody.lifecycle.stores import Ports
from custody.privacy.erasure.listed import FOLDER, Listed, listed_of, name_of, opened, place_of, signed


def enlist(ports: Ports, entry: Listed) -> None:
    """Write an entry wherever the list is kept; nothing happens where it stands already."""
    body = signed(entry, key_id=ports.signer.key_id, signature_of=ports.signer.sign)
    for place in _places(ports):
        place.create(entry.name, body)


def enlist_all(ports: Ports) -> int:
    """Write what a copy of the list lacks, since it is new or older than the database; return how many entries it was."""
    lacking = 0
    for place in _places(ports):
        names = set(place.names(f"{FOLDER}/"))
        for tenant in tenants_of(ports.stores):
            for erasure in ports.stores.of(tenant).subjects.erasures():
                if name_of(tenant, erasure.id) not in names:
                    with suppress(Denied):  # its tenant's keys were destroyed: its rows can be read by nobody
                        enlist(ports, listed_of(tenant, erasure))
                        lacking += 1
    return lacking


def unknown(ports: Ports) -> tuple[list[Listed], list[IntegrityBroken]]:
    """Return the entries whose person no erasure in the database knows, oldest first, and why others were refused.

    One listing of each copy, and one query for each tenant that somebody was erased in; only unknown entries are opened.
    What the destroyed keys of a tenant sealed is passed over: its rows can be read by nobody.
    Raises: Unavailable if a copy cannot be read, InvalidInput if a newer custody signed an entry; open nothing then.
    """
    found, refused = dict[str, Listed](), list[IntegrityBroken]()
    for place in _places(ports):
        for tenant, names in _new(ports, place).items():
            for name in names:
                try:
                    entry = _read(ports, place, name)
                except Denied:
                    continue
                except IntegrityBroken as error:
                    refused.append(error)
                    continue
                if entry is not None and ports.stores.of(tenant).subjects.erasure(entry.token) is None:
                    found.setdefault(entry.id, entry)
    return [found[id_] for id_ in sorted(found)], refused


def _places(ports: Ports) -> Iterator[Objects]:
    yield ports.stores.objects
    if ports.erasure_list is not None:
        yield ports.erasure_list


def _new(ports: Ports, place: Objects) -> dict[TenantId, list[str]]:
    """Return the names of entries whose erasures the database does not know, by tenant; tenants that it does not know have no rows."""
    found: dict[TenantId, dict[str, str]] = {}
    for name in place.names(f"{FOLDER}/"):
        if one := place_of(name):
            found.setdefault(one.tenant, {})[one.id] = name
    known = set(tenants_of(ports.stores)) if found else set[TenantId]()
    new: dict[TenantId, list[str]] = {}
    for tenant in found.keys() & known:
        ids = {one.id for one in ports.stores.of(tenant).subjects.erasures()}
        new[tenant] = [name for id_, name in found[tenant].items() if id_ not in ids]
    return new


def _read(ports: Ports, place: Objects, name: str) -> Listed | None:
    body = place.read(name)
    return None if body is None else opened(body, name, ports.signer.public_key)
