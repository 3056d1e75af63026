"""The noun consent."""

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import click

from custody.cli.frame import facts, group, rows, show, verb, when

if TYPE_CHECKING:
    from custody.sdk.client import Client


def add_to(cli: click.Group) -> None:
    """Add the noun."""
    noun = group(cli, "consent", "Consent: what people said about the use of their data.")
    _add(noun)
    _views(noun)


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
