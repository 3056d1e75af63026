"""The client: one method per verb, named `noun_verb` like the command `custody noun verb`."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from custody.core.errors import InvalidInput
from custody.sdk.consent import PrivacyVerbs
from custody.sdk.paths import key_path, segment, version_path
from custody.sdk.people import People
from custody.sdk.privacy import PrivacyCalls
from custody.sdk.wire import Result, Wire

__all__ = ["Client", "Result", "connect"]

_FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}


def connect(target: str | Path | None = None, *, key: str | None = None, tenant: str | None = None) -> "Client":
    """Open a server (`http://...`, with a key) or a project folder.

    Without arguments: CUSTODY_URL with CUSTODY_KEY, else the folder CUSTODY_PROJECT, else the current folder.
    """
    chosen = str(target or os.environ.get("CUSTODY_URL") or os.environ.get("CUSTODY_PROJECT") or ".")
    return Client(Wire(chosen, key=key or os.environ.get("CUSTODY_KEY"), tenant=tenant or os.environ.get("CUSTODY_TENANT")))


class Client(PrivacyCalls, PrivacyVerbs, People):
    """Everything a person can do with custody; each change returns its ledger entry.

    dry_run: answer what would happen, and change nothing. Every method raises the errors of custody.core.errors.
    """

    def __init__(self, wire: Wire) -> None:
        self.wire = wire

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self.wire.close()

    # datasets

    def dataset_add(
        self,
        name: str,
        source: str | Path | BinaryIO,
        *,
        card: Mapping[str, Any],
        format: str | None = None,  # noqa: A002 - the field's word
        target: str | None = None,
        positive: str | None = None,
        subject: str | None = None,
        time: str | None = None,
        groups: Sequence[str] = (),
        columns: Sequence[str] | None = None,
        derived_from: Sequence[str] = (),
        holdout: float = 0.4,
        own_keys: bool = False,
        waive: Sequence[str] = (),
        waiver_reason: str = "",
        dry_run: bool = False,
    ) -> Result:
        """Store a CSV, JSONL or Parquet file as the next version of a dataset, with its provenance card.

        own_keys: seal each person's rows under a key of their own, which an erasure destroys.
        waive: inherited fields in which the card may allow more than its sources, by an approver who says why.
        """
        meta: dict[str, Any] = {
            "name": name,
            "format": format or format_of(source),
            "card": dict(card),
            "target": target,
            "positive": positive,
            "subject": subject,
            "time": time,
            "groups": list(groups),
            "columns": list(columns) if columns else None,
            "derived_from": list(derived_from),
            "holdout": holdout,
            "own_keys": own_keys,
            "waive": list(waive),
            "waiver_reason": waiver_reason,
        }
        file = Path(source).open("rb") if isinstance(source, str | Path) else source  # noqa: SIM115 - closed below
        with file:
            content = {"files": {"file": ("rows", file)}, "data": {"meta": json.dumps(meta, default=str)}}
            return self.wire.call("POST", "/datasets", params={"dry_run": dry_run}, **content)

    def dataset_ls(self, name: str | None = None) -> Iterator[Any]:
        """List dataset versions, newest first."""
        return self.wire.pages("/datasets", params={"name": name})

    def dataset_show(self, ref: str) -> Result:
        """Show a dataset version, `tickets@3`, with its card."""
        return self.wire.call("GET", f"/datasets/{version_path(ref)}")

    def dataset_profile(self, ref: str) -> Result:
        """Show the columns of a dataset version in short: missing values, quantiles, frequent levels."""
        return self.wire.call("GET", f"/datasets/{version_path(ref)}/profile")

    # runs

    def run_begin(
        self,
        name: str,
        *,
        code_version: str = "",
        environment: Mapping[str, str] | None = None,
        command: Sequence[str] = (),
        files: Mapping[str, bytes] | None = None,
        cause: str = "",
        purpose: str = "",
    ) -> Result:
        """Open a run; command and files are the recipe that repeats it, purpose what its model is for."""
        stored = {path: self.object_add(body) for path, body in (files or {}).items()}
        body = {
            "name": name,
            "code_version": code_version,
            "environment": dict(environment or {}),
            "command": list(command),
            "files": stored,
            "cause": cause,
            "purpose": purpose,
        }
        return self.wire.call("POST", "/runs", json=body)

    def run_ls(self, name: str | None = None, *, status: str | None = None) -> Iterator[Any]:
        """List runs, newest first."""
        return self.wire.pages("/runs", params={"name": name, "status": status})

    def run_show(self, id: str) -> Result:  # noqa: A002 - the field's word
        """Show a run by id; `last` is the newest, `last:NAME` the newest of a name."""
        return self.wire.call("GET", f"/runs/{segment(id)}")

    def run_log(self, id: str, **log: Any) -> Result:  # noqa: A002 - the field's word
        """Add params, metrics, models and the purpose to a running run."""
        return self.wire.call("POST", f"/runs/{segment(id)}/log", json=log)

    def run_data(self, id: str, dataset: str, *, split: str = "train", reweigh: str = "") -> bytes:  # noqa: A002 - the field's word
        """Return rows of a dataset version as Parquet, recorded as read by the run."""
        params = {"split": split, "reweigh": reweigh or None}
        return self.wire.send("GET", f"/runs/{segment(id)}/data/{version_path(dataset)}", params=params).content

    def run_end(self, id: str, status: str = "finished") -> Result:  # noqa: A002 - the field's word
        """End a run: finished, failed or killed."""
        return self.wire.call("POST", f"/runs/{segment(id)}/end", json={"status": status})

    def object_add(self, body: bytes) -> str:
        """Store bytes that a run or recipe will name, and return their digest."""
        digest: str = self.wire.call("POST", "/objects", content=body).data
        return digest

    # models, golden sets, gates

    def model_register(self, run: str, name: str | None = None, *, dry_run: bool = False) -> Result:
        """Register the converted model of a run; custody measures its parity and metrics itself."""
        id = self.run_show(run).data["id"] if run.startswith("last") else run  # noqa: A001 - the field's word
        return self.wire.call("POST", "/models", json={"run": id, "name": name}, params={"dry_run": dry_run})

    def model_ls(self, name: str | None = None) -> Iterator[Any]:
        """List model versions, newest first."""
        return self.wire.pages("/models", params={"name": name})

    def model_show(self, ref: str) -> Result:
        """Show a model version: `churn@3`, `churn@latest` or `churn@champion`."""
        return self.wire.call("GET", f"/models/{version_path(ref)}")

    def model_artifact(self, ref: str) -> bytes:
        """Return a version's ONNX file."""
        return self.wire.send("GET", f"/models/{version_path(ref)}/artifact").content

    def golden_add(self, model: str, cases: Sequence[Mapping[str, Any]], *, dry_run: bool = False) -> Result:
        """Set the golden cases of a model name: id, inputs, expect, and optionally severity and slice."""
        return self.wire.call("PUT", f"/goldens/{segment(model)}", json=list(cases), params={"dry_run": dry_run})

    def golden_show(self, model: str) -> Result:
        """Show the golden cases of a model name."""
        return self.wire.call("GET", f"/goldens/{segment(model)}")

    def gate_set(self, model: str, policy: Mapping[str, Any], *, dry_run: bool = False) -> Result:
        """Fix what a model name must show before it may be deployed."""
        return self.wire.call("PUT", f"/gates/{segment(model)}", json=dict(policy), params={"dry_run": dry_run})

    def gate_show(self, model: str) -> Result:
        """Show the policy of a model name."""
        return self.wire.call("GET", f"/gates/{segment(model)}")

    def gate_check(
        self, ref: str, *, baseline: str | None = None, waive: Sequence[str] = (), reason: str = "", dry_run: bool = False
    ) -> Result:
        """Judge a model version; look at `data["passed"]`: a refusal is an answer, not an exception.

        waive: names of bias checks that are inconclusive, for which you answer as an approver, with a reason.
        """
        body = {"baseline": baseline, "waive": list(waive), "reason": reason}
        return self.wire.call("POST", f"/gates/{version_path(ref)}/check", json=body, params={"dry_run": dry_run})

    def gate_mitigation(
        self, ref: str, column: str, *, before: str | None = None, threshold: float | None = None, dry_run: bool = False
    ) -> Result:
        """Measure what a treatment of bias did to the gaps between groups and to accuracy, against the version before it."""
        body = {"column": column, "before": before, "threshold": threshold}
        return self.wire.call("POST", f"/gates/{version_path(ref)}/mitigation", json=body, params={"dry_run": dry_run})

    def gate_explain(self, ref: str) -> Result:
        """Show the newest verdict on a model version, check by check."""
        return self.wire.call("GET", f"/gates/{version_path(ref)}")

    def gate_ls(self, model: str | None = None) -> Iterator[Any]:
        """List verdicts, newest first."""
        return self.wire.pages("/verdicts", params={"model": model})

    # deployments

    def deployment_deploy(
        self,
        model: str,
        *,
        tenant: str,
        environment: str = "prod",
        name: str | None = None,
        threshold: float | None = None,
        shadow: bool = False,
        canary: float | None = None,
        expected: int | None = None,
        reason: str = "",
        capture_share: float | None = None,
        max_batch: int | None = None,
        max_wait_us: int | None = None,
        dry_run: bool = False,
    ) -> Result:
        """Deploy a judged version to a tenant, live, as shadow, or as canary with a share of the requests (0..1).

        capture_share: part of its predictions kept as rows, in (0, 1]; the others are summarised. max_batch, max_wait_us: rows
        of waiting requests that run together, and how long one may wait. Each stays as it was if it is not given.
        """
        if shadow and canary is not None:
            raise InvalidInput("A candidate is a shadow or a canary, not both.")
        body: dict[str, Any] = {
            "model": model,
            "tenant": tenant,
            "environment": environment,
            "name": name,
            "threshold": threshold,
            "mode": "shadow" if shadow else "canary" if canary is not None else None,
            "share": canary or 0.0,
            "expected": expected,
            "reason": reason,
            "capture_share": capture_share,
            "max_batch": max_batch,
            "max_wait_us": max_wait_us,
        }
        return self.wire.call("POST", "/deployments", json=body, params={"dry_run": dry_run})

    def deployment_ls(self) -> list[Any]:
        """List what serves, worst first."""
        found: list[Any] = self.wire.call("GET", "/deployments").data
        return found

    def deployment_show(self, key: str, *, at: str | None = None) -> Result:
        """Show a deployment, or what it served at a time (ISO 8601 with an offset)."""
        return self.wire.call("GET", f"/deployments/{key_path(key)}", params={"at": at})

    def deployment_history(self, key: str) -> Iterator[Any]:
        """List a deployment's revisions, newest first."""
        return self.wire.pages(f"/deployments/{key_path(key)}/history")

    def deployment_step(
        self, key: str, action: str, *, reason: str = "", expected: int | None = None, dry_run: bool = False
    ) -> Result:
        """Promote or reject a candidate, or roll back; a lost race is a Conflict that names the winner."""
        body = {"reason": reason, "expected": expected}
        return self.wire.call("POST", f"/deployments/{key_path(key)}/{action}", json=body, params={"dry_run": dry_run})

    def deployment_evaluate(self, key: str) -> Result:
        """Compare live decisions with the labels that have come."""
        return self.wire.call("POST", f"/deployments/{key_path(key)}/evaluate")

    def deployment_retrain(self, key: str, *, reason: str = "") -> Result:
        """Ask the worker to retrain the model of a deployment."""
        return self.wire.call("POST", f"/deployments/{key_path(key)}/retrain", json={"reason": reason})

    # labels, monitors, values, trace

    def label_add(self, key: str, rows: Sequence[tuple[str, str]], *, source: str = "outcome", dry_run: bool = False) -> Result:
        """Record ground truth as (prediction id or your own key, class)."""
        body = {"rows": [list(row) for row in rows], "source": source}
        return self.wire.call("POST", f"/labels/{key_path(key)}", json=body, params={"dry_run": dry_run})

    def label_show(self, key: str) -> Result:
        """Tell how many predictions have a label."""
        return self.wire.call("GET", f"/labels/{key_path(key)}")

    def label_queue(self, key: str, n: int, *, dry_run: bool = False) -> Result:
        """Draw answers for people to label: few labels say much if their chances are known."""
        return self.wire.call("POST", f"/labels/{key_path(key)}/draws", json={"n": n}, params={"dry_run": dry_run})

    def label_tasks(self, key: str, *, limit: int = 100) -> list[Any]:
        """List drawn answers that no person has labelled yet, with what the model was asked."""
        found: list[Any] = self.wire.call("GET", f"/labels/{key_path(key)}/tasks", params={"limit": limit}).data
        return found

    def monitor_set(self, key: str, policy: Mapping[str, Any], *, dry_run: bool = False) -> Result:
        """Set what is watched on a deployment and what follows from an alarm."""
        return self.wire.call("PUT", f"/monitors/{key_path(key)}", json=dict(policy), params={"dry_run": dry_run})

    def monitor_preview(self, key: str, policy: Mapping[str, Any], *, days: int = 90) -> Result:
        """Say what a policy would have done in the last days; nothing is changed."""
        return self.wire.call("POST", f"/monitors/{key_path(key)}/preview", json=dict(policy), params={"days": days})

    def monitor_explain(self, key: str) -> Result:
        """Compare what a version learned from with what it is asked, and take a difference of its metric apart; takes seconds."""
        return self.wire.call("POST", f"/monitors/{key_path(key)}/explain")

    def monitor_show(self, key: str) -> Result:
        """Show a deployment's policy, evaluations, drift looks and alerts."""
        return self.wire.call("GET", f"/monitors/{key_path(key)}")

    def alert_ls(self, key: str) -> Iterator[Any]:
        """List the alerts of a deployment, newest first."""
        return self.wire.pages(f"/alerts/{key_path(key)}")

    def alert_explain(self, key: str, alert: str) -> Result:
        """Compute an alarm again from the evidence that its ledger entry names."""
        return self.wire.call("GET", f"/alerts/{key_path(key)}/{segment(alert)}")

    def alert_answer(self, key: str, alert: str, state: str, *, reason: str = "", dry_run: bool = False) -> Result:
        """Make an alert `acknowledged` or `resolved`; a move that is not possible is a Conflict."""
        path = f"/alerts/{key_path(key)}/{segment(alert)}/{segment(state)}"
        return self.wire.call("POST", path, json={"reason": reason}, params={"dry_run": dry_run})

    def value_set(self, key: str, costs: Mapping[str, Any], *, dry_run: bool = False) -> Result:
        """Set what each outcome of a decision costs: tp, fp, tn, fn, currency."""
        return self.wire.call("PUT", f"/values/{key_path(key)}", json=dict(costs), params={"dry_run": dry_run})

    def value_show(self, key: str) -> Result:
        """Show costs, and what the newest evaluation comes to."""
        return self.wire.call("GET", f"/values/{key_path(key)}")

    def trace(self, prediction: str) -> Result:
        """Follow one prediction back to the data behind it."""
        return self.wire.call("GET", f"/trace/{segment(prediction)}")

    def overview(self) -> Result:
        """Show every deployment, its health and what changed last."""
        return self.wire.call("GET", "/overview")

    def export_card(self, ref: str) -> Result:
        """Export a model card."""
        return self.wire.call("GET", f"/models/{version_path(ref)}/card")

    # tenants, keys, ledger

    def whoami(self) -> Result:
        """Tell who the key belongs to."""
        return self.wire.call("GET", "/whoami")

    def tenant_add(self, name: str, *, dry_run: bool = False) -> Result:
        """Add a client of the team."""
        return self.wire.call("POST", "/tenants", json={"name": name}, params={"dry_run": dry_run})

    def tenant_ls(self) -> Iterator[Any]:
        """List tenants."""
        return self.wire.pages("/tenants")

    def key_add(
        self, name: str, *, role: str = "viewer", tenant: str | None = None, days: int | None = None, rows: bool = True
    ) -> Result:
        """Make a key; `data["secret"]` is shown this once. rows False: it sees aggregates, never rows."""
        body = {"name": name, "role": role, "tenant": tenant, "days": days, "rows": rows}
        return self.wire.call("POST", "/keys", json=body)

    def key_ls(self) -> Result:
        """List keys, never their secrets."""
        return self.wire.call("GET", "/keys")

    def key_rm(self, id: str) -> Result:  # noqa: A002 - the field's word
        """Revoke a key."""
        return self.wire.call("DELETE", f"/keys/{segment(id)}")

    def ledger_ls(self, *, subject: str | None = None, kind: str | None = None) -> Iterator[Any]:
        """List what happened, newest first."""
        return self.wire.pages("/ledger", params={"subject": subject, "kind": kind})

    def ledger_verify(self, checkpoints: Sequence[str] = ()) -> Result:
        """Check every entry, the chain, and checkpoints kept elsewhere (their text)."""
        return self.wire.call("POST", "/ledger/verify", json={"checkpoints": list(checkpoints)})

    def ledger_checkpoint(self) -> Result:
        """Sign the ledger as it is now; keep the text somewhere else."""
        return self.wire.call("POST", "/ledger/checkpoint")

    def verify(self) -> Result:
        """Check the ledger and every stored object."""
        return self.wire.call("POST", "/verify")


def format_of(source: object) -> str:
    """Return a file's format by its name: csv, jsonl or parquet, each also with .gz behind it."""
    name = Path(str(source)).name.removesuffix(".gz")
    try:
        return _FORMATS[Path(name).suffix.lower()] + (".gz" if str(source).endswith(".gz") else "")
    except KeyError:
        raise InvalidInput(
            f"The format of '{name}' is not known.",
            why=f"custody reads {', '.join(_FORMATS)}, also with .gz behind it.",
            fix="Say it: --input-format csv",
        ) from None
