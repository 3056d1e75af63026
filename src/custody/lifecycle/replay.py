"""Replay: after a database was restored from a backup, everybody who was erased since then is erased again before it opens."""

import logging
from dataclasses import dataclass
from datetime import datetime

from custody.core.errors import CustodyError, Denied, Unavailable
from custody.core.tenancy import TenantId
from custody.lifecycle.forget import SYSTEM, begin_again, resume_in
from custody.lifecycle.listing import unknown
from custody.lifecycle.stores import Ports
from custody.lifecycle.subjects import index_old

log = logging.getLogger("custody.erasures")


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay did: erasures begun again, how many erasures were carried out, and why entries of the list were refused."""

    begun: tuple[str, ...] = ()
    done: int = 0
    refused: tuple[str, ...] = ()


def replay(ports: Ports, now: datetime) -> Replayed:
    """Begin again what the list knows and the database does not, then carry it out; without a restore it costs a listing.

    All versions are closed before the first is rewritten. What cannot be carried out, since objects are missing, say, stays
    closed and is tried again whenever the worker starts. A forged entry is reported and never followed.
    """
    entries, refused = unknown(ports)
    for error in refused:
        log.warning("an entry of the list of erasures was refused: %s", error)
    tenants = dict.fromkeys(entry.tenant for entry in entries)
    closed = [tenant for tenant in tenants if _index(ports, tenant, now)]
    begun = [entry.id for entry in entries if entry.tenant in closed and begin_again(ports, entry, now)]
    for id_ in begun:
        log.warning("erasure %s was begun again: the list knows it, and the database, restored from a backup, did not", id_)
    done = sum(_carry_out(ports, tenant, now) for tenant in closed) if begun else 0
    return Replayed(tuple(begun), done, tuple(error.what for error in refused))


def _index(ports: Ports, tenant: TenantId, now: datetime) -> bool:
    """Index what was stored before there was an index; False if the tenant's keys were destroyed: nobody reads its rows."""
    try:
        index_old(ports, lambda: ports.stores.change(tenant, SYSTEM, now), tenant)
    except Denied:
        return False
    except Unavailable:
        raise
    except CustodyError as error:  # an object is missing or damaged: versions in the index are closed all the same
        log.warning("a version of %s cannot be searched for people: %s", tenant, error)
    return True


def _carry_out(ports: Ports, tenant: TenantId, now: datetime) -> int:
    """Carry out a tenant's erasures; where rows are shared, one has to wait for another, so that it is tried until none goes on."""
    done = 0
    try:
        while made := resume_in(ports, tenant, now):
            done += made
    except Unavailable as error:  # another process holds the database, say: the rows are closed, and the worker goes on
        log.warning("erasures of %s cannot go on: %s", tenant, error)
    return done
