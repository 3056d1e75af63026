"""Personal data: more verbs of the noun dataset, and the nouns review and privacy."""

from typing import TYPE_CHECKING, Any

import click

from custody.cli.frame import REFUSED, chosen, facts, group, read_mapping, ref, rows, say, show, verb

if TYPE_CHECKING:
    from custody.sdk.client import Client

_BLOCKS = ("found", "unknown")
_HOW = ("remove", "tag", "pseudonymise", "keep")
_COARSER = ("band", "prefix", "month", "year")


def add_to(cli: click.Group) -> None:
    """Add the verbs and nouns; the noun dataset is there already."""
    dataset = cli.commands["dataset"]
    assert isinstance(dataset, click.Group)
    _scans(dataset)
    _scrub(dataset)
    _review(group(cli, "review", "Reviews: what a scan was not sure of, and what people decided."))
    _privacy(group(cli, "privacy", "The tenant's privacy policy: how data is scanned, what is scrubbed."))


def scan_text(scan: dict[str, Any]) -> str:
    """Tell where a scan stands, then what it found and where: column, type, rows."""
    lines = [f"{scan['state'].upper()}"]
    lines += [f"  {reason}" for reason in scan["reasons"]] if scan["state"] != "cleared" else []
    shown = [one for one in scan["found"] if one["standing"] != "quasi"]
    lines += [
        f"    {one['standing']:<10} {one['column']}/{one['type']}  {one['category']}  {one['rows']:,} rows" for one in shown
    ]
    if quasi := [one["column"] for one in scan["found"] if one["standing"] == "quasi"]:
        lines.append(f"    tell people apart together: {', '.join(quasi)}")
    return "\n".join(lines)


def _ended(state: str) -> None:
    if state != "cleared":
        raise click.exceptions.Exit(REFUSED)


def _scans(noun: click.Group) -> None:
    @verb(noun, "scan", examples=["custody dataset scan tickets@1"])
    @click.argument("dataset")
    def scan(client: "Client", dataset: str) -> None:
        """Scan a version for personal data again; exits with 1 unless it is cleared."""
        result = client.dataset_scan(dataset)
        show(result, scan_text, quiet=result.data["state"])
        _ended(result.data["state"])

    @verb(noun, "rescan", examples=["custody dataset rescan"])
    @click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
    def rescan(client: "Client", limit: int) -> None:
        """Scan again what was scanned under another policy or pattern pack, or never; the worker does it by itself."""
        columns = {
            "dataset": lambda s: ref(s["ref"]),
            "state": lambda s: s["state"],
            "why": lambda s: s["reasons"][:1],
        }
        rows(client.dataset_rescan(limit=limit).data, columns)

    @verb(noun, "report", examples=["custody dataset report tickets@1", "custody dataset report tickets@1 --format json"])
    @click.argument("dataset")
    def report(client: "Client", dataset: str) -> None:
        """Show what the newest scan says and exactly what may be claimed; JSON holds the signed report."""
        show(client.dataset_report(dataset), _report_text)


def _report_text(data: dict[str, Any]) -> str:
    report, residual = data["report"], data["report"]["residual"]
    return facts(
        {
            "dataset": report["dataset"],
            "state": data["state"],
            "because": " ".join(data["reasons"]) if data["state"] != "cleared" else None,
            "policy": f"{report['policy_name']} {report['policy_digest'][:12]}",
            "pattern pack": f"{report['pack_version']} {report['pack_digest'][:12]}",
            "looked first": report["detectors"],
            "looked again": residual["detectors"] if residual else None,
            "rows": report["rows"],
            "text read": f"{report['scanned_bytes']:,} of {report['text_bytes']:,} bytes",
            "removed before": report["counts"] or None,
            "found now": residual["counts"] or None if residual else None,
            "doubtful": report["doubtful"] or None,
            "declared": report["declared"] or None,
            "canaries": f"{report['canaries_found']} of {report['canaries']} found",
            "smallest group": report["grouping"]["k"] if report["grouping"] else None,
            "reviewer": report["reviewer"],
            "may be claimed": data["claim"],
            "on the dashboard": f"/datasets/{data['ref']['name']}/{data['ref']['version']}/report",
            "signed by": f"{data['signed']['key_id']} at {data['signed']['signed_at'][:19]}",
        }
    )


def _scrub(noun: click.Group) -> None:
    @verb(
        noun,
        "scrub",
        dry=True,
        examples=[
            "custody dataset scrub tickets@1",
            "custody dataset scrub tickets@1 --column email=pseudonymise --column phone=remove",
            "custody dataset scrub tickets@1 --column age=band:10 --column postcode=prefix:3 --suppress-below-k",
        ],
    )
    @click.argument("dataset")
    @click.option(
        "--column",
        "columns",
        multiple=True,
        metavar="NAME=HOW",
        help="remove, tag, pseudonymise or keep a column; make a quasi-identifier coarser: "
        "band:WIDTH of numbers, prefix:LENGTH of texts, month or year of dates; repeat it.",
    )
    @click.option("--suppress-below-k", is_flag=True, help="Leave out rows of groups smaller than the policy's or card's k.")
    @click.option("--tier", type=click.Choice(["default", "strict"]), help="How far texts are searched; default: the policy's.")
    def scrub(
        client: "Client", dataset: str, columns: tuple[str, ...], suppress_below_k: bool, tier: str | None, dry_run: bool
    ) -> None:
        """Make the next version without the personal data that was found, and scan it with other detectors.

        Columns that identify people become keyed pseudonyms, so that joins still work; in texts, tags stand for what was found.

        Groups of quasi-identifiers are counted again after they were made coarser and small ones left out.
        """
        pairs = dict(_pair(one) for one in columns)
        result = client.dataset_scrub(dataset, columns=pairs, suppress_below_k=suppress_below_k, tier=tier, dry_run=dry_run)
        show(result, _scrubbed_text, quiet=ref(result.data["ref"]) if result.data["ref"] else "")


def _pair(text: str) -> tuple[str, str]:
    name, sign, how = text.rpartition("=")
    if not sign or (how not in _HOW and how.partition(":")[0] not in _COARSER):
        words = ", ".join([*_HOW, "band:WIDTH", "prefix:LENGTH", "month"])
        raise click.BadParameter(f"'{text}' is not NAME=HOW; HOW is {words} or year.")
    return name, how


def _scrubbed_text(data: dict[str, Any]) -> str:
    head = facts(
        {
            "from": ref(data["source"]),
            "into": ref(data["ref"]) if data["ref"] else None,
            "columns": data["treatments"],
            "removed": data["removed"],
            "rows left out": f"{data['suppressed']:,}, in groups that were too small" if data["suppressed"] else None,
            "smallest group": data["smallest_group"],
        }
    )
    return f"{head}\n{scan_text(data)}"


def _review(noun: click.Group) -> None:
    @verb(noun, "ls", examples=["custody review ls tickets@1", "custody review ls tickets@1 --spans --unmasked"])
    @click.argument("dataset")
    @click.option("--spans", is_flag=True, help="List single places, each with the item by which to answer about it alone.")
    @click.option("--unmasked", is_flag=True, help="Show the places as they are; approvers only, and the ledger says so.")
    def ls(client: "Client", dataset: str, spans: bool, unmasked: bool) -> None:
        """List what waits for a person: what blocks first, then what is doubtful, each with masked examples."""
        if spans:
            _spans(client, dataset, unmasked=unmasked)
            return
        columns = {
            "item": lambda i: i["item"],
            "standing": lambda i: i["standing"],
            "category": lambda i: i["category"],
            "rows": lambda i: i["rows"],
            "first row": lambda i: i["places"][0]["row"] if i["places"] else None,
            "masked": lambda i: i["places"][0]["context"][:60] if i["places"] else None,
        }
        rows(client.review_ls(dataset, unmasked=unmasked), columns)

    @verb(
        noun,
        "answer",
        dry=True,
        examples=[
            "custody review answer tickets@1 sku/PHONE --as harmless --reason 'numbers of the catalogue'",
            "custody review answer tickets@1 note/PHONE@12:4-16 --as personal",
            "custody review answer tickets@1 --as reviewed",
        ],
    )
    @click.argument("dataset")
    @click.argument("items", nargs=-1)
    @click.option("--as", "word", required=True, type=click.Choice(["personal", "harmless", "reviewed"]), help="What they are.")
    @click.option("--reason", default="", help="Why; kept with the answer.")
    def answer(client: "Client", dataset: str, items: tuple[str, ...], word: str, reason: str, dry_run: bool) -> None:
        """Decide about findings or single spans, or sign the scan; then the version is scanned again with that.

        The next `custody dataset scrub` takes personal spans out and leaves harmless ones.
        """
        result = client.review_answer(dataset, items, word, reason=reason, dry_run=dry_run)
        show(result, scan_text, quiet=result.data["state"])


def _spans(client: "Client", dataset: str, *, unmasked: bool) -> None:
    columns = {
        "item": lambda p: p["item"],
        "standing": lambda p: p["standing"],
        "in context": lambda p: p["context"],
        **({"text": lambda p: p["text"]} if unmasked else {}),
    }
    found = client.review_ls(dataset, unmasked=unmasked)
    rows([{**place, "standing": item["standing"]} for item in found for place in item["places"]], columns)


def _privacy(noun: click.Group) -> None:
    @verb(noun, "set", dry=True, examples=["custody privacy set privacy.yaml", "echo 'tier: strict' | custody privacy set -"])
    @click.argument("file")
    def set_(client: "Client", file: str, dry_run: bool) -> None:
        """Set the policy; what an older one cleared goes back to quarantine until it is scanned again."""
        show(client.privacy_set(read_mapping(file), dry_run=dry_run), _policy_text)

    @verb(noun, "show", examples=["custody privacy show"])
    def show_one(client: "Client") -> None:
        """Show the policy."""
        show(client.privacy_show(), _policy_text)


def _policy_text(data: dict[str, Any]) -> str:
    scan = data["scan"]
    return facts(
        {
            "policy": f"{scan['name']}, number {data['number']}",
            "tier": scan["tier"],
            "types that may stay": scan["keep"],
            "findings allowed": scan["max_residual"],
            "smallest group": scan["min_k"],
            "needs a reviewer": "yes" if scan["needs_reviewer"] else "no",
            "captured texts": data["captures"],
        }
    )


def tell_scan(scan: dict[str, Any]) -> None:
    """Say on stderr what a scan found, and where, if it blocks."""
    if chosen() in {"json", "quiet"} or scan["state"] == "cleared":
        return
    say(f"{scan['state']}: it may not be used yet")
    for one in scan["found"]:
        if one["standing"] in _BLOCKS:
            say(f"  {one['column']:<20} {one['type']:<14} {one['category']:<30} {one['rows']:,} rows")


def scan_word(scan: dict[str, Any]) -> str:
    """Say where a scan stands in a line; why it blocks is told apart."""
    return scan["state"] if scan["state"] == "cleared" else f"{scan['state']}: {' '.join(scan['reasons'][:2])}"
