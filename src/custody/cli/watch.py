"""The nouns label, monitor, alert and value."""

import csv
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from custody.cli.frame import REFUSED, estimate, facts, group, read_mapping, rows, say, show, verb, when

if TYPE_CHECKING:
    from custody.sdk.client import Client


def add_to(cli: click.Group) -> None:
    """Add the nouns."""
    _label(group(cli, "label", "Labels: what turned out to be true."))
    _monitor(group(cli, "monitor", "Monitors: drift, live metrics, what follows."))
    _alert(group(cli, "alert", "Alerts: opened by monitors, answered by people."))
    _value(group(cli, "value", "Values: what right and wrong decisions cost."))


def _label(noun: click.Group) -> None:
    @verb(
        noun,
        "add",
        dry=True,
        examples=["custody label add acme/prod/churn labels.csv", "custody label add acme/prod/churn - < labels.jsonl"],
    )
    @click.argument("deployment")
    @click.argument("file")
    @click.option("--source", type=click.Choice(["outcome", "annotator", "report"]), default="outcome", show_default=True)
    def add(client: "Client", deployment: str, file: str, source: str, dry_run: bool) -> None:
        """Record ground truth from CSV or JSONL with the columns `prediction` (its id, or your own key) and `label`."""
        with click.open_file(file, encoding="utf-8", errors="strict") as lines:
            pairs = _pairs(lines.read(), file)
        show(client.label_add(deployment, pairs, source=source, dry_run=dry_run), facts)

    @verb(noun, "queue", dry=True, examples=["custody label queue acme/prod/churn --n 200"])
    @click.argument("deployment")
    @click.option("--n", type=int, default=100, show_default=True, help="Labels to ask for.")
    def queue(client: "Client", deployment: str, n: int, dry_run: bool) -> None:
        """Draw answers for people to label, with known chances: the metrics of all answers follow from few labels."""
        show(client.label_queue(deployment, n, dry_run=dry_run), _draw_text)

    @verb(
        noun,
        "tasks",
        examples=[
            "custody label tasks acme/prod/churn --format csv > tasks.csv    # fill in the column `label`",
            "custody label add acme/prod/churn tasks.csv --source annotator",
        ],
    )
    @click.argument("deployment")
    @click.option("--limit", type=int, default=100, show_default=True)
    def tasks(client: "Client", deployment: str, limit: int) -> None:
        """List drawn answers that no person has labelled yet; what the model answered is left out."""
        found = client.label_tasks(deployment, limit=limit)
        names = list(dict.fromkeys(name for task in found for name in task["inputs"]))
        columns: dict[str, Callable[[Any], Any]] = {"prediction": lambda task: task["prediction"], "label": lambda _: ""}
        columns |= {name: lambda task, name=name: task["inputs"].get(name) for name in names}
        rows(found, columns)

    @verb(noun, "show", examples=["custody label show acme/prod/churn"])
    @click.argument("deployment")
    def show_one(client: "Client", deployment: str) -> None:
        """Tell how many predictions have a label."""
        show(client.label_show(deployment), facts)


def _draw_text(draw: dict[str, Any]) -> str:
    span = f"{when(draw['start'])} to {when(draw['end'])}"
    return facts(
        {"draw": draw["id"], "window": span, "answers": draw["population"], "to label": draw["tasks"], "finds": draw["finds"]}
    )


def _pairs(text: str, file: str) -> list[tuple[str, str]]:
    from custody.core.errors import InvalidInput

    example = "prediction,label\n  acme:prod:churn:1:churn@1:01J...,Yes"
    pairs, faults, open_tasks = [], [], 0
    if text.lstrip().startswith("{"):
        for number, line in enumerate(text.splitlines(), 1):
            try:
                row = json.loads(line) if line.strip() else None
                pairs += [(str(row["prediction"]), str(row["label"]))] if row is not None else []
            except (json.JSONDecodeError, KeyError, TypeError) as error:
                faults.append(f"line {number}: {type(error).__name__} {error}")
    else:
        reader = csv.DictReader(text.splitlines())
        if not {"prediction", "label"} <= set(reader.fieldnames or ()):
            raise InvalidInput(
                f"'{file}' lacks the columns 'prediction' and 'label'.",
                why=f"Its columns are: {', '.join(reader.fieldnames or ())}.",
                fix=f"Example:\n  {example}",
            )
        for number, row in enumerate(reader, 2):
            if not row["prediction"] or row["label"] is None or None in row:
                faults.append(f"line {number}: not as many fields as the header")
            elif not row["label"]:
                open_tasks += 1
            else:
                pairs.append((row["prediction"], row["label"]))
    if open_tasks and not faults:
        say(f"{open_tasks} rows without a label were left out.")
    if faults:
        raise InvalidInput(f"'{file}' has {len(faults)} malformed lines: {'; '.join(faults[:20])}.", why="Nothing was stored.")
    return pairs


def _monitor(noun: click.Group) -> None:
    @verb(noun, "set", dry=True, examples=["custody monitor set acme/prod/churn monitor.yaml"])
    @click.argument("deployment")
    @click.argument("file")
    def set_one(client: "Client", deployment: str, file: str, dry_run: bool) -> None:
        """Set what is watched and what follows: metric, tolerance, alpha, window, on_degradation."""
        show(client.monitor_set(deployment, read_mapping(file), dry_run=dry_run), facts)

    @verb(noun, "preview", examples=["custody monitor preview acme/prod/churn monitor.yaml --days 30"])
    @click.argument("deployment")
    @click.argument("file")
    @click.option("--days", type=click.IntRange(1, 3660), default=90, show_default=True)
    def preview(client: "Client", deployment: str, file: str, days: int) -> None:
        """Say what a policy would have done in the last days; nothing is changed."""
        show(client.monitor_preview(deployment, read_mapping(file), days=days), _preview_text)

    @verb(noun, "explain", examples=["custody monitor explain acme/prod/churn"])
    @click.argument("deployment")
    def explain(client: "Client", deployment: str) -> None:
        """Say whether the training data still covers live traffic, and whether inputs moved or the relation changed."""
        show(client.monitor_explain(deployment), _explanation_text)

    @verb(noun, "show", examples=["custody monitor show acme/prod/churn"])
    @click.argument("deployment")
    def show_one(client: "Client", deployment: str) -> None:
        """Show evaluations, drift and alerts of a deployment."""
        show(client.monitor_show(deployment), _monitor_text)


def _explanation_text(found: dict[str, Any]) -> str:
    lines = [found["relevance"]["sentence"], *(f"  lacking: {one['words']}" for one in found["relevance"]["slices"])]
    why = found["decomposition"]
    return "\n".join([*lines, why["sentence"] if why else "no labelled answers yet, so no difference can be taken apart"])


def _preview_text(found: dict[str, Any]) -> str:
    lines = [f"  {when(one['at'])}  {one['kind']:<12} {one['sentence']}" for one in found["alerts"]]
    return "\n".join([found["sentence"], *lines])


def _monitor_text(data: dict[str, Any]) -> str:
    lines = [facts(data["policy"]) if data["policy"] else "no monitor policy: custody monitor set ...", "", "evaluations"]
    for one in data["evaluations"]:
        metrics = "  ".join(estimate(m) for m in one["metrics"][:3])
        lines.append(f"  {when(one['start'])[:10]}..{when(one['end'])[:10]}  {one['labelled']}/{one['predictions']}  {metrics}")
    if bet := data["bet"]:
        lines += ["", "drawn labels", f"  {bet['outcome']}: {bet['sentence']}"]
        lines += [f"  over all draws: {estimate(bet['sequence'])}, valid after every label"] if bet["sequence"] else []
    lines += ["", "drift"]
    lines += [
        f"  {when(one['at'])}  {one['reference']:<12} {one['level']:<7} log10 e {one['log10_e']:6.1f}  {one['sentence']}"
        for one in data["looks"][-10:]
    ]
    lines += ["", "alerts"]
    lines += [
        f"  {when(one['opened_at'])}  {one['state']:<12} {one['kind']:<12} {one['check']['sentence']}" for one in data["alerts"]
    ]
    return "\n".join(lines)


def _alert(noun: click.Group) -> None:
    @verb(noun, "ls", examples=["custody alert ls acme/prod/churn"])
    @click.argument("deployment")
    @click.option("--limit", type=int, default=50, show_default=True)
    def ls(client: "Client", deployment: str, limit: int) -> None:
        """List the alerts of a deployment, newest first."""
        columns = {
            "id": lambda a: a["id"],
            "state": lambda a: a["state"],
            "kind": lambda a: a["kind"],
            "opened": lambda a: when(a["opened_at"]),
            "why": lambda a: a["check"]["sentence"],
        }
        rows(client.alert_ls(deployment), columns, limit=limit)

    @verb(noun, "explain", examples=["custody alert explain acme/prod/churn ALERT"])
    @click.argument("deployment")
    @click.argument("alert")
    def explain(client: "Client", deployment: str, alert: str) -> None:
        """Compute an alarm again from its stored evidence; exit with 1 if it comes out otherwise."""
        result = client.alert_explain(deployment, alert)
        show(result, _explained)
        if not result.data["agrees"]:
            raise click.exceptions.Exit(REFUSED)

    for word, state, text in (
        ("ack", "acknowledged", "Say that somebody looks after an alert; it stays open."),
        ("resolve", "resolved", "End an alert; a new failure opens a new one."),
    ):
        _answer(noun, word, state, text)


def _answer(noun: click.Group, word: str, state: str, text: str) -> None:
    def answer(client: "Client", deployment: str, alert: str, reason: str, dry_run: bool) -> None:
        show(client.alert_answer(deployment, alert, state, reason=reason, dry_run=dry_run), _alert_text)

    answer.__doc__, answer.__name__ = text, word
    made: Callable[..., None] = click.argument("alert")(answer)
    made = click.argument("deployment")(made)
    made = click.option("--reason", default="", help="Kept in the ledger; no personal data.")(made)
    verb(noun, word, dry=True, examples=[f"custody alert {word} acme/prod/churn ALERT --reason 'known campaign'"])(made)


def _explained(found: dict[str, Any]) -> str:
    return facts(
        {
            "why": found["alert"]["check"]["sentence"],
            "evidence": f"{found['evidence']} (ledger #{found['ledger']})",
            "recorded": found["recorded"],
            "recomputed": found["recomputed"],
            "agrees": "yes" if found["agrees"] else "NO: the evidence or the code is not what it was",
        }
    )


def _alert_text(alert: dict[str, Any]) -> str:
    return facts({"alert": alert["id"], "state": alert["state"], "kind": alert["kind"], "why": alert["check"]["sentence"]})


def _value(noun: click.Group) -> None:
    @verb(noun, "add", dry=True, examples=["custody value add acme/prod/churn --fp 40 --fn 900 --currency USD"])
    @click.argument("deployment")
    @click.option("--tp", type=float, default=0.0, show_default=True, help="Cost of a right yes (negative: earned).")
    @click.option("--fp", type=float, default=0.0, show_default=True, help="Cost of a wrong yes.")
    @click.option("--tn", type=float, default=0.0, show_default=True, help="Cost of a right no.")
    @click.option("--fn", type=float, default=0.0, show_default=True, help="Cost of a wrong no.")
    @click.option("--currency", required=True)
    def add(client: "Client", deployment: str, dry_run: bool, **costs: Any) -> None:
        """Set what each outcome of a decision costs, per decision."""
        show(client.value_set(deployment, costs, dry_run=dry_run), facts)

    @verb(noun, "show", examples=["custody value show acme/prod/churn"])
    @click.argument("deployment")
    def show_one(client: "Client", deployment: str) -> None:
        """Show the costs, and what the newest evaluation comes to."""
        show(client.value_show(deployment), lambda d: facts({**(d["costs"] or {}), "total": d["total"]}))
