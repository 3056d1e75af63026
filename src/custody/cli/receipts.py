"""The verbs `erase receipt` and `erase verify`: hand out the receipt of an erasure, and check one without the project."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from custody.cli.frame import facts, say, show, verb

if TYPE_CHECKING:
    from custody.sdk.client import Client


def add_to(noun: click.Group) -> None:
    """Add the verbs."""

    @verb(noun, "receipt", examples=["custody erase receipt 01JD8... --out receipt.json"])
    @click.argument("erasure")
    @click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="File to write; never replaced.")
    def receipt(client: "Client", erasure: str, out: Path) -> None:
        """Write the signed receipt of an erasure, which names nobody, into a file that anybody can check."""
        if out.exists():
            raise click.UsageError(f"'{out}' exists. Give another --out.")
        from custody.sdk.wire import Result

        made = client.erasure_receipt(erasure).data
        with out.open("x", encoding="utf-8") as file:
            file.write(json.dumps(made, indent=2, ensure_ascii=False) + "\n")
        next_ = f"custody erase verify {out} --key {made['key_id']}"
        show(Result({"file": str(out), "key": made["key_id"]}, None, next_), facts, quiet=str(out))

    _verify(noun)


def _verify(noun: click.Group) -> None:
    @noun.command("verify")
    @click.argument("file", type=click.File("rb"))
    @click.option("--key", help="Public key that must have signed it, as its owner told you: a file of 64 hex digits, or its id.")
    @click.option("--format", type=click.Choice(["text", "json"]), default="text", help="How to print the answer.")
    def verify(file: Any, key: str | None, format: str) -> None:  # noqa: A002 - the option's name
        """Check the receipt of an erasure without the project: nobody changed a word of it, and whose key signed it.

        \b
        Examples:
          custody erase verify receipt.json --key team.pub
          custody erase verify receipt.json --key 0f3a5b7c9d1e2f40
        """  # noqa: D301 - click's own mark
        import msgspec

        from custody.core.errors import InvalidInput
        from custody.privacy.erasure.receipt import check

        try:
            values = msgspec.json.decode(file.read())
        except msgspec.DecodeError as error:
            raise InvalidInput("That is not JSON.", why=f"{error}.") from error
        key_id, public = _key(key)
        found = check(values if isinstance(values, dict) else {}, key_id=key_id, public_key=public)
        if format == "json":
            click.echo(json.dumps(msgspec.to_builtins(found), indent=2, ensure_ascii=False))
            return
        click.echo(f"The receipt of erasure {found.erasure} is the one that key {found.key_id} signed.")
        click.echo(_told(dict(found.receipt)))
        if not key:
            say("Compare the key's id with what its owner told you: anybody can sign with a key of their own.")


def _key(given: str | None) -> tuple[str | None, bytes | None]:
    """Read --key: the id of a key, or the public key in a file."""
    if given is None or re.fullmatch(r"[0-9a-f]{16}", given):
        return given, None
    from custody.core.errors import InvalidInput

    text = Path(given).read_bytes().strip()
    if not re.fullmatch(rb"[0-9a-fA-F]{64}", text):
        raise InvalidInput(
            f"'{given}' holds no public key.",
            why="An Ed25519 key has 32 bytes, written as 64 hex digits.",
            fix="Ask the project's owner: it is the 'public_key' of every receipt and signed card of theirs.",
        )
    return None, bytes.fromhex(text.decode())


def _told(body: dict[str, Any]) -> str:
    ledger = body.get("ledger") or {}
    return facts(
        {
            "asked": body.get("asked_at"),
            "done": body.get("done_at"),
            **{name.replace("_", " "): count for name, count in body.get("counts", {}).items()},
            "obligations": [_owed(one) for one in body.get("obligations", [])],
            "texts searched": body.get("texts_searched"),
            "found again": body.get("found_again"),
            "ledger": f"#{ledger['first']} (hash {ledger['first_hash']}) to #{ledger['last']}" if ledger else "",
            "kept until expiry": body.get("keeps_until_expiry"),
            "backups gone by": body.get("backups_gone_by"),
        }
    )


def _owed(one: Any) -> str:
    """Write an obligation; version 1 kept a list of id, model and due date."""
    if isinstance(one, list):
        return f"{one[1]} due {one[2]}"
    return f"{one['model']} {one['state']}, due {one['due_at']}"
