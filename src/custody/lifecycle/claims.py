"""What may be claimed about a dataset version: where its scan stands, the signed report, and the one sentence that holds."""

from dataclasses import dataclass
from datetime import datetime

from custody.core.errors import NotFound
from custody.core.refs import DatasetRef
from custody.core.tenancy import Role
from custody.lifecycle.scan import SignedReport, report_of_scan, stands
from custody.lifecycle.stores import Caller, Ports
from custody.privacy.scans.report import ScanReport, report_of
from custody.privacy.scans.scan import Scan


@dataclass(frozen=True, slots=True)
class Claimed:
    """A version's newest scan and its report; state and reasons are those of today, under the policy and pack in force."""

    ref: DatasetRef
    title: str
    state: str
    reasons: tuple[str, ...]
    claim: str
    scan: Scan
    report: ScanReport
    signed: SignedReport
    as_of: datetime


def claimed(ports: Ports, caller: Caller, ref: DatasetRef) -> Claimed:
    """Return what a person may say about a version, and what they rest on; NotFound if it was never scanned."""
    caller.may(Role.VIEWER)
    shelf = ports.stores.of(caller.tenant)
    version, found = shelf.datasets.get(ref), shelf.scans.get(ref)
    if found is None:
        raise NotFound(f"{ref} was never scanned.", fix=f"Scan it: custody dataset scan {ref}")
    state, reasons = stands(shelf, ref)
    signed, values = report_of_scan(ports, found)
    report = report_of(values)
    return Claimed(ref, version.card.title, state.value, reasons, report.claim, found, report, signed, caller.now)
