"""API of chapters 2 and 3: model versions, aliases, golden sets, gates."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Body, Response

from custody.core.errors import NotFound
from custody.core.refs import ModelRef, name_of
from custody.lifecycle.convert import convert
from custody.lifecycle.export import artifact, card
from custody.lifecycle.mitigate import measure_mitigation
from custody.lifecycle.promote import golden_of, promote, set_golden, set_policy
from custody.web.callers import Called, Version, Wired
from custody.web.wire import answer, page

router = APIRouter(prefix="/api/v1", tags=["models and gates"])


def ref_of(name: str, version: int) -> ModelRef:
    """Return a model version's name from a path."""
    return ModelRef(name_of("model", name), version)


@router.post("/models")
def register_model(
    ports: Wired,
    caller: Called,
    run: Annotated[str, Body()],
    name: Annotated[str | None, Body()] = None,
    dry_run: bool = False,
) -> Response:
    """Register the converted model of a run as the next version of its name."""
    version, entry = convert(ports, caller, run, name, dry_run=dry_run)
    return answer(version, ledger=entry, next=f"custody gate check {version.ref}")


@router.get("/models")
def list_models(ports: Wired, caller: Called, name: str | None = None, after: str | None = None, limit: int = 50) -> Response:
    """List model versions, newest first."""
    return page(ports.stores.of(caller.tenant).models.page(name, after=after, limit=limit))


@router.get("/models/{name}/{version}")
def show_model(ports: Wired, caller: Called, name: str, version: str) -> Response:
    """Show a model version by number, `latest` or alias."""
    models = ports.stores.of(caller.tenant).models
    if version.isascii() and version.isdecimal() and len(version) <= 9:
        return answer(models.get(ref_of(name, int(version))))
    if version == "latest" and (latest := models.latest(name)):
        return answer(latest)
    if found := models.alias(name, version):
        return answer(models.get(found))
    raise NotFound.of("model", f"{name}@{version}", ls=f"custody model ls {name}")


@router.get("/models/{name}/{version}/card")
def model_card(ports: Wired, caller: Called, name: str, version: Version) -> Response:
    """Export a model card: what it is, what it was trained on, what it showed, under what terms."""
    return answer(card(ports, caller, ref_of(name, version)))


@router.get("/models/{name}/{version}/artifact")
def model_artifact(ports: Wired, caller: Called, name: str, version: Version) -> Response:
    """Return a version's ONNX file."""
    body = artifact(ports, caller, ref_of(name, version))
    headers = {"Content-Disposition": f'attachment; filename="{name}-{version}.onnx"'}
    return Response(body, media_type="application/octet-stream", headers=headers)


@router.put("/goldens/{model}")
def put_golden(ports: Wired, caller: Called, model: str, cases: Annotated[list[Any], Body()], dry_run: bool = False) -> Response:
    """Set the golden cases of a model name."""
    golden, entry = set_golden(ports, caller, name_of("model", model), cases, dry_run=dry_run)
    return answer(
        {"set": golden, "digest": golden.digest}, ledger=entry, next=f"custody run exec --name {model} -- python train.py"
    )


@router.get("/goldens/{model}")
def show_golden(ports: Wired, caller: Called, model: str) -> Response:
    """Show the newest golden set of a model name; inputs only to a key that sees rows."""
    golden, digest = golden_of(ports, caller, name_of("model", model))
    return answer({"set": golden, "digest": digest})


@router.put("/gates/{model}")
def put_policy(
    ports: Wired, caller: Called, model: str, policy: Annotated[dict[str, Any], Body()], dry_run: bool = False
) -> Response:
    """Set what a model name must show before it may be deployed."""
    kept, entry = set_policy(ports, caller, name_of("model", model), policy, dry_run=dry_run)
    return answer({"policy": kept, "digest": kept.digest}, ledger=entry, next="custody run exec -- python train.py")


@router.get("/gates/{model}")
def show_policy(ports: Wired, caller: Called, model: str) -> Response:
    """Show the newest policy of a model name."""
    policy = ports.stores.of(caller.tenant).gates.policy(name_of("model", model))
    if policy is None:
        raise NotFound.of("gate policy", model, ls=f"custody gate set {model} policy.yaml")
    return answer({"policy": policy, "digest": policy.digest})


@router.get("/verdicts")
def list_verdicts(ports: Wired, caller: Called, model: str | None = None, after: str | None = None, limit: int = 50) -> Response:
    """List verdicts, newest first."""
    return page(ports.stores.of(caller.tenant).gates.page(model, after=after, limit=limit))


@router.post("/gates/{model}/{version}/check")
def check_gate(
    ports: Wired,
    caller: Called,
    model: str,
    version: Version,
    baseline: Annotated[str | None, Body(embed=True)] = None,
    waive: Annotated[list[str] | None, Body(embed=True)] = None,
    reason: Annotated[str, Body(embed=True)] = "",
    dry_run: bool = False,
) -> Response:
    """Judge a model version; a refusal is an answer, not an error. waive: inconclusive checks of bias that an approver answers for."""
    ref, against = ref_of(model, version), ModelRef.parse(baseline) if baseline else None
    verdict, entry = promote(ports, caller, ref, baseline=against, waive=waive or (), reason=reason, dry_run=dry_run)
    follow = f"custody deployment deploy {ref} --tenant TENANT --env prod" if verdict.passed else f"custody gate explain {ref}"
    return answer(verdict, ledger=entry, next=follow)


@router.post("/gates/{model}/{version}/mitigation")
def post_mitigation(
    ports: Wired,
    caller: Called,
    model: str,
    version: Version,
    column: Annotated[str, Body()],
    before: Annotated[str | None, Body()] = None,
    threshold: Annotated[float | None, Body(ge=0, le=1)] = None,
    dry_run: bool = False,
) -> Response:
    """Measure what a treatment of bias did to the gaps between groups and to accuracy, on held-out rows."""
    ref = ref_of(model, version)
    old = ModelRef.parse(before) if before else None
    found, entry = measure_mitigation(ports, caller, ref, column, before=old, threshold=threshold, dry_run=dry_run)
    body = {"sentence": found.sentence, **msgspec.to_builtins(found)}
    return answer(body, ledger=entry, next=f"custody export card {ref}")


@router.get("/gates/{model}/{version}")
def explain_gate(ports: Wired, caller: Called, model: str, version: Version) -> Response:
    """Show the newest verdict on a model version, check by check."""
    ref = ref_of(model, version)
    verdict = ports.stores.of(caller.tenant).gates.verdict(ref)
    if verdict is None:
        raise NotFound.of("verdict", str(ref), ls=f"custody gate check {ref}")
    return answer(verdict)
