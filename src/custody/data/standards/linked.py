"""The card as linked data: SPDX 3 (a dataset in a bill of materials), DPV (privacy) and ODRL (permissions, duties, bans).

Source: SPDX 3.0.1, profile Dataset; W3C Community Group report DPV 2.0, which is no W3C standard; W3C recommendation ODRL 2.2.
"""

from custody.core.digest import Json
from custody.data.card import ANY, Card
from custody.data.standards.places import About, Place, each, fields_in, told, untold, written

_GUARD = {"public": "clear", "internal": "green", "confidential": "amber", "restricted": "red"}
_UNGUARD = {word: name for name, word in _GUARD.items()}
_SET = {"survey": "structured", "sensor": "sensor", "scrape": "text", "synthetic": "structured"}
_BASIS = {
    "consent": "dpv:Consent",
    "contract": "dpv:Contract",
    "legal_obligation": "dpv:LegalObligation",
    "vital_interests": "dpv:VitalInterest",
    "public_task": "dpv:PublicInterest",
    "legitimate_interests": "dpv:LegitimateInterest",
    "public_data": "dpv:PubliclyAvailableData",
    "unknown": "dpv:Unknown",
}


def _first(value: Json) -> Json:
    return value[0] if isinstance(value, list) and value else None


def _in_words(value: Json) -> Json:
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def _from_words(value: Json) -> Json:
    return list(str(value).split(", "))


_id = each("@id")
SPDX = (
    Place("description", ("description",)),
    Place("owner", ("suppliedBy", "name")),
    Place("sources", ("comment",), told, untold),
    Place("collection_detail", ("dataset_dataCollectionProcess",)),
    Place(
        "deidentification", ("dataset_anonymizationMethodUsed",), lambda value: [told(value)], lambda value: untold(_first(value))
    ),
    Place(
        "classification",
        ("dataset_confidentialityLevel",),
        lambda value: _GUARD.get(str(value), value),
        lambda value: _UNGUARD.get(str(value), value),
    ),
    Place("bias_treatment", ("dataset_knownBias",), lambda value: [value], _first),
    Place("purposes", ("dataset_intendedUse",), _in_words, _from_words),
    Place("license", ("software_copyrightText",)),
    Place("supersedes", ("previousVersion",)),
)
DPV = (
    Place("owner", ("dpv:hasDataController", "dpv:hasName")),
    Place("contact", ("dpv:hasDataController", "dpv:hasContact")),
    Place("custodian", ("dpv:hasDataProcessor", "dpv:hasName")),
    Place("sources", ("dpv:hasDataSource",)),
    Place("geography", ("dpv:hasLocation",)),
    Place("storage", ("dpv:hasStorageCondition", "dpv:hasLocation")),
    Place("subjects", ("dpv:hasDataSubject",)),
    Place("categories", ("dpv:hasPersonalData",), told, untold),
    Place(
        "legal_basis",
        ("dpv:hasLegalBasis",),
        lambda value: _BASIS.get(str(value), value),
        lambda value: next((name for name, term in _BASIS.items() if term == value), value),
    ),
    Place("special_condition", ("dpv:hasApplicableLaw",)),
    Place("purposes", ("dpv:hasPurpose",), *_id),
    Place("consent", ("dpv:hasConsentStatus",), told, untold),
    Place("retention", ("dpv:hasDuration",)),
    Place("deidentification", ("dpv:hasTechnicalMeasure", "dpv:Pseudonymisation"), told, untold),
    Place("dp", ("dpv:hasTechnicalMeasure", "dpv:DifferentialPrivacy"), told, untold),
)
ODRL = (
    Place("license", ("dct:license",)),
    Place("owner", ("permission", 0, "assigner")),
    Place("purposes", ("permission", 0, "constraint", 0, "rightOperand")),
    Place("processing", ("permission", 0, "constraint", 1, "rightOperand")),
    Place("restrictions", ("prohibition",), *each("rdfs:label")),
    Place("retention", ("obligation", 0, "constraint", 0, "rightOperand")),
    Place("retention_action", ("obligation", 0, "action")),
)


def to_spdx(card: Card, about: About) -> dict[str, Json]:
    """Describe a dataset version as an SPDX 3 element of the profile Dataset, with the document that holds it."""
    own = f"urn:custody:{about.name}:{about.version}:{about.digest[:16]}"
    package: dict[str, Json] = {
        "type": "dataset_DatasetPackage",
        "spdxId": own,
        "creationInfo": "_:made",
        "name": about.name,
        "software_packageVersion": str(about.version),
        "software_primaryPurpose": "data",
        "builtTime": about.issued,
        "releaseTime": about.issued,
        "originatedBy": [f"{own}:owner"],
        "suppliedBy": {"type": "Organization", "spdxId": f"{own}:owner", "creationInfo": "_:made"},
        "verifiedUsing": [{"type": "Hash", "algorithm": "sha256", "hashValue": about.digest}],
        "dataset_datasetType": [_SET.get(card.collection_method, "structured")],
        "dataset_datasetAvailability": "registration",
        "dataset_datasetSize": sum(size for _, _, size in about.files),
        "dataset_hasSensitivePersonalInformation": "yes" if card.subjects else "no",
    }
    made: dict[str, Json] = {
        "type": "CreationInfo",
        "@id": "_:made",
        "specVersion": "3.0.1",
        "created": about.issued,
        "createdBy": [f"{own}:owner"],
    }
    context = "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"
    head: dict[str, Json] = {"type": "SpdxDocument", "spdxId": f"{own}:document", "creationInfo": "_:made", "rootElement": [own]}
    head["profileConformance"] = ["core", "software", "dataset"]
    return {"@context": context, "@graph": [made, head, written(package, SPDX, card)]}


def from_spdx(document: Json) -> dict[str, Json]:
    """Read the fields of a card that an SPDX document with one dataset holds."""
    graph = document.get("@graph") if isinstance(document, dict) else None
    items = graph if isinstance(graph, list) else []
    package = next((one for one in items if isinstance(one, dict) and one.get("type") == "dataset_DatasetPackage"), None)
    return fields_in(package, SPDX)


def to_dpv(card: Card, about: About) -> dict[str, Json]:
    """Describe how a dataset version treats people, as JSON-LD of the Data Privacy Vocabulary."""
    document: dict[str, Json] = {
        "@context": {"dpv": "https://w3id.org/dpv#", "dct": "http://purl.org/dc/terms/"},
        "@id": f"urn:custody:{about.name}:{about.version}",
        "@type": "dpv:Process",
        "dct:title": card.title,
        "dpv:hasProcessing": ["dpv:Collect", "dpv:Store", "dpv:Use"],
        "dpv:hasDataController": {"@type": "dpv:DataController"},
    }
    return written(document, DPV, card)


def from_dpv(document: Json) -> dict[str, Json]:
    """Read the fields of a card that such a description holds."""
    return fields_in(document, DPV)


def to_odrl(card: Card, about: About) -> dict[str, Json]:
    """Write what may be done with a dataset version, what may not, and when it must go, as an ODRL set."""
    target = f"urn:custody:{about.name}:{about.version}"
    purpose: Json = {"leftOperand": "purpose", "operator": "isAnyOf"}
    place: Json = {"leftOperand": "spatial", "operator": "isAnyOf"}
    document: dict[str, Json] = {
        "@context": [
            "http://www.w3.org/ns/odrl.jsonld",
            {"dct": "http://purl.org/dc/terms/", "rdfs": "http://www.w3.org/2000/01/rdf-schema#"},
        ],
        "@type": "Set",
        "uid": f"{target}:policy",
        "permission": [{"target": target, "action": "use", "constraint": [purpose, place]}],
        "obligation": [{"target": target, "constraint": [{"leftOperand": "elapsedTime", "operator": "lteq"}]}],
    }
    written(document, ODRL, card)
    bans = document.get("prohibition")
    for ban in bans if isinstance(bans, list) else []:
        assert isinstance(ban, dict)
        ban |= {"target": target, "action": "use"}
    return document


def from_odrl(document: Json) -> dict[str, Json]:
    """Read the fields of a card that such a policy holds; a policy without a place means any."""
    return {"processing": [ANY], **fields_in(document, ODRL)}
