"""API of people's rights and of the keys that seal: erasure, obligations, access requests, encryption."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from custody.lifecycle.disclose import disclose
from custody.lifecycle.forget import forget
from custody.lifecycle.owed import answer_obligation, owed
from custody.lifecycle.receipts import receipt_of
from custody.lifecycle.reseal import MANY, reseal
from custody.lifecycle.sealing import destroy, list_keys, rewrap, rotate
from custody.privacy.erasure.obligation import Answer
from custody.web.callers import Called, Wired
from custody.web.wire import answer

router = APIRouter(prefix="/api/v1", tags=["people"])


class ErasureBody(BaseModel):
    """Whom to erase; canaries: further texts of the person that must be found nowhere afterwards."""

    model_config = {"extra": "forbid"}
    subject: str
    days: int = Field(default=30, ge=1, le=365)
    owner: str = ""
    canaries: list[str] = []


@router.post("/erasures")
def post_erasure(ports: Wired, caller: Called, body: ErasureBody, dry_run: bool = False) -> Response:
    """Erase one person everywhere, or with `dry_run` tell how far their data went."""
    found, entry = forget(ports, caller, body.subject, days=body.days, owner=body.owner, canaries=body.canaries, dry_run=dry_run)
    return answer(found, ledger=entry, next="custody obligation ls" if found.obligations else "")


@router.get("/erasures/{id}/receipt")
def get_receipt(ports: Wired, caller: Called, id: str) -> Response:  # noqa: A002 - the field's word
    """Return the signed receipt of an erasure, as a file that anybody can check without the project."""
    return answer(receipt_of(ports, caller, id), next="custody erase verify FILE")


@router.get("/obligations")
def list_obligations(ports: Wired, caller: Called, open: bool = False) -> Response:  # noqa: A002 - the field's word
    """List what models owe after erasures, those due first at the front."""
    found = owed(ports, caller, only_open=open)
    return answer([{"obligation": one, "overdue": one.overdue(caller.now)} for one in found])


class AnswerBody(BaseModel):
    """How an obligation ends. evidence: the run (retrain) or the ground (accept). approver: who accepts."""

    model_config = {"extra": "forbid"}
    answer: Answer
    evidence: str = ""
    approver: str = ""


@router.post("/obligations/{id}/answer")
def post_answer(ports: Wired, caller: Called, id: str, body: AnswerBody, dry_run: bool = False) -> Response:  # noqa: A002
    """Close an obligation with its evidence."""
    made, entry = answer_obligation(
        ports, caller, id, body.answer, evidence=body.evidence, approver=body.approver, dry_run=dry_run
    )
    return answer(made, ledger=entry, next="custody obligation ls")


class SubjectBody(BaseModel):
    """Who asks for their data."""

    model_config = {"extra": "forbid"}
    subject: str


@router.post("/subjects/export")
def post_export(ports: Wired, caller: Called, body: SubjectBody) -> Response:
    """Return everything about one person as a zip; the header X-Custody-Ledger names the entry that recorded it."""
    archive, entry = disclose(ports, caller, body.subject)
    return Response(archive, media_type="application/zip", headers={"X-Custody-Ledger": str(entry)})


@router.get("/encryption/keys")
def list_data_keys(ports: Wired, caller: Called) -> Response:
    """List data keys, never their secrets."""
    return answer(list_keys(ports, caller))


@router.post("/encryption/rotate")
def post_rotate(ports: Wired, caller: Called, master: bool = False, dry_run: bool = False) -> Response:
    """Make a new data key for the tenant; or, with `master`, wrap every data key again under the master key set now."""
    if master:
        changed, entry = rewrap(ports, caller, dry_run=dry_run)
        return answer({"rewrapped": changed}, ledger=entry, next="custody encryption ls")
    keys, entry = rotate(ports, caller, dry_run=dry_run)
    return answer({"keys": keys}, ledger=entry, next="custody encryption ls")


@router.post("/encryption/reseal")
def post_reseal(
    ports: Wired,
    caller: Called,
    after: str = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = MANY,
    retire: bool = False,
    dry_run: bool = False,
) -> Response:
    """Seal the tenant's next documents under its newest data key; call again with `after` until `done`."""
    made, entry = reseal(ports, caller, after, limit=limit, retire=retire, dry_run=dry_run)
    return answer(made, ledger=entry, next="custody encryption ls" if made.done else "")


class DestroyBody(BaseModel):
    """Why a tenant's keys are destroyed."""

    model_config = {"extra": "forbid"}
    reason: str = Field(min_length=3)


@router.post("/encryption/destroy")
def post_destroy(ports: Wired, caller: Called, body: DestroyBody, dry_run: bool = False) -> Response:
    """Destroy all keys of the tenant: nothing that they sealed can ever be read, no pseudonym be linked again."""
    made, entry = destroy(ports, caller, reason=body.reason, dry_run=dry_run)
    return answer(made, ledger=entry, next="custody encryption ls")
