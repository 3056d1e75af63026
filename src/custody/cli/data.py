"""The nouns dataset and run."""

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from custody.cli import cards
from custody.cli.frame import facts, group, read_mapping, ref, rows, say, show, verb, when
from custody.cli.privacy import scan_word, tell_scan

if TYPE_CHECKING:
    from custody.sdk.client import Client

_SCRIPTS = 1_000_000  # largest file that a recipe keeps, bytes


def add_to(cli: click.Group) -> None:
    """Add the nouns."""
    dataset = group(cli, "dataset", "Datasets: immutable versions with a provenance card.")
    _dataset_add(dataset)
    _dataset_views(dataset)
    cards.add_to(dataset)
    _run(group(cli, "run", "Runs: executions of training code."))


def _dataset_add(noun: click.Group) -> None:
    @verb(
        noun,
        "add",
        dry=True,
        examples=[
            "custody dataset add tickets train.csv --card card.yaml --target label --positive Yes",
            "custody dataset add tickets - --input-format jsonl --card card.yaml < rows.jsonl",
        ],
    )
    @click.argument("name")
    @click.argument("file")
    @click.option("--card", required=True, help="Provenance card, YAML or JSON.")
    @click.option("--input-format", help="csv, jsonl or parquet (.gz behind it); default: by the file's name.")
    @click.option("--target", help="Column that holds the label.")
    @click.option("--positive", help="Value of the target that means yes.")
    @click.option("--subject-key", help="Column that names the person a row is about.")
    @click.option("--time", help="Column that says when a row happened.")
    @click.option("--group", "groups", multiple=True, help="Column with groups of people, for bias checks; repeat it.")
    @click.option("--columns", help="Columns the file must have, separated by commas.")
    @click.option("--derived-from", multiple=True, help="Dataset version it was made from; its terms are inherited. Repeat it.")
    @click.option(
        "--waive", multiple=True, help="Inherited field that may allow more than the source's; approvers only. Repeat it."
    )
    @click.option("--waiver-reason", default="", help="Why; signed, and kept in the ledger.")
    @click.option("--holdout", type=float, default=0.4, show_default=True, help="Share of rows kept from training, 0..1.")
    @click.option("--own-keys", is_flag=True, help="Seal each person's rows under a key of their own, which an erasure destroys.")
    def add(client: "Client", name: str, file: str, card: str, dry_run: bool, **given: Any) -> None:
        """Store a CSV, JSONL or Parquet file as the next version of a dataset."""
        from custody.cli.progress import tracked

        with tracked(file) as source:
            result = client.dataset_add(
                name,
                source,
                card=read_mapping(card),
                format=given["input_format"] or _format(file),
                target=given["target"],
                positive=given["positive"],
                subject=given["subject_key"],
                time=given["time"],
                groups=given["groups"],
                columns=given["columns"].split(",") if given["columns"] else None,
                derived_from=given["derived_from"],
                holdout=given["holdout"],
                own_keys=given["own_keys"],
                waive=given["waive"],
                waiver_reason=given["waiver_reason"],
                dry_run=dry_run,
            )
        show(result, _dataset_text, quiet=ref(result.data["ref"]))
        tell_scan(result.data["scan"])


def _dataset_views(noun: click.Group) -> None:
    @verb(noun, "ls", examples=["custody dataset ls", "custody dataset ls tickets --format csv"])
    @click.argument("name", required=False)
    @click.option("--limit", type=int, default=50, show_default=True)
    def ls(client: "Client", name: str | None, limit: int) -> None:
        """List dataset versions, newest first."""
        columns = {
            "dataset": lambda d: ref(d["ref"]),
            "rows": lambda d: d["rows"],
            "scan": lambda d: d["scan"],
            "trainable": lambda d: "yes" if d["trainable"] and d["scan"] == "cleared" else "no",
            "title": lambda d: d["title"],
            "created": lambda d: when(d["created_at"]),
            "digest": lambda d: d["digest"][:12],
        }
        rows(client.dataset_ls(name), columns, limit=limit)

    @verb(noun, "show", examples=["custody dataset show tickets@1"])
    @click.argument("dataset")
    def show_one(client: "Client", dataset: str) -> None:
        """Show a dataset version with its schema and card."""
        show(client.dataset_show(dataset), _dataset_text)

    @verb(noun, "explain", examples=["custody dataset explain tickets@1"])
    @click.argument("dataset")
    def explain(client: "Client", dataset: str) -> None:
        """Show each column's profile: missing values, quantiles of numbers, most frequent levels.

        Single values are shown to a key that sees rows, and the ledger says so; others see what at least five rows stand behind.
        """
        columns = {
            "column": lambda c: c["column"],
            "rows": lambda c: c["rows"],
            "missing": lambda c: c["missing"],
            "min, quartiles, max": lambda c: c["quantiles"] or "",
            "most frequent": lambda c: [f"{level} {share:.0%}" for level, share in c["top"]],
        }
        found = client.dataset_profile(dataset).data
        rows(found, columns)
        if hidden := {c["hidden"] for c in found if c["hidden"]}:
            say(f"left out: {', '.join(sorted(hidden))}")

    @verb(noun, "diff", examples=["custody dataset diff tickets@1 tickets@2"])
    @click.argument("one")
    @click.argument("two")
    def diff(client: "Client", one: str, two: str) -> None:
        """Compare two versions: rows, columns, card."""
        a, b = client.dataset_show(one).data, client.dataset_show(two).data
        names = {side: {c["name"]: c["type"] for c in data["schema"]["columns"]} for side, data in (("a", a), ("b", b))}
        lines = [{"what": "rows", "one": a["rows"], "two": b["rows"]}] if a["rows"] != b["rows"] else []
        lines += [
            {"what": f"column {name}", "one": names["a"].get(name), "two": names["b"].get(name)}
            for name in sorted(names["a"].keys() | names["b"].keys())
            if names["a"].get(name) != names["b"].get(name)
        ]
        lines += [
            {"what": f"card {k}", "one": a["card"][k], "two": b["card"][k]} for k in a["card"] if a["card"][k] != b["card"][k]
        ]
        rows(lines, {"what": lambda x: x["what"], one: lambda x: x["one"], two: lambda x: x["two"]})


def _format(file: str) -> str:
    from custody.sdk.client import format_of

    return format_of(file)


def _dataset_text(data: dict[str, Any]) -> str:
    schema, card = data["schema"], data["card"]
    return facts(
        {
            "dataset": ref(data["ref"]),
            "digest": data["digest"],
            "rows": data["rows"],
            "columns": [f"{c['name']} ({c['type']})" for c in schema["columns"]],
            "target": f"{schema['target']} (yes = {schema['positive']})" if schema["target"] else None,
            "groups": schema["groups"],
            "holdout": f"{data['holdout']:.0%} of rows, chosen by content",
            "derived from": data["derived_from"],
            "keys": "one for each person" if data["own_keys"] else None,
            "scan": scan_word(data["scan"]),
            "title": card["title"],
            "sources": card["sources"],
            "legal basis": card["legal_basis"],
            "purposes": card["purposes"],
            "license": card["license"],
            "bias treatment": card["bias_treatment"],
            "limitations": card["limitations"],
        }
    )


def _run(noun: click.Group) -> None:
    @verb(
        noun,
        "exec",
        examples=[
            "custody run exec --name churn -- python train.py",
            "custody run exec --dataset tickets@2 -- python train.py --depth 4",
            "custody run exec --purpose train_ai_system -- python train.py",
        ],
    )
    @click.option("--name", help="Name of the run; default: the script's.")
    @click.option("--dataset", help="Dataset version that the script shall read, whatever it names itself.")
    @click.option("--purpose", default="", help="What the model is for, such as train_ai_system; the script may say it instead.")
    @click.argument("command", nargs=-1, required=True)
    def execute(client: "Client", name: str | None, dataset: str | None, purpose: str, command: tuple[str, ...]) -> None:
        """Run a training command and record code version, environment, parameters, metrics and data.

        The command and the files it names in this folder are kept, so that the worker can repeat it on newer data.
        """
        from custody.sdk.running import code_version, environment

        files = {part: Path(part).read_bytes() for part in command if _is_script(part)}
        title = name or next((Path(part).stem for part in files), Path(command[0]).stem)
        made = client.run_begin(
            title, code_version=code_version(), environment=environment(), command=command, files=files, purpose=purpose
        )
        run = made.data
        say(f"run {run['id']} started")
        wire = client.wire
        where = {"CUSTODY_URL": wire.target} if wire.remote else {"CUSTODY_PROJECT": str(Path(wire.target).absolute())}
        given = {
            f"CUSTODY_{k.upper()}": v
            for k, v in click.get_current_context().find_root().params.items()
            if k in ("key", "tenant") and v
        }
        extra = {"CUSTODY_RUN": run["id"], **where, **given, **({"CUSTODY_DATASET": dataset} if dataset else {})}
        interpreter = [sys.executable if command[0] in {"python", "python3"} else command[0], *command[1:]]
        try:
            code = subprocess.run(interpreter, env={**os.environ, **extra}, check=False).returncode
        except OSError as error:
            say(f"'{command[0]}' cannot be started: {error.strerror}")
            code = 127
        except KeyboardInterrupt:
            code = -2
        status = "finished" if code == 0 else "killed" if code < 0 else "failed"
        show(client.run_end(run["id"], status), _run_text, quiet=run["id"])
        if code:
            say(f"the command exited with {code}: the run is recorded as {status}")
            raise click.exceptions.Exit(1)

    @verb(noun, "ls", examples=["custody run ls --status failed"])
    @click.argument("name", required=False)
    @click.option("--status", type=click.Choice(["running", "finished", "failed", "killed"]))
    @click.option("--limit", type=int, default=50, show_default=True)
    def ls(client: "Client", name: str | None, status: str | None, limit: int) -> None:
        """List runs, newest first."""
        columns = {
            "run": lambda r: r["id"],
            "name": lambda r: r["name"],
            "status": lambda r: r["status"],
            "started": lambda r: when(r["started_at"]),
            "ended": lambda r: when(r["ended_at"]),
        }
        rows(client.run_ls(name, status=status), columns, limit=limit)

    @verb(noun, "show", examples=["custody run show last"])
    @click.argument("run")
    def show_one(client: "Client", run: str) -> None:
        """Show a run: `last` is the newest."""
        show(client.run_show(run), _run_text)


def _is_script(part: str) -> bool:
    path = Path(part)
    return not path.is_absolute() and ".." not in path.parts and path.is_file() and path.stat().st_size <= _SCRIPTS


def _rows_left(use: dict[str, Any]) -> str:
    if not use["admission"]:
        return ""
    left = use["admission"]["refused"]
    told = f", {sum(left.values())} left out ({', '.join(f'{n} {reason}' for reason, n in left.items())})" if left else ""
    return f" ({use['admission']['admitted']} rows{told})"


def _run_text(run: dict[str, Any]) -> str:
    return facts(
        {
            "run": run["id"],
            "name": run["name"],
            "status": run["status"],
            "started": when(run["started_at"]),
            "ended": when(run["ended_at"]),
            "code": run["code_version"],
            "command": " ".join(run["recipe"]["command"]) if run["recipe"] else None,
            "params": run["params"],
            "metrics (claimed)": run["metrics"],
            "purpose": run["purpose"],
            "datasets": [f"{ref(d['ref'])} {d['split']} {d['digest'][:12]}{_rows_left(d)}" for d in run["datasets"]],
            "models": [f"{m['name']} {m['artifact'][:12]}" for m in run["models"]],
            "environment": run["environment"],
            "cause": run["cause"],
        }
    )
