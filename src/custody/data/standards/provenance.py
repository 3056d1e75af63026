"""Data Provenance Standards 1.0.0 of the Data & Trust Alliance: source, provenance and use in 22 fields.

Source: data-provenance-standards-1.0.0.schema.json, as contributed to the OASIS technical committee DPS.
"""

from custody.core.digest import Json
from custody.data.card import ANY, Card
from custody.data.standards.places import About, Place, each, fields_in, period, put, told, untold, written

SCHEMA = "1.0.0"
USES = "https://fideslang.org"
_country, _code = each("country"), each("code")


def _purposes(value: Json) -> Json:
    keys = value if isinstance(value, list) else []
    return [{"code": key, "system": USES, "description": f"data use {key}"} for key in keys]


PLACES = (
    Place("title", ("source", "title")),
    Place("description", ("source", "description")),
    Place("owner", ("source", "issuer", 0, "name")),
    Place("sources", ("provenance", "origin"), *each("name")),
    Place("geography", ("provenance", "origin-geography"), *_country),
    Place("collection_method", ("provenance", "generation-method", 0, "code")),
    Place("collection_detail", ("provenance", "generation-method", 0, "description")),
    Place("classification", ("use", "classification", 0, "regulation", "code")),
    Place("deidentification", ("use", "privacy-enhancing", 0, "tool-used"), told, untold),
    Place("processing", ("use", "processing-included"), *_country),
    Place("processing_denied", ("use", "processing-excluded"), *_country),
    Place("storage", ("use", "storage-allowed"), *_country),
    Place("storage_denied", ("use", "storage-forbidden"), *_country),
    Place("license", ("use", "license", 0)),
    Place("purposes", ("use", "intended-purpose"), _purposes, _code[1]),
)
RIGHTS = ("copyright", "patent", "trademark")


def to_provenance(card: Card, about: About) -> dict[str, Json]:
    """Describe a dataset version in the 22 fields; a field that has nothing to say is left out, as the schema allows."""
    document: dict[str, Json] = {
        "source": {
            "version": SCHEMA,
            "id": f"{about.name}@{about.version}#{about.digest[:16]}",
            "location": about.location,
            "issuer": [{"address": [card.contact]} if card.contact else {}],
        },
        "provenance": {
            "source": ", ".join(card.sources),
            "date": about.issued,
            "format": ["application/vnd.apache.parquet"],
            "generation-method": [{"system": "https://custody.invalid/collection-method"}],
        },
        "use": {"classification": [{"regulation": {}, "evaluated": True}]},
    }
    start, end = period(card.collection_period)
    put(document, ("provenance", "generation-period"), {"start": start, "end": end})
    if about.previous:
        put(document, ("provenance", "previous-date"), about.previous)
    if card.deidentification:
        put(document, ("use", "privacy-enhancing"), [{"tool": "custody", "tool-category": {"code": "de-identification"}}])
    if card.consent.get("document"):
        put(document, ("use", "consents"), [str(card.consent["document"])])
    for right in RIGHTS:
        if right in card.proprietary:
            put(document, ("use", right), ["present"])
    written(document, PLACES, card)
    _drop_any(document)
    return document


def _drop_any(document: dict[str, Json]) -> None:
    """Leave out `any`: in this standard, no list means no limit."""
    use = document["use"]
    assert isinstance(use, dict)
    for name in ("processing-included", "storage-allowed"):
        if use.get(name) == [{"country": ANY}]:
            del use[name]


def from_provenance(document: Json) -> dict[str, Json]:
    """Read the fields of a card that such a description holds."""
    found = fields_in(document, PLACES)
    if isinstance(document, dict):
        use, provenance = document.get("use"), document.get("provenance")
        if isinstance(use, dict):
            found.setdefault("processing", [ANY])
            found.setdefault("storage", [ANY])
            found["proprietary"] = [right for right in RIGHTS if right in use] or ["none"]
            if isinstance(use.get("consents"), list):
                found["consent"] = {"document": use["consents"][0]}  # type: ignore[index]  # a list, by the line above
        if isinstance(provenance, dict) and isinstance(span := provenance.get("generation-period"), dict):
            start, end = span.get("start"), span.get("end")
            found["collection_period"] = start if start == end else f"{start}/{end}"
    return found
