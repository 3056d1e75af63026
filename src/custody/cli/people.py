"""The command erase, and the nouns obligation, subject and encryption."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from custody.cli import receipts
from custody.cli.frame import REFUSED, facts, group, ref, rows, say, show, verb, when
from custody.cli.progress import counting

if TYPE_CHECKING:
    from custody.sdk.client import Client


def add_to(cli: click.Group) -> None:
    """Add the commands."""
    _erase(cli)
    _obligation(group(cli, "obligation", "What models owe after somebody was erased."))
    _subject(group(cli, "subject", "People in the data: what is stored about one."))
    _encryption(group(cli, "encryption", "The keys that seal objects, one ring for each tenant."))


def _erase(cli: click.Group) -> None:
    @verb(
        cli,
        "erase",
        dry=True,
        hub=True,
        examples=["custody erase --subject ada@example.org --dry-run", "custody erase --subject 4711 --canary 'Ada L' --yes"],
    )
    @click.option("--subject", help="Value that names the person in the subject column; '-' reads it from stdin.  [required]")
    @click.option("--days", type=click.IntRange(1, 365), default=30, show_default=True, help="Days until obligations are due.")
    @click.option("--owner", default="", help="Who answers for the obligations; default: you.")
    @click.option("--canary", "canaries", multiple=True, help="Text of the person that must be found nowhere after; repeat it.")
    @click.option("--yes", is_flag=True, help="Do not ask.")
    def erase(client: "Client", subject: str | None, yes: bool, dry_run: bool, **given: Any) -> None:
        """Erase one person: rows, traffic, labels, fixtures; and hold to account every model that learned from them.

        Killed midway, it goes on when called again. Exits with 1 if a searched text is still found somewhere.
        """
        if subject is None:  # not required for the verbs behind it
            raise click.MissingParameter(param_hint="'--subject'", param_type="option")
        name = sys.stdin.readline().rstrip("\n") if subject == "-" else subject
        _confirm("Erase this person's data? It cannot be undone.", yes=yes or dry_run)
        result = client.erase(name, dry_run=dry_run, **given)
        show(result, _erasure_text, quiet=result.data["id"])
        if result.data["left"]:
            raise click.exceptions.Exit(REFUSED)

    if isinstance(erase, click.Group):
        receipts.add_to(erase)


def _erasure_text(told: dict[str, Any]) -> str:
    found = told["found"]
    lines = {
        "erasure": told["id"],
        "state": told["state"] if told["id"] else _not_begun(found),
        **{name: found[name] for name in ("rows", "datasets", "derived", "runs", "models", "deployments", "elsewhere")},
        "captured predictions": found["captures"],
        **{name: found[name] for name in ("labels", "golden", "fixtures")},
        "obligations": told["obligations"],
        "receipt": told["receipt"],
        "still found in": [f"{one['place']} (text {one['text'] + 1})" for one in told["left"]],
    }
    return facts(lines)


def _not_begun(found: dict[str, Any]) -> str:
    known = found["rows"] or found["datasets"] or found["captures"] or found["labels"] or found["elsewhere"]
    return "nothing begun" if known else "nothing begun: nobody of this name is known here"


def _obligation(noun: click.Group) -> None:
    @verb(noun, "ls", examples=["custody obligation ls --open"])
    @click.option("--open", "only_open", is_flag=True, help="Only those that are not met.")
    def ls(client: "Client", only_open: bool) -> None:
        """List what models owe, those due first at the front."""
        columns = {
            "obligation": lambda o: o["obligation"]["id"],
            "model": lambda o: ref(o["obligation"]["model"]),
            "state": lambda o: "overdue" if o["overdue"] else o["obligation"]["state"],
            "due": lambda o: when(o["obligation"]["due_at"]),
            "owner": lambda o: o["obligation"]["owner"],
            "answer": lambda o: o["obligation"]["answer"],
            "stores rows": lambda o: o["obligation"]["stores_rows"],
        }
        rows(client.obligation_ls(only_open=only_open).data, columns)

    @verb(
        noun,
        "answer",
        dry=True,
        examples=["custody obligation answer 01JD8... --retrain RUN", "custody obligation answer 01JD8... --exclude"],
    )
    @click.argument("obligation")
    @click.option("--retrain", metavar="RUN", help="Run that trained another version without the rows.")
    @click.option("--exclude", is_flag=True, help="The version is out of use for good.")
    @click.option("--accept", metavar="GROUND", help="Legal ground to keep the version as it is.")
    @click.option("--approver", default="", help="Who accepts.")
    def answer(client: "Client", obligation: str, dry_run: bool, approver: str, **given: Any) -> None:
        """Close an obligation with its evidence."""
        chosen = [name for name, value in given.items() if value]
        if len(chosen) != 1:
            raise click.UsageError("Give one of --retrain RUN, --exclude or --accept GROUND.")
        evidence = "" if chosen == ["exclude"] else given[chosen[0]]
        result = client.obligation_answer(obligation, chosen[0], evidence=evidence, approver=approver, dry_run=dry_run)
        show(result, lambda o: facts({**o, "model": ref(o["model"])}), quiet=obligation)


def _subject(noun: click.Group) -> None:
    @verb(noun, "export", examples=["custody subject export --subject ada@example.org --out ada.zip"])
    @click.option("--subject", required=True, help="Value that names the person in the subject column; '-' reads it from stdin.")
    @click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Zip to write; never replaced.")
    def export(client: "Client", subject: str, out: Path) -> None:
        """Write everything that is stored about one person into a zip, with a manifest of what is in it."""
        if out.exists():
            raise click.UsageError(f"'{out}' exists. Give another --out.")
        name = sys.stdin.readline().rstrip("\n") if subject == "-" else subject
        body, entry = client.subject_export(name)
        with out.open("xb") as file:
            out.chmod(0o600)
            file.write(body)
        from custody.sdk.wire import Result

        show(Result({"file": str(out), "bytes": len(body)}, entry, None), facts, quiet=str(out))


def _encryption(noun: click.Group) -> None:
    @verb(noun, "ls", examples=["custody encryption ls"])
    def ls(client: "Client") -> None:
        """List data keys, never their secrets."""
        columns = {
            "tenant": lambda k: k["tenant"],
            "number": lambda k: k["number"],
            "key": lambda k: k["id"],
            "master": lambda k: k["master"],
            "made": lambda k: when(k["made_at"]),
            "state": lambda k: "destroyed" if k["destroyed_at"] else "seals" if k["current"] else "opens",
        }
        rows(client.encryption_ls().data, columns)

    @verb(noun, "rotate", dry=True, examples=["custody encryption rotate", "custody --tenant acme encryption rotate"])
    @click.option("--master", is_flag=True, help="Wrap every data key again under the master key that is set now.")
    def rotate(client: "Client", master: bool, dry_run: bool) -> None:
        """Make a new data key for the tenant; what older ones sealed stays readable."""
        result = client.encryption_rotate(master=master, dry_run=dry_run)
        show(result, lambda d: f"{d['rewrapped']} keys wrapped again" if master else _newest(d["keys"]))

    @verb(
        noun,
        "reseal",
        dry=True,
        examples=["custody encryption reseal --dry-run", "custody --tenant acme encryption reseal --retire --yes"],
    )
    @click.option("--retire", is_flag=True, help="Then destroy the older data keys: old copies of objects can no longer be read.")
    @click.option("--yes", is_flag=True, help="Do not ask.")
    def reseal(client: "Client", retire: bool, yes: bool, dry_run: bool) -> None:
        """Seal everything of the tenant under its newest data key. Killed midway, it goes on when called again."""
        if retire:
            _confirm("Destroy the older keys at the end? Backups of objects made before cannot be read then.", yes=yes or dry_run)
        with counting("sealing") as progress:
            result = client.encryption_reseal(retire=retire, dry_run=dry_run, progress=progress)
        show(result, _resealed_text)

    @verb(noun, "destroy", dry=True, examples=["custody encryption destroy --reason 'contract ended' --yes"])
    @click.option("--reason", required=True, help="Kept in the ledger.")
    @click.option("--yes", is_flag=True, help="Do not ask.")
    def destroy(client: "Client", reason: str, yes: bool, dry_run: bool) -> None:
        """Destroy all keys of the tenant: what they sealed, backups included, can never be read, no pseudonym be linked again."""
        _confirm(
            "Destroy the tenant's keys? Nothing that they sealed can be read, no pseudonym be linked, ever again.",
            yes=yes or dry_run,
        )
        show(client.encryption_destroy(reason=reason, dry_run=dry_run), _destroyed_text)


def _resealed_text(told: dict[str, Any]) -> str:
    lines = {"key that seals": told["key"], "looked at": told["looked"], "were under an older key": told["changed"]}
    return facts({**lines, "older keys destroyed": told["retired"] or None})


def _destroyed_text(told: dict[str, Any]) -> str:
    there = "yes" if told["pseudonyms"] else "no"
    nothing = not (told["destroyed"] or told["pseudonyms"])
    return facts(
        {
            "tenant": told["tenant"],
            "data keys": told["destroyed"],
            "key for pseudonyms": there,
            "state": "no key is there; see: custody encryption ls" if nothing else None,
        }
    )


def _newest(keys: list[dict[str, Any]]) -> str:
    return facts({"tenant": keys[-1]["tenant"], "number": keys[-1]["number"], "key": keys[-1]["id"]}) if keys else "(no key yet)"


def _confirm(question: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("This asks for confirmation; without a terminal say --yes.")
    say("")
    click.confirm(question, abort=True)
