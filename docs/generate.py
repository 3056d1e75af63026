"""Write docs/reference from the source: `python docs/generate.py`; with --check, fail if a page is stale.

What cannot be derived, the meaning of a field or an entry, stands in docs/meanings.yaml; a name without a meaning, or a
meaning without a name, is an error.
"""

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, cast

import click
import yaml

from custody.bootstrap.settings import PREFIX, TEMPLATE, Settings
from custody.cli.frame import EXIT
from custody.cli.main import cli
from custody.core import errors
from custody.core.tenancy import Role
from custody.data.card import CLASSES, LEGAL_BASES, METHODS, MITIGATIONS, PROPRIETARY, TRAINING, Card
from custody.gates.policy import MEASURES, METRICS, BiasRule, MetricRule, Policy
from custody.monitoring.policy import WATCHED, MonitorPolicy, OnDegradation, PastDue
from custody.web.app import create_app
from custody.web.wire import STATUS

DOCS = Path(__file__).parent
SOURCE = DOCS.parent / "src" / "custody"
NOTE = "<!-- Written by docs/generate.py (`make docs`); edit the source or docs/meanings.yaml instead. -->\n\n"
MEANINGS: dict[str, dict[str, str]] = yaml.safe_load((DOCS / "meanings.yaml").read_text(encoding="utf-8"))


def meanings(page: str, names: Iterable[str]) -> dict[str, str]:
    """Return the meaning of each name; stop if one is missing or left over."""
    known, wanted = MEANINGS[page], list(names)
    if wrong := [name for name in [*wanted, *known] if (name in known) != (name in wanted)]:
        sys.exit(f"docs/meanings.yaml, '{page}': {', '.join(wrong)} stand in only one of source and meanings")
    return known


def table(head: list[str], lines: Iterable[list[str]]) -> str:
    """Lay out a Markdown table."""
    cells = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in cells)


def default_of(field: Any) -> str:
    """Write a field's default; none means that it must be given."""
    if field.default_factory is not MISSING:
        return "none"
    if field.default is MISSING:
        return "required"
    value = list(field.default) if isinstance(field.default, tuple) else field.default
    return "none" if value in (None, []) else f"`{str(value).lower() if isinstance(value, bool) else value}`"


def field_table(page: str, kind: type, leave: tuple[str, ...] = ()) -> str:
    """Describe a dataclass that users write as YAML."""
    found = [field for field in fields(kind) if field.name not in leave]
    told = meanings(page, [field.name for field in found])
    return table(["field", "default", "meaning"], [[f"`{f.name}`", default_of(f), told[f.name]] for f in found])


def example(name: str) -> str:
    """Quote a file of docs/example."""
    text = (DOCS / "example" / name).read_text(encoding="utf-8").rstrip()
    return f"[`{name}`](../example/{name}):\n```yaml\n{text}\n```"


def commands(context: click.Context) -> Iterator[click.Context]:
    """Return every command below a group."""
    if isinstance(context.command, click.Group):
        if context.command.invoke_without_command and context.parent:
            yield context
        for name in context.command.list_commands(context):
            yield from commands(click.Context(context.command.commands[name], info_name=name, parent=context))
    else:
        yield context


def cli_page() -> str:
    """Write the command line's reference, as a terminal of 100 columns shows it."""
    settings = {**cli.context_settings, "max_content_width": 100, "terminal_width": 100}
    root = click.Context(cli, info_name="custody", **settings)
    parts = [f"## `{one.command_path}`\n\n```text\n{one.command.get_help(one)}\n```\n" for one in commands(root)]
    return f"# Command line\n\n```text\n{cli.get_help(root)}\n```\n\n" + "\n".join(parts)


def errors_page() -> str:
    """Write the catalogue of failures."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and kind in errors.CustodyError.__subclasses__()]
    told = meanings("errors", [kind.__name__ for kind in kinds])
    lines = [
        [f"`{k.__name__}`", str(EXIT[k.__name__]), str(STATUS[k]), str(k.__doc__).split("\n", 1)[0], told[k.__name__]]
        for k in kinds
    ]
    return f"""# Errors and exit codes

Exit code 0 is success. **Exit code 1 is a refusal, not an error:** a gate that says no, a ledger that does not verify, a
training command that failed. Failures have one of these kinds, on the command line, over HTTP and in Python
(`custody.core.errors`):

{table(["kind", "exit", "HTTP", "meaning", "what to do"], lines)}

Every failure says **what** happened, the likely **why** and the **fix**, and carries the same as values in **facts**. Over
HTTP it is `application/problem+json` (RFC 9457) with `title` (the kind), `status`, `detail` (what), `why`, `fix`, `facts`.
"""


def kinds_in(tree: ast.Module) -> Iterator[tuple[str, str, set[str]]]:
    """Return each ledger entry that a module writes: its kind, the function that writes it, the fields of its body."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    bodies = {function.name: _keys(function) for function in functions if function.name == "_facts"}
    for function in functions:
        for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
            if not (isinstance(call.func, ast.Attribute) and call.func.attr == "record" and len(call.args) == 3):
                continue
            kind, _, body = call.args
            if isinstance(body, ast.Call):
                keys = bodies["_facts"]
            elif isinstance(body, ast.Name):
                keys = _keys(function)
            else:
                keys = _dict_keys(body)
            for one in ast.walk(kind):
                if isinstance(one, ast.Constant) and isinstance(one.value, str) and "." in one.value:
                    yield one.value, function.name, keys


def _keys(function: ast.FunctionDef) -> set[str]:
    """Return the keys of the dictionary that a function returns or names `facts`."""
    for node in ast.walk(function):
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Dict):
            return _dict_keys(node.value)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "facts" and node.value:
            return _dict_keys(node.value)
    return set()


def _dict_keys(node: ast.AST) -> set[str]:
    return {str(key.value) for key in node.keys if isinstance(key, ast.Constant)} if isinstance(node, ast.Dict) else set()


def ledger_page() -> str:
    """Write the list of ledger entries."""
    found: dict[str, tuple[set[str], set[str]]] = {}
    for path in sorted(SOURCE.glob("lifecycle/*.py")):
        for kind, _, keys in kinds_in(ast.parse(path.read_text(encoding="utf-8"))):
            files, seen = found.setdefault(kind, (set(), set()))
            files.add(f"[{path.name}](../../src/custody/lifecycle/{path.name})")
            seen |= keys
    told = meanings("ledger", found)
    lines = [
        [f"`{kind}`", told[kind], ", ".join(f"`{key}`" for key in sorted(keys)) or "none", ", ".join(sorted(files))]
        for kind, (files, keys) in sorted(found.items())
    ]
    return f"""# Ledger entries

One change writes one entry, in the same database transaction. Every entry has `seq`, `tenant`, `actor`, `kind`, `subject`,
`at`, `body`, `prev` and `hash`; bodies hold digests, references and reasons, never rows or personal data. How the hash is
made: [formats](formats.md#ledger-entry). How it is checked: [the ledger](../explanation/ledger.md).

{table(["kind", "what happened", "body", "written by"], lines)}
"""


def settings_page() -> str:
    """Write the list of settings."""
    found = [field for field in fields(Settings) if field.name not in ("folder", "sources")]
    told = meanings("settings", [field.name for field in found])
    lines = [[f"`{f.name}`", f"`{PREFIX}{f.name.upper()}`", f"`{str(f.default).lower()}`", told[f.name]] for f in found]
    clients = [[f"`{name}`", text] for name, text in MEANINGS["client"].items()]
    return f"""# Settings

A project's settings come from its `custody.toml`, then the environment, then flags; the last one wins. An unknown setting is
an error that names the nearest known one. `custody config show` prints each value and where it came from.

{table(["setting", "environment", "default", "meaning"], lines)}

`custody init` writes:
```toml
{TEMPLATE.rstrip()}
```

The command line and the SDK read these from the environment:

{table(["variable", "meaning"], clients)}
"""


def http_page() -> str:
    """Write the list of HTTP routes from the OpenAPI document."""
    nothing = cast("Any", None)  # the document is made from the routes alone
    document = create_app(nothing, nothing).openapi()
    lines = [
        [f"`{method.upper()} {path}`", str(route.get("description", "")).split("\n", 1)[0], _query(route)]
        for path, methods in document["paths"].items()
        if path.startswith("/api/")
        for method, route in methods.items()
    ]
    roles = ", ".join(f"`{role}`" for role in Role)
    return f"""# HTTP

## Control plane

Send `Authorization: Bearer KEY` (or `X-Custody-Key`). `X-Custody-Tenant` names the tenant to work in; without it the key's
own, or the house. Roles, each with the rights of those before it: {roles}. A change answers
`{{"result": ..., "ledger": N, "next": "the command that usually follows"}}`, a list `{{"result": [...], "next_page": ...}}`;
pass `next_page` as `after`. Failures: [errors](errors.md). The machine-readable document is served at
`/api/v1/openapi.json`; `/health` needs no key.

{table(["route", "what it does", "query"], lines)}

{MEANINGS["http"]["data plane"]}"""


def _query(route: Mapping[str, Any]) -> str:
    return ", ".join(f"`{one['name']}`" for one in route.get("parameters", []) if one["in"] == "query")


def card_page() -> str:
    """Write the provenance card's reference."""
    return f"""# Provenance card

A YAML or JSON mapping that travels with every dataset version: `custody dataset add NAME FILE --card card.yaml`. Every
fault is reported at once. `custody dataset card --ask -o card.yaml` asks for each field; `custody dataset card NAME@VERSION` shows
it in plain sentences or, with `--as`, as Croissant, Data Provenance Standards, SPDX, DPV or ODRL. Data whose `sources`, `legal_basis` or `purposes` say `unknown`, or whose purposes lack
`{TRAINING}`, is stored but may not train a model: the run that asks for it is denied.

{field_table("card", Card)}

`legal_basis`: {", ".join(f"`{one}`" for one in LEGAL_BASES)}.
`collection_method`: {", ".join(f"`{one}`" for one in METHODS)}.
`classification`: {", ".join(f"`{one}`" for one in CLASSES)}, `unknown`. `proprietary`: {", ".join(f"`{one}`" for one in PROPRIETARY)}.
`method` of `bias_mitigation`: {", ".join(f"`{one}`" for one in MITIGATIONS)}.
Purposes are data uses of [fideslang](https://ethyca.github.io/fideslang/); your own begin with `custom.`.

Fields without a default must be filled in, and since version 2 also `contact`, `collection_detail`, `storage`, `processing`,
`classification`, `proprietary` and `retention`. Some are needed because of what others say; without them the data is stored, but
trains nothing.

{example("card.yaml")}

The fields follow the Data & Trust Alliance's Data Provenance Standards 1.0.0 and Gebru et al. 2021, *Datasheets for
Datasets*.
"""


def policy_page() -> str:
    """Write the gate policy's reference."""
    return f"""# Gate policy

What a model name must show before a version of it may be deployed: `custody gate set NAME policy.yaml`. Set it before the
run that it judges: a policy that is younger than the run refuses the run's model. Why: [gates](../explanation/gates.md).

{field_table("policy", Policy, leave=("model", "version", "created_at"))}

A rule of `metrics`; metric is one of {", ".join(f"`{one}`" for one in METRICS)}:

{field_table("metric rule", MetricRule)}

A rule of `bias`; measure is one of {", ".join(f"`{one}`" for one in MEASURES)}:

{field_table("bias rule", BiasRule)}

{example("policy.yaml")}

## Golden cases

`custody golden add NAME cases.jsonl` takes one JSON object a line: `inputs` (every input of the model), `expect` (the class
it must decide), and optionally `id`, `slice` and `severity`. A `critical` case must pass; a `normal` one (the default) must
not fail once a version that passed the gate has passed it.
"""


def monitor_page() -> str:
    """Write the monitor policy's reference."""
    return f"""# Monitor policy

What is watched on one deployment, and what follows: `custody monitor set TENANT/ENVIRONMENT/NAME monitor.yaml`. Why these
rules: [monitoring](../explanation/monitoring.md).

{field_table("monitor", MonitorPolicy)}

`metric` is one of {", ".join(f"`{one}`" for one in WATCHED)}; `on_degradation` one of
{", ".join(f"`{one.value}`" for one in OnDegradation)}; `past_due` one of
{", ".join(f"`{one.value}`" for one in PastDue)}.

{example("monitor.yaml")}
"""


PAGES = {
    "cli": cli_page,
    "errors": errors_page,
    "ledger-entries": ledger_page,
    "settings": settings_page,
    "http-api": http_page,
    "card": card_page,
    "policy": policy_page,
    "monitor": monitor_page,
}


def main() -> None:
    """Write the pages, or with --check say which are stale."""
    check, stale = "--check" in sys.argv[1:], []
    for name, page in PAGES.items():
        path = DOCS / "reference" / f"{name}.md"
        text = NOTE + page().rstrip() + "\n"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(path.name)
            if not check:
                path.write_text(text, encoding="utf-8")
    if check and stale:
        sys.exit(f"stale: {', '.join(stale)}; write them again: make docs")
    print(f"{len(PAGES)} pages, {len(stale)} {'stale' if check else 'written'}")


if __name__ == "__main__":
    main()
