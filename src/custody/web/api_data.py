"""API of chapter 1 and 2: objects, datasets, runs."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Body, File, Form, Request, Response, UploadFile
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError
from starlette.concurrency import run_in_threadpool

from custody.core.digest import parse_digest
from custody.core.errors import InvalidInput
from custody.core.refs import DatasetRef, name_of
from custody.core.schema import Signature
from custody.core.tenancy import Role
from custody.data.asked import card_of
from custody.data.dataset import HOLDOUT
from custody.data.inherit import Waiver
from custody.data.split import Split
from custody.lifecycle import train
from custody.lifecycle.cards import exported_card, plain_card
from custody.lifecycle.ingest import Roles, ingest, look_ahead
from custody.lifecycle.profile import profile
from custody.lifecycle.scan import listed
from custody.lifecycle.scrub import next_of
from custody.privacy.scans.state import ScanState
from custody.registry.run import LoggedModel, Recipe, RunStatus
from custody.web.api_privacy import ahead, with_scan
from custody.web.callers import Called, Version, Wired
from custody.web.wire import answer, page

router = APIRouter(prefix="/api/v1", tags=["data and runs"])


class DatasetMeta(BaseModel):
    """What comes beside a dataset file."""

    model_config = {"extra": "forbid"}
    name: str
    format: str
    card: dict[str, Any]
    target: str | None = None
    positive: str | None = None
    subject: str | None = None
    time: str | None = None
    groups: list[str] = Field(default_factory=list)
    columns: list[str] | None = None
    derived_from: list[str] = Field(default_factory=list)
    holdout: float = HOLDOUT
    own_keys: bool = False
    waive: list[str] = Field(default_factory=list)
    waiver_reason: str = ""


@router.post("/datasets")
def add_dataset(
    ports: Wired, caller: Called, file: Annotated[UploadFile, File()], meta: Annotated[str, Form()], dry_run: bool = False
) -> Response:
    """Store a file's rows as the next version of a dataset."""
    wanted = _meta(meta)
    table = ports.tables.read(file.file, wanted.format, columns=wanted.columns)
    roles = Roles(wanted.target, wanted.positive, wanted.subject, wanted.time, tuple(wanted.groups))
    card = card_of(wanted.card)
    version, entry = ingest(
        ports,
        caller,
        wanted.name,
        table,
        card,
        roles=roles,
        holdout=wanted.holdout,
        derived_from=wanted.derived_from,
        own_keys=wanted.own_keys,
        waiver=Waiver(tuple(wanted.waive), wanted.waiver_reason) if wanted.waive or wanted.waiver_reason else None,
        dry_run=dry_run,
    )
    shown = ahead(version, look_ahead(ports, caller, table, card, roles)) if dry_run else with_scan(ports, caller, version)
    seen = shown["scan"]
    following = next_of(ScanState(seen["state"]), version.ref, seen["found"], seen["reasons"])
    blocked = "; it may not train a model yet: " + ", ".join(version.card.blocks) if version.card.blocks else ""
    return answer(shown, ledger=entry, next=following + blocked)


@router.get("/datasets")
def list_datasets(ports: Wired, caller: Called, name: str | None = None, after: str | None = None, limit: int = 50) -> Response:
    """List dataset versions, newest first."""
    return page(listed(ports, caller, name, after=after, limit=limit))


@router.get("/datasets/{name}/{version}")
def show_dataset(ports: Wired, caller: Called, name: str, version: Version) -> Response:
    """Show a dataset version with its card."""
    found = ports.stores.of(caller.tenant).datasets.get(DatasetRef(name_of("dataset", name), version))
    return answer(with_scan(ports, caller, found))


@router.get("/datasets/{name}/{version}/profile")
def show_profile(ports: Wired, caller: Called, name: str, version: Version) -> Response:
    """Show the columns of a dataset version in short: missing values, quantiles, frequent levels."""
    return answer(profile(ports, caller, DatasetRef(name_of("dataset", name), version)))


@router.get("/datasets/{name}/{version}/card")
def show_card(ports: Wired, caller: Called, name: str, version: Version, form: str = "plain") -> Response:
    """Show a card in plain sentences, or in a standard: croissant, dps, spdx, dpv, odrl; `signed` is the card as it was signed."""
    ref = DatasetRef(name_of("dataset", name), version)
    return answer(plain_card(ports, caller, ref) if form == "plain" else exported_card(ports, caller, ref, form))


@router.post("/cards/check")
def check_card(caller: Called, values: Annotated[dict[str, Any], Body()]) -> Response:
    """Check a card without storing it: every fault at once, or the card and what still blocks training."""
    caller.may(Role.VIEWER)
    card = card_of(values)
    return answer({"card": card, "blocks": card.blocks}, next="custody dataset add NAME FILE --card card.yaml")


@router.post("/objects")
async def add_object(request: Request, ports: Wired, caller: Called) -> Response:
    """Store the body and answer its digest."""
    body = await request.body()
    return answer(await run_in_threadpool(train.keep, ports, caller, body))


class RunStart(BaseModel):
    """What a run says when it begins."""

    model_config = {"extra": "forbid"}
    name: str
    code_version: str = ""
    environment: dict[str, str] = Field(default_factory=dict)
    command: list[str] = Field(default_factory=list)
    files: dict[str, str] = Field(default_factory=dict)
    cause: str = ""
    purpose: str = ""


@router.post("/runs")
def begin_run(ports: Wired, caller: Called, start: RunStart) -> Response:
    """Open a run."""
    files = {path: parse_digest(digest) for path, digest in start.files.items()}
    recipe = Recipe(tuple(start.command), files, start.purpose) if start.command else None
    run, entry = train.begin(
        ports,
        caller,
        start.name,
        code_version=start.code_version,
        environment=start.environment,
        recipe=recipe,
        cause=start.cause,
        purpose=start.purpose,
    )
    return answer(run, ledger=entry, next=f"custody run show {run.id}")


@router.get("/runs")
def list_runs(
    ports: Wired,
    caller: Called,
    name: str | None = None,
    status: RunStatus | None = None,
    after: str | None = None,
    limit: int = 50,
) -> Response:
    """List runs, newest first."""
    return page(ports.stores.of(caller.tenant).runs.page(name, status=status, after=after, limit=limit))


@router.get("/runs/{id}")
def show_run(ports: Wired, caller: Called, id: str) -> Response:  # noqa: A002 - the field's word
    """Show a run; `last` is the newest, `last:NAME` the newest of a name."""
    return answer(ports.stores.of(caller.tenant).runs.get(_resolved(ports, caller, id)))


@router.get("/runs/{id}/data/{dataset}/{version}")
def read_data(
    ports: Wired,
    caller: Called,
    id: str,  # noqa: A002 - the field's word
    dataset: str,
    version: Version,
    split: Split = Split.TRAIN,
    reweigh: str = "",
) -> Response:
    """Hand a run the rows of a dataset version as Parquet, with weights by a column of groups if asked, and record that it read them."""
    table = train.read(ports, caller, id, DatasetRef(name_of("dataset", dataset), version), split, reweigh=reweigh)
    return Response(ports.tables.to_parquet(table), media_type="application/vnd.apache.parquet")


class ModelLog(BaseModel):
    """A converted model that a run logs."""

    model_config = {"extra": "forbid"}
    name: str
    artifact: str
    fixture: str
    signature: dict[str, Any]
    framework: str
    notes: list[str] = Field(default_factory=list)


class RunLog(BaseModel):
    """What a run adds."""

    model_config = {"extra": "forbid"}
    params: dict[str, str] = Field(default_factory=dict)
    metrics: dict[str, float] = Field(default_factory=dict)
    models: list[ModelLog] = Field(default_factory=list)
    purpose: str = ""


@router.post("/runs/{id}/log")
def log_run(ports: Wired, caller: Called, id: str, log: RunLog) -> Response:  # noqa: A002 - the field's word
    """Add parameters, metrics and converted models to a run."""
    models = [
        LoggedModel(
            m.name, parse_digest(m.artifact), parse_digest(m.fixture), _signature(m.signature), m.framework, tuple(m.notes)
        )
        for m in log.models
    ]
    return answer(train.log(ports, caller, id, params=log.params, metrics=log.metrics, models=models, purpose=log.purpose))


@router.post("/runs/{id}/end")
def end_run(ports: Wired, caller: Called, id: str, status: Annotated[RunStatus, Body(embed=True)]) -> Response:  # noqa: A002
    """End a run."""
    run, entry = train.train(ports, caller, id, status)
    follow = f"custody model register {run.models[0].name} --run {run.id}" if run.models else f"custody run show {run.id}"
    return answer(run, ledger=entry, next=follow)


def _meta(text: str) -> DatasetMeta:
    try:
        return DatasetMeta.model_validate_json(text)
    except ValidationError as error:
        raise RequestValidationError([{**one, "loc": ("meta", *one["loc"])} for one in error.errors()]) from error


def _signature(value: dict[str, Any]) -> Signature:
    try:
        return msgspec.convert(value, Signature)
    except msgspec.ValidationError as error:
        raise InvalidInput("The model's signature cannot be read.", why=str(error)) from error


def _resolved(ports: Wired, caller: Called, id: str) -> str:  # noqa: A002 - the field's word
    word, _, name = id.partition(":")
    if word != "last":
        return id
    found = ports.stores.of(caller.tenant).runs.last(name or None)
    return found.id if found else id
