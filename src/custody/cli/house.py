"""The bare commands init, up, serve and verify, and the nouns tenant, key, ledger and config."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from custody.cli.frame import REFUSED, facts, group, rows, say, show, verb, when

if TYPE_CHECKING:
    from custody.sdk.client import Client


def add_to(cli: click.Group) -> None:
    """Add the commands."""
    _start(cli)
    _tenant(group(cli, "tenant", "Tenants: the team's clients."))
    _key(group(cli, "key", "API keys: who may do what, for which tenant."))
    _ledger(group(cli, "ledger", "The ledger: what happened, provably."))
    _checks(cli)


def _start(cli: click.Group) -> None:
    @cli.command("init")
    @click.argument("folder", type=click.Path(path_type=Path), default=".")
    def init(folder: Path) -> None:
        """Make a project: settings, an SQLite database, an object folder and a signing key.

        \b
        Examples:
          custody init demo
        """  # noqa: D301 - click's own mark
        from custody.bootstrap.control import init as make

        _, new = make(folder)
        say(f"{'Made' if new else 'Completed'} the project in '{folder}'.")
        say(f"next: custody up --project {folder}")

    @cli.command("up")
    @click.option("--port", type=click.IntRange(1, 65535), help="Port of API and dashboard.")
    @click.option("--inference-port", type=click.IntRange(1, 65535), help="Port of the data plane.")
    @click.pass_context
    def up(ctx: click.Context, port: int | None, inference_port: int | None) -> None:
        """Start control plane with dashboard, inference and worker; stop them with Ctrl-C.

        \b
        Examples:
          custody up --project demo
        """  # noqa: D301 - click's own mark
        from custody.bootstrap.up import up as start

        folder = Path(ctx.find_root().params.get("project") or ".")
        ctx.exit(start(folder, port=port, inference_port=inference_port))

    _serve(cli)
    config = group(cli, "config", "Settings of the project.")

    @config.command("show")
    @click.pass_context
    def config_show(ctx: click.Context) -> None:
        """Print each setting and where it came from.

        \b
        Examples:
          custody config show
        """  # noqa: D301 - click's own mark
        import os

        from custody.bootstrap.settings import load

        settings = load(Path(ctx.find_root().params.get("project") or "."), os.environ)
        for name, source in settings.sources:
            value = re.sub(r"(://[^:/@]*:)[^@]*@", r"\1***@", str(getattr(settings, name)))  # a URL may hold a password
            click.echo(f"{name:<15} {value:<40} {source}")


_FLAGS = ("memory_mb", "tenant_requests", "server_requests", "access_log", "log_format", "compress_from")


def _serve(cli: click.Group) -> None:
    @cli.command("serve")
    @click.option("--workers", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes on the port.")
    @click.option("--objects", help="Object store to follow, if not the project's: a folder or s3://bucket/prefix.")
    @click.option("--public-key", help="Key that signs the manifest, 64 hexadecimal digits, if not the project's.")
    @click.option("--host", help="Address to listen on; default: the project's, or 127.0.0.1.")
    @click.option("--port", type=click.IntRange(0, 65535), help="Port for HTTP; default: the project's, or 8090.")
    @click.option("--grpc-port", type=click.IntRange(0, 65535), help="Port for gRPC; without it there is none.")
    @click.option("--state-dir", type=click.Path(path_type=Path), help="Folder for captures on their way; default: serve.")
    @click.option("--memory-mb", type=click.FloatRange(1), help="MiB that models may take, each process.")
    @click.option("--tenant-requests", type=click.IntRange(1), help="Requests of a tenant in flight, each process.")
    @click.option("--server-requests", type=click.IntRange(1), help="Requests in flight, each process.")
    @click.option("--keyring", help="Data keys that sealed the objects, if not the project's: a folder or s3://bucket/prefix.")
    @click.option("--master-key", help="Master key of that ring: file:PATH, env:NAME or a key service's URL.")
    @click.option("--drain-seconds", type=click.FloatRange(0), default=1.0, show_default=True, help="From SIGTERM to the stop.")
    @click.option("--access-log", help="File for one JSON line per request, - for stderr; without it there is none.")
    @click.option("--log-format", type=click.Choice(["text", "json"]), help="Of the log on stderr; default: text.")
    @click.option("--compress-from", type=click.IntRange(1), help="Bytes from which on answers are compressed; default: none is.")
    @click.pass_context
    def serve(ctx: click.Context, /, workers: int, drain_seconds: float, **given: Any) -> None:
        """Answer inference requests only: no control plane, no dashboard, no database.

        It follows the manifest in the object store. Options that stand for a project's own are needed where there is none.

        \b
        Examples:
          custody serve --workers 4 --project demo
          custody serve --objects s3://models/custody --public-key 5f0c... --port 8090 --grpc-port 8091
        """  # noqa: D301 - click's own mark
        import os

        from custody.bootstrap.serve import place_of
        from custody.bootstrap.serve import serve as start

        top = ctx.find_root().params.get("project")
        flags = {name: given.pop(name) for name in _FLAGS}
        keyring, master = given.pop("keyring"), given.pop("master_key")
        if keyring and master:
            given["sealing"] = ("--keyring", keyring, "--master-key", master, "--encrypt")
        place = place_of(Path(top) if top else None, os.environ, given)
        sealed = " --keyring KEYRING --master-key MASTER_KEY" if place.sealing else ""  # what they are may be known here alone
        say(f"elsewhere: custody serve --objects {place.objects} --public-key {place.public_key}{sealed}")
        kept = {name: value for name, value in flags.items() if value is not None}
        ctx.exit(start(place, kept, workers=workers, drain_seconds=drain_seconds))


def _tenant(noun: click.Group) -> None:
    @verb(noun, "add", dry=True, examples=["custody tenant add acme"])
    @click.argument("name")
    def add(client: "Client", name: str, dry_run: bool) -> None:
        """Add a client of the team."""
        show(client.tenant_add(name, dry_run=dry_run), facts)

    @verb(noun, "ls", examples=["custody tenant ls"])
    def ls(client: "Client") -> None:
        """List tenants."""
        rows(client.tenant_ls(), {"tenant": lambda t: t["id"], "since": lambda t: when(t["created_at"])})


def _key(noun: click.Group) -> None:
    @verb(noun, "add", examples=["custody key add acme-app --role viewer --tenant-of acme"])
    @click.argument("name")
    @click.option(
        "--role", type=click.Choice(["viewer", "contributor", "approver", "admin"]), default="viewer", show_default=True
    )
    @click.option("--tenant-of", "tenant", help="Tenant that the key is bound to; default: every tenant.")
    @click.option("--days", type=click.IntRange(1, 3650), help="Days until it expires.")
    @click.option("--no-rows", "rows", is_flag=True, flag_value=False, default=True, help="It sees aggregates, never rows.")
    def add(client: "Client", name: str, **given: Any) -> None:
        """Make an API key; its secret is printed once."""
        result = client.key_add(name, **given)
        show(result, lambda d: facts({**d["key"], "secret": d["secret"]}), quiet=result.data["secret"])

    @verb(noun, "ls", examples=["custody key ls"])
    def ls(client: "Client") -> None:
        """List keys, never their secrets."""
        columns = {
            "key": lambda k: k["id"],
            "name": lambda k: k["name"],
            "role": lambda k: k["role"],
            "tenant": lambda k: k["tenant"] or "(all)",
            "made": lambda k: when(k["created_at"]),
            "expires": lambda k: when(k["expires_at"]),
            "revoked": lambda k: when(k["revoked_at"]),
        }
        rows(client.key_ls().data, columns)

    @verb(noun, "rm", examples=["custody key rm 01JD8..."])
    @click.argument("key")
    def rm(client: "Client", key: str) -> None:
        """Revoke a key."""
        show(client.key_rm(key), facts)


def _ledger(noun: click.Group) -> None:
    @verb(noun, "ls", examples=["custody ledger ls --subject churn@3"])
    @click.option("--subject", help="What the entries are about, such as churn@3.")
    @click.option("--kind", help="Kind of entry, such as gate.refused.")
    @click.option("--limit", type=int, default=50, show_default=True)
    def ls(client: "Client", subject: str | None, kind: str | None, limit: int) -> None:
        """List what happened, newest first."""
        columns = {
            "#": lambda e: e["seq"],
            "at": lambda e: when(e["at"]),
            "tenant": lambda e: e["tenant"],
            "who": lambda e: e["actor"],
            "what": lambda e: e["kind"],
            "subject": lambda e: e["subject"],
            "hash": lambda e: e["hash"][:12],
        }
        rows(client.ledger_ls(subject=subject, kind=kind), columns, limit=limit)

    @verb(noun, "verify", examples=["custody ledger verify", "custody ledger verify --checkpoint kept-elsewhere.json"])
    @click.option(
        "--checkpoint",
        "checkpoints",
        multiple=True,
        type=click.File(encoding="utf-8"),
        help="Checkpoint kept elsewhere; repeat it.",
    )
    def verify(client: "Client", checkpoints: tuple[Any, ...]) -> None:
        """Check every entry and the chain; exits with 1 and names the first entry that is wrong."""
        result = client.ledger_verify([file.read() for file in checkpoints])
        show(result, lambda d: d["sentence"], quiet="ok" if result.data["ok"] else "broken")
        if not result.data["ok"]:
            raise click.exceptions.Exit(REFUSED)

    @verb(noun, "checkpoint", examples=["custody ledger checkpoint > somewhere-else/checkpoint.json"])
    def checkpoint(client: "Client") -> None:
        """Sign the ledger as it is now; keep what it prints where nobody who runs custody can write."""
        result = client.ledger_checkpoint()
        click.echo(result.data)
        say(f"next: {result.next}")


def _checks(cli: click.Group) -> None:
    @verb(cli, "verify", examples=["custody verify"])
    def verify(client: "Client") -> None:
        """Check the ledger and read every stored object against its digest; exits with 1 if anything is wrong."""
        result = client.verify()
        show(result, _integrity_text)
        if not result.data["ok"]:
            raise click.exceptions.Exit(REFUSED)


def _integrity_text(data: dict[str, Any]) -> str:
    head = f"{data['ledger']['sentence']}\n{data['objects']} stored objects read and compared with their digests."
    return "\n".join([head, *(f"  problem: {one}" for one in data["problems"])])
