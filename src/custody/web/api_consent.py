"""API of what people said about their data, and of rows that leave: consent, exports."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body, File, Response, UploadFile
from pydantic import BaseModel, Field

from custody.core.refs import DatasetRef, name_of
from custody.core.tenancy import Role
from custody.lifecycle.consent import check_consent, consent, said_by
from custody.lifecycle.export import export, identify, take
from custody.web.callers import Called, Version, Wired
from custody.web.wire import answer, page

router = APIRouter(prefix="/api/v1", tags=["privacy"])


@router.post("/consents")
def add_consents(
    ports: Wired,
    caller: Called,
    rows: Annotated[list[dict[str, Any]], Body()],
    source: Annotated[str, Body()] = "",
    dry_run: bool = False,
) -> Response:
    """Record what people said: subject, purpose, status, valid_from, and optionally valid_to, source, notice, children."""
    received, entry = consent(ports, caller, rows, source=source, dry_run=dry_run)
    return answer(received, ledger=entry, next="custody consent check DATASET --purpose train_ai_system")


@router.get("/consents")
def list_consents(
    ports: Wired, caller: Called, subject: str | None = None, after: str | None = None, limit: int = 50
) -> Response:
    """List consent records, newest first; people are tokens. subject: the person as your own systems name them."""
    return page(said_by(ports, caller, subject=subject, after=after, limit=limit))


@router.get("/consents/check/{name}/{version}")
def get_check(ports: Wired, caller: Called, name: str, version: Version, purpose: str, at: datetime | None = None) -> Response:
    """Say how many rows of a dataset version a training for a purpose would get, and why not the others."""
    moment = at if at is None or at.tzinfo else at.replace(tzinfo=UTC)
    ref = DatasetRef(name_of("dataset", name), version)
    return answer(
        check_consent(ports, caller, ref, purpose, at=moment), next=f"custody run exec --purpose {purpose} -- python train.py"
    )


class ExportBody(BaseModel):
    """Which rows may leave, what for, to whom, for how long."""

    model_config = {"extra": "forbid"}
    name: str
    dataset: str
    purpose: str
    recipient: str
    days: int = 7
    columns: list[str] = Field(default_factory=list)


@router.post("/exports")
def make_export(ports: Wired, caller: Called, body: ExportBody, dry_run: bool = False) -> Response:
    """Allow that rows of a dataset version leave under a name, for a purpose, for some days."""
    made, entry = export(
        ports,
        caller,
        body.name,
        DatasetRef.parse(body.dataset),
        purpose=body.purpose,
        recipient=body.recipient,
        days=body.days,
        columns=body.columns,
        dry_run=dry_run,
    )
    return answer(made, ledger=entry, next=f"custody export get {made.name} -o {made.name}.parquet")


@router.get("/exports")
def list_exports(ports: Wired, caller: Called, after: str | None = None, limit: int = 50) -> Response:
    """List exports, newest first; never rows."""
    caller.may(Role.VIEWER)
    return page(ports.stores.of(caller.tenant).exports.page(after=after, limit=limit))


@router.get("/exports/{name}/rows")
def take_export(ports: Wired, caller: Called, name: str) -> Response:
    """Hand out the rows of an export as Parquet until it ends; every take is in the ledger."""
    _, body = take(ports, caller, name)
    return Response(body, media_type="application/vnd.apache.parquet")


@router.post("/exports/identify")
def identify_export(ports: Wired, caller: Called, file: Annotated[UploadFile, File()]) -> Response:
    """Say which export a Parquet file came from, by its metadata or by the order of its rows."""
    return answer(identify(ports, caller, ports.tables.from_parquet(file.file.read())))
