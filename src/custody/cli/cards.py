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

FORMATS = ("croissant", "dps", "spdx", "dpv", "odrl")


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
    @click.option("--as", "form", type=click.Choice(FORMATS), help="Print it in a standard.")
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


def plain(data: dict[str, Any]) -> str:
    """Lay out headings and sentences."""
    parts = [f"{heading}\n" + "\n".join(f"  {line}" for line in lines) for heading, lines in data["sentences"]]
    signed = (
        f"Card {data['digest'][:12]}, signed by key {data['key_id'][:12]}." if data["signature"] else "This card is not signed."
    )
    return "\n\n".join([*parts, signed])


def _make(client: "Client", source: str | None, *, ask: bool, output: str | None) -> None:
    from custody.core.errors import InvalidInput
    from custody.data.asked import QUESTIONS
    from custody.data.standards.formats import read_any

    values: dict[str, Any] = read_any(read_mapping(source)) if source else {}
    if ask:
        if not sys.stdin.isatty():
            say("Answer each question with a line; an empty line keeps what stands in brackets, or leaves the field out.")
        for question in QUESTIONS:
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

    words = f" ({', '.join(question.choices)})" if question.choices else ""
    while True:
        text = click.prompt(f"{question.name}{words}, such as {question.example}", default="", show_default=False, err=True)
        try:
            found = yaml.safe_load(text) if text and text[0] in "[{" else text
        except yaml.YAMLError:
            say("That is not YAML.")
            continue
        if found in ("", None) and question.name == "subjects":
            return []
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
