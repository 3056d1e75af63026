"""Tell the data plane: all deployments and keys as one signed manifest in the object store."""

import base64
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

import msgspec

from custody.core.digest import Digest
from custody.core.manifest import CaptureRule, KeyGrant, Manifest, Service, SignedManifest, Target
from custody.core.page import MOST
from custody.core.tenancy import TenantId
from custody.lifecycle.stores import Key, Ports, Stores
from custody.monitoring.ports import Monitors
from custody.privacy.rules import Captures, PrivacyPolicy

CURRENT = "manifest/current"
SESSION = "session:"  # before the id of the key that a session came from, in the session's name


def publish(ports: Ports, now: datetime) -> bool:
    """Publish the manifest if deployments or keys changed since the published one; tell whether it did.

    Desired state is what the database says: a process killed between its commit and this call is made good by the next
    call, from whichever process. After writing it looks again, so that a slow process does not leave an older state behind:
    what it then writes has a sequence above all that others wrote before, and data planes take none that is lower.
    """
    wrote = False
    while (draft := _draft(ports, now)) is not None:
        ports.stores.objects.publish(CURRENT, draft)
        wrote = True
    return wrote


def _draft(ports: Ports, now: datetime) -> bytes | None:
    """Return the manifest to publish, None if the published one says the same."""
    services, keys = _services(ports.stores), _grants(ports.stores, now)
    body = ports.stores.objects.read(CURRENT)
    sequence = 0
    if body is not None:
        old = msgspec.json.decode(msgspec.json.decode(body, type=SignedManifest).manifest, type=Manifest)
        if old.services == services and old.keys == keys:
            return None
        sequence = old.sequence
    clock_ms = time.time_ns() // 1_000_000  # and not `now`, which may be long ago when this is written
    manifest = Manifest(max(sequence + 1, clock_ms), now, services, keys)
    text = msgspec.json.encode(manifest).decode()
    signature = base64.b64encode(ports.signer.sign(text.encode())).decode()
    signed = SignedManifest(text, signature, ports.signer.key_id)
    return msgspec.json.encode(signed)


def _services(stores: Stores) -> tuple[Service, ...]:
    """Return what each deployment serves; a parity fixture from which an erased person's rows were taken stands for the old."""
    shelves = [stores.of(tenant) for tenant in tenants_of(stores)]
    instead = {old: new for shelf in shelves for old, new in shelf.subjects.redirects().items()}
    return tuple(
        _told(
            shelf.monitors,
            replace(_without(head.service, instead) if instead else head.service, captures=_rule(shelf.scans.policy())),
        )
        for shelf in shelves
        for head in shelf.deployments.heads()
    )


def _rule(policy: PrivacyPolicy) -> CaptureRule:
    """Tell the data plane what the tenant's privacy policy says of captured texts."""
    return CaptureRule(policy.captures is Captures.SCRUB, policy.scan.tier.value, policy.scan.keep)


def _without(service: Service, instead: Mapping[Digest, Digest]) -> Service:
    live, candidate = _stood_in(service.live, instead), service.candidate
    return replace(service, live=live, candidate=candidate and replace(candidate, target=_stood_in(candidate.target, instead)))


def _stood_in(target: Target, instead: Mapping[Digest, Digest]) -> Target:
    parity = target.parity
    while parity is not None and parity in instead:
        parity = instead[parity] or None
    return replace(target, parity=parity)


def _told(monitors: Monitors, service: Service) -> Service:
    """Tell which reference summarises the rows that are not kept, for targets that have one; without one all rows are kept."""
    if service.handling.capture_share >= 1:
        return service

    def told(target: Target) -> Target:
        digest = monitors.state(service.key, f"reference:{target.model}@{target.threshold:g}")
        return replace(target, reference=Digest(digest)) if digest else target

    beside = service.candidate and replace(service.candidate, target=told(service.candidate.target))
    return replace(service, live=told(service.live), candidate=beside)


def tenants_of(stores: Stores) -> list[TenantId]:
    """Return every tenant."""
    found: list[TenantId] = []
    after: str | None = None
    while True:
        page = stores.tenants.page(after=after, limit=MOST)
        found += [tenant.id for tenant in page.items]
        if page.next is None:
            return found
        after = page.next


def good(key: Key, now: datetime) -> bool:
    """Tell whether a key is neither revoked nor expired."""
    return key.revoked_at is None and (key.expires_at is None or key.expires_at > now)


def _grants(stores: Stores, now: datetime) -> tuple[KeyGrant, ...]:
    """Return the keys that may call the data plane; a session of the dashboard is none."""
    keys = stores.tenants.keys()
    return tuple(KeyGrant(key.sha256, key.tenant) for key in keys if good(key, now) and not key.name.startswith(SESSION))
