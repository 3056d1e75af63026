"""The five formats by name: how a card is written in each, and which of its fields come back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from custody.core.digest import Json
from custody.core.errors import InvalidInput
from custody.core.refs import near
from custody.data.card import Card
from custody.data.standards import croissant, linked, provenance
from custody.data.standards.places import About, Place


@dataclass(frozen=True, slots=True)
class Standard:
    """One format: what it is called, how a card becomes it, and how its fields are read back."""

    title: str
    write: Callable[[Card, About], dict[str, Json]]
    read: Callable[[Json], dict[str, Json]]
    places: Sequence[Place]


STANDARDS: Mapping[str, Standard] = {
    "croissant": Standard("Croissant 1.1 with RAI", croissant.to_croissant, croissant.from_croissant, croissant.PLACES),
    "dps": Standard("Data Provenance Standards 1.0.0", provenance.to_provenance, provenance.from_provenance, provenance.PLACES),
    "spdx": Standard("SPDX 3.0.1, profile Dataset", linked.to_spdx, linked.from_spdx, linked.SPDX),
    "dpv": Standard("Data Privacy Vocabulary 2.0", linked.to_dpv, linked.from_dpv, linked.DPV),
    "odrl": Standard("ODRL 2.2", linked.to_odrl, linked.from_odrl, linked.ODRL),
}


def standard(name: str) -> Standard:
    """Return a format by name; NotFound would be wrong here: these five are all there are."""
    if name in STANDARDS:
        return STANDARDS[name]
    close = near(name, STANDARDS)
    raise InvalidInput(
        f"'{name[:40]}' is not a format that a card is written in.",
        why=f"Did you mean '{close[0]}'?" if close else "",
        fix=f"The formats: {', '.join(STANDARDS)}",
    )


def read_any(document: Mapping[str, Json]) -> dict[str, Json]:
    """Read the fields of a card from any of the formats, or from a card itself, told apart by what only they have."""
    conforms = str(document.get("conformsTo", ""))
    if "mlcommons.org/croissant" in conforms:
        return croissant.from_croissant(dict(document))
    if {"source", "provenance", "use"} <= document.keys():
        return provenance.from_provenance(dict(document))
    if "@graph" in document:
        return linked.from_spdx(dict(document))
    return dict(document)
