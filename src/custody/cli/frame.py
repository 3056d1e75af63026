"""What every command shares: options, did-you-mean, one sink for output, one table of exit codes."""

import difflib
import functools
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from custody.sdk.client import Client, Result

EXIT = {"InvalidInput": 2, "NotFound": 3, "Conflict": 4, "Denied": 5, "Unavailable": 6, "IntegrityBroken": 7}
REFUSED = 1


class Nouns(click.Group):
    """A group that answers an unknown word with the nearest known one."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command, or say what was probably meant."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            close = difflib.get_close_matches(args[0], self.list_commands(ctx), n=2, cutoff=0.6)
            hint = f" Did you mean {' or '.join(repr(word) for word in close)}?" if close else ""
            raise click.UsageError(f"There is no command '{args[0]}'.{hint}", ctx) from error


def group(parent: click.Group, name: str, text: str) -> Nouns:
    """Make a noun."""
    made = Nouns(name, help=text, no_args_is_help=True)
    parent.add_command(made)
    return made


def verb(
    parent: click.Group, name: str, *, dry: bool = False, hub: bool = False, examples: Sequence[str] = ()
) -> Callable[[Callable[..., None]], click.Command]:
    """Make a verb from a function of (client, ...): it gets --format, and --dry-run if it can say what it would do.

    hub: further verbs can stand behind it, and then it does nothing itself. examples: shown in its help.
    """

    def decorate(function: Callable[..., None]) -> click.Command:
        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> None:
            ctx = click.get_current_context()
            if ctx.invoked_subcommand:
                return
            ctx.meta["format"] = (
                kwargs.pop("format") or ctx.find_root().params.get("format") or ("table" if sys.stdout.isatty() else "text")
            )
            with client_of(ctx) as client:
                function(client, *args, **kwargs)

        shown = "\n".join(["\b", "Examples:", *(f"  {line}" for line in examples)]) if examples else ""
        run.__doc__ = f"{function.__doc__}\n\n{shown}"
        made: Any = click.option(
            "--format", type=click.Choice(["table", "text", "json", "csv", "quiet"]), help="How to print the answer."
        )(run)
        if dry:
            made = click.option("--dry-run", is_flag=True, help="Say what would happen, and change nothing.")(made)
        return parent.command(name, cls=Nouns, invoke_without_command=True)(made) if hub else parent.command(name)(made)

    return decorate


def client_of(ctx: click.Context) -> "Client":
    """Open what --url or --project names."""
    from custody.sdk.client import connect

    top = ctx.find_root()
    root, given = top.params, click.core.ParameterSource.COMMANDLINE
    flags = [name for name in ("url", "project") if top.get_parameter_source(name) is given]
    if len(flags) == 2:
        raise click.UsageError("Give --url or --project, not both.")
    target = root[flags[0]] if flags else root.get("url") or root.get("project")
    return connect(target, key=root.get("key"), tenant=root.get("tenant"))


def chosen() -> str:
    """Return the output format of the running command."""
    found: str = click.get_current_context().meta["format"]
    return found


def say(text: str) -> None:
    """Talk to the person: on stderr, so that stdout holds data only."""
    click.echo(text, err=True)


def show(result: "Result", human: Callable[[Any], str], *, quiet: str = "") -> None:
    """Print an answer: JSON with stable keys, or for a person, followed by its ledger id and the next command."""
    if chosen() == "json":
        click.echo(
            json.dumps({"result": result.data, "ledger": result.ledger, "next": result.next}, indent=2, ensure_ascii=False)
        )
        return
    if chosen() == "quiet":
        click.echo(quiet or result.ledger or "")
        return
    click.echo(human(result.data))
    dry = click.get_current_context().params.get("dry_run")
    if dry:
        say("Nothing was changed (--dry-run).")
    elif result.ledger is not None:
        say(f"ledger #{result.ledger}")
    if result.next:
        say(f"next: {result.next}")


def rows(items: Iterable[Mapping[str, Any]], columns: Mapping[str, Callable[[Any], Any]], *, limit: int | None = None) -> None:
    """Print a list: a table, CSV, JSON, or one name per line."""
    found = []
    for item in items:
        found.append(item)
        if limit is not None and len(found) >= limit:
            break
    if chosen() == "json":
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    cells = [[_text(get(item)) for get in columns.values()] for item in found]
    if chosen() == "csv":
        import csv

        writer = csv.writer(sys.stdout)
        writer.writerow(columns)
        writer.writerows(cells)
    elif chosen() == "quiet":
        click.echo("\n".join(line[0] for line in cells))
    else:
        click.echo(table(list(columns), cells) if cells else "(none)")


def table(head: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """Lay out a table with aligned columns."""
    widths = [max(len(line[i]) for line in [head, *cells]) for i in range(len(head))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in [head, *cells]]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def facts(pairs: Mapping[str, Any]) -> str:
    """Lay out names and values."""
    width = max(len(name) for name in pairs)
    return "\n".join(f"{name.ljust(width)}  {_text(value)}" for name, value in pairs.items() if value not in (None, "", []))


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(_text(one) for one in value)
    if isinstance(value, dict):
        return ", ".join(f"{name}={_text(one)}" for name, one in value.items())
    return str(value)


def when(text: str | None) -> str:
    """Shorten an ISO time to minutes."""
    return text[:16].replace("T", " ") if text else "-"


def ref(value: Mapping[str, Any]) -> str:
    """Write `name@version`."""
    return f"{value['name']}@{value['version']}"


def key(value: Mapping[str, Any]) -> str:
    """Write `tenant/environment/name`."""
    return f"{value['tenant']}/{value['environment']}/{value['name']}"


def mark(outcome: str) -> str:
    """Colour an outcome on a terminal; the word stays."""
    colour = {"pass": "green", "fail": "red", "inconclusive": "yellow", "waived": "yellow"}.get(outcome, "white")
    return click.style(f"{outcome:<12}", fg=colour)


def estimate(value: Mapping[str, Any]) -> str:
    """Write a metric with its interval and n."""
    return f"{value['metric']} {value['value']:.3f} [{value['low']:.3f}, {value['high']:.3f}] n={value['n']}"


def read_mapping(path: str) -> dict[str, Any]:
    """Read a YAML or JSON mapping from a file, `-` for standard input."""
    import yaml

    from custody.core.errors import InvalidInput

    fix = "Give a text file of `name: value` lines, as YAML or JSON."
    with click.open_file(path, encoding="utf-8") as file:
        try:
            found = yaml.safe_load(file)
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            why = str(error).replace("\n", " ")[:300]
            raise InvalidInput(f"'{path}' is not YAML or JSON.", why=why, fix=fix) from error
    if not isinstance(found, dict):
        raise InvalidInput(f"'{path}' does not hold a mapping.", fix=fix)
    return found


def fail(error: Exception) -> int:
    """Print a failure and return its exit code."""
    from custody.core.errors import CustodyError

    if not isinstance(error, CustodyError):
        raise error
    say(click.style("error: ", fg="red", bold=True) + error.what)
    if error.why:
        say(f"  why: {error.why}")
    if error.fix:
        say(f"  fix: {error.fix}")
    return next((code for kind in type(error).__mro__ for name, code in EXIT.items() if kind.__name__ == name), 1)
