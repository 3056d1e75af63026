"""The nouns consent and export."""

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import click

from custody.cli.frame import facts, group, ref, rows, say, show, verb, when

if TYPE_CHECKING:
    from custody.sdk.client import Client


def add_to(cli: click.Group) -> None:
    """Add the nouns."""
    noun = group(cli, "consent", "Consent: what people said about the use of their data.")
    _add(noun)
    _views(noun)
    _export(group(cli, "export", "Exports: model cards, and rows that leave under a name, with a mark and an end."))


def _export(noun: click.Group) -> None:
    @verb(noun, "card", examples=["custody export card churn@3 > model-card.json"])
    @click.argument("model")
    def card(client: "Client", model: str) -> None:
        """Print a model card as JSON."""
        click.echo(json.dumps(client.export_card(model).data, indent=2, ensure_ascii=False))

    @verb(
        noun,
        "rows",
        dry=True,
        examples=["custody export rows tickets@1 --name audit-2026 --purpose finance --recipient 'audit office' --days 7"],
    )
    @click.argument("dataset")
    @click.option("--name", required=True, help="Name of the export; it stands for this one for ever.")
    @click.option("--purpose", required=True, help="What for; the dataset's card must allow it.")
    @click.option("--recipient", required=True, help="Who gets the rows.")
    @click.option("--days", type=click.IntRange(1, 365), default=7, show_default=True, help="Days until it ends.")
    @click.option("--columns", help="Only these columns, separated by commas.")
    def rows_out(client: "Client", dataset: str, name: str, columns: str | None, **given: Any) -> None:
        """Allow that rows leave; fetch them with `custody export get`."""
        chosen = columns.split(",") if columns else []
        show(client.export_rows(name, dataset, columns=chosen, **given), _export_text, quiet=name)

    @verb(noun, "ls", examples=["custody export ls"])
    def ls(client: "Client") -> None:
        """List exports, newest first."""
        columns = {
            "export": lambda e: e["name"],
            "dataset": lambda e: ref(e["dataset"]),
            "purpose": lambda e: e["purpose"],
            "recipient": lambda e: e["recipient"],
            "by": lambda e: e["actor"],
            "made": lambda e: when(e["created_at"]),
            "ends": lambda e: when(e["expires_at"]),
        }
        rows(client.export_ls(), columns)

    @verb(noun, "get", examples=["custody export get audit-2026 -o audit-2026.parquet"])
    @click.argument("name")
    @click.option("-o", "--output", required=True, type=click.Path(dir_okay=False), help="Where the rows go, as Parquet.")
    def get(client: "Client", name: str, output: str) -> None:
        """Fetch the rows of an export until it ends; the ledger says that you did."""
        body = client.export_get(name)
        with click.open_file(output, "wb", atomic=True) as file:
            file.write(body)
        say(f"wrote {len(body):,} bytes to {output}")

    @verb(noun, "identify", examples=["custody export identify found.parquet"])
    @click.argument("file", type=click.Path(exists=True, dir_okay=False))
    def identify(client: "Client", file: str) -> None:
        """Say which export a Parquet file came from, by its metadata or by the order of its rows."""
        columns = {
            "export": lambda m: m["export"],
            "rows": lambda m: m["rows"],
            "in order": lambda m: f"{m['in_order']:.1%}",
            "sigma": lambda m: f"{m['sigma']:.1f}",
        }
        rows(client.export_identify(file).data, columns)


def _export_text(data: dict[str, Any]) -> str:
    return facts({**data, "dataset": ref(data["dataset"])})


def _add(noun: click.Group) -> None:
    @verb(
        noun,
        "add",
        dry=True,
        examples=["custody consent add consent.csv --source crm", "custody consent add - --source crm < consent.jsonl"],
    )
    @click.argument("file")
    @click.option("--source", default="", help="The system it comes from, for rows that name none.")
    def add(client: "Client", file: str, source: str, dry_run: bool) -> None:
        """Record what people said, from CSV or JSONL: subject, purpose, status, valid_from; valid_to, source, notice, children.

        status is granted, withdrawn or objected. Each person is kept as a keyed token. The same file again adds nothing, but
        says that its source is up to date.
        """
        with click.open_file(file, encoding="utf-8-sig", errors="strict") as lines:
            found = statements(lines.read(), file)
        show(client.consent_add(found, source=source, dry_run=dry_run), facts)


def _views(noun: click.Group) -> None:
    @verb(noun, "ls", examples=["custody consent ls", "custody consent ls --subject ada@example.org"])
    @click.option("--subject", help="One person, as your own systems name them.")
    @click.option("--limit", type=int, default=50, show_default=True)
    def ls(client: "Client", subject: str | None, limit: int) -> None:
        """List consent records, newest first; people are tokens."""
        columns = {
            "subject": lambda c: c["subject"],
            "purpose": lambda c: c["purpose"] + (" and below" if c["children"] else ""),
            "said": lambda c: c["said"],
            "from": lambda c: when(c["valid_from"]),
            "to": lambda c: when(c["valid_to"]),
            "source": lambda c: c["source"],
            "notice": lambda c: c["notice"],
            "recorded": lambda c: when(c["recorded_at"]),
        }
        rows(client.consent_ls(subject=subject), columns, limit=limit)

    @verb(noun, "check", examples=["custody consent check tickets@1 --purpose train_ai_system"])
    @click.argument("dataset")
    @click.option("--purpose", required=True, help="What a model would be trained for, such as train_ai_system.")
    @click.option("--at", help="As of this time instead of now, ISO 8601.")
    def check(client: "Client", dataset: str, purpose: str, at: str | None) -> None:
        """Say how many rows a training would get, and why not the others; nothing is recorded."""
        show(client.consent_check(dataset, purpose=purpose, at=at), admission_text)


def statements(text: str, name: str) -> list[dict[str, Any]]:
    """Read rows from CSV or JSONL; a malformed line is InvalidInput."""
    from custody.core.errors import InvalidInput

    if text.lstrip().startswith("{"):
        try:
            found = [json.loads(line) for line in text.splitlines() if line.strip()]
        except json.JSONDecodeError as error:
            raise InvalidInput(f"'{name}' is not JSONL.", why=f"{error.msg}, column {error.colno} of a line.") from error
        return [row if isinstance(row, dict) else {} for row in found]
    reader = csv.DictReader(io.StringIO(text))
    made = []
    for row in reader:
        if None in row:
            raise InvalidInput(f"Line {reader.line_num} of '{name}' has more cells than the header has names.")
        made.append({key: value for key, value in row.items() if value not in (None, "")})
    return made


def admission_text(data: dict[str, Any]) -> str:
    """Say what a training start got, and why not more."""
    refused = data["refused"]
    told = {
        "purpose": data["purpose"],
        "legal basis": data["basis"],
        "as of": when(data["at"]),
        "rows admitted": data["admitted"],
        "rows refused": sum(refused.values()),
        **{f"  {reason.replace('_', ' ')}": n for reason, n in refused.items()},
        "snapshot": data["snapshot"],
        "shares": [f"{s['column']} {s['group']} {s['before']:.1%} -> {s['after']:.1%}" for s in data["shifts"]],
    }
    return facts(told)
