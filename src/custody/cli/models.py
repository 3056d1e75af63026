"""The nouns model, golden and gate."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from custody.cli.frame import REFUSED, estimate, facts, group, mark, read_mapping, ref, rows, say, show, verb, when

if TYPE_CHECKING:
    from custody.sdk.client import Client


def add_to(cli: click.Group) -> None:
    """Add the nouns."""
    _model(group(cli, "model", "Model versions: artifact, signature, parity, registered metrics."))
    _golden(group(cli, "golden", "Golden sets: cases that must not get worse."))
    _gate(group(cli, "gate", "Gates: what a model must show, and the verdicts."))


def _model(noun: click.Group) -> None:
    @verb(noun, "register", dry=True, examples=["custody model register churn --run last"])
    @click.argument("name", required=False)
    @click.option("--run", default="last", show_default=True, help="Run that logged the model.")
    def register(client: "Client", name: str | None, run: str, dry_run: bool) -> None:
        """Register the converted model of a run as the next version, and print its parity report."""
        result = client.model_register(run, name, dry_run=dry_run)
        show(result, _model_text, quiet=ref(result.data["ref"]))

    @verb(noun, "ls", examples=["custody model ls", "custody model ls churn"])
    @click.argument("name", required=False)
    @click.option("--limit", type=int, default=50, show_default=True)
    def ls(client: "Client", name: str | None, limit: int) -> None:
        """List model versions, newest first."""
        columns = {
            "model": lambda m: ref(m["ref"]),
            "aliases": lambda m: m["aliases"] or "",
            "artifact": lambda m: m["artifact"][:12],
            "run": lambda m: m["run_id"],
            "created": lambda m: when(m["created_at"]),
        }
        rows(client.model_ls(name), columns, limit=limit)

    @verb(noun, "show", examples=["custody model show churn@3", "custody model show churn@champion"])
    @click.argument("model")
    def show_one(client: "Client", model: str) -> None:
        """Show a model version, by number, `latest` or alias."""
        show(client.model_show(model), _model_text)

    @verb(noun, "pull", examples=["custody model pull churn@3 churn.onnx"])
    @click.argument("model")
    @click.argument("file", type=click.Path(dir_okay=False))
    def pull(client: "Client", model: str, file: str) -> None:
        """Write a version's ONNX file."""
        body = client.model_artifact(model)
        Path(file).write_bytes(body)
        say(f"{file}: {len(body):,} bytes")


def _model_text(model: dict[str, Any]) -> str:
    inputs = [f"{t['name']} {t['datatype']}" for t in model["signature"]["inputs"]]
    lines = [
        facts(
            {
                "model": ref(model["ref"]),
                "artifact": model["artifact"],
                "size": f"{model['size_bytes']:,} bytes",
                "framework": model["framework"],
                "inputs": inputs,
                "classes": model["signature"]["classes"],
                "run": model["run_id"],
                "datasets": [f"{ref(d['ref'])} ({d['split']})" for d in model["datasets"]],
                "notes": model["notes"],
            }
        )
    ]
    for parity, measured in zip(model["parity"], model["registered"], strict=True):
        lines.append(f"\nat threshold {measured['threshold']:g}")
        lines.append(
            f"  parity    largest difference {parity['largest_difference']:.1e}, {parity['flips']} decisions flipped on {parity['rows']} rows"
        )
        lines += [f"  measured  {estimate(one)}" for one in measured["metrics"]]
    return "\n".join(lines)


def _golden(noun: click.Group) -> None:
    @verb(noun, "add", dry=True, examples=["custody golden add churn cases.jsonl"])
    @click.argument("model")
    @click.argument("file")
    def add(client: "Client", model: str, file: str, dry_run: bool) -> None:
        """Set the golden cases of a model name, from JSONL: id, inputs, expect, severity, slice."""
        from custody.core.errors import InvalidInput

        cases, faults = [], []
        with click.open_file(file, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    cases += [json.loads(line)] if line.strip() else []
                except json.JSONDecodeError as error:
                    faults.append(f"line {number}, column {error.colno}: {error.msg}")
        if faults:
            raise InvalidInput(f"'{file}' has lines that are not JSON: {'; '.join(faults[:20])}.", fix="One JSON object a line.")
        show(client.golden_add(model, cases, dry_run=dry_run), _golden_text)

    @verb(noun, "show", examples=["custody golden show churn"])
    @click.argument("model")
    def show_one(client: "Client", model: str) -> None:
        """Show the golden cases of a model name; their inputs to a key that sees rows, and the ledger says so."""
        show(client.golden_show(model), _golden_text)


def _golden_text(data: dict[str, Any]) -> str:
    golden = data["set"]
    head = f"golden set {golden['version']} of {golden['model']}: {len(golden['cases'])} cases, digest {data['digest'][:12]}"
    lines = [
        f"  {c['id']:<28} expects {c['expect']:<8} {c['severity'] if c['severity'] != 'normal' else ''}".rstrip()
        for c in golden["cases"][:20]
    ]
    more = [f"  ... and {len(golden['cases']) - 20} more"] if len(golden["cases"]) > 20 else []
    return "\n".join([head, *lines, *more])


def _gate(noun: click.Group) -> None:
    @verb(noun, "set", dry=True, examples=["custody gate set churn policy.yaml"])
    @click.argument("model")
    @click.argument("file")
    def set_one(client: "Client", model: str, file: str, dry_run: bool) -> None:
        """Fix what a model name must show, before the run that it judges.

        \b
        thresholds: [0.5]
        metrics: [{metric: auc, minimum: 0.7}, {metric: recall, max_drop: 0.02}]
        bias: [{column: sex, measure: selection_rate, tolerance: 0.1}]
        max_flips: 0
        """  # noqa: D301 - click's own mark
        show(client.gate_set(model, read_mapping(file), dry_run=dry_run), _policy_text)

    @verb(noun, "show", examples=["custody gate show churn"])
    @click.argument("model")
    def show_one(client: "Client", model: str) -> None:
        """Show the policy of a model name."""
        show(client.gate_show(model), _policy_text)

    @verb(
        noun,
        "check",
        dry=True,
        examples=[
            "custody gate check churn@3",
            "custody gate check churn@3 --baseline churn@1",
            "custody gate check churn@3 --waive bias:recall:region@0.5 --reason 'a new region; 40 cases looked at by hand'",
        ],
    )
    @click.argument("model")
    @click.option("--baseline", help="Version to compare with; default: the champion.")
    @click.option("--waive", multiple=True, help="Inconclusive check of bias that you, an approver, answer for; repeat it.")
    @click.option("--reason", default="", help="Why it may be waived; kept in the verdict.")
    def check(client: "Client", model: str, dry_run: bool, **given: Any) -> None:
        """Judge a model version; exits with 1 if the gate refuses it."""
        result = client.gate_check(model, dry_run=dry_run, **given)
        show(result, _verdict_text, quiet="passed" if result.data["passed"] else "refused")
        if not result.data["passed"]:
            raise click.exceptions.Exit(REFUSED)

    @verb(noun, "explain", examples=["custody gate explain churn@3"])
    @click.argument("model")
    def explain(client: "Client", model: str) -> None:
        """Show the newest verdict on a version, check by check."""
        show(client.gate_explain(model), _verdict_text)

    @verb(
        noun,
        "mitigation",
        dry=True,
        examples=[
            "custody gate mitigation churn@2 --column region --before churn@1",
            "custody gate mitigation churn@1 --column region        # what a threshold for each group would do",
        ],
    )
    @click.argument("model")
    @click.option("--column", required=True, help="Column of groups, or two joined: sex*region.")
    @click.option("--before", help="Version without the treatment; without it, thresholds by group are tried.")
    @click.option("--threshold", type=click.FloatRange(0, 1), help="Where both decide; default: the policy's first.")
    def mitigation(client: "Client", model: str, column: str, before: str | None, threshold: float | None, dry_run: bool) -> None:
        """Measure what a treatment of bias did: gaps between groups and accuracy before and after, on held-out rows.

        Train the treated version with `run.dataset(..., reweigh=COLUMN)`. The answer is kept for the cards of model and data.
        """
        show(client.gate_mitigation(model, column, before=before, threshold=threshold, dry_run=dry_run), _mitigation_text)

    @verb(noun, "ls", examples=["custody gate ls churn"])
    @click.argument("model", required=False)
    @click.option("--limit", type=int, default=50, show_default=True)
    def ls(client: "Client", model: str | None, limit: int) -> None:
        """List verdicts, newest first."""
        columns = {
            "verdict": lambda v: v["id"],
            "model": lambda v: ref(v["model"]),
            "answer": lambda v: "passed" if v["passed"] else "refused",
            "not passed": lambda v: [c["name"] for c in v["checks"] if c["outcome"] not in {"pass", "waived"}],
            "at": lambda v: when(v["at"]),
            "expires": lambda v: when(v["expires_at"]),
        }
        rows(client.gate_ls(model), columns, limit=limit)


def _policy_text(data: dict[str, Any]) -> str:
    policy = data["policy"]
    return facts(
        {
            "policy": f"version {policy['version']} of {policy['model']}, set {when(policy['created_at'])}",
            "digest": data["digest"],
            "thresholds": policy["thresholds"],
            "metrics": [" ".join(f"{k} {v}" for k, v in rule.items() if v is not None) for rule in policy["metrics"]],
            "bias": [f"{r['measure']} by {r['column']} within {r['tolerance']:.0%}" for r in policy["bias"]],
            "parity": f"difference at most {policy['max_difference']}, {policy['max_flips']} flips",
            "golden set": "required" if policy["golden_required"] else "optional",
            "a verdict lasts": f"{policy['valid_days']} days",
        }
    )


def _mitigation_text(data: dict[str, Any]) -> str:
    after = {one["measure"]: one for one in data["after"]}
    lines = {
        f"{one['measure'].replace('_', ' ')} gap": f"{_share(one)} -> {_share(after[one['measure']])}"
        for one in data["before"]
        if one["measure"] in after
    }
    costs = {
        "accuracy": f"{_share(data['accuracy_before'])} -> {_share(data['accuracy_after'])}",
        "it cost": _share(data["cost"]),
    }
    told = {"treatment": f"{data['method']} by {data['column']}", "held-out rows": data["rows"], **lines, **costs}
    return facts({**told, "thresholds": data["thresholds"], "groups with too few rows": data["suppressed"]})


def _share(one: dict[str, Any]) -> str:
    return f"{one['value']:.1%} [{one['low']:.1%}, {one['high']:.1%}]"


def _verdict_text(verdict: dict[str, Any]) -> str:
    answer = click.style("PASSED", fg="green", bold=True) if verdict["passed"] else click.style("REFUSED", fg="red", bold=True)
    lines = [f"{answer}  {ref(verdict['model'])}  (verdict {verdict['id']}, until {when(verdict['expires_at'])})"]
    lines += [f"  {mark(check['outcome'])} {check['name']:<40} {check['sentence']}" for check in verdict["checks"]]
    return "\n".join(lines)
