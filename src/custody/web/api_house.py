"""API of the house: tenants, keys, the ledger, integrity."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Body, Response
from pydantic import BaseModel, Field

from custody.core.tenancy import Role, tenant_id
from custody.ledger.checkpoint import to_json
from custody.lifecycle.admit import add_key, add_tenant, revoke_key
from custody.lifecycle.verify import checkpoint, verify_all, verify_ledger
from custody.web.callers import Called, Wired
from custody.web.wire import answer, page

router = APIRouter(prefix="/api/v1", tags=["house"])


@router.get("/whoami")
def whoami(caller: Called) -> Response:
    """Tell who the key belongs to and which tenant it works in."""
    return answer({"actor": caller.actor, "tenant": caller.tenant})


@router.post("/tenants")
def post_tenant(ports: Wired, caller: Called, name: Annotated[str, Body(embed=True)], dry_run: bool = False) -> Response:
    """Add a client of the team."""
    tenant, entry = add_tenant(ports, caller, name, dry_run=dry_run)
    return answer(tenant, ledger=entry, next=f"custody deployment deploy MODEL@1 --tenant {tenant.id} --env prod")


@router.get("/tenants")
def list_tenants(ports: Wired, caller: Called, after: str | None = None, limit: int = 50) -> Response:
    """List the tenants that the key may enter."""
    if caller.actor.tenant is not None:
        return answer([ports.stores.tenants.get(caller.actor.tenant)])
    return page(ports.stores.tenants.page(after=after, limit=limit))


class KeyBody(BaseModel):
    """Who the key is for."""

    model_config = {"extra": "forbid"}
    name: str
    role: Role
    tenant: str | None = None
    days: int | None = Field(default=None, ge=1, le=3650)
    rows: bool = True


@router.post("/keys")
def post_key(ports: Wired, caller: Called, body: KeyBody) -> Response:
    """Make a key; its secret is in this answer and nowhere else."""
    tenant = tenant_id(body.tenant) if body.tenant else None
    expires = caller.now + timedelta(days=body.days) if body.days else None
    key, secret, entry = add_key(ports, caller, body.name, body.role, tenant, expires_at=expires, rows=body.rows)
    return answer({"key": key, "secret": secret}, ledger=entry, next="export CUSTODY_KEY=<the secret>")


@router.get("/keys")
def list_keys(ports: Wired, caller: Called) -> Response:
    """List keys, never their secrets."""
    caller.may(Role.ADMIN)
    return answer([key for key in ports.stores.tenants.keys() if caller.actor.tenant in (None, key.tenant)])  # noqa: SIM118 - not a dict


@router.delete("/keys/{id}")
def delete_key(ports: Wired, caller: Called, id: str) -> Response:  # noqa: A002 - the field's word
    """Revoke a key."""
    key, entry = revoke_key(ports, caller, id)
    return answer(key, ledger=entry, next="custody key ls")


@router.get("/ledger")
def list_ledger(
    ports: Wired, caller: Called, subject: str | None = None, kind: str | None = None, after: str | None = None, limit: int = 50
) -> Response:
    """List what happened, newest first: for the team's keys in every tenant, for a tenant's key in its own."""
    return page(ports.stores.ledger.page(caller.actor.tenant, subject=subject, kind=kind, after=after, limit=limit))


@router.post("/ledger/verify")
def post_verify(ports: Wired, caller: Called, checkpoints: Annotated[list[str] | None, Body(embed=True)] = None) -> Response:
    """Check every entry, the chain, and checkpoints: our own and those that the caller kept elsewhere."""
    return answer(verify_ledger(ports, caller, checkpoints or []))


@router.post("/ledger/checkpoint")
def post_checkpoint(ports: Wired, caller: Called) -> Response:
    """Sign the ledger as it is now; keep the answer somewhere else."""
    return answer(to_json(checkpoint(ports, caller)), next="custody ledger verify --checkpoint FILE")


@router.post("/verify")
def post_verify_all(ports: Wired, caller: Called) -> Response:
    """Check the ledger, every stored object's digest, and that nothing the records name is missing."""
    return answer(verify_all(ports, caller))
