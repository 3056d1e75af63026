"""API of privacy: scans, scrubbing, reviews, and the tenant's policy."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Body, Response
from pydantic import BaseModel, Field

from custody.core.errors import InvalidInput
from custody.core.refs import DatasetRef, name_of
from custody.data.dataset import DatasetVersion
from custody.lifecycle.claims import claimed
from custody.lifecycle.privacy import set_privacy
from custody.lifecycle.review import answer as decide
from custody.lifecycle.review import queue, standing
from custody.lifecycle.scan import Examined, rescan_tenant, scan
from custody.lifecycle.scrub import how_of, next_of, scrub_version
from custody.lifecycle.stores import Caller, Ports
from custody.privacy.patterns.pattern import Tier
from custody.privacy.scans.state import ScanState
from custody.web.callers import Called, Version, Wired
from custody.web.wire import answer

router = APIRouter(prefix="/api/v1", tags=["privacy"])


def with_scan(ports: Ports, caller: Caller, version: DatasetVersion) -> dict[str, Any]:
    """Return a dataset version with where its scan stands."""
    made: dict[str, Any] = msgspec.to_builtins(version)
    found, state, reasons = standing(ports, caller, version.ref)
    return {**made, "scan": {"state": state, "reasons": reasons, "found": found.found if found else ()}}


def ahead(version: DatasetVersion, examined: Examined) -> dict[str, Any]:
    """Return a version that is not stored, with what a scan says of it."""
    made: dict[str, Any] = msgspec.to_builtins(version)
    seen = {"state": examined.step.state, "reasons": examined.step.reasons, "found": examined.found}
    return {**made, "scan": seen}


def _ref(name: str, version: int) -> DatasetRef:
    return DatasetRef(name_of("dataset", name), version)


@router.post("/datasets/{name}/{version}/scan")
def post_scan(ports: Wired, caller: Called, name: str, version: Version) -> Response:
    """Scan a dataset version again."""
    found, entry = scan(ports, caller, _ref(name, version))
    return answer(found, ledger=entry, next=next_of(found.state, found.ref, found.found, found.reasons))


@router.get("/datasets/{name}/{version}/scan")
def show_report(ports: Wired, caller: Called, name: str, version: Version) -> Response:
    """Show where a version stands, its signed report, and what may be claimed about it."""
    seen = claimed(ports, caller, _ref(name, version))
    return answer(seen, next=next_of(ScanState(seen.state), seen.ref, seen.scan.found, seen.reasons))


class ScrubBody(BaseModel):
    """How a version is to be scrubbed."""

    model_config = {"extra": "forbid"}
    columns: dict[str, str] = Field(default_factory=dict)
    suppress_below_k: bool = False
    tier: Tier | None = None


@router.post("/datasets/{name}/{version}/scrub")
def post_scrub(ports: Wired, caller: Called, name: str, version: Version, body: ScrubBody, dry_run: bool = False) -> Response:
    """Make the next version of a dataset without the personal data that was found."""
    ref = _ref(name, version)
    chosen = {name: how_of(how) for name, how in body.columns.items()}
    suppress = body.suppress_below_k
    made, done, entry = scrub_version(ports, caller, ref, chosen=chosen, suppress=suppress, tier=body.tier, dry_run=dry_run)
    step, grouping = done.examined.step, done.examined.report.grouping
    told = {
        "source": ref,
        "ref": made.ref if made else None,
        "treatments": {name: str(how) for name, how in done.treatments.items()},
        "removed": done.removed,
        "suppressed": done.suppressed,
        "smallest_group": grouping.k if grouping else None,
        "state": step.state,
        "reasons": step.reasons,
        "found": done.examined.found,
    }
    following = next_of(step.state, made.ref, done.examined.found, step.reasons) if made else f"custody dataset scrub {ref}"
    return answer(told, ledger=entry, next=following)


@router.get("/datasets/{name}/{version}/review")
def list_review(ports: Wired, caller: Called, name: str, version: Version, unmasked: bool = False) -> Response:
    """List what waits for a person in a version; `unmasked` with the places as they are, for approvers who see rows."""
    return answer(queue(ports, caller, _ref(name, version), unmasked=unmasked))


class AnswerBody(BaseModel):
    """What a person decided."""

    model_config = {"extra": "forbid"}
    items: list[str] = Field(default_factory=list)
    answer: str
    reason: str = ""


@router.post("/datasets/{name}/{version}/review")
def post_review(ports: Wired, caller: Called, name: str, version: Version, body: AnswerBody, dry_run: bool = False) -> Response:
    """Record answers about findings, and scan again."""
    found, entry = decide(ports, caller, _ref(name, version), body.items, body.answer, reason=body.reason, dry_run=dry_run)
    return answer(found, ledger=entry, next=next_of(found.state, found.ref, found.found, found.reasons))


@router.put("/privacy")
def put_privacy(ports: Wired, caller: Called, values: Annotated[dict[str, Any], Body()], dry_run: bool = False) -> Response:
    """Set the tenant's privacy policy."""
    made, entry = set_privacy(ports, caller, values, dry_run=dry_run)
    return answer(made, ledger=entry, next="custody dataset rescan")


@router.get("/privacy")
def show_privacy(ports: Wired, caller: Called) -> Response:
    """Show the tenant's privacy policy."""
    return answer(ports.stores.of(caller.tenant).scans.policy())


@router.post("/datasets/rescan")
def post_rescan(ports: Wired, caller: Called, limit: int = 50) -> Response:
    """Scan again what was scanned under another policy or pack, or never; the worker does the same by itself."""
    if not 1 <= limit <= 1000:
        raise InvalidInput("The limit is from 1 to 1000.")
    return answer(rescan_tenant(ports, caller, limit=limit))
