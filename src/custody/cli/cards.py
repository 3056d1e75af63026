"""The verb `dataset card`: ask for a card, read one from elsewhere, show one in plain words or in a standard."""

import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from custody.cli.frame import read_mapping, say, show, verb

if TYPE_CHECKING:
    from custody.data.asked import Question
    from custody.sdk.client import Client

FORMATS = ("croissant", "dps", "spdx", "dpv", "odrl", "signed")


def add_to(noun: click.Group) -> None:
    """Add the verb."""

    @verb(
        noun,
        "card",
        examples=[
            "custody dataset card tickets@1                     # in plain sentences",
            "custody dataset card tickets@1 --as croissant > metadata.json",
            "custody dataset card --ask -o card.yaml            # custody asks, you answer",
            "custody dataset card --from metadata.json -o card.yaml",
        ],
    )
    @click.argument("dataset", required=False)
    @click.option("--as", "form", type=click.Choice(FORMATS), help="Print it in a standard, or as it was signed.")
    @click.option("--from", "source", help="Read a card, Croissant, Data Provenance or SPDX file (YAML or JSON), and check it.")
    @click.option("--ask", is_flag=True, help="Ask for every field that is missing.")
    @click.option("-o", "--output", type=click.Path(dir_okay=False), help="Write the card here as YAML; default: print it.")
    def card(client: "Client", dataset: str | None, form: str | None, source: str | None, ask: bool, output: str | None) -> None:
        """Show the card of a dataset version, or make one: by questions, from YAML, or from a standard's file."""
        if dataset and (source or ask or output):
            raise click.UsageError("Give a dataset to show its card, or --from and --ask to make one.")
        if dataset and form:
            click.echo(json.dumps(client.dataset_card(dataset, form).data, indent=2, ensure_ascii=False))
        elif dataset:
            show(client.dataset_card(dataset), plain)
        elif source or ask:
            _make(client, source, ask=ask, output=output)
        else:
            raise click.UsageError("Whose card? Name a dataset version, or make a card with --ask or --from FILE.")

    _verify(noun)


def plain(data: dict[str, Any]) -> str:
    """Lay out headings and sentences."""
    parts = [f"{heading}\n" + "\n".join(f"  {line}" for line in lines) for heading, lines in data["sentences"]]
    by = f"Card {data['digest'][:12]}, signed by key {data['key_id']}"
    checked = f"{by}; the signature holds." if data["verified"] else f"{by}, which is not this project's key: it was not checked."
    return "\n\n".join([*parts, checked if data["signature"] else "This card is not signed."])


def _verify(noun: click.Group) -> None:
    @noun.command("verify")
    @click.argument("file", type=click.File("rb"))
    @click.option("--key", "key_id", help="Id of the key that must have signed it, as its owner told you.")
    @click.option("--format", type=click.Choice(["text", "json"]), default="text", help="How to print the answer.")
    def verify(file: Any, key_id: str | None, format: str) -> None:  # noqa: A002 - the option's name
        """Check a signed card without the project: nobody changed a word of it, and whose key signed it.

        \b
        Examples:
          custody dataset verify card.json --key 0f3a5b7c9d1e2f40
          custody dataset card tickets@1 --as signed | custody dataset verify -
        """  # noqa: D301 - click's own mark
        import msgspec

        from custody.core.errors import InvalidInput
        from custody.data.signature import check

        try:
            values = msgspec.json.decode(file.read())
        except msgspec.DecodeError as error:
            raise InvalidInput("That is not JSON.", why=f"{error}.") from error
        found = check(values if isinstance(values, dict) else {}, key_id=key_id)
        if format == "json":
            click.echo(json.dumps(msgspec.to_builtins(found), indent=2, ensure_ascii=False))
            return
        click.echo(f"The card of {found.dataset}, '{found.title}', is the one that key {found.key_id} signed.")
        if not key_id:
            say("Compare the key's id with what its owner told you: anybody can sign with a key of their own.")


def _make(client: "Client", source: str | None, *, ask: bool, output: str | None) -> None:
    from custody.core.errors import InvalidInput
    from custody.data.asked import QUESTIONS
    from custody.data.standards.formats import read_any

    values: dict[str, Any] = read_any(read_mapping(source)) if source else {}
    if ask:
        if not sys.stdin.isatty():
            say("Answer each question with a line; an empty line leaves the field open.")
        for question in (*QUESTIONS, *QUESTIONS):  # twice: an answer can make a field needed that was passed before
            if question.name not in values and (question.needed or _wanted(question, values)):
                values[question.name] = _answer(question)
    try:
        checked = client.card_check(values).data
    except InvalidInput as error:
        if not output:
            raise
        _write(values, output)
        say(f"wrote what there is to {output}; it is not complete")
        raise InvalidInput(
            error.what, why=error.why, fix=f"Go on: custody dataset card --from {output} --ask -o {output}"
        ) from error
    _write(values, output)
    for block in checked["blocks"]:
        say(f"may not train a model yet: {block}")
    if output:
        say(f"wrote {output}")
        say(f"next: custody dataset add NAME FILE --card {output}")


def _wanted(question: "Question", values: Mapping[str, Any]) -> bool:
    """Tell whether an answer given before makes this field needed."""
    asked = {
        "consent": values.get("legal_basis") == "consent",
        "subject_key": values.get("legal_basis") == "consent",
        "labels": values.get("collection_method") == "human_label",
        "dp": values.get("collection_method") == "clean_room",
        "categories": bool(values.get("subjects")),
    }
    return asked.get(question.name, False)


def _answer(question: "Question") -> Any:
    import yaml

    from custody.data.asked import Form, faults_of

    words = f" ({', '.join(question.choices)})" if question.choices else ""
    while True:
        text = click.prompt(f"{question.name}{words}, such as {question.example}", default="", show_default=False, err=True)
        try:
            found = yaml.safe_load(text) if text and question.form is not Form.TEXT else text
        except yaml.YAMLError:
            say("That is not YAML.")
            continue
        if found in ("", None):
            return [] if question.name == "subjects" else None
        if faults := faults_of(question, found):
            say("; ".join(faults))
            continue
        return found


def _write(values: Mapping[str, Any], output: str | None) -> None:
    import yaml

    text = yaml.safe_dump(
        {name: value for name, value in values.items() if value not in (None, "", {})}, sort_keys=False, allow_unicode=True
    )
    if output is None:
        click.echo(text.rstrip())
        return
    with click.open_file(output, "w", encoding="utf-8", atomic=True) as file:
        file.write(text)
