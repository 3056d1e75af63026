"""The noun deployment, and the bare command trace."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from custody.cli.frame import estimate, facts, group, key, ref, rows, show, verb, when

if TYPE_CHECKING:
    from custody.sdk.client import Client


def add_to(cli: click.Group) -> None:
    """Add the noun and the command."""
    deployment = group(cli, "deployment", "Deployments: tenant x environment x model version x threshold.")
    _deployment_changes(deployment)
    _deployment_views(deployment)
    _trace(cli)


def _deployment_changes(noun: click.Group) -> None:
    @verb(
        noun,
        "deploy",
        dry=True,
        examples=[
            "custody deployment deploy churn@3 --tenant acme --env prod --threshold 0.6",
            "custody deployment deploy churn@4 --tenant acme --canary 10",
            "custody deployment deploy churn@4 --tenant acme --capture-share 0.1",
        ],
    )
    @click.argument("model")
    @click.option("--tenant", required=True, help="Client to serve.")
    @click.option("--env", "environment", default="prod", show_default=True)
    @click.option("--name", help="Name of the deployment; default: the model's.")
    @click.option(
        "--threshold", type=click.FloatRange(0, 1), help="Score from which the decision is yes; default: the policy's first."
    )
    @click.option("--shadow", is_flag=True, help="Mirror requests to it, answer none.")
    @click.option(
        "--canary",
        type=click.FloatRange(0, 100, min_open=True, max_open=True),
        metavar="PERCENT",
        help="Let it answer a share of the requests.",
    )
    @click.option("--capture-share", type=float, help="Part of the predictions kept as rows, 0 to 1; the others are summarised.")
    @click.option("--max-batch", type=int, help="Rows of waiting requests that run together; 1 runs each request alone.")
    @click.option("--max-wait-us", type=int, help="Microseconds that a request may wait for others.")
    @click.option("--expected", type=int, help="Revision you looked at; a newer one is a conflict.")
    @click.option("--reason", default="", help="Kept in the timeline.")
    def deploy(client: "Client", model: str, canary: float | None, **given: Any) -> None:
        """Deploy a judged version; the server refuses one without a passing, unexpired verdict."""
        result = client.deployment_deploy(model, canary=canary / 100 if canary is not None else None, **given)
        show(result, _revision_text, quiet=str(result.data["service"]["revision"]))

    for action, text in (
        ("promote", "Make the candidate live."),
        ("reject", "Take the candidate away."),
        ("rollback", "Return to what was live before; a second time undoes the first."),
    ):
        _step(noun, action, text)

    @verb(noun, "evaluate", examples=["custody deployment evaluate acme/prod/churn"])
    @click.argument("deployment")
    def evaluate(client: "Client", deployment: str) -> None:
        """Compare live decisions with the labels that have come, now."""
        show(client.deployment_evaluate(deployment), _evaluation_text)

    @verb(noun, "retrain", examples=["custody deployment retrain acme/prod/churn --reason 'new product line'"])
    @click.argument("deployment")
    @click.option("--reason", default="")
    def retrain(client: "Client", deployment: str, reason: str) -> None:
        """Ask the worker to retrain on the labels that have come, gate the result and stage it as a canary."""
        show(client.deployment_retrain(deployment, reason=reason), facts)


def _deployment_views(noun: click.Group) -> None:
    @verb(noun, "ls", examples=["custody deployment ls --format json"])
    def ls(client: "Client") -> None:
        """List what serves, worst first, each with the reason."""
        columns = {
            "deployment": lambda d: d["deployment"],
            "model": lambda d: d["model"],
            "threshold": lambda d: d["threshold"],
            "candidate": lambda d: d["candidate"] or "",
            "state": lambda d: d["state"],
            "reason": lambda d: d["reason"],
        }
        rows(client.deployment_ls(), columns)

    @verb(
        noun,
        "show",
        examples=["custody deployment show acme/prod/churn", "custody deployment show acme/prod/churn --at 2026-01-31T12:00:00Z"],
    )
    @click.argument("deployment")
    @click.option("--at", help="What it served at a time (ISO 8601 with an offset).")
    def show_one(client: "Client", deployment: str, at: str | None) -> None:
        """Show a deployment now, or at a past time."""
        show(client.deployment_show(deployment, at=at), _revision_text if at else _view_text)

    @verb(noun, "history", examples=["custody deployment history acme/prod/churn"])
    @click.argument("deployment")
    @click.option("--limit", type=int, default=50, show_default=True)
    def history(client: "Client", deployment: str, limit: int) -> None:
        """List a deployment's revisions, newest first."""
        columns = {
            "revision": lambda r: r["service"]["revision"],
            "action": lambda r: r["action"],
            "live": lambda r: ref(r["service"]["live"]["model"]),
            "threshold": lambda r: r["service"]["live"]["threshold"],
            "candidate": lambda r: _candidate(r["service"]),
            "handling": lambda r: _handling(r["service"]),
            "by": lambda r: r["actor"],
            "at": lambda r: when(r["at"]),
            "reason": lambda r: r["reason"],
        }
        rows(client.deployment_history(deployment), columns, limit=limit)


def _step(noun: click.Group, action: str, text: str) -> None:
    def step(client: "Client", deployment: str, reason: str, expected: int | None, dry_run: bool, yes: bool) -> None:
        if action == "rollback" and not yes and not dry_run:
            if not sys.stdin.isatty():
                raise click.UsageError("Rolling back asks for confirmation; without a terminal say --yes.")
            click.confirm(f"Roll {deployment} back?", abort=True)
        result = client.deployment_step(deployment, action, reason=reason, expected=expected, dry_run=dry_run)
        show(result, _revision_text, quiet=str(result.data["service"]["revision"]))

    step.__doc__ = text
    step.__name__ = action
    made: Callable[..., None] = click.argument("deployment")(step)
    made = click.option("--reason", default="", help="Kept in the timeline.")(made)
    made = click.option("--expected", type=int, help="Revision you looked at; a newer one is a conflict.")(made)
    made = click.option("--yes", is_flag=True, help="Do not ask, as a rollback does on a terminal.")(made)
    verb(noun, action, dry=True, examples=[f"custody deployment {action} acme/prod/churn --reason 'see ticket 12'"])(made)


def _candidate(service: dict[str, Any]) -> str:
    candidate = service["candidate"]
    if not candidate:
        return ""
    share = f" {candidate['share']:.0%}" if candidate["mode"] == "canary" else ""
    return f"{ref(candidate['target']['model'])} {candidate['mode']}{share}"


def _handling(stated: dict[str, Any]) -> str:
    """Say what is not as usual: a rollback keeps it, since it is the deployment's, not the version's."""
    from custody.core.manifest import Handling

    return Handling(**stated["handling"]).unusual


def _revision_text(revision: dict[str, Any]) -> str:
    service = revision["service"]
    return facts(
        {
            "deployment": key(service["key"]),
            "revision": service["revision"],
            "action": f"{revision['action']} by {revision['actor']} at {when(revision['at'])}",
            "live": f"{ref(service['live']['model'])} at threshold {service['live']['threshold']:g}",
            "candidate": _candidate(service),
            "handling": _handling(service),
            "reason": revision["reason"],
        }
    )


def _view_text(view: dict[str, Any]) -> str:
    row = view["row"]
    lines = [
        facts(
            {
                "deployment": row["deployment"],
                "state": f"{row['state']}: {row['reason']}",
                "live": f"{row['model']} at threshold {row['threshold']:g} (revision {row['revision']})",
                "candidate": row["candidate"],
                "handling": _handling(row) if "handling" in row else None,  # an older control plane does not say
                "beside live": view["beside"] and view["beside"]["sentence"],
                "measured": estimate(row["metric"]) if row["metric"] else "no window of labels was judged yet",
                "registered": estimate(row["registered"]) if row["registered"] else None,
                "label coverage": f"{row['coverage']:.0%}" if row["coverage"] is not None else None,
                "predictions": row["predictions"],
                "drift": f"{row['drift_level']}; " + "; ".join(view["drifting"][:3]) if view["drifting"] else row["drift_level"],
            }
        ),
        *(_beside_lines(view["beside"]) if view["beside"] else ()),
        "",
        "timeline",
    ]
    lines += [
        f"  {when(r['at'])}  revision {r['number']}: {r['action']} {r['model']} at {r['threshold']:g}"
        + (f", {r['candidate']}" if r["candidate"] else "")
        + (f" ({r['reason']})" if r["reason"] else "")
        for r in view["timeline"]
    ]
    return "\n".join(lines)


def _beside_lines(beside: dict[str, Any]) -> list[str]:
    lines = ["", f"beside each other since {when(beside['since'])}"]
    for name in ("live", "candidate"):
        one = beside[name]
        quick = [f"latency {at[8:11]} {one[at]:,.1f} ms" for at in ("latency_p50_ms", "latency_p95_ms") if one[at] is not None]
        lines.append(
            "  " + ", ".join([f"{name}: {one['model']} at threshold {one['threshold']:g}", f"{one['rows']} rows", *quick])
        )
        lines += [f"    {estimate(metric)}" for metric in (one["rate"], *one["metrics"])]
    return lines


def _evaluation_text(found: dict[str, Any]) -> str:
    lines = []
    for evaluation in found["evaluations"]:
        span = f"{when(evaluation['start'])[:10]} to {when(evaluation['end'])[:10]}"
        lines.append(f"{span}: {evaluation['labelled']} of {evaluation['predictions']} predictions have a label")
        lines += [f"  {estimate(one)}" for one in evaluation["metrics"]]
    lines += [f"  {check['outcome']}: {check['sentence']}" for check in found["checks"]]
    return "\n".join(lines or ["nothing to judge: no labelled predictions since the last evaluation"])


def _trace(cli: click.Group) -> None:
    @verb(cli, "trace", examples=["custody trace acme:prod:churn:1:churn@1:01JD8...", "custody trace ID --format json"])
    @click.argument("prediction")
    def trace(client: "Client", prediction: str) -> None:
        """Follow one prediction back: decision, deployment, gate, model, run, data, provenance card."""
        show(client.trace(prediction), trace_text)


def trace_text(found: dict[str, Any]) -> str:
    """Write a trace for a person."""
    lines = [f"prediction {found['prediction']}", f"made at    {found['made_at']}"]
    for step in found["steps"]:
        entry = f"  (ledger #{step['ledger']})" if step["ledger"] else ""
        lines += ["", f"{step['kind']}  {step['name']}{entry}"]
        lines += [f"  {line}" for name, value in step["facts"].items() for line in _fact_lines(name, value)]
    lines += ["", "the chain is complete" if found["complete"] else "gaps: " + "; ".join(found["gaps"])]
    return "\n".join(lines)


def _fact_lines(name: str, value: Any) -> list[str]:
    if value in (None, "", [], {}):
        return []
    if name in {"checks", "parity"}:
        return [f"{name:<16} {value[0]}", *(f"{'':<16} {one}" for one in value[1:])]
    if isinstance(value, dict):
        return [f"{name:<16} " + ", ".join(f"{k}={v}" for k, v in value.items())]
    return [f"{name:<16} " + (", ".join(map(str, value)) if isinstance(value, list) else str(value))]
