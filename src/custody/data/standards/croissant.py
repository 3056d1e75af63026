"""Croissant 1.1 with the vocabulary for responsible AI: what data sets on the web are described with.

Source: MLCommons, Croissant 1.1 and Croissant RAI 1.0; the names are those of croissant_rai.ttl, whose prose disagrees.
"""

from collections.abc import Sequence

from custody.core.digest import Json
from custody.data.card import Card
from custody.data.standards.places import About, Place, each, fields_in, put, told, untold, written

VERSION = "http://mlcommons.org/croissant/1.1"
RAI = "http://mlcommons.org/croissant/RAI/1.0"
_TYPES = {"float": "sc:Float", "integer": "sc:Integer", "boolean": "sc:Boolean", "timestamp": "sc:DateTime", "string": "sc:Text"}
CONTEXT: dict[str, Json] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "dpv": "https://w3id.org/dpv#",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "odrl": "http://www.w3.org/ns/odrl/2/",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "prov": "http://www.w3.org/ns/prov#",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_named = each("name")
PLACES = (
    Place("title", ("alternateName",)),
    Place("description", ("description",)),
    Place("owner", ("creator", "name")),
    Place("contact", ("creator", "email")),
    Place("custodian", ("maintainer", "name")),
    Place("license", ("license",)),
    Place("restrictions", ("usageInfo",)),
    Place("geography", ("spatialCoverage",)),
    Place("sources", ("prov:wasDerivedFrom",), *each("prov:label")),
    Place("transform", ("prov:wasGeneratedBy", "prov:label"), told, untold),
    Place("supersedes", ("prov:wasRevisionOf",)),
    Place("collection_method", ("rai:dataCollectionType",)),
    Place("collection_detail", ("rai:dataCollection",)),
    Place("collection_period", ("rai:dataCollectionTimeframe",)),
    Place("missing_values", ("rai:dataCollectionMissingData",)),
    Place("imputation", ("rai:dataImputationProtocol",)),
    Place("subjects", ("rai:personalSensitiveInformation",)),
    Place("purposes", ("rai:dataUseCases",)),
    Place("retention", ("rai:dataReleaseMaintenancePlan",)),
    Place("deidentification", ("rai:dataManipulationProtocol",), told, untold),
    Place("bias_treatment", ("rai:dataBiases",)),
    Place("bias_mitigation", ("rai:dataPreprocessingProtocol",), told, untold),
    Place("limitations", ("rai:dataLimitations",)),
    Place("social_impact", ("rai:dataSocialImpact",)),
)
LABELS = {
    "protocol": "rai:dataAnnotationProtocol",
    "platform": "rai:dataAnnotationPlatform",
    "agreement": "rai:dataAnnotationAnalysis",
    "per_item": "rai:annotationsPerItem",
    "demographics": "rai:annotatorDemographics",
    "tools": "rai:machineAnnotationTools",
}


def to_croissant(card: Card, about: About) -> dict[str, Json]:
    """Describe a dataset version as Croissant 1.1 with RAI terms."""
    document: dict[str, Json] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": [VERSION, RAI],
        "name": about.name,
        "version": f"{about.version}.0.0",
        "identifier": f"{about.name}@{about.version}",
        "datePublished": about.issued,
        "url": about.location or f"urn:sha256:{about.digest}",
        "citeAs": f"{about.name}@{about.version}, sha-256 {about.digest}",
        "creator": {"@type": "sc:Organization"},
    }
    if card.custodian:
        document["maintainer"] = {"@type": "sc:Organization"}
    if card.transform:
        document["prov:wasGeneratedBy"] = {"@type": "prov:Activity"}
    written(document, PLACES, card)
    for key, term in LABELS.items():
        if key in card.labels:
            put(document, (term,), card.labels[key])
    document["distribution"] = [_file(number, one) for number, one in enumerate(about.files, 1)]
    document["recordSet"] = [_rows(number, about.columns) for number, _ in enumerate(about.files, 1)]
    return document


def _file(number: int, one: tuple[str, int, int]) -> Json:
    digest, _, size = one
    return {
        "@type": "cr:FileObject",
        "@id": f"part-{number}",
        "name": f"part-{number}",
        "contentUrl": f"part-{number}.parquet",
        "contentSize": f"{size} B",
        "encodingFormat": "application/vnd.apache.parquet",
        "sha256": digest,
    }


def _rows(number: int, columns: Sequence[tuple[str, str]]) -> Json:
    fields: list[Json] = [
        {
            "@type": "cr:Field",
            "@id": f"rows-{number}/{name}",
            "name": name,
            "dataType": _TYPES.get(kind, "sc:Text"),
            "source": {"fileObject": {"@id": f"part-{number}"}, "extract": {"column": name}},
        }
        for name, kind in columns
    ]
    return {"@type": "cr:RecordSet", "@id": f"rows-{number}", "name": f"rows-{number}", "field": fields}


def from_croissant(document: Json) -> dict[str, Json]:
    """Read the fields of a card that a Croissant description holds; the rest is for a person to add."""
    found = fields_in(document, PLACES)
    if isinstance(document, dict):
        labels = {key: document[term] for key, term in LABELS.items() if term in document}
        found |= {"labels": labels} if labels else {}
        found.setdefault("title", document.get("name"))
    return {name: value for name, value in found.items() if value not in (None, "")}
